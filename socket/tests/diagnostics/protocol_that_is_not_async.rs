// errors: 1
// first: is not a future: write `async fn`, or `async move { .. }` in a closure
// says: this is not `async`: it returns

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.start_link(|connection: Connection| drop(connection)).await?;
        ok()
    });
}
