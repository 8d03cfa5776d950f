// errors: 1
// first: `Cell<i32>` cannot be shared between threads safely

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

use std::cell::Cell;

fn main() {
    run(async {
        let count = Cell::new(0);
        let greet = move |connection: Connection| {
            count.set(count.get() + 1);
            async move { drop(connection) }
        };
        Server::bind("127.0.0.1:0")?.start_link(greet).await?;
        ok()
    });
}
