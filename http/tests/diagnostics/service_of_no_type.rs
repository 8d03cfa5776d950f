// errors: 2
// first: `Greeter` is not a service
// says: this does not implement `Service`
// says: a service is `async fn(Request) -> impl IntoResponse`

use riot_actor::prelude::*;
use riot_http::{Server, service};

struct Greeter;

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.handler(service(Greeter)).start_link().await?;
        ok()
    });
}
