//! Counters in Redis, by the crate redis, whose connection manager connects again by itself.
//! `cargo run --example redis_client -- --addr 127.0.0.1:8080 --redis redis://127.0.0.1`.
//!
//! The manager is one connection, which all handlers share. It needs tokio where it is made, and where it is
//! used. While Redis is away answers are 503. Try `curl localhost:8080/apples`, which counts how often it
//! was asked for, while you restart Redis.

use std::{process::ExitCode, time::Duration};

use redis::{
    AsyncTypedCommands, Client,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use riot_actor::{
    Reason,
    runtime::{Config, in_tokio},
};
use riot_http::{Request, Response, Server, http::StatusCode};

async fn count(mut redis: ConnectionManager, request: Request) -> Response {
    match redis.incr(request.path().trim_start_matches('/'), 1).await {
        Ok(number) => Response::text(format!("{number}\n")),
        Err(error) => {
            let text = format!("Redis is away: {error}\n");
            Response::text(text).status(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

fn main() -> ExitCode {
    let [address, url] =
        riot_interop::options([("--addr", "127.0.0.1:8080"), ("--redis", "redis://127.0.0.1")]);
    Config::new().tokio().stop_on_signals().main(async move {
        riot_interop::start_log()?;
        let limits = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(Duration::from_secs(1)));
        let client = Client::open(url)?;
        let redis = in_tokio(ConnectionManager::new_with_config(client, limits)).await?;
        let server = Server::bind(&*address)?.tokio();
        let server = server.service(move |request| count(redis.clone(), request)).start_link().await?;
        println!("listening on http://{}", server.local_addr());
        std::future::pending::<Result<(), Reason>>().await
    })
}
