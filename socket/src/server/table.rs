//! The table of a server's connections, one shard for each Connections.Sup.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Poll, Waker},
};

use parking_lot::{Mutex, MutexGuard};
use riot_actor::{Pid, log::LogLevel, send};
use slab::Slab;

use super::{
    info::ConnectionInfo,
    semaphore::Permit,
    state::Shared,
    telemetry::{LimitHit, TimeoutHit},
};
use crate::connection::{
    membership::{Load, MemberKey, Membership, Owner},
    record::ConnectionRecord,
    timeouts::ConnectionTimeouts,
};

/// The connections of one server, by the Connections.Sup in charge of them.
pub(super) struct ConnectionTable(Vec<Mutex<Shard>>);

#[derive(Default)]
struct Shard {
    supervisor: Option<Pid>,
    /// Wakers of acceptors that have a client for the supervisor.
    waiting: Vec<Waker>,
    members: Slab<Member>,
}

/// A connection in the table. A refused client is a member too, but is not counted as a connection.
struct Member {
    record: Arc<ConnectionRecord>,
    /// `None` once it has been released.
    permit: Option<Permit>,
}

impl Member {
    /// Takes the permit out, with the answer whether the connection is counted as active.
    fn take_permit(&mut self) -> Option<(Permit, bool)> {
        self.permit.take().map(|permit| (permit, !self.record.is_refused()))
    }
}

impl ConnectionTable {
    pub(super) fn new(supervisors: usize) -> Self {
        Self((0..supervisors).map(|_| Mutex::default()).collect())
    }

    fn shard(&self, number: usize) -> MutexGuard<'_, Shard> {
        self.0[number].lock()
    }

    /// Returns the shard of the connections that an acceptor accepts.
    pub(super) fn shard_of(&self, acceptor: usize) -> usize {
        acceptor % self.0.len()
    }

    /// Sets the supervisor in charge of a shard.
    pub(super) fn set_supervisor(&self, number: usize, pid: Pid) {
        let mut shard = self.shard(number);
        shard.supervisor = Some(pid);
        let waiting = std::mem::take(&mut shard.waiting);
        drop(shard);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Returns the supervisor in charge of a shard. Waits while it is being restarted.
    pub(super) async fn supervisor(&self, number: usize) -> Pid {
        poll_fn(|cx| {
            let mut shard = self.shard(number);
            match shard.supervisor.filter(|&pid| riot_actor::process::is_alive(pid)) {
                Some(pid) => Poll::Ready(pid),
                None => {
                    shard.waiting.push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Returns the supervisors that are in charge now.
    pub(super) fn supervisors(&self) -> Vec<Pid> {
        (0..self.0.len()).filter_map(|number| self.shard(number).supervisor).collect()
    }

    /// Sends a message to every supervisor that is in charge now.
    pub(super) fn tell_supervisors<M: Copy + Send + 'static>(&self, message: M) {
        for supervisor in self.supervisors() {
            send(supervisor, message);
        }
    }

    /// Returns the connection of this Connector.
    pub(super) fn find(&self, connector: Pid) -> Option<Arc<ConnectionRecord>> {
        self.records().into_iter().find(|record| record.pid() == Some(connector))
    }

    /// Returns all connections.
    pub(super) fn records(&self) -> Vec<Arc<ConnectionRecord>> {
        let of_shard = |number| {
            let shard = self.shard(number);
            shard.members.iter().map(|(_, member)| member.record.clone()).collect::<Vec<_>>()
        };
        (0..self.0.len()).flat_map(of_shard).collect()
    }

    fn insert(&self, number: usize, record: &Arc<ConnectionRecord>, permit: Permit) -> MemberKey {
        let member = Member { record: record.clone(), permit: Some(permit) };
        let slot = self.shard(number).members.insert(member);
        MemberKey { shard: number as u32, slot: slot as u32 }
    }

    fn take_permit(&self, key: MemberKey) -> Option<(Permit, bool)> {
        self.shard(key.shard as usize).members.get_mut(key.slot as usize)?.take_permit()
    }

    /// Takes the permit of this Connector's connection, under one lock: its slot may be reused afterwards.
    fn take_permit_of(&self, connector: Pid) -> Option<(Permit, bool)> {
        (0..self.0.len()).find_map(|number| {
            let mut shard = self.shard(number);
            let (_, member) =
                shard.members.iter_mut().find(|(_, member)| member.record.pid() == Some(connector))?;
            member.take_permit()
        })
    }

    fn remove(&self, key: MemberKey) -> Option<Member> {
        self.shard(key.shard as usize).members.try_remove(key.slot as usize)
    }
}

impl Shared {
    /// Adds a connection to a shard of the table. A refused client is added too, but is not counted.
    pub(super) fn admit(
        self: &Arc<Self>,
        record: &Arc<ConnectionRecord>,
        shard: usize,
        permit: Permit,
    ) -> Membership {
        let key = self.table.insert(shard, record, permit);
        if !record.is_refused() {
            self.statistics.accepted.fetch_add(1, Relaxed);
            self.load.inc();
            self.statistics.inc();
        }
        Membership::new(self.clone(), key)
    }

    fn release(&self, taken: Option<(Permit, bool)>) {
        if let Some((permit, is_counted)) = taken {
            if is_counted {
                self.load.dec();
            }
            drop(permit);
        }
    }

    /// Releases the permit of this Connector's connection.
    pub(super) fn release_permit_of(&self, connector: Pid) {
        self.release(self.table.take_permit_of(connector));
    }

    /// Returns every connection that has a Connector.
    pub(super) fn connections(&self) -> Vec<ConnectionInfo> {
        self.table.records().iter().filter_map(|record| ConnectionInfo::of(record)).collect()
    }

    /// Returns the bytes received and sent by all connections, ended ones included.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let statistics = &self.statistics;
        let ended = (statistics.received.load(Relaxed), statistics.sent.load(Relaxed));
        let add = |(received, sent), record: Arc<ConnectionRecord>| {
            let (more_received, more_sent) = record.bytes();
            (received + more_received, sent + more_sent)
        };
        self.table.records().into_iter().fold(ended, add)
    }
}

impl Owner for Shared {
    fn load(&self) -> &Load {
        &self.load
    }

    fn name(&self) -> Option<Arc<str>> {
        self.name()
    }

    fn release_permit(&self, key: MemberKey) {
        self.release(self.table.take_permit(key));
    }

    fn timeouts(&self) -> ConnectionTimeouts {
        self.connection_timeouts
    }

    fn level_of_clients_gone(&self) -> LogLevel {
        self.log_levels.client_gone
    }

    fn count_timeout(&self, timer: &'static str, record: &ConnectionRecord) {
        self.statistics.count_timeout(timer);
        let level = self.log_levels.timeout;
        riot_actor::log_event_at!(level, "riot::socket", "{} timed out: {timer}", record.peer());
        record.note_timeout(timer);
        self.emit(|server| TimeoutHit { server, timer, peer: record.peer() });
    }

    fn count_protocol_error(&self, error: &str, record: &ConnectionRecord) {
        self.statistics.protocol_errors.fetch_add(1, Relaxed);
        let level = self.log_levels.protocol_error;
        riot_actor::log_event_at!(level, "riot::socket", "{} broke the protocol: {error}", record.peer());
        record.note_protocol_error();
    }

    fn count_limit(&self, limit: &'static str, record: &ConnectionRecord) {
        self.statistics.count_limit(limit);
        self.emit(|server| LimitHit { server, limit, peer: Some(record.peer()) });
    }

    fn remove(&self, key: MemberKey, record: &ConnectionRecord) {
        let statistics = &self.statistics;
        let (received, sent) = record.bytes();
        statistics.received.fetch_add(received, Relaxed);
        statistics.sent.fetch_add(sent, Relaxed);
        statistics.undelivered.fetch_add(record.undelivered(), Relaxed);
        if self.drain_counters.is_on() {
            self.drain_counters.count(record);
        }
        if let Some(mut member) = self.table.remove(key) {
            self.release(member.take_permit());
        }
        if !record.is_refused() {
            if record.pid().is_none() {
                // The Connections.Sup that was to start its Connector was killed before.
                statistics.count_killed(1);
            }
            statistics.dec();
        }
    }
}
