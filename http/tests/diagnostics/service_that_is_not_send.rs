// errors: 1
// first: future cannot be sent between threads safely
// says: await occurs here

use riot_actor::prelude::*;
use riot_http::{Request, Response, Server};

async fn greet(mut request: Request) -> Response {
    let text = std::rc::Rc::new(String::from("hello"));
    let _ = request.body().bytes(100).await;
    Response::text(text.to_string())
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.service(greet).start_link().await?;
        ok()
    });
}
