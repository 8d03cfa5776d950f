// errors: 1
// first: mismatched types
// says: expected `Router`, found fn item

use riot_actor::prelude::*;
use riot_http::Server;

async fn greet() -> &'static str {
    "hello"
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.axum(greet).start_link().await?;
        ok()
    });
}
