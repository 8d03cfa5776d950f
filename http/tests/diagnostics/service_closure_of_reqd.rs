// errors: 1
// first: type mismatch in closure arguments
// says: expected closure signature `fn(riot_http::Request) -> _`

use riot_actor::prelude::*;
use riot_http::{Reqd, Response, Server};

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?
            .service(|reqd: Reqd| async move { reqd.respond_with_string(Response::ok(), "hello") })
            .start_link()
            .await?;
        ok()
    });
}
