//! The policies for clients that come while the server is full.

use std::{io, time::Duration};

use bytes::Bytes;
use riot_actor::{Reason, timeout};

use crate::{connection::Connection, transport::Shutdown};

/// The policy for clients that come while there are `max_connections` connections.
///
/// When the program has run out of descriptors, idle connections give way under every policy, and clients for
/// whom none does are sent away under `Close` and `Answer`.
///
/// ```
/// use riot_socket::{ConnectionOverflow, Server};
///
/// let server = Server::bind("127.0.0.1:0")?
///     .max_connections(1_000)
///     .overflow(ConnectionOverflow::Answer("busy, try again later\n".into()));
/// # drop(server);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionOverflow {
    /// Clients wait in the system's backlog until a permit is free. Beyond the backlog the system makes them
    /// try again. The default.
    #[default]
    Wait,
    /// Clients are accepted and closed at once.
    Close,
    /// Clients are accepted, sent these bytes, and closed once they have closed or after a second, so that
    /// they can read them. Clients that come while 1024 others are being answered are closed at once. The
    /// answer is sent after the handshakes, such as those of TLS.
    Answer(Bytes),
    /// The connection that has been idle longest is asked to finish, and the client gets its permit. A
    /// connection is idle between requests, if its protocol [reports](crate::Control::idle_since) that, as
    /// HTTP does, and before its first byte. It gives way once it has been idle for half a second. While no
    /// connection has, clients wait as with [`Wait`](Self::Wait). (nginx: `worker_connections`.)
    ReapOldestIdle,
}

/// Bounds the clients that are being answered at one time.
pub(super) const MAX_REFUSALS: usize = 1024;

/// Bounds the time in which a refused client can read its answer: 1 s.
const LINGER: Duration = Duration::from_secs(1);
/// Bounds the bytes that are read from a refused client and dropped: 64 KiB.
const LINGER_BYTES: usize = 64 * 1024;

/// The work of a Connector whose client is refused.
pub(super) async fn answer(mut connection: Connection, answer: Bytes) -> Reason {
    // A connection that is closed with unread bytes is reset, and the answer may be lost with it.
    let answered = timeout(LINGER, async {
        connection.write_all(&answer).await?;
        connection.shutdown(Shutdown::Write)?;
        let mut buffer = vec![0; 4096];
        let mut dropped = 0;
        while dropped < LINGER_BYTES {
            match connection.read(&mut buffer).await? {
                0 => break,
                read => dropped += read,
            }
        }
        Ok::<(), io::Error>(())
    })
    .await;
    if let Ok(Err(error)) = answered {
        let peer = connection.peer();
        riot_actor::log_event!(DEBUG, "riot::socket", "{peer} was refused, and the answer failed: {error}");
    }
    Reason::Normal
}
