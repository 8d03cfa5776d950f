//! Connections: a transport with a peer, as protocols use it.
//!
//! - [`core`]: the connection. [`methods`]: reading and writing. [`split`]: its two halves. [`over`]:
//!   connections over each transport.
//! - [`control`]: how a protocol is asked to finish. [`record`]: the state of a connection that its server
//!   sees.
//! - [`disconnect`]: the errors that mean that the peer is gone.
//! - [`membership`]: the hook through which a connection belongs to a server.
//! - [`timeouts`]: how long reads and writes may wait without a byte.
//! - [`handshake`], [`proxy`], `tls`: work on a connection before its protocol begins.
//!
//! Invariant: this room knows nothing of servers. The server above implements [`membership::Owner`].

pub(crate) mod control;
pub(crate) mod core;
pub(crate) mod disconnect;
pub(crate) mod handshake;
pub(crate) mod membership;
mod methods;
mod over;
#[cfg(feature = "tokio")]
mod place;
pub mod proxy;
pub(crate) mod record;
pub(crate) mod split;
pub(crate) mod timeouts;
#[cfg(feature = "tls")]
mod tls;

pub use self::core::Connection;
