// errors: 1
// first: `Greeter` is no protocol
// says: this does not implement `Protocol`
// says: `async fn serve(connection: Connection)`

use riot_actor::prelude::*;
use riot_socket::Server;

struct Greeter;

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.start_link(Greeter).await?;
        ok()
    });
}
