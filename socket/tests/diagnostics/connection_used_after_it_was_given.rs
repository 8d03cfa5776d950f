// errors: 1
// first: borrow of moved value: `connection`

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

async fn greet(mut connection: Connection) {
    let reader = spawn(async move { connection.read_to_end(5).await });
    let _ = connection.write_all(b"hello").await;
    link(reader);
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.start_link(greet).await?;
        ok()
    });
}
