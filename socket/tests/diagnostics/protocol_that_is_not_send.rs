// errors: 1
// first: future cannot be sent between threads safely
// says: await occurs here

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

async fn greet(mut connection: Connection) {
    let text = std::rc::Rc::new("hello");
    let _ = connection.write_all(text.as_bytes()).await;
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.start_link(greet).await?;
        ok()
    });
}
