// errors: 1
// first: the trait bound `{integer}: ToSocketAddrs` is not satisfied

use riot_actor::prelude::*;
use riot_http::Server;

fn main() {
    run(async {
        Server::bind(2112)?.service(|_| async { "hello" }).start_link().await?;
        ok()
    });
}
