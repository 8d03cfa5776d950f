// errors: 1
// first: `Greeter` is not a handler
// says: this does not implement `Handler`

use riot_actor::prelude::*;
use riot_http::Server;
use riot_supervisor::Supervisor;

struct Greeter;

fn main() {
    run(async {
        let spec = Server::bind("127.0.0.1:0")?.handler(Greeter).child_spec("http");
        Supervisor::one_for_one().child(spec).start_link().await?;
        ok()
    });
}
