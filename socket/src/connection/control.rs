//! How a protocol takes part in the control of its connection: it finishes on request, reports its status,
//! and counts its bytes.

use std::{fmt, io, sync::Arc, time::Instant};

use super::record::{ConnectionRecord, Drained};

/// The control of a connection by its protocol; see
/// [`Connection::controlled_by`](crate::Connection::controlled_by).
///
/// The methods are called from any process, and must not block. A panic in one is reported and harms no
/// process.
///
/// ```
/// use std::{sync::{Arc, atomic::{AtomicBool, Ordering}}, time::Instant};
/// use riot_socket::{Connection, Control, Status};
///
/// #[derive(Default)]
/// struct Session {
///     finish: AtomicBool,
/// }
/// impl Control for Session {
///     fn drain(&self, _deadline: Option<Instant>) {
///         self.finish.store(true, Ordering::Relaxed);
///     }
///     fn status(&self) -> Status {
///         Status { state: "open", requests: 0 }
///     }
/// }
///
/// async fn serve(mut connection: Connection) -> std::io::Result<()> {
///     let session: Arc<dyn Control> = Arc::new(Session::default());
///     connection.controlled_by(Arc::downgrade(&session));
///     connection.write_all(b"hello").await
/// }
/// ```
pub trait Control: Send + Sync {
    /// Tells the protocol that a drain will follow: what it sends from now on should say that it is the
    /// last. Called once at most; by default nothing happens.
    fn announce_drain(&self) {}

    /// Asks the protocol to finish in order: soon if it is idle, else after the work in progress. The
    /// connection is killed at the deadline, if there is one. Called once, when the handshakes are done.
    fn drain(&self, deadline: Option<Instant>);

    /// Tells the protocol that the connection is about to be killed at the deadline. A protocol that holds
    /// the transport [resets](crate::Transport::reset_on_close) it; by default nothing happens.
    fn cut(&self) {}

    /// Returns whether the protocol is told of a drain before it has received a byte, because it waits for
    /// the first request itself; default true. Other protocols are told when they have received and sent
    /// bytes, or after [`Server::drain_first_timeout`](crate::Server::drain_first_timeout).
    fn drains_fresh_connections(&self) -> bool {
        true
    }

    /// Returns the state of the protocol.
    fn status(&self) -> Status;

    /// Returns since when the connection has been idle: nothing is under way, and the peer's next request has
    /// not begun. `None` while it is busy, and by default. Such a connection may be asked to
    /// [finish](Self::drain) for the sake of a new client; see
    /// [`ConnectionOverflow::ReapOldestIdle`](crate::ConnectionOverflow::ReapOldestIdle).
    fn idle_since(&self) -> Option<Instant> {
        None
    }
}

/// The status of a connection, as its protocol reports it; see [`Control`].
///
/// ```
/// let status = riot_socket::Status { state: "idle", requests: 3 };
/// assert_eq!(status.state, "idle");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The state in a word, such as `idle`.
    pub state: &'static str,
    /// Requests that were served; 0 for a protocol without requests.
    pub requests: u64,
}

/// Counts the bytes of a protocol that uses the [transport](crate::Connection::transport) itself. Each
/// direction is counted by one process at a time.
///
/// ```
/// use riot_socket::{Address, Connection, memory};
///
/// let (here, _there) = memory::pair();
/// let meter = Connection::new(here, Address::Memory(1)).meter();
/// meter.received(5);
/// meter.sent(7);
/// assert_eq!(format!("{meter:?}"), "Meter(5 received, 7 sent)");
/// ```
#[derive(Clone)]
pub struct Meter(pub(super) Arc<ConnectionRecord>);

impl Meter {
    /// Counts received bytes.
    pub fn received(&self, bytes: usize) {
        self.0.received(bytes);
    }

    /// Counts bytes that were sent.
    pub fn sent(&self, bytes: usize) {
        self.0.sent(bytes);
    }

    /// Reports, at the end of a connection that was drained, how many requests were answered meanwhile, and
    /// whether bytes came after the protocol had ended its side. Both are for the
    /// [report](crate::DrainReport) of the drain.
    pub fn drained(&self, served: u64, crossed: bool) {
        self.0.count_drained(Drained { served, crossed });
    }

    /// Reports, at the end of a connection, how many requests it has received.
    pub fn requests(&self, requests: u64) {
        self.0.set_requests(requests);
    }

    /// Tells the server that another process than the Connector, which has been ended by a signal, says the
    /// last word of the protocol. The event of the connection's end waits until the value that is returned is
    /// dropped, so that its bytes are all.
    #[doc(hidden)]
    #[must_use]
    pub fn last_word(&self) -> impl Send + 'static + use<> {
        self.0.begin_last_word();
        LastWordGuard(self.0.clone())
    }

    /// Remembers an error of the transport. A protocol that ends with it has lost its peer, and has not
    /// crashed; see [`Disconnected`](crate::Disconnected).
    pub fn failed(&self, error: &io::Error) {
        self.0.transport_failed(error.kind());
    }

    /// Counts bytes that were to be sent and never will be.
    pub fn undelivered(&self, bytes: u64) {
        self.0.count_undelivered(bytes);
    }
}

/// The hold of a last word on the event of its connection's end; see [`Meter::last_word`].
struct LastWordGuard(Arc<ConnectionRecord>);

impl Drop for LastWordGuard {
    fn drop(&mut self) {
        self.0.end_last_word();
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (received, sent) = self.0.bytes();
        write!(f, "Meter({received} received, {sent} sent)")
    }
}
