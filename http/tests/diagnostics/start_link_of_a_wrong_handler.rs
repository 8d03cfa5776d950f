// errors: 1
// first: a handler does not return `u32`
// says: the future of a handler returns `()`, `Responded`, or a `Result`

use riot_actor::prelude::*;
use riot_http::Reqd;

async fn count(_: Reqd) -> u32 {
    7
}

fn main() {
    run(async {
        riot_http::start_link(2112, count).await?;
        ok()
    });
}
