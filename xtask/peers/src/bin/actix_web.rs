//! actix-web: `actix_web --addr HOST:PORT --workers N`.

use actix_web::{
    App, HttpResponse, HttpServer,
    body::MessageBody,
    http::{KeepAlive, header},
    web::{self, Bytes, PayloadConfig},
};

#[path = "../options.rs"]
mod options;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let (address, workers) = options::options();
    let app = || {
        App::new()
            .app_data(PayloadConfig::new(options::MAX_BODY_BYTES))
            .route("/plaintext", web::get().to(async || answer(options::HELLO)))
            .route("/big", web::get().to(async || answer(&options::BIG[..])))
            .route("/echo", web::post().to(async |body: Bytes| answer(body)))
    };
    HttpServer::new(app)
        .workers(workers)
        .max_connections(25_000)
        .keep_alive(KeepAlive::Os)
        .tcp_nodelay(true)
        .bind(address)?
        .run()
        .await
}

fn answer(body: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((header::SERVER, "actix"))
        .body(body)
}
