//! A web server that systemd starts when its first client connects, and restarts without refusing any: the
//! socket belongs to systemd.
//!
//! ```text
//! # hello.socket          # hello.service
//! [Socket]                [Service]
//! ListenStream=80         ExecStart=/usr/local/bin/activated
//! ```
//!
//! Without systemd: `systemd-socket-activate -l 8080 target/debug/examples/activated`.

use std::{io, time::Duration};

use riot_actor::{Reason, run};
use riot_http::{Request, Response, Server};
use riot_socket::{Inherited, signals::Signals};

fn main() -> Reason {
    let sockets = Inherited::take();
    run(async move {
        riot_actor::log::start(io::stderr())?;
        let mut signals = Signals::new()?;
        let mut servers = Vec::new();
        for socket in sockets? {
            let name = socket.name().unwrap_or("unnamed").to_owned();
            let greeting = format!("hello from the socket called {name}\n");
            let server = Server::listen(socket)
                .service(move |_: Request| std::future::ready(Response::text(greeting.clone())))
                .start_link()
                .await?;
            let address = server.info().address.expect("it listens");
            println!("{name} serves on {address}");
            servers.push(server);
        }
        if servers.is_empty() {
            return Err(Reason::other("nobody has opened a socket for this program"));
        }
        tracing::info!("{} came", signals.next().await?);
        for server in servers {
            server.stop(Duration::from_secs(5)).await;
        }
        Ok(())
    })
}
