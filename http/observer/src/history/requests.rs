//! Latencies and the slowest requests of the last five minutes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use riot_actor::{
    log::printable,
    now,
    telemetry::{HandlerId, attach, detach},
};
use riot_http::{
    DURATION_BOUNDS,
    telemetry::{RequestEnded, RequestOutcome},
};

/// The time of a column; 5 s.
pub(crate) const COLUMN: Duration = Duration::from_secs(5);

/// The columns that are kept; 60, five minutes.
pub(crate) const COLUMNS: usize = 60;

/// The slowest requests that are shown, and kept of each column; 20.
const SLOWEST: usize = 20;

/// Bounds the servers that are kept apart; 64. Requests of further ones are not kept.
const MAX_SERVERS: usize = 64;

/// The time for which requests are kept after a reading; 10 min.
const READ_FOR: Duration = Duration::from_secs(600);

/// Bounds the path of a request; 256 bytes.
const MAX_PATH_BYTES: usize = 256;

/// The buckets of a column: one for each bound, and one beyond all.
pub(crate) const BUCKETS: usize = DURATION_BOUNDS.len() + 1;

/// A request of the slowest ones. Times count from its head.
#[derive(Clone, Debug)]
pub(crate) struct SlowRequest {
    pub(crate) head_at: Instant,
    pub(crate) key: String,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) route: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) peer: Option<String>,
    pub(crate) cut: Option<&'static str>,
    pub(crate) handler: Option<Duration>,
    pub(crate) answered: Option<Duration>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) last_byte: Option<Duration>,
    pub(crate) duration: Duration,
}

/// The requests of one server that ended within one column.
#[derive(Clone, Debug)]
struct Column {
    /// The time of the column, in columns since the log began.
    nth: u64,
    counts: [u64; BUCKETS],
    /// The slowest first.
    slowest: Vec<SlowRequest>,
}

/// The latencies of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    /// The counts of each column, the newest last; those without requests are zero.
    pub(crate) columns: Vec<[u64; BUCKETS]>,
    /// The slowest requests, the slowest first.
    pub(crate) slowest: Vec<SlowRequest>,
}

/// The requests that have ended of late, while somebody reads them.
#[derive(Debug, Default)]
pub(crate) struct RequestLog(Mutex<LogState>);

#[derive(Debug, Default)]
struct LogState {
    handler: Option<HandlerId>,
    began: Option<Instant>,
    read_at: Option<Instant>,
    servers: BTreeMap<Arc<str>, VecDeque<Column>>,
}

impl LogState {
    fn nth(&self, at: Instant) -> u64 {
        let since = self.began.map_or(Duration::ZERO, |began| at.saturating_duration_since(began));
        since.as_secs() / COLUMN.as_secs()
    }

    fn add(&mut self, ended: &RequestEnded, at: Instant) {
        let nth = self.nth(at);
        if self.servers.len() >= MAX_SERVERS && !self.servers.contains_key(&ended.server) {
            return;
        }
        let columns = self.servers.entry(ended.server.clone()).or_default();
        if columns.back().is_none_or(|last| last.nth < nth) {
            columns.push_back(Column { nth, counts: [0; BUCKETS], slowest: Vec::new() });
            while columns.front().is_some_and(|first| first.nth + COLUMNS as u64 <= nth) {
                columns.pop_front();
            }
        }
        let Some(column) = columns.back_mut() else { return };
        let duration = ended.duration();
        let seconds = duration.as_secs_f64();
        column.counts[DURATION_BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        let place = column.slowest.partition_point(|slow| slow.duration >= duration);
        if place < SLOWEST {
            column.slowest.truncate(SLOWEST - 1);
            column.slowest.insert(place, SlowRequest::of(ended, duration));
        }
    }
}

impl SlowRequest {
    fn of(ended: &RequestEnded, duration: Duration) -> Self {
        let path = &ended.path[..ended.path.floor_char_boundary(MAX_PATH_BYTES)];
        Self {
            head_at: ended.head_at,
            key: ended.key.to_string(),
            method: ended.method,
            path: printable(path),
            route: ended.route.as_ref().map(printable),
            status: ended.status.map(|status| status.as_u16()),
            peer: ended.peer.map(|peer| peer.to_string()),
            cut: match ended.outcome {
                RequestOutcome::Cut(reason) => Some(reason.name()),
                _ => None,
            },
            handler: ended.handler_after,
            answered: ended.answered_after,
            first_byte: ended.first_byte_after,
            last_byte: ended.last_byte_after,
            duration,
        }
    }
}

impl RequestLog {
    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets requests be kept for the next ten minutes, in the runtime of the running process.
    pub(crate) fn keep(self: &Arc<Self>) {
        let mut state = self.lock();
        state.read_at = Some(now());
        if state.handler.is_none() {
            state.began = Some(now());
            let log = Arc::downgrade(self);
            state.handler = Some(attach(move |ended: &RequestEnded| {
                if let Some(log) = log.upgrade() {
                    log.ended(ended);
                }
            }));
        }
    }

    fn ended(&self, ended: &RequestEnded) {
        let (mut state, at) = (self.lock(), now());
        let is_over = |read_at: Instant| at.saturating_duration_since(read_at) > READ_FOR;
        if !state.read_at.is_none_or(is_over) {
            state.add(ended, at);
            return;
        }
        let handler = state.handler.take();
        state.servers.clear();
        drop(state);
        handler.map(detach);
    }

    /// Returns the latencies of a server in the last five minutes.
    pub(crate) fn of(&self, server: &str) -> Latencies {
        let state = self.lock();
        let mut found = Latencies { columns: vec![[0; BUCKETS]; COLUMNS], slowest: Vec::new() };
        let newest = state.nth(now());
        for column in state.servers.get(server).into_iter().flatten() {
            let age = newest.saturating_sub(column.nth);
            if age < COLUMNS as u64 {
                found.columns[COLUMNS - 1 - age as usize] = column.counts;
                found.slowest.extend(column.slowest.iter().cloned());
            }
        }
        drop(state);
        found.slowest.sort_by_key(|slow| Reverse(slow.duration));
        found.slowest.truncate(SLOWEST);
        found
    }
}
