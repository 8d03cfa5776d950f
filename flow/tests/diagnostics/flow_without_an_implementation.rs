// errors: 1
// first: `Shout` is not a flow, which is a protocol without I/O
// says: this type does not implement `Flow`
// says: implement `Flow` for it

use riot_actor::prelude::*;
use riot_flow::FlowServer;
use riot_socket::Server;

struct Shout;

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.flow(|_| Shout).start_link().await?;
        ok()
    });
}
