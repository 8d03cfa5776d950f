//! A handler that calls a gRPC service, by tonic, inside tokio: the health of another server.
//! `cargo run --example tonic_client -- --addr 127.0.0.1:8080 --service http://127.0.0.1:50051`.
//!
//! The channel is one HTTP/2 connection, which all handlers share, and which is made again when it is lost.
//! Try `curl -i localhost:8080/NAME`, with a name that the server of the service knows, or with none for the
//! whole.

use std::{process::ExitCode, time::Duration};

use riot_actor::{
    Reason,
    runtime::{Config, enter_tokio},
};
use riot_http::{Request, Response, Server, http::StatusCode};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

async fn check(channel: Channel, request: Request) -> Response {
    let service = request.path().trim_start_matches('/').to_owned();
    match HealthClient::new(channel).check(HealthCheckRequest { service }).await {
        Ok(answer) => Response::text(format!("{:?}\n", answer.into_inner().status())),
        Err(status) => {
            let code = match status.code() {
                Code::NotFound => StatusCode::NOT_FOUND,
                Code::Cancelled | Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::BAD_GATEWAY,
            };
            Response::text(format!("{}\n", status.message())).status(code)
        }
    }
}

fn main() -> ExitCode {
    let defaults = [("--addr", "127.0.0.1:8080"), ("--service", "http://127.0.0.1:50051")];
    let [address, service] = riot_interop::options(defaults);
    Config::new().tokio().stop_on_signals().main(async move {
        riot_interop::start_log()?;
        let endpoint = Endpoint::from_shared(service)?.timeout(Duration::from_secs(2));
        // Connects with the first request. Its tasks are tokio's.
        let channel = enter_tokio(|| endpoint.connect_timeout(Duration::from_secs(2)).connect_lazy());
        let server = Server::bind(&*address)?.tokio();
        let server = server.service(move |request| check(channel.clone(), request)).start_link().await?;
        println!("listening on http://{}", server.local_addr());
        std::future::pending::<Result<(), Reason>>().await
    })
}
