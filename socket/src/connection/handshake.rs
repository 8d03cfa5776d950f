//! Handshakes: work on a connection before its protocol begins, such as a PROXY header or TLS.

use std::{fmt, future::Future, io, pin::Pin, sync::Arc, time::Duration};

use riot_actor::{time::TimedOut, timeout};

use super::Connection;
use crate::transport::Address;

/// A handshake: work on a connection before its protocol begins. Any closure from [`Connection`] to a future
/// is one.
///
/// A handshake runs in the client's own Connector, so it delays no other client. All handshakes of a
/// connection together have [`Server::handshake_timeout`](crate::Server::handshake_timeout) to finish. An
/// error closes the connection; it is counted and logged at the level debug only, since a client that fails
/// is no fault of the server.
///
/// A handshake may [replace the transport](Connection::set_transport), set the [peer](Connection::set_peer),
/// and [store its results](Connection::insert) with the connection.
///
/// ```
/// use std::io;
/// use riot_socket::{Connection, Server};
///
/// # let reason = riot_actor::run(async {
/// let server = Server::bind("127.0.0.1:0")?
///     .handshake(|mut connection: Connection| async move {
///         let mut word = [0; 4];
///         connection.read_exact(&mut word).await?;
///         if &word != b"open" {
///             return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the wrong word"));
///         }
///         Ok(connection)
///     })
///     .start_link(|mut connection: Connection| async move { connection.write_all(b"come in").await })
///     .await?;
/// # server.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
///
/// # Cancel safety
/// A handshake that takes too long is dropped at its await point, and the connection with it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handshake",
    label = "this does not implement `Handshake`",
    note = "a handshake is a function such as `async fn greet(connection: Connection) -> \
            io::Result<Connection>`, or a type that implements `Handshake`"
)]
pub trait Handshake: Send + Sync + 'static {
    /// Does the work, and returns the connection for the next handshake or the protocol.
    ///
    /// # Errors
    /// Those of the connection, or of a peer that breaks the protocol of the handshake.
    fn handshake(&self, connection: Connection) -> impl Future<Output = io::Result<Connection>> + Send;

    /// Returns this handshake for a protocol with these [names](crate::Protocol::alpn), if they matter to it.
    /// Called once, when the server starts. By default they do not matter.
    #[must_use]
    fn with_protocol_names(&self, _names: &'static [&'static str]) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }
}

impl<F, S> Handshake for F
where
    F: Fn(Connection) -> S + Send + Sync + 'static,
    S: Future<Output = io::Result<Connection>> + Send + 'static,
{
    fn handshake(&self, connection: Connection) -> impl Future<Output = io::Result<Connection>> + Send {
        self(connection)
    }
}

/// A failed handshake, in the exit reason of its Connector, which is
/// [`Reason::ShutdownWith`](riot_actor::Reason::ShutdownWith).
///
/// ```
/// use riot_socket::{Address, HandshakeError, HandshakeFailed};
///
/// let failed = HandshakeFailed { peer: Address::Memory(7), error: HandshakeError::TimedOut };
/// assert_eq!(failed.error, HandshakeError::TimedOut);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeFailed {
    /// The address of the client, as far as it was known.
    pub peer: Address,
    /// The error of the handshake.
    pub error: HandshakeError,
}

impl fmt::Display for HandshakeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the handshake with {} failed: {}", self.peer, self.error)
    }
}

/// The error of a handshake.
///
/// ```
/// use riot_socket::{Address, HandshakeError, HandshakeFailed};
///
/// let failed = HandshakeFailed { peer: Address::Memory(1), error: HandshakeError::TimedOut };
/// assert_eq!(failed.to_string(), "the handshake with memory:1 failed: timed out");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The handshake was not complete in time.
    #[error("timed out")]
    TimedOut,
    /// The handshake returned an error.
    #[error("{text}")]
    Failed {
        /// The kind of the error.
        kind: io::ErrorKind,
        /// The text of the error.
        text: String,
    },
}

/// The handshakes of a server, in their order.
#[derive(Clone, Default)]
pub(crate) struct Handshakes {
    layers: Vec<Arc<dyn DynHandshake>>,
}

impl Handshakes {
    pub(crate) fn push(&mut self, handshake: impl Handshake) {
        self.layers.push(Arc::new(handshake));
    }

    /// Tells all handshakes the names of the protocol behind them.
    pub(crate) fn set_protocol_names(&mut self, names: &'static [&'static str]) {
        for layer in &mut self.layers {
            if let Some(changed) = layer.with_protocol_names(names) {
                *layer = changed;
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    pub(crate) async fn run(
        &self,
        connection: Connection,
        time: Duration,
    ) -> Result<Connection, HandshakeFailed> {
        let record = connection.record().clone();
        let layers = async {
            let mut connection = connection;
            for layer in &self.layers {
                connection = layer.run(connection).await?;
            }
            Ok(connection)
        };
        let error = match timeout(time, layers).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => failed(&error),
            Err(TimedOut) => HandshakeError::TimedOut,
        };
        Err(HandshakeFailed { peer: record.peer(), error })
    }
}

fn failed(error: &io::Error) -> HandshakeError {
    HandshakeError::Failed { kind: error.kind(), text: error.to_string() }
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handshakes({})", self.layers.len())
    }
}

/// A handshake whose type is erased.
trait DynHandshake: Send + Sync {
    fn run(
        &self,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = io::Result<Connection>> + Send + '_>>;

    fn with_protocol_names(&self, names: &'static [&'static str]) -> Option<Arc<dyn DynHandshake>>;
}

impl<H: Handshake> DynHandshake for H {
    fn run(
        &self,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = io::Result<Connection>> + Send + '_>> {
        Box::pin(self.handshake(connection))
    }

    fn with_protocol_names(&self, names: &'static [&'static str]) -> Option<Arc<dyn DynHandshake>> {
        let changed = Handshake::with_protocol_names(self, names)?;
        Some(Arc::new(changed))
    }
}
