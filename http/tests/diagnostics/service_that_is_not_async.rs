// errors: 1
// first: is not a future: write `async fn`, or `async move { .. }` in a closure
// says: this is not `async`: it returns

use riot_actor::prelude::*;
use riot_http::{Request, Response, Server};

fn greet(_: Request) -> Response {
    Response::text("hello")
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.service(greet).start_link().await?;
        ok()
    });
}
