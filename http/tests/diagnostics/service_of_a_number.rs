// errors: 1
// first: `{integer}` is not a response
// says: a service returns this
// says: a service returns a `Response`, a `StatusCode`, text or bytes

use riot_actor::prelude::*;
use riot_http::Server;

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.service(|_| async { 42 }).start_link().await?;
        ok()
    });
}
