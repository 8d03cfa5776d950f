// errors: 0

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

use riot_socket::memory::Listener;

async fn greet(mut connection: Connection) -> std::io::Result<()> {
    connection.write_all(b"hello").await
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?
            .handshake(|connection: Connection| async move { Ok(connection) })
            .start_link(greet)
            .await?;
        Server::listen(Listener::new())
            .start_link(|mut connection: Connection| async move { connection.write_all(b"hello").await })
            .await?;
        ok()
    });
}
