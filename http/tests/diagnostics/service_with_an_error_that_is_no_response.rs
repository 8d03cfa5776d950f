// errors: 1
// first: `std::io::Error` is not a response
// says: a service returns this
// says: a service returns a `Response`, a `StatusCode`, text or bytes

use riot_actor::prelude::*;
use riot_http::{Request, Response, Server};

async fn read(_: Request) -> Result<Response, std::io::Error> {
    Ok(Response::text(std::fs::read_to_string("page")?))
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.service(read).start_link().await?;
        ok()
    });
}
