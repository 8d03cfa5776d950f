//! Non-blocking sockets for processes, and the server that accepts them.
//!
//! A process that reads is suspended until there is something to read; the other processes of its worker run
//! meanwhile. A server gives every client a process of its own, below supervisors of its own.
//!
//! ```
//! use riot_socket::{Connection, Server};
//!
//! let reason = riot_actor::run(async {
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
//! # assert_eq!(reason, riot_actor::Reason::Normal);
//! ```
//!
//! A [`Server`] runs any [`Protocol`] over any [`Transport`]: TCP, Unix sockets, sockets inherited from a
//! service manager ([`Inherited`]), and [`memory`] for tests. [Handshakes](Handshake) do work before the
//! protocol begins, such as the [PROXY protocol](proxy) and TLS (feature `tls`). A [`ServerHandle`] shows
//! what the server does, changes its settings, and stops it.
//!
//! # Glossary
//! - **Transport** ([`Transport`]): a stream of bytes in both directions. **Connection** ([`Connection`]): a
//!   transport with a peer, owned by a process.
//! - **Server**: the tree of processes below Server.Sup. **Connector**: the process that owns one connection.
//!   **Acceptor**: a process that accepts clients.
//! - **Permit**: the right to be counted as a connection; `max_connections` bounds their number. **Backlog**:
//!   the system's queue of clients that are not accepted yet.
//! - **Handshake**: work on a connection before its protocol begins.
//! - **Drain**: to end connections in order before a deadline. **Cut** ([`CutConnection`]): killed at that
//!   deadline.
//! - **Readiness**: which operations on a socket are worth trying. **Ready event**: the system's report that
//!   a socket has become ready. **Tick**: the count of those reports for a direction of a socket. **I/O
//!   source**: a socket with its readiness. **Registration**: the membership of an I/O source in a poller.
//!
//! Nonsensical values, such as zero acceptors, panic in the builder.
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

pub mod prelude {
    //! The items that most programs use, to be imported together, also with the preludes of the other crates.
    //!
    //! `Connection` and `Server` are not among them, because the prelude of `riot_http` has both words. A
    //! program of this crate alone imports the two by name.
    //!
    //! ```
    //! use riot_actor::prelude::*;
    //! use riot_socket::{Connection, Server, memory::Listener, prelude::*};
    //!
    //! # let reason =
    //! run(async {
    //!     let greet = |mut connection: Connection| async move { connection.write_all(b"hello").await };
    //!     let server: ServerHandle = Server::listen(Listener::new())
    //!         .overflow(ConnectionOverflow::Wait)
    //!         .start_link(greet)
    //!         .await?;
    //!     server.stop(std::time::Duration::ZERO).await;
    //!     ok()
    //! });
    //! # assert_eq!(reason, Reason::Normal);
    //! ```

    pub use crate::{
        Address, Bind, ConnectionOverflow, ConnectionTimeouts, DrainReport, Handshake, LogLevels, Options,
        Protocol, ServerHandle, ServerStartError, Transport, UnixBind, supervised,
    };
}

pub use connection::{
    Connection,
    control::{Control, Meter, Status},
    disconnect::Disconnected,
    handshake::{Handshake, HandshakeError, HandshakeFailed},
    membership::Load,
    proxy,
    split::{NotOneConnection, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf},
    timeouts::ConnectionTimeouts,
};
pub use riot_supervisor::{ChildId, ChildSpec};
pub use server::{
    AcceptErrors, Alarm, AlarmEvent, ConnectionInfo, ConnectionOverflow, CutConnection, DrainInfo,
    DrainPhase, DrainReport, EndCounts, LogLevels, Protocol, ReadyServer, Server, ServerHandle, ServerInfo,
    ServerPhase, ServerStartError, ServerState, servers, supervised, telemetry,
};
#[cfg(feature = "tls")]
pub use transport::tls;
pub use transport::{
    AcceptQueue, Address, Bind, Listen, ReadOutcome, Shutdown, Transport,
    inherited::{Inherited, OpenSocket},
    memory,
    options::{KeepAlive, Options},
    tcp::{TcpListener, TcpStream},
    unix::{UnixAddress, UnixBind, UnixListener, UnixStream},
};

/// SIGINT and SIGTERM, for processes to wait for.
#[cfg(feature = "signals")]
pub mod signals {
    pub use crate::os_signals::{Signal, Signals};
}
