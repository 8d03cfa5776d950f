// errors: 1
// first: future cannot be sent between threads safely
// says: await occurs here

use riot_actor::prelude::*;
use riot_http::{HandlerError, Reqd, Response, Server};

async fn greet(reqd: Reqd) -> Result<(), HandlerError> {
    let text = std::rc::Rc::new("hello");
    sleep(std::time::Duration::from_secs(1)).await;
    reqd.respond_with_string(Response::ok(), *text)?;
    Ok(())
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.handler(greet).start_link().await?;
        ok()
    });
}
