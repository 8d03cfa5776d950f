// errors: 1
// first: the `?` operator can only be applied to values that implement `Try`

use riot_actor::prelude::*;
use riot_http::Server;

fn main() {
    run(async {
        let server = Server::bind("127.0.0.1:0")?.service(|_| async { "hello" }).start_link()?;
        println!("{}", server.local_addr());
        ok()
    });
}
