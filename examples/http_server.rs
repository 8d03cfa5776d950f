//! The web server: `cargo run --release --example http_server`.
//!
//! `GET /` greets, `GET /tree` shows the processes as they are, `GET /crash` shows that a crash stays in its
//! own connection. SIGINT and SIGTERM stop it in order. Where only this machine reaches it, `GET /observer`
//! shows the page of what runs.
//!
//! It listens on 127.0.0.1 unless `--addr` says otherwise, because `/tree` shows the inside of the program
//! and `/crash` fills its log: neither is meant for every client that reaches the machine.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use riot_actor::{
    Reason,
    runtime::{Config, Handle, blocking},
};
use riot_http::{Reqd, Response, Server, http::Method};
use riot_observer::Observer;
use riot_socket::signals::Signals;

/// Bounds how long clients may take to finish when the server is stopped; 15 s.
const SHUTDOWN: Duration = Duration::from_secs(15);

const USAGE: &str =
    "usage: http_server [--addr HOST:PORT] [--port N] [--share-port] [--acceptors N] [--workers N]";

fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    Config::new().workers(options.workers).main(serve(options))
}

async fn serve(options: Options) -> Result<(), Reason> {
    // Logging never waits for the terminal, so a log that is not read stops no client.
    riot_actor::log::start(std::io::stderr())?;
    let mut signals = Signals::new()?;
    let mut socket = riot_socket::Options::new();
    if options.share_port {
        socket = socket.reuse_port();
    }
    let addresses: Vec<SocketAddr> = options.address.to_socket_addrs()?.collect();
    let is_local = addresses.iter().all(|address| address.ip().is_loopback());
    let server =
        Server::bind(&addresses[..])?.options(socket).acceptors(options.acceptors).shutdown_timeout(SHUTDOWN);
    // Without authentication the page is for this machine alone.
    let serving = if is_local {
        server.handler(Observer::new().mount("/observer", answer))
    } else {
        server.handler(answer)
    };
    let server = serving.start_link().await?;
    print!("{}", riot_actor::process::tree());
    println!("listening on http://{}", server.local_addr());

    let signal = signals.next().await?;
    // Printing would wait for a standard output that is not read, and the stop with it. The log never waits.
    tracing::info!("{signal}: stopping; once more to stop at once");
    let report = server.stop(SHUTDOWN).await;
    for connection in &report.cut {
        tracing::warn!("{} had not finished after {:?} and was cut", connection.peer, connection.age);
    }
    Ok(())
}

async fn answer(reqd: Reqd) {
    let (method, path) = (reqd.request().method().clone(), reqd.request().path().to_owned());
    let response = match (method, path.as_str()) {
        (Method::GET | Method::HEAD, "/") => Response::text("Hello, World!"),
        (Method::GET | Method::HEAD, "/tree") => {
            // Not on a worker: with many connections, there are many processes to read.
            let handle = Handle::current();
            Response::text(blocking(move || handle.tree().to_string()).await)
        }
        (Method::GET | Method::HEAD, "/crash") => panic!("somebody asked for /crash"),
        _ => Response::not_found(),
    };
    // Responding fails if the client has disconnected.
    let _ = reqd.respond(response).await;
}

struct Options {
    /// The address to listen on; only this machine reaches it by default.
    address: String,
    /// Several programs listen on the port, so that a new version starts before the old one stops.
    share_port: bool,
    acceptors: usize,
    workers: usize,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let address = "127.0.0.1:2112".into();
        let mut options = Self { address, share_port: false, acceptors: 10, workers };
        while let Some(name) = arguments.next() {
            if name == "--share-port" {
                options.share_port = true;
                continue;
            }
            let value = arguments.next()?;
            match name.as_str() {
                "--addr" => options.address = value,
                "--port" => options.address = format!("127.0.0.1:{}", value.parse::<u16>().ok()?),
                "--acceptors" => options.acceptors = value.parse().ok().filter(|&acceptors| acceptors > 0)?,
                "--workers" => options.workers = value.parse().ok().filter(|&workers| workers > 0)?,
                _ => return None,
            }
        }
        Some(options)
    }
}
