//! Non-blocking sockets for processes, and the server that accepts them.
//!
//! A process that reads is suspended until there is something to read; the other processes of its worker run
//! meanwhile. A server gives every client a process of its own, below supervisors of its own.
//!
//! ```
//! use riot_socket::{Connection, Server};
//!
//! riot_actor::run(async {
//!     let echo = Server::bind("127.0.0.1:0")?.start_link(|mut connection: Connection| async move {
//!         let mut buffer = vec![0; 16 * 1024];
//!         loop {
//!             match connection.read(&mut buffer).await? {
//!                 0 => return std::io::Result::Ok(()),
//!                 read => connection.write_all(&buffer[..read]).await?,
//!             }
//!         }
//!     }).await?;
//!     println!("echoing on {}", echo.local_addr());
//!     echo.stop(std::time::Duration::ZERO).await;
//!     Ok::<(), riot_actor::Reason>(())
//! });
//! ```
#![forbid(unsafe_code)]

#[doc = include_str!("../COSTS.md")]
pub mod costs {}

#[doc = include_str!("../CONTRACT.md")]
pub mod contract {}

mod connection;
mod io;
#[cfg(feature = "signals")]
mod os_signals;
mod server;
mod transport;

pub use connection::{
    Connection,
    control::{Control, Meter, Status},
    handshake::{Handshake, HandshakeError, HandshakeFailed},
    membership::Load,
    proxy,
    split::{NotOneConnection, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf},
};
pub use riot_supervisor::{ChildId, ChildSpec};
pub use server::{
    AcceptErrors, Alarm, AlarmEvent, ConnectionInfo, ConnectionOverflow, CutConnection, EndCounts, Protocol,
    Server, ServerHandle, ServerInfo, ServerStartError, ServerState, supervised,
};
#[cfg(feature = "tls")]
pub use transport::tls;
pub use transport::{
    Address, Bind, Listen, ReadOutcome, Shutdown, Transport,
    inherited::{Inherited, OpenSocket},
    memory,
    options::{KeepAlive, Options},
    tcp::{TcpListener, TcpStream},
    unix::{UnixAddress, UnixBind, UnixListener, UnixStream},
};

#[cfg(feature = "signals")]
/// SIGINT and SIGTERM, as something a process waits for.
pub mod signals {
    pub use crate::os_signals::{Signal, Signals};
}
