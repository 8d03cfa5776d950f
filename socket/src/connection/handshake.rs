//! What is done on a connection before its protocol begins: a PROXY header taken off, TLS put on.

use std::{fmt, future::Future, io, pin::Pin, sync::Arc, time::Duration};

use riot_actor::{time::TimedOut, timeout};

use super::Connection;
use crate::transport::Address;

/// Work on a connection before its protocol begins. Any closure from [`Connection`] to a future is one.
///
/// It runs in the client's own Connector, so it holds nobody up, and all of a server's handshakes together have
/// [`Server::handshake_timeout`](crate::Server::handshake_timeout) to finish. An error closes the connection; that is
/// counted, and nothing else is heard of it, since clients that do not know how to begin are no fault of the server's.
///
/// A handshake may [replace the transport](Connection::set_transport), say who the [peer](Connection::set_peer) is, and
/// leave [what it found out](Connection::insert) with the connection.
///
/// ```
/// use std::io;
/// use riot_socket::{Connection, Server};
///
/// # riot_actor::run(async {
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
/// ```
///
/// # Cancel safety
/// A handshake that takes too long is dropped where it awaits, and the connection with it.
pub trait Handshake: Send + Sync + 'static {
    /// Does the work, and gives the connection back ready for what comes next.
    ///
    /// # Errors
    /// Those of the connection, or of a peer that does not behave as expected.
    fn handshake(&self, connection: Connection) -> impl Future<Output = io::Result<Connection>> + Send;
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

/// How a connection ended that never got to its protocol: what its Connector's
/// [`Reason::ShutdownWith`](riot_actor::Reason::ShutdownWith) holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeFailed {
    /// The client, as far as it was known.
    pub peer: Address,
    /// What went wrong.
    pub error: HandshakeError,
}

impl fmt::Display for HandshakeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handshake with {}: {}", self.peer, self.error)
    }
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// It was not over in time.
    #[error("it took too long")]
    TimedOut,
    /// It gave an error.
    #[error("{text}")]
    Failed {
        /// The error's kind.
        kind: io::ErrorKind,
        /// The error in words.
        text: String,
    },
}

/// The handshakes of a server, first to last.
#[derive(Clone, Default)]
pub(crate) struct Handshakes {
    layers: Vec<Arc<dyn DynHandshake>>,
}

impl Handshakes {
    pub(crate) fn push(&mut self, handshake: impl Handshake) {
        self.layers.push(Arc::new(handshake));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    pub(crate) async fn run(
        &self,
        connection: Connection,
        limit: Duration,
    ) -> Result<Connection, HandshakeFailed> {
        let record = connection.record().clone();
        let layers = async {
            let mut connection = connection;
            for layer in &self.layers {
                connection = layer.run(connection).await?;
            }
            Ok(connection)
        };
        let error = match timeout(limit, layers).await {
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

/// A handshake whose type is forgotten.
trait DynHandshake: Send + Sync {
    fn run(
        &self,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = io::Result<Connection>> + Send + '_>>;
}

impl<H: Handshake> DynHandshake for H {
    fn run(
        &self,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = io::Result<Connection>> + Send + '_>> {
        Box::pin(self.handshake(connection))
    }
}
