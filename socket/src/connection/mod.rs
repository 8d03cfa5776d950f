//! One client's connection, as a protocol sees it.

pub(crate) mod control;
pub(crate) mod handshake;
mod methods;
pub mod proxy;
pub(crate) mod split;

use std::{
    any::Any,
    fmt, io,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use crate::{
    connection::control::{Control, Entry, Meter},
    connection::methods::{reading, writing},
    server::{Load, Seat},
    transport::{Address, Shutdown, Transport},
};

/// A connection and who is at its other end. Dropped, it is closed; so it dies with the process that owns it.
pub struct Connection {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) incoming: Incoming,
    pub(crate) identity: Identity,
}

/// Said by a handshake, where the transport knows only the last leg of the way.
struct LocalAddress(Address);

impl Connection {
    /// A connection over any transport.
    pub fn new(transport: Arc<dyn Transport>, peer: Address) -> Self {
        let entry = Arc::new(Entry::new(transport.clone(), peer.clone()));
        let identity = Identity { peer, entry, facts: None, seat: None };
        Self { transport, incoming: Incoming { unread: None }, identity }
    }

    pub(crate) fn sit(&mut self, seat: Seat) {
        self.identity.seat = Some(seat);
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.identity.entry
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Address {
        &self.identity.peer
    }

    /// Says who is at the other end, where the transport knows only the last leg of the way. The server's table of
    /// connections shows it too.
    pub fn set_peer(&mut self, peer: Address) {
        self.identity.entry.set_peer(&peer);
        self.identity.peer = peer;
    }

    /// The address the peer connected to.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_address(&self) -> io::Result<Address> {
        match self.get::<LocalAddress>() {
            Some(LocalAddress(address)) => Ok(address.clone()),
            None => self.transport.local_address(),
        }
    }

    /// Says which address the peer connected to, where the transport knows only the last leg of the way.
    pub fn set_local_address(&mut self, address: Address) {
        self.insert(LocalAddress(address));
    }

    /// What is known of the connection by this type, such as what a handshake agreed on.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.identity.facts.as_ref()?.0.iter().find_map(|fact| (**fact).downcast_ref())
    }

    /// Keeps something worth knowing with the connection, in place of what was known by this type before.
    pub fn insert<T: Any + Send + Sync>(&mut self, fact: T) {
        let Facts(facts) = &mut **self.identity.facts.get_or_insert_default();
        facts.retain(|known| !(**known).is::<T>());
        facts.push(Box::new(fact));
    }

    /// What carries it, for processes that share it: one may read while another writes.
    #[must_use]
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Puts another transport in the place of the one there is, as a rule around it, such as TLS. Everything else stays:
    /// the place in the server, what is known, what was [put back](Self::put_back) (which the new transport knows
    /// nothing of: [take](Self::take_unread) it before, if it is meant for that).
    pub fn set_transport(&mut self, transport: Arc<dyn Transport>) {
        self.identity.entry.carried_by(&transport);
        self.transport = transport;
    }

    /// How full the server is that it belongs to; none if it belongs to none.
    #[must_use]
    pub fn crowd(&self) -> Option<Load> {
        self.identity.seat.as_ref().map(Seat::crowd)
    }

    /// Takes this connection out of the number the server counts, once: another client gets its place, while this one
    /// is served on. For connections that last, such as those of a WebSocket. (Ranch: `remove_connection`.)
    pub fn remove(&self) {
        if let Some(seat) = &self.identity.seat {
            seat.vacate(&self.identity.entry);
        }
    }

    /// Tells the server that a timer ended this connection; [`ServerInfo`](crate::ServerInfo) counts them by name.
    pub fn count_timeout(&self, timer: &'static str) {
        if let Some(seat) = &self.identity.seat {
            seat.count_timeout(timer);
        }
    }

    /// What is called, once, when the server wants this connection to finish. Without it the connection's input is
    /// ended, which a protocol sees as its peer leaving. The hook must not block.
    pub fn on_drain(&self, hook: impl FnOnce() + Send + 'static) {
        self.identity.entry.drained_by_hook(Box::new(hook));
    }

    /// Who is asked from now on when the server wants this connection to finish, or wants to know what it is doing. If
    /// it has been asked to finish before, so is `control`, at once.
    pub fn controlled_by(&self, control: Weak<dyn Control>) {
        self.identity.entry.controlled_by(control);
    }

    /// Counts for whoever reads and writes by the [transport](Self::transport) itself.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter(self.identity.entry.clone())
    }

    /// Ends one direction or both.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn shutdown(&mut self, side: Shutdown) -> io::Result<()> {
        self.transport.shutdown(side)
    }

    /// As [`read`](Self::read).
    ///
    /// # Errors
    /// Those of the connection.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.incoming.poll_read(&*self.transport, &self.identity.entry, cx, buffer)
    }

    /// Puts bytes back that were read and belong to whoever reads next: they come first. The
    /// [`transport`](Self::transport) knows nothing of them.
    pub fn put_back(&mut self, bytes: &[u8]) {
        let Unread(unread) = &mut **self.incoming.unread.get_or_insert_default();
        unread.splice(..0, bytes.iter().copied());
    }

    /// What was [put back](Self::put_back) and not read since; for whoever reads from the transport itself.
    #[must_use]
    pub fn take_unread(&mut self) -> Vec<u8> {
        self.incoming.unread.take().map_or_else(Vec::new, |unread| unread.0)
    }
}

reading!(Connection);
writing!(Connection);

/// What comes in that the transport brings no more.
pub(crate) struct Incoming {
    unread: Option<Box<Unread>>,
}

/// Read before and put back; comes before what the transport brings. Most connections have none, and no room for it.
#[derive(Default)]
struct Unread(Vec<u8>);

/// One of a type. Likewise.
#[derive(Default)]
struct Facts(Vec<Box<dyn Any + Send + Sync>>);

impl Incoming {
    pub(crate) fn poll_read(
        &mut self,
        transport: &dyn Transport,
        entry: &Entry,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(Unread(unread)) = self.unread.as_deref_mut().filter(|unread| !unread.0.is_empty()) else {
            let read = ready!(transport.poll_read(cx, buffer))?;
            entry.received(read);
            return Poll::Ready(Ok(read));
        };
        let read = buffer.len().min(unread.len());
        buffer[..read].copy_from_slice(&unread[..read]);
        unread.drain(..read);
        Poll::Ready(Ok(read))
    }
}

/// Whose connection it is, and its place in a server; given back with the connection, whoever has it then and however
/// that ends.
pub(crate) struct Identity {
    pub(crate) peer: Address,
    pub(crate) entry: Arc<Entry>,
    facts: Option<Box<Facts>>,
    seat: Option<Seat>,
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.entry.release();
        if let Some(seat) = &self.seat {
            seat.leave(&self.entry);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.identity.peer)
    }
}
