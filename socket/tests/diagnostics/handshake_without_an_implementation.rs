// errors: 1
// first: `Password` is no handshake
// says: this does not implement `Handshake`
// says: -> io::Result<Connection>`

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

struct Password;

async fn greet(_: Connection) {}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.handshake(Password).start_link(greet).await?;
        ok()
    });
}
