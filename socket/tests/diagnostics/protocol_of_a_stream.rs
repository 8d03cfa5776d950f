// errors: 1
// first: type mismatch in function arguments
// says: expected function signature `fn(Connection) -> _`

use riot_actor::prelude::*;
use riot_socket::Server;

use riot_socket::TcpStream;

async fn greet(_: TcpStream) {}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.start_link(greet).await?;
        ok()
    });
}
