// errors: 1
// first: `Greeter` is not a function from a request to a response
// says: `.handler(service(value))`

use riot_actor::prelude::*;
use riot_http::{Request, Response, Server, Service};

struct Greeter;

impl Service for Greeter {
    type Response = Response;
    async fn call(&self, _: Request) -> Response {
        Response::text("hello")
    }
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.service(Greeter).start_link().await?;
        ok()
    });
}
