//! A raw protocol with the whole tree around it: the server sends back what a client sends.
//!
//! `cargo run --release --example echo`, then `nc 127.0.0.1 7007`.

use std::{io, time::Duration};

use riot_actor::{Reason, run};
use riot_socket::{Connection, Server, signals::Signals};

fn main() -> Reason {
    run(async {
        riot_actor::log::start(io::stderr())?;
        let mut signals = Signals::new()?;
        let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".into());
        let server = Server::bind(address)?.start_link(echo).await?;
        println!("echoing on {}", server.local_addr());
        tracing::info!("{} came", signals.next().await?);
        server.stop(Duration::from_secs(5)).await;
        Ok::<(), Reason>(())
    })
}

/// Serves one client, in a process of its own. An error ends that process, and nothing else.
async fn echo(mut connection: Connection) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match connection.read(&mut buffer).await? {
            0 => return Ok(()),
            read => connection.write_all(&buffer[..read]).await?,
        }
    }
}
