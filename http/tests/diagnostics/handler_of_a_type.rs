// errors: 1
// first: `Greeter` is not a handler
// says: this does not implement `Handler`
// says: `async fn answer(reqd: Reqd) -> Result<(), HandlerError>`

use riot_actor::prelude::*;
use riot_http::Server;

struct Greeter;

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.handler(Greeter).start_link().await?;
        ok()
    });
}
