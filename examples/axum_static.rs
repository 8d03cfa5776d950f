//! An axum application whose layers need tokio: files, a time limit, and a stream of events that is kept
//! alive. `cargo run --release --features tokio --example axum_static -- --addr 127.0.0.1:8080 --root .`.
//!
//! One line differs from `axum::serve`: `Server::axum` runs the router inside the runtime of `Config::tokio`.
//! Try `curl -i localhost:8080/files/README.md`, `curl -i localhost:8080/slow`, `curl -N
//! localhost:8080/events`.

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use axum::{
    Router,
    extract::ConnectInfo,
    response::sse::{Event, KeepAlive, Sse},
    routing::get,
};
use futures_util::stream;
use riot_actor::{Reason, runtime::Config};
use riot_http::Server;
use tower_http::{services::ServeDir, timeout::TimeoutLayer};

const USAGE: &str = "usage: axum_static [--addr HOST:PORT] [--root FOLDER]";

fn router(root: PathBuf) -> Router {
    // An application with other limits for its events than for its pages nests them.
    let pages = Router::new()
        .route(
            "/",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { format!("Hello, {peer}!\n") }),
        )
        .route("/slow", get(|| tokio::time::sleep(Duration::from_secs(60))))
        .nest_service("/files", ServeDir::new(root))
        .layer(TimeoutLayer::with_status_code(
            axum::http::StatusCode::REQUEST_TIMEOUT,
            Duration::from_secs(1),
        ));
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(1)).text("still here");
    Router::new()
        .route("/events", get(move || async { Sse::new(hours()).keep_alive(keep_alive) }))
        .merge(pages)
}

/// One event an hour.
fn hours() -> impl stream::Stream<Item = Result<Event, Infallible>> {
    stream::unfold(0_u32, |hour| async move {
        if hour > 0 {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        Some((Ok(Event::default().event("hour").data(hour.to_string())), hour + 1))
    })
}

fn main() -> ExitCode {
    let (mut address, mut root) = ("127.0.0.1:8080".to_owned(), PathBuf::from("."));
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--addr", Some(given)) => address = given,
            ("--root", Some(given)) => root = given.into(),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    Config::new().tokio().stop_on_signals().main(async move {
        riot_actor::log::start(std::io::stderr())?;
        let server = Server::bind(&*address)?.axum(router(root)).start_link().await?;
        println!("listening on http://{}", server.local_addr());
        std::future::pending::<Result<(), Reason>>().await
    })
}
