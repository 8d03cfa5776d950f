// errors: 1
// first: a handler does not return `Result<(), Box<(dyn std::error::Error + 'static)>>`
// says: the future of a handler returns `()`, `Responded`, or a `Result`

use riot_actor::prelude::*;
use riot_http::{Reqd, Response, Server};

use std::error::Error;

async fn greet(reqd: Reqd) -> Result<(), Box<dyn Error>> {
    reqd.respond_with_string(Response::ok(), "hello")?;
    Ok(())
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.handler(greet).start_link().await?;
        ok()
    });
}
