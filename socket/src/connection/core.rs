//! The connection of one client, as a protocol uses it.

use std::{
    any::Any,
    fmt, io,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use riot_actor::{log::LogLevel, telemetry::set_crash_level_of_error};

use super::{
    control::{Control, Meter},
    disconnect::is_of_peer_gone,
    membership::{Load, Membership},
    methods::{impl_read_methods, impl_write_methods},
    record::ConnectionRecord,
    timeouts::{self, ConnectionTimeouts, Stall, Wait, Waited},
};
use crate::transport::{Address, Shutdown, Transport};

/// A connection with a peer. It is closed when it is dropped, so it ends with the process that owns it.
///
/// ```
/// use riot_socket::Connection;
///
/// /// Echoes one line.
/// async fn serve(mut connection: Connection) -> std::io::Result<()> {
///     let mut buffer = [0; 1024];
///     let read = connection.read(&mut buffer).await?;
///     println!("{} said {} bytes", connection.peer(), read);
///     connection.write_all(&buffer[..read]).await
/// }
/// ```
pub struct Connection {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) read_state: ReadState,
    pub(super) write_state: Stall,
    pub(super) identity: Identity,
}

/// The local address that a handshake set, where the transport knows only the last hop.
struct LocalAddress(Address);

impl Connection {
    /// Returns a connection over any transport.
    ///
    /// ```
    /// use riot_socket::{Address, Connection, memory};
    ///
    /// let (here, _there) = memory::pair();
    /// let connection = Connection::new(here, Address::Memory(1));
    /// assert_eq!(connection.peer(), &Address::Memory(1));
    /// ```
    pub fn new(transport: Arc<dyn Transport>, peer: Address) -> Self {
        let record = Arc::new(ConnectionRecord::new(transport.clone(), peer.clone()));
        let identity = Identity { peer, record, extensions: None, membership: None };
        let read_state = ReadState { unread: None, stall: Stall::default() };
        Self { transport, read_state, write_state: Stall::default(), identity }
    }

    pub(crate) fn join_server(&mut self, membership: Membership) {
        self.identity.membership = Some(membership);
    }

    pub(crate) fn record(&self) -> &Arc<ConnectionRecord> {
        &self.identity.record
    }

    fn count_sent(&mut self, bytes: usize) {
        self.identity.record.sent(bytes);
        self.read_state.stall.flows();
    }

    /// Sets how long reads and writes may wait without a byte, in place of what the server says. For a
    /// connection that belongs to no server no timeout is set.
    ///
    /// ```
    /// use riot_socket::{Connection, ConnectionTimeouts};
    ///
    /// /// Talks to clients that say nothing for hours.
    /// async fn serve(mut connection: Connection) -> std::io::Result<()> {
    ///     connection.set_timeouts(ConnectionTimeouts::new().without_idle_timeout());
    ///     connection.read_exact(&mut [0; 16]).await
    /// }
    /// ```
    pub fn set_timeouts(&mut self, timeouts: ConnectionTimeouts) {
        self.read_state.stall.set_timeouts(timeouts);
        self.write_state.set_timeouts(timeouts);
    }

    /// Returns the address of the peer.
    #[must_use]
    pub fn peer(&self) -> &Address {
        &self.identity.peer
    }

    /// Sets the address of the peer, where the transport knows only the last hop. The server's table of
    /// connections shows it too.
    pub fn set_peer(&mut self, peer: Address) {
        self.identity.record.set_peer(&peer);
        self.identity.peer = peer;
    }

    /// Returns the address that the peer connected to.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_address(&self) -> io::Result<Address> {
        match self.get::<LocalAddress>() {
            Some(LocalAddress(address)) => Ok(address.clone()),
            None => self.transport.local_address(),
        }
    }

    /// Sets the address that the peer connected to, where the transport knows only the last hop.
    pub fn set_local_address(&mut self, address: Address) {
        self.insert(LocalAddress(address));
    }

    /// Returns the value of this type that was [inserted](Self::insert), such as the result of a handshake.
    ///
    /// ```
    /// # use riot_socket::{Address, Connection, memory};
    /// # let (here, _there) = memory::pair();
    /// # let mut connection = Connection::new(here, Address::Memory(1));
    /// struct User(String);
    /// connection.insert(User("ada".into()));
    /// assert_eq!(connection.get::<User>().map(|user| user.0.as_str()), Some("ada"));
    /// ```
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.identity.extensions.as_ref()?.0.iter().find_map(|value| (**value).downcast_ref())
    }

    /// Stores a value with the connection, in place of an earlier one of this type.
    pub fn insert<T: Any + Send + Sync>(&mut self, value: T) {
        let Extensions(extensions) = &mut **self.identity.extensions.get_or_insert_default();
        extensions.retain(|known| !(**known).is::<T>());
        extensions.push(Box::new(value));
    }

    /// Returns the transport. Processes can share it: one may read while another writes.
    #[must_use]
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Replaces the transport, usually by one around it, such as TLS.
    ///
    /// Everything else stays: the membership in a server, the inserted values, and the bytes that were [put
    /// back](Self::put_back). The new transport knows nothing of those; [take](Self::take_unread) them before
    /// if they are meant for it.
    pub fn set_transport(&mut self, transport: Arc<dyn Transport>) {
        self.identity.record.set_transport(&transport);
        self.transport = transport;
    }

    /// Returns the load of the server that the connection belongs to, if it belongs to one.
    #[must_use]
    pub fn load(&self) -> Option<Load> {
        self.identity.membership.as_ref().map(Membership::load)
    }

    /// Returns the name of the server that the connection belongs to: that which it was given, or else its
    /// address. None if it belongs to none.
    #[must_use]
    pub fn server_name(&self) -> Option<Arc<str>> {
        self.identity.membership.as_ref()?.server_name()
    }

    /// Releases the connection's permit: it is no longer counted, and another client can be accepted, while
    /// this one is served on. For connections that last, such as those of a WebSocket. (Ranch:
    /// `remove_connection`.)
    pub fn remove(&self) {
        if let Some(membership) = &self.identity.membership {
            membership.release_permit();
        }
    }

    /// Reports to the server that a timer ended this connection. [`ServerInfo`](crate::ServerInfo) has the
    /// counts by name.
    pub fn count_timeout(&self, timer: &'static str) {
        self.identity.count_timeout(timer);
    }

    /// Reports to the server that the client has broken the protocol, which is counted and logged at the
    /// level that [`LogLevels`](crate::LogLevels) says.
    pub fn count_protocol_error(&self, error: &str) {
        if let Some(membership) = &self.identity.membership {
            membership.count_protocol_error(error, &self.identity.record);
        }
    }

    /// Reports to the server that the client has exceeded the bound of this name.
    /// [`ServerInfo::limits`](crate::ServerInfo::limits) has the counts.
    pub fn count_limit(&self, limit: &'static str) {
        if let Some(membership) = &self.identity.membership {
            membership.count_limit(limit, &self.identity.record);
        }
    }

    /// Sets a hook that is called once, when the server wants this connection to finish.
    ///
    /// Without a hook the connection's input is ended, which a protocol sees as its peer leaving. So it is if
    /// the hook panics, which is reported. The hook is called in a process of the server, and must not block.
    ///
    /// ```
    /// use std::sync::{Arc, atomic::{AtomicBool, Ordering::Relaxed}};
    /// use riot_socket::Connection;
    ///
    /// /// Sends lines until the server stops.
    /// async fn serve(mut connection: Connection) -> std::io::Result<()> {
    ///     let finish = Arc::new(AtomicBool::new(false));
    ///     connection.on_drain({
    ///         let finish = finish.clone();
    ///         move || finish.store(true, Relaxed)
    ///     });
    ///     while !finish.load(Relaxed) {
    ///         connection.write_all(b"tick\n").await?;
    ///     }
    ///     connection.close().await
    /// }
    /// ```
    pub fn on_drain(&self, hook: impl FnOnce() + Send + 'static) {
        self.identity.record.set_drain_hook(Box::new(hook));
    }

    /// Sets the [`Control`] that is asked to finish, and for its status, from now on. If the connection was
    /// asked to finish before, `control` is asked at once.
    pub fn controlled_by(&self, control: Weak<dyn Control>) {
        self.identity.record.set_control(control);
    }

    /// Returns the counter for a protocol that reads and writes by the [transport](Self::transport) itself.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter(self.identity.record.clone())
    }

    /// Ends one direction or both.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn shutdown(&mut self, side: Shutdown) -> io::Result<()> {
        self.transport.shutdown(side).inspect_err(|error| self.identity.transport_failed(error.kind()))
    }

    /// Polls for the close of the connection by the peer, as [`poll_closed`](Self::poll_closed) does, within
    /// the idle timeout, as [`poll_read`](Self::poll_read) does. For a caller that can take no more bytes.
    ///
    /// # Errors
    /// When it is ready: [`ConnectionReset`](io::ErrorKind::ConnectionReset), or
    /// [`TimedOut`](io::ErrorKind::TimedOut) if no byte was read or sent in time.
    pub fn poll_closed_in_time(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { transport, read_state, identity, .. } = self;
        if transport.poll_closed(cx).is_ready() {
            let kind = io::ErrorKind::ConnectionReset;
            identity.transport_failed(kind);
            return Poll::Ready(Err(kind.into()));
        }
        match read_state.stall.poll_wait(cx, identity, Wait::ForUnit) {
            Waited::RunOut(timer) => timeouts::fail(identity, timer),
            Waited::GoesOn => Poll::Pending,
        }
    }

    /// Puts bytes back that were read and belong to the next reader: they are read first. The
    /// [`transport`](Self::transport) knows nothing of them.
    ///
    /// ```
    /// # let reason = riot_actor::run(async {
    /// # let (here, _there) = riot_socket::memory::pair();
    /// # let mut connection = riot_socket::Connection::new(here, riot_socket::Address::Memory(1));
    /// connection.put_back(b"hello");
    /// let mut buffer = [0; 5];
    /// connection.read_exact(&mut buffer).await?;
    /// assert_eq!(&buffer, b"hello");
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// # assert_eq!(reason, riot_actor::Reason::Normal);
    /// ```
    pub fn put_back(&mut self, bytes: &[u8]) {
        let Unread(unread) = &mut **self.read_state.unread.get_or_insert_default();
        unread.splice(..0, bytes.iter().copied());
    }

    /// Takes the bytes that were [put back](Self::put_back) and not read since, for a reader of the transport
    /// itself.
    #[must_use]
    pub fn take_unread(&mut self) -> Vec<u8> {
        self.read_state.unread.take().map_or_else(Vec::new, |unread| unread.0)
    }
}

impl_read_methods!(Connection);
impl_write_methods!(Connection);

/// The bytes to be read before those of the transport, and the timer of reads that wait.
pub(super) struct ReadState {
    /// Most connections have none, so they hold a pointer only.
    unread: Option<Box<Unread>>,
    stall: Stall,
}

/// Bytes that were read and put back.
#[derive(Default)]
struct Unread(Vec<u8>);

/// Values of users and handshakes, one of each type. Most connections have none.
#[derive(Default)]
struct Extensions(Vec<Box<dyn Any + Send + Sync>>);

impl ReadState {
    pub(super) fn poll_read(
        &mut self,
        transport: &dyn Transport,
        identity: &Identity,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        wait: Wait,
    ) -> Poll<io::Result<usize>> {
        let Some(Unread(unread)) = self.unread.as_deref_mut().filter(|unread| !unread.0.is_empty()) else {
            let mut polled = transport.poll_read(cx, buffer);
            if polled.is_pending() {
                let Waited::RunOut(timer) = self.stall.poll_wait(cx, identity, wait) else {
                    return Poll::Pending;
                };
                transport.assume_ready();
                polled = transport.poll_read(cx, buffer);
                if polled.is_pending() {
                    return timeouts::fail(identity, timer);
                }
            }
            return match ready!(polled) {
                Ok(read) => {
                    self.stall.flows();
                    identity.record.received(read);
                    Poll::Ready(Ok(read))
                }
                Err(error) => {
                    identity.transport_failed(error.kind());
                    Poll::Ready(Err(error))
                }
            };
        };
        let read = buffer.len().min(unread.len());
        buffer[..read].copy_from_slice(&unread[..read]);
        unread.drain(..read);
        Poll::Ready(Ok(read))
    }
}

/// The peer of a connection, its record, and its membership in a server, which ends when this is dropped:
/// with the connection or with the last of its halves.
pub(super) struct Identity {
    pub(super) peer: Address,
    pub(super) record: Arc<ConnectionRecord>,
    extensions: Option<Box<Extensions>>,
    membership: Option<Membership>,
}

impl Identity {
    pub(super) fn record(&self) -> &ConnectionRecord {
        &self.record
    }

    /// Returns the timeouts of the server that the connection belongs to, if it belongs to one.
    pub(super) fn timeouts(&self) -> Option<ConnectionTimeouts> {
        self.membership.as_ref().map(Membership::timeouts)
    }

    /// Remembers an error of the transport. The running process, which may own a half of the connection, does
    /// not crash if it ends with it.
    #[cold]
    pub(super) fn transport_failed(&self, kind: io::ErrorKind) {
        self.record.transport_failed(kind);
        let of_server = self.membership.as_ref().filter(|_| is_of_peer_gone(kind));
        let level = of_server.map_or(LogLevel::Error, Membership::level_of_clients_gone);
        set_crash_level_of_error(kind, level);
    }

    pub(super) fn count_timeout(&self, timer: &'static str) {
        if let Some(membership) = &self.membership {
            membership.count_timeout(timer, &self.record);
        }
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.record.release();
        if let Some(membership) = &self.membership {
            membership.end(&self.record);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.identity.peer)
    }
}
