//! A handler that asks another server, by reqwest, inside tokio.
//! `cargo run --example reqwest_in_handler -- --addr 127.0.0.1:8080 --upstream http://127.0.0.1:8000`.
//!
//! The client keeps connections for all handlers. The answer is read whole, a mebibyte at most; an upstream
//! that is away is 502, and one that takes more than two seconds 504. Try `python3 -m http.server` as the
//! upstream, and `curl -i localhost:8080/`.

use std::{process::ExitCode, time::Duration};

use riot_actor::{Reason, runtime::Config};
use riot_http::{Request, Response, Server, http::StatusCode};

/// Bytes of an answer at most.
const MAX_BYTES: usize = 1024 * 1024;

async fn forward(client: reqwest::Client, upstream: String, request: Request) -> Response {
    let fetched = fetch(&client, &format!("{upstream}{}", request.target())).await;
    fetched.unwrap_or_else(|error| {
        let status = if error.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
        Response::text("the upstream does not answer\n").status(status)
    })
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Response, reqwest::Error> {
    let mut answer = client.get(url).send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Ok(Response::text("the answer is too large\n").status(StatusCode::BAD_GATEWAY));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response::bytes("application/octet-stream", body).status(answer.status()))
}

fn main() -> ExitCode {
    let defaults = [("--addr", "127.0.0.1:8080"), ("--upstream", "http://127.0.0.1:8000")];
    let [address, upstream] = riot_interop::options(defaults);
    Config::new().tokio().stop_on_signals().main(async move {
        riot_interop::start_log()?;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
        let service = move |request| forward(client.clone(), upstream.clone(), request);
        let server = Server::bind(&*address)?.tokio().service(service).start_link().await?;
        println!("listening on http://{}", server.local_addr());
        std::future::pending::<Result<(), Reason>>().await
    })
}
