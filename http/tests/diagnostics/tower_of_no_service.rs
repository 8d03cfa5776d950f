// errors: 1
// first: `Greeter` is not a tower service of HTTP
// says: a tower service takes an `http::Request<riot_http::Body>`
// says: an axum `Router` is one, once `.with_state(..)` has given it its state

use riot_actor::prelude::*;
use riot_http::Server;

struct Greeter;

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.tower(Greeter).start_link().await?;
        ok()
    });
}
