// errors: 0

use riot_actor::prelude::*;
use riot_http::{HandlerError, Reqd, Request, Response, Server, Service, service};

use axum::{Router, routing::get};

struct Greeter;

impl Service for Greeter {
    type Response = &'static str;
    async fn call(&self, _: Request) -> &'static str {
        "hello"
    }
}

async fn greet(request: Request) -> Response {
    Response::text(request.target().to_owned())
}

async fn answer(reqd: Reqd) -> Result<(), HandlerError> {
    reqd.respond_with_string(Response::ok(), "hello")?;
    Ok(())
}

fn server() -> std::io::Result<Server> {
    Server::bind("127.0.0.1:0")
}

fn main() {
    run(async {
        server()?
            .service(|request| async move { Response::text(request.target().to_owned()) })
            .start_link()
            .await?;
        server()?.service(|_| async { "hello" }).start_link().await?;
        server()?.service(async |request| Response::text(request.target().to_owned())).start_link().await?;
        server()?.service(greet).start_link().await?;
        server()?.handler(service(Greeter)).start_link().await?;
        server()?.handler(service(greet)).start_link().await?;
        server()?.handler(answer).start_link().await?;
        server()?.axum(Router::new().route("/", get(|| async { "hello" }))).start_link().await?;
        ok()
    });
}
