// errors: 1
// first: the trait bound `{integer}: ToSocketAddrs` is not satisfied

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

async fn greet(_: Connection) {}

fn main() {
    run(async {
        Server::bind(2112)?.start_link(greet).await?;
        ok()
    });
}
