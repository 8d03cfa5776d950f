// errors: 1
// first: closure may outlive the current function, but it borrows `greeting`, which is owned by the current
// first: function
// says: use the `move` keyword

use riot_actor::prelude::*;
use riot_http::{Response, Server};

fn main() {
    run(async {
        let greeting = String::from("hello");
        Server::bind("127.0.0.1:0")?
            .service(|_| async { Response::text(greeting.clone()) })
            .start_link()
            .await?;
        ok()
    });
}
