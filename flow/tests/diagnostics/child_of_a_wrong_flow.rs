// errors: 1
// first: `Shout` is not a flow, which is a protocol without I/O
// says: this type does not implement `Flow`

use riot_actor::prelude::*;
use riot_flow::FlowServer;
use riot_socket::Server;
use riot_supervisor::Supervisor;

struct Shout;

fn main() {
    run(async {
        let spec = Server::bind("127.0.0.1:0")?.flow(|_| Shout).child_spec("shout");
        Supervisor::one_for_one().child(spec).start_link().await?;
        ok()
    });
}
