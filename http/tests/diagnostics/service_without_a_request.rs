// errors: 1
// first: function is expected to take 1 argument, but it takes 0 arguments

use riot_actor::prelude::*;
use riot_http::{Response, Server};

async fn greet() -> Response {
    Response::text("hello")
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.service(greet).start_link().await?;
        ok()
    });
}
