// errors: 1
// first: type annotations needed

use riot_actor::prelude::*;
use riot_http::{Response, Server};

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?
            .handler(|reqd| async move { reqd.respond_with_string(Response::ok(), "hello") })
            .start_link()
            .await?;
        ok()
    });
}
