// errors: 1
// first: no method named `start_link` found for enum `Result<T, E>` in the current scope

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

async fn greet(_: Connection) {}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0").start_link(greet).await?;
        ok()
    });
}
