// errors: 1
// first: closure is expected to take 1 argument, but it takes 0 arguments
// says: takes 0 arguments

use riot_actor::prelude::*;
use riot_socket::Server;

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.start_link(|| async {}).await?;
        ok()
    });
}
