// errors: 1
// first: this server does not know what to answer: call .service(..), .handler(..) or .axum(..)
// says: it is started here
// says: `.service(|request| async move { .. })`

use riot_actor::prelude::*;
use riot_http::Server;

fn main() {
    run(async {
        let spec = Server::bind("127.0.0.1:0")?.child_spec("http");
        drop(spec);
        ok()
    });
}
