// errors: 1
// first: expected a closure that implements the `Fn` trait, but this closure only implements `FnOnce`

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

fn main() {
    run(async {
        let greeting = String::from("hello");
        Server::bind("127.0.0.1:0")?
            .start_link(move |mut connection: Connection| async move {
                connection.write_all(greeting.as_bytes()).await
            })
            .await?;
        ok()
    });
}
