// errors: 1
// first: the type `impl Future<Output = riot_actor::Reason>` does not fulfill the required lifetime

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

use riot_socket::Protocol;

struct Greeter;

impl Protocol for Greeter {
    async fn serve(&self, _: Connection) -> Reason {
        Reason::Normal
    }
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.start_link(Greeter).await?;
        ok()
    });
}
