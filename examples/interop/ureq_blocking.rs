//! A handler that asks another server by a library that blocks, ureq, in `blocking`. There is no tokio.
//! `cargo run --example ureq_blocking -- --addr 127.0.0.1:8080 --upstream http://127.0.0.1:8000`.
//!
//! Each call takes a thread of the pool, of which there are 64; more calls wait. Try
//! `python3 -m http.server` as the upstream, and `curl -i localhost:8080/`.

use std::{process::ExitCode, time::Duration};

use riot_actor::{
    Reason,
    runtime::{Config, blocking},
};
use riot_http::{Request, Response, Server, http::StatusCode};
use ureq::{Agent, Error};

/// Bytes of an answer at most.
const MAX_BYTES: u64 = 1024 * 1024;

async fn forward(agent: Agent, upstream: String, request: Request) -> Response {
    let url = format!("{upstream}{}", request.target());
    let fetched = blocking(move || {
        let mut answer = agent.get(url).call()?;
        Ok((answer.status(), answer.body_mut().with_config().limit(MAX_BYTES).read_to_vec()?))
    });
    let (status, text) = match fetched.await {
        Ok((status, body)) => return Response::bytes("application/octet-stream", body).status(status),
        Err(Error::Timeout(_)) => (StatusCode::GATEWAY_TIMEOUT, "the upstream takes too long\n"),
        Err(Error::BodyExceedsLimit(_)) => (StatusCode::BAD_GATEWAY, "the answer is too large\n"),
        Err(_) => (StatusCode::BAD_GATEWAY, "the upstream does not answer\n"),
    };
    Response::text(text).status(status)
}

fn main() -> ExitCode {
    let defaults = [("--addr", "127.0.0.1:8080"), ("--upstream", "http://127.0.0.1:8000")];
    let [address, upstream] = riot_interop::options(defaults);
    Config::new().stop_on_signals().main(async move {
        riot_interop::start_log()?;
        let config = Agent::config_builder().timeout_global(Some(Duration::from_secs(2)));
        let agent = Agent::from(config.http_status_as_error(false).build());
        let service = move |request| forward(agent.clone(), upstream.clone(), request);
        let server = Server::bind(&*address)?.service(service).start_link().await?;
        println!("listening on http://{}", server.local_addr());
        std::future::pending::<Result<(), Reason>>().await
    })
}
