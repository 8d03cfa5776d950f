// errors: 1
// first: `&str` cannot be bound
// says: bind an address with `Server::bind`

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

async fn greet(_: Connection) {}

fn main() {
    run(async {
        Server::listen("127.0.0.1:0").start_link(greet).await?;
        ok()
    });
}
