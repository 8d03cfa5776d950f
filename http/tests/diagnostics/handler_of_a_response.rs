// errors: 1
// first: a handler does not return `riot_http::Response`
// says: the future of a handler returns `()`, `Responded`, or a `Result`

use riot_actor::prelude::*;
use riot_http::{Reqd, Response, Server};

async fn greet(_: Reqd) -> Response {
    Response::text("hello")
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.handler(greet).start_link().await?;
        ok()
    });
}
