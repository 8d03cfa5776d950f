// errors: 1
// first: this method takes 1 argument but 0 arguments were supplied
// says: NeedsTheFeatureHyperUpgrade` is missing

use riot_http::Server;

fn main() -> std::io::Result<()> {
    let _serving = Server::bind("127.0.0.1:0")?.axum(axum::Router::new()).upgrade_by_hyper();
    Ok(())
}
