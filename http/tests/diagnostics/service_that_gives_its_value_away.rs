// errors: 1
// first: cannot move out of `greeting`, a captured variable in an `Fn` closure

use riot_actor::prelude::*;
use riot_http::{Response, Server};

fn main() {
    run(async {
        let greeting = String::from("hello");
        Server::bind("127.0.0.1:0")?
            .service(move |_| async move { Response::text(greeting) })
            .start_link()
            .await?;
        ok()
    });
}
