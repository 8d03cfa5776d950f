// errors: 1
// first: `u32` is not a response
// says: a service returns this
// says: a service returns a `Response`, a `StatusCode`, text or bytes

use riot_actor::prelude::*;
use riot_http::{Request, Server};

async fn answer(_: Request) -> u32 {
    42
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.service(answer).start_link().await?;
        ok()
    });
}
