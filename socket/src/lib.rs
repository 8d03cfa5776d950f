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

mod connect;
mod connection;
mod entry;
mod evented;
mod handshake;
mod inherited;
mod io_methods;
pub mod memory;
mod options;
mod poller;
pub mod proxy;
mod readiness;
mod send_file;
mod server;
#[cfg(feature = "signals")]
pub mod signals;
mod split;
mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;
mod unix;

pub use connection::Connection;
pub use entry::{Control, Meter, Status};
pub use handshake::{Handshake, HandshakeError, HandshakeFailed};
pub use inherited::{Inherited, OpenSocket};
pub use options::{KeepAlive, Options};
pub use riot_supervisor::{ChildId, ChildSpec};
pub use server::{
    AcceptErrors, Alarm, AlarmEvent, ConnectionInfo, ConnectionOverflow, CutConnection, Ended, Load,
    Protocol, Server, ServerHandle, ServerInfo, ServerStartError, ServerState, supervised,
};
pub use split::{NotOneConnection, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
pub use tcp::{TcpListener, TcpStream};
pub use transport::{Address, Bind, Listen, Shutdown, Transport};
pub use unix::{UnixAddress, UnixBind, UnixListener, UnixStream};
