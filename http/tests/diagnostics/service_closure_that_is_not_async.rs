// errors: 1
// first: `riot_http::Response` is not a future

use riot_actor::prelude::*;
use riot_http::{Response, Server};

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.service(|_| Response::text("hello")).start_link().await?;
        ok()
    });
}
