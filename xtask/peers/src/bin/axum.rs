//! axum on tokio's multi-threaded runtime: `axum --addr HOST:PORT --workers N`. It uses `axum::serve`, which
//! writes each response to a pipelined request separately: it does not offer hyper's `pipeline_flush`.

use axum::{
    Router,
    http::header::{CONTENT_TYPE, SERVER},
    response::IntoResponse,
    routing::{get, post},
    serve::ListenerExt,
};
use bytes::Bytes;

#[path = "../options.rs"]
mod options;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let (address, workers) = options::options();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let router = Router::new()
        .route("/plaintext", get(async || answer(options::HELLO)))
        .route("/big", get(async || answer(&options::BIG[..])))
        .route("/echo", post(async |body: Bytes| answer(body)));
    runtime.expect("a runtime").block_on(async move {
        let listener = tokio::net::TcpListener::bind(address).await.expect("the address is free");
        let listener = listener.tap_io(|stream| {
            stream.set_nodelay(true).ok();
        });
        axum::serve(listener, router).await.expect("it serves until it is killed");
    });
}

fn answer(body: impl IntoResponse) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (SERVER, "axum")], body)
}
