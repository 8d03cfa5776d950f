//! ntex web: `ntex --addr HOST:PORT --workers N`.

use ntex::{
    http::{body::Body, header},
    util::Bytes,
    web::{self, App, HttpResponse, HttpServer, types::PayloadConfig},
};

#[path = "../options.rs"]
mod options;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[ntex::main]
async fn main() -> std::io::Result<()> {
    let (address, workers) = options::options();
    let app = async || {
        App::new()
            .state(PayloadConfig::new(options::MAX_BODY_BYTES))
            .route("/plaintext", web::get().to(async || answer(options::HELLO.into())))
            .route("/big", web::get().to(async || answer(Bytes::from_static(&options::BIG).into())))
            .route("/echo", web::post().to(async |body: Bytes| answer(body.into())))
    };
    HttpServer::new(app).workers(workers).maxconn(25_000).bind(address)?.run().await
}

fn answer(body: Body) -> HttpResponse {
    HttpResponse::Ok()
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(header::SERVER, "ntex")
        .body(body)
}
