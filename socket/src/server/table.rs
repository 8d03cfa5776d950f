//! Where connections are: by Connections.Sup, whichever process is that now.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Poll, Waker},
};

use parking_lot::{Mutex, MutexGuard};
use riot_actor::Pid;
use slab::Slab;

use super::{
    info::ConnectionInfo,
    semaphore::{Limit, Permit},
    state::{Counters, Shared},
};
use crate::connection::control::Entry;

/// The places of all Connections.Sup of one server.
pub(super) struct Places(Vec<Mutex<Place>>);

#[derive(Default)]
struct Place {
    supervisor: Option<Pid>,
    /// Acceptors that have a client for it.
    waiting: Vec<Waker>,
    entries: Slab<Arc<Entry>>,
}

impl Places {
    pub(super) fn new(supervisors: usize) -> Self {
        Self((0..supervisors).map(|_| Mutex::default()).collect())
    }

    fn place(&self, number: usize) -> MutexGuard<'_, Place> {
        self.0[number].lock()
    }

    /// The place of the connections an acceptor takes in.
    pub(super) fn of_acceptor(&self, acceptor: usize) -> usize {
        acceptor % self.0.len()
    }

    /// A new supervisor is in charge.
    pub(super) fn set_supervisor(&self, number: usize, pid: Pid) {
        let mut place = self.place(number);
        place.supervisor = Some(pid);
        let waiting = std::mem::take(&mut place.waiting);
        drop(place);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The supervisor in charge; waits while it is being restarted.
    pub(super) async fn supervisor(&self, number: usize) -> Pid {
        poll_fn(|cx| {
            let mut place = self.place(number);
            match place.supervisor.filter(|&pid| riot_actor::process::is_alive(pid)) {
                Some(pid) => Poll::Ready(pid),
                None => {
                    place.waiting.push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The supervisors in charge now.
    pub(super) fn supervisors(&self) -> Vec<Pid> {
        (0..self.0.len()).filter_map(|number| self.place(number).supervisor).collect()
    }

    /// The connection of this Connector.
    pub(super) fn find(&self, connector: Pid) -> Option<Arc<Entry>> {
        self.entries().into_iter().find(|entry| entry.pid() == Some(connector))
    }

    /// Every connection there is.
    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        let all =
            |number| self.place(number).entries.iter().map(|(_, entry)| entry.clone()).collect::<Vec<_>>();
        (0..self.0.len()).flat_map(all).collect()
    }
}

/// A connection's place in a server: one of those there are. Whoever has the connection last
/// [gives it back](Self::leave).
pub(crate) struct Seat {
    shared: Arc<Shared>,
    number: usize,
    key: usize,
}

impl Seat {
    /// A seat in the place with this number. A client that is sent away has one too, but is none of the connections
    /// there are.
    pub(super) fn new(shared: &Arc<Shared>, entry: &Arc<Entry>, number: usize, permit: Permit) -> Self {
        let key = shared.places.place(number).entries.insert(entry.clone());
        entry.occupy(permit);
        if !entry.is_refused() {
            let counters = &shared.counters;
            counters.accepted.fetch_add(1, Relaxed);
            counters.active.fetch_add(1, Relaxed);
            shared.one_more();
        }
        Self { shared: shared.clone(), number, key }
    }

    /// Gives up being counted, once: somebody else can come.
    pub(crate) fn vacate(&self, entry: &Entry) {
        self.shared.vacate(entry);
    }

    /// Gives it back, at the end of the connection that has this entry.
    pub(crate) fn leave(&self, entry: &Entry) {
        let counters = &self.shared.counters;
        let (received, sent) = entry.bytes();
        counters.received.fetch_add(received, Relaxed);
        counters.sent.fetch_add(sent, Relaxed);
        counters.undelivered.fetch_add(entry.undelivered.load(Relaxed), Relaxed);
        let listed = self.shared.places.place(self.number).entries.try_remove(self.key);
        drop(listed);
        self.vacate(entry);
        if !entry.is_refused() {
            if entry.pid().is_none() {
                // Whoever was to start its Connector was killed before.
                self.shared.count_lost(1);
            }
            self.shared.one_less();
        }
    }

    pub(crate) fn count_timeout(&self, timer: &'static str) {
        self.shared.count_timeout(timer);
    }

    pub(crate) fn crowd(&self) -> Load {
        Load { counters: self.shared.counters.clone(), limit: self.shared.limit.clone() }
    }
}

impl Shared {
    pub(super) fn vacate(&self, entry: &Entry) {
        if let Some(permit) = entry.vacate() {
            if !entry.is_refused() {
                self.counters.active.fetch_sub(1, Relaxed);
            }
            drop(permit);
        }
    }

    /// Every connection that has a Connector.
    pub(super) fn connections(&self) -> Vec<ConnectionInfo> {
        self.places.entries().iter().filter_map(|entry| ConnectionInfo::of(entry)).collect()
    }

    /// Bytes received and sent by all connections, those that have ended included.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let counters = &self.counters;
        let ended = (counters.received.load(Relaxed), counters.sent.load(Relaxed));
        let add = |(received, sent), entry: Arc<Entry>| {
            let (more_received, more_sent) = entry.bytes();
            (received + more_received, sent + more_sent)
        };
        self.places.entries().into_iter().fold(ended, add)
    }
}

/// How full a server is, for protocols that are less patient in a crowd.
#[derive(Clone)]
pub struct Load {
    counters: Arc<Counters>,
    limit: Arc<Limit>,
}

impl Load {
    /// Connections there are, without those that were [removed](crate::Connection::remove).
    #[must_use]
    pub fn active(&self) -> usize {
        self.counters.active.load(Relaxed)
    }

    /// Connections there may be.
    #[must_use]
    pub fn max(&self) -> usize {
        self.limit.max()
    }
}

impl std::fmt::Debug for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Load({} of {})", self.active(), self.max())
    }
}
