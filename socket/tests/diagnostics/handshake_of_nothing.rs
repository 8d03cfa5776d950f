// errors: 1
// first: to be a future that resolves to `Result<Connection, Error>`, but it resolves to `()`
// says: expected `Result<Connection, Error>`, found `()`

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

async fn greet(_: Connection) {}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?
            .handshake(|connection: Connection| async move { drop(connection) })
            .start_link(greet)
            .await?;
        ok()
    });
}
