// errors: 1
// first: closure is expected to take 1 argument, but it takes 0 arguments
// says: consider changing the closure to take and ignore the expected argument

use riot_actor::prelude::*;
use riot_http::{Response, Server};

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.service(|| async { Response::text("hello") }).start_link().await?;
        ok()
    });
}
