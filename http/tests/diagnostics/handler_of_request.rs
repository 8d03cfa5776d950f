// errors: 1
// first: type mismatch in function arguments
// says: expected function signature `fn(Reqd) -> _`

use riot_actor::prelude::*;
use riot_http::{Request, Response, Server};

async fn greet(_: Request) -> Response {
    Response::text("hello")
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.handler(greet).start_link().await?;
        ok()
    });
}
