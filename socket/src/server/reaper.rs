//! Idle connections give way to new clients, the one that has been idle longest first.
//!
//! A connection is idle between requests, as far as its protocol [reports](crate::Control::idle_since) that,
//! and before its first byte. Nothing is recorded while connections are served: the idle ones are looked for
//! when one has to give way, and kept in order. A connection that becomes idle later has been idle for a
//! shorter time than each of those, so the order stays right until the list is used up.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use riot_actor::{now, process::yield_now};

use super::state::Shared;
use crate::{connection::record::ConnectionRecord, io::poller};

/// The connections that are looked at between two turns of other processes: 256.
const CHUNK: usize = 256;

/// The part of all connections of a program that gives way at one time when it runs out of descriptors: an
/// eighth. More would end connections for clients that do not come; with fewer, a client behind a thousand
/// silent ones would wait for seconds.
const SHARE: usize = 8;

/// The time for which a connection must have been idle to give way: 500 ms. A client that was accepted a
/// moment ago is about to send its request, or its bytes have come and are not read yet.
const MIN_IDLE: Duration = Duration::from_millis(500);

/// The idle connections of one server, as far as they are known.
#[derive(Default)]
pub(super) struct Reaper {
    /// In order, the one that has been idle longest first. Some may have ended or become busy.
    idle: Mutex<VecDeque<(Instant, Weak<ConnectionRecord>)>>,
}

impl Reaper {
    /// Returns the connection that has been idle longest, if it is known.
    fn next(&self) -> Option<Arc<ConnectionRecord>> {
        let mut idle = self.idle.lock();
        loop {
            let (since, record) = idle.pop_front()?;
            if let Some(record) = record.upgrade().filter(|record| record.idle_since() == Some(since)) {
                return Some(record);
            }
        }
    }
}

impl Shared {
    /// Looks for the idle connections. Takes turns with other processes.
    async fn find_idle(&self) {
        let (mut idle, now) = (Vec::new(), now());
        for (number, record) in self.table.records().into_iter().enumerate() {
            if number % CHUNK == CHUNK - 1 {
                yield_now().await;
            }
            if let Some(since) = record.idle_since()
                && now.saturating_duration_since(since) >= MIN_IDLE
            {
                idle.push((since, Arc::downgrade(&record)));
            }
        }
        idle.sort_by_key(|&(since, _)| since);
        *self.reaper.idle.lock() = idle.into();
    }

    /// Asks the connection that has been idle longest to finish. Returns whether there is one.
    pub(super) async fn reap_oldest_idle(&self) -> bool {
        let mut oldest = self.reaper.next();
        if oldest.is_none() {
            self.find_idle().await;
            oldest = self.reaper.next();
        }
        let Some(oldest) = oldest else { return false };
        self.statistics.reaped.fetch_add(1, Relaxed);
        oldest.give_way();
        true
    }
}

/// The servers of a runtime, which share its descriptors.
#[derive(Default)]
pub(super) struct ServerSet(Mutex<Vec<Weak<Shared>>>);

impl ServerSet {
    /// Returns the servers of the running runtime.
    ///
    /// # Panics
    /// Panics outside a process.
    pub(super) fn current() -> io::Result<Arc<Self>> {
        poller::shared_by_runtime()
    }

    /// Adds a server. Adding it again changes nothing.
    pub(super) fn add(&self, server: &Arc<Shared>) {
        let mut servers = self.0.lock();
        servers.retain(|known| known.strong_count() > 0);
        if !servers.iter().any(|known| known.as_ptr() == Arc::as_ptr(server)) {
            servers.push(Arc::downgrade(server));
        }
    }

    pub(super) fn servers(&self) -> Vec<Arc<Shared>> {
        self.0.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Frees descriptors for waiting clients of any server: idle connections are asked to finish, first those
    /// of the server that has most connections, so that no server keeps the others from having some. Every
    /// server counts as overloaded for a while. Returns the number of connections that give way.
    pub(super) async fn give_way(&self) -> usize {
        let mut servers: Vec<(usize, Arc<Shared>)> =
            self.servers().into_iter().map(|server| (server.load.active(), server)).collect();
        servers.iter().for_each(|(_, server)| server.load.set_exhausted());
        let connections: usize = servers.iter().map(|(active, _)| active).sum();
        let wanted = (connections / SHARE).max(1);
        let mut reaped = 0;
        while reaped < wanted
            && let Some(largest) = (0..servers.len()).max_by_key(|&number| servers[number].0)
        {
            let (active, server) = &mut servers[largest];
            if *active > 0 && server.reap_oldest_idle().await {
                (reaped, *active) = (reaped + 1, *active - 1);
            } else {
                servers.swap_remove(largest);
            }
        }
        reaped
    }
}
