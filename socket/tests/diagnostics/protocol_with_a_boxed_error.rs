// errors: 1
// first: `Box<(dyn std::error::Error + 'static)>` cannot be the error of a process
// says: this error is not `Send + Sync
// says: a `Box<dyn Error>` becomes one with `.map_err

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

use std::error::Error;

async fn greet(mut connection: Connection) -> Result<(), Box<dyn Error>> {
    connection.write_all(b"hello").await?;
    Ok(())
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.start_link(greet).await?;
        ok()
    });
}
