// errors: 1
// first: `fn(riot_http::Request) -> impl Future<Output = riot_http::Response> {greet}` is not a tower
// first: service of HTTP
// says: a tower service takes an `http::Request<riot_http::Body>`
// says: an axum `Router` is one, once `.with_state(..)` has given it its state

use riot_actor::prelude::*;
use riot_http::{Request, Response, Server};

async fn greet(_: Request) -> Response {
    Response::text("hello")
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.tower(greet).start_link().await?;
        ok()
    });
}
