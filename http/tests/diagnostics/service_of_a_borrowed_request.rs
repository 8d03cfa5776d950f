// errors: 1
// first: type mismatch in function arguments
// says: consider adjusting the signature so it does not borrow its argument

use riot_actor::prelude::*;
use riot_http::{Request, Response, Server};

async fn greet(request: &Request) -> Response {
    Response::text(request.target().to_owned())
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.service(greet).start_link().await?;
        ok()
    });
}
