// errors: 1
// first: this method takes 1 argument but 0 arguments were supplied
// says: provide the argument

use riot_actor::prelude::*;
use riot_socket::Server;

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.start_link().await?;
        ok()
    });
}
