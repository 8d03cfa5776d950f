// errors: 1
// first: `Greeter` is no handshake
// says: this does not implement `Handshake`
// says: -> io::Result<Connection>`

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

use riot_socket::Protocol;

struct Greeter;

impl Protocol for Greeter {
    fn serve(&self, connection: Connection) -> impl Future<Output = Reason> + Send + 'static {
        async move {
            drop(connection);
            Reason::Normal
        }
    }
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.handshake(Greeter).start_link(Greeter).await?;
        ok()
    });
}
