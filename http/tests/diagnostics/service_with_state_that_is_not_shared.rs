// errors: 1
// first: `Cell<i32>` cannot be shared between threads safely

use riot_actor::prelude::*;
use riot_http::{Response, Server};

use std::cell::Cell;

fn main() {
    run(async {
        let count = Cell::new(0);
        let greet = move |_| {
            count.set(count.get() + 1);
            async { Response::text("hello") }
        };
        Server::bind("127.0.0.1:0")?.service(greet).start_link().await?;
        ok()
    });
}
