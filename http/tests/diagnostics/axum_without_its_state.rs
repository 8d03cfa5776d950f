// errors: 1
// first: mismatched types
// says: expected `MethodRouter`, found `MethodRouter<String>`

use riot_actor::prelude::*;
use riot_http::Server;

use axum::{Router, extract::State, routing::get};

async fn greet(State(name): State<String>) -> String {
    name
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.axum(Router::new().route("/", get(greet))).start_link().await?;
        ok()
    });
}
