// errors: 1
// first: type mismatch in function arguments
// says: expected function signature `fn(riot_http::Request) -> _`

use riot_actor::prelude::*;
use riot_http::{Reqd, Response, Server};

async fn greet(reqd: Reqd) {
    let _ = reqd.respond_with_string(Response::ok(), "hello");
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.service(greet).start_link().await?;
        ok()
    });
}
