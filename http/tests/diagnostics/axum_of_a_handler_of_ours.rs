// errors: 1
// first: the trait bound `fn(Request) -> impl Future<Output = Response> {greet}: Handler<_, _>` is not
// first: satisfied

use riot_actor::prelude::*;
use riot_http::{Request, Response, Server};

use axum::{Router, routing::get};

async fn greet(_: Request) -> Response {
    Response::text("hello")
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.axum(Router::new().route("/", get(greet))).start_link().await?;
        ok()
    });
}
