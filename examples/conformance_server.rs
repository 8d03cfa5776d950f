//! The routes that the conformance cases request, with every limit and timer at its default:
//! `cargo run --release --example conformance_server -- --addr 127.0.0.1:8080 --workers 2`.
//!
//! `GET /plaintext` and `GET /big` (65 536 bytes) are there for measurements.

use std::{
    pin::Pin,
    process::{ExitCode, Termination},
    task::{Context, Poll},
};

use riot_actor::{Reason, runtime::Config, sleep};
use riot_http::{
    Reqd, Request, Response, Server,
    http::{HeaderValue, Method},
};
use riot_socket::signals::Signals;

#[path = "../http/examples/routes/mod.rs"]
mod routes;

const USAGE: &str = "usage: conformance_server [--addr HOST:PORT] [--workers N]";

/// The allocator that the peers of the benchmark use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The response to `/big`.
static BIG: [u8; 65_536] = [b'x'; 65_536];

fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match Config::new().workers(options.workers).run(serve(options.address)) {
        Ok(reason) => reason.report(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: String) -> Result<(), Reason> {
    let mut signals = Signals::new()?;
    let server = Server::bind(address)?
        .server_name(HeaderValue::from_static("riot"))
        .handler(answer)
        .start_link()
        .await?;
    println!("listening on http://{}", server.local_addr());
    signals.next().await?;
    server.stop(std::time::Duration::from_secs(5)).await;
    Ok(())
}

/// The work left for a response, boxed: the future is made for every request and kept by every waiting
/// connection, so it should be small.
struct Rest(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Future for Rest {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Ready(()), |rest| rest.as_mut().poll(cx))
    }
}

/// Responds when the handler is called, if the response is known then. The most frequent route is checked
/// first.
fn answer(reqd: Reqd) -> Rest {
    let is_get = *reqd.request().method() == Method::GET;
    Rest(match reqd.request().path() {
        "/plaintext" if is_get => {
            // Responding fails if the client is gone.
            let _ = reqd.respond_with_string(Response::text(""), "Hello, World!");
            None
        }
        "/big" if is_get => {
            let _ = reqd.respond_with_bytes(Response::text(""), &BIG[..]);
            None
        }
        "/echo" if *reqd.request().method() == Method::POST => Some(respond(reqd, routes::echo)),
        _ => Some(respond(reqd, |request| routes::routes(request, sleep))),
    })
}

fn respond<F>(
    reqd: Reqd,
    answer: impl FnOnce(Request) -> F + Send + 'static,
) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    F: Future<Output = Response> + Send + 'static,
{
    let (request, responder) = reqd.into_parts();
    Box::pin(async move {
        let _ = responder.respond(answer(request).await).await;
    })
}

struct Options {
    address: String,
    workers: usize,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let mut options = Self { address: "127.0.0.1:8080".into(), workers };
        while let Some(name) = arguments.next() {
            let value = arguments.next()?;
            match name.as_str() {
                "--addr" => options.address = value,
                "--workers" => options.workers = value.parse().ok().filter(|&workers| workers > 0)?,
                _ => return None,
            }
        }
        Some(options)
    }
}
