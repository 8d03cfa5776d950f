// errors: 1
// first: `&str` cannot be bound
// says: bind an address with `Server::bind`

use riot_actor::prelude::*;
use riot_http::Server;

fn main() {
    run(async {
        Server::listen("127.0.0.1:0").service(|_| async { "hello" }).start_link().await?;
        ok()
    });
}
