// errors: 1
// first: `Greeter` is no protocol
// says: this does not implement `Protocol`

use riot_actor::prelude::*;
use riot_socket::Server;
use riot_supervisor::Supervisor;

struct Greeter;

fn main() {
    run(async {
        let (spec, server) = Server::bind("127.0.0.1:0")?.child("greeter", Greeter);
        Supervisor::one_for_one().child(spec).start_link().await?;
        println!("{}", server.local_addr());
        ok()
    });
}
