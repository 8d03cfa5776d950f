// errors: 1
// first: expected a `Fn(&Address)` closure, found `Shout`

use riot_actor::prelude::*;
use riot_flow::FlowServer;
use riot_socket::Server;

struct Shout;

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.flow(Shout).start_link().await?;
        ok()
    });
}
