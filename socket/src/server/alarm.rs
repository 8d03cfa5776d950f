//! Alarms, which call back when a server fills up.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use riot_actor::{Pid, now, process::SpawnOptions, time::send_after};

use super::{drain::later, info::ConnectionInfo};

type CallbackFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An alarm that calls back when there are many connections. (Ranch: `alarms`, `num_connections`.)
///
/// An alarm is raised when a connection begins and there are `threshold` of them or more, that one included.
/// Then it is silent for its cooldown, default 5 s. If there still are as many when that ends, it is raised
/// again. With a cooldown of zero it is raised by every connection that begins above the threshold.
///
/// The callback runs in a process of its own: it may wait, call and crash.
///
/// ```
/// use riot_socket::Alarm;
/// let alarm = Alarm::new("nearly full", 9_000, |event| async move {
///     eprintln!("{}: {} connections", event.alarm, event.active);
/// });
/// # drop(alarm);
/// ```
#[derive(Clone)]
pub struct Alarm {
    name: Cow<'static, str>,
    threshold: usize,
    cooldown: Duration,
    callback: Arc<dyn Fn(AlarmEvent) -> CallbackFuture + Send + Sync>,
}

/// The event that an [`Alarm`] passes to its callback.
///
/// ```
/// use riot_socket::{Alarm, AlarmEvent};
///
/// let alarm = Alarm::new("busy", 1_000, |event: AlarmEvent| async move {
///     let busiest = event.connections.iter().max_by_key(|connection| connection.requests);
///     eprintln!("{} connections, the busiest is {:?}", event.active, busiest.map(|info| &info.peer));
/// });
/// # drop(alarm);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AlarmEvent {
    /// The name of the alarm.
    pub alarm: Cow<'static, str>,
    /// The number of connections when the alarm was raised.
    pub active: usize,
    /// The connections at that time.
    pub connections: Vec<ConnectionInfo>,
}

impl Alarm {
    /// Returns an alarm for `threshold` connections.
    pub fn new<F, B>(name: impl Into<Cow<'static, str>>, threshold: usize, callback: F) -> Self
    where
        F: Fn(AlarmEvent) -> B + Send + Sync + 'static,
        B: Future<Output = ()> + Send + 'static,
    {
        Self {
            name: name.into(),
            threshold,
            cooldown: Duration::from_secs(5),
            callback: Arc::new(move |event| Box::pin(callback(event))),
        }
    }

    /// Sets how long the alarm is silent after it was raised; default 5 s, as in Ranch.
    #[must_use]
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm")
            .field("name", &self.name)
            .field("threshold", &self.threshold)
            .field("cooldown", &self.cooldown)
            .finish_non_exhaustive()
    }
}

/// The alarms of one server.
#[derive(Default)]
pub(super) struct Alarms(Mutex<AlarmState>);

#[derive(Default)]
struct AlarmState {
    alarms: Vec<(Alarm, Option<Instant>)>,
    /// The number of times the alarms were replaced. A cooldown of an older generation has no effect.
    generation: u64,
}

/// Tells a Connections.Sup that the cooldown of an alarm has ended.
pub(super) struct CooldownEnded {
    generation: u64,
    index: usize,
}

impl Alarms {
    pub(super) fn new(alarms: Vec<Alarm>) -> Self {
        let this = Self::default();
        this.set(alarms);
        this
    }

    fn lock(&self) -> MutexGuard<'_, AlarmState> {
        self.0.lock()
    }

    pub(super) fn set(&self, alarms: Vec<Alarm>) {
        let mut state = self.lock();
        state.generation += 1;
        let before =
            std::mem::replace(&mut state.alarms, alarms.into_iter().map(|alarm| (alarm, None)).collect());
        drop(state);
        drop(before);
    }

    /// Raises the alarms that are due after a connection has begun. `owner` is told when a cooldown ends.
    pub(super) fn check(&self, active: usize, owner: Pid, connections: impl Fn() -> Vec<ConnectionInfo>) {
        let mut state = self.lock();
        if state.alarms.is_empty() {
            return;
        }
        let generation = state.generation;
        let mut event = Vec::new();
        for (index, (alarm, silent_until)) in state.alarms.iter_mut().enumerate() {
            if active >= alarm.threshold && silent_until.is_none_or(|until| until <= now()) {
                event.push(alarm.clone());
                silence(alarm, silent_until, owner, CooldownEnded { generation, index });
            }
        }
        drop(state);
        for alarm in event {
            alarm.raise(active, connections());
        }
    }

    /// Handles the end of a cooldown: raises the alarm again if there still are as many connections.
    pub(super) fn end_cooldown(
        &self,
        ended: CooldownEnded,
        active: usize,
        owner: Pid,
        connections: impl Fn() -> Vec<ConnectionInfo>,
    ) {
        let mut state = self.lock();
        if state.generation != ended.generation {
            return;
        }
        let (alarm, silent_until) = &mut state.alarms[ended.index];
        if active < alarm.threshold || silent_until.is_some_and(|until| until > now()) {
            return;
        }
        let event = alarm.clone();
        silence(alarm, silent_until, owner, ended);
        drop(state);
        event.raise(active, connections());
    }
}

fn silence(alarm: &Alarm, silent_until: &mut Option<Instant>, owner: Pid, ended: CooldownEnded) {
    if !alarm.cooldown.is_zero() {
        *silent_until = Some(later(now(), alarm.cooldown));
        send_after(alarm.cooldown, owner, ended);
    }
}

impl Alarm {
    fn raise(self, active: usize, connections: Vec<ConnectionInfo>) {
        let callback = self.callback;
        let event = AlarmEvent { alarm: self.name, active, connections };
        // The callback itself may panic, not only its future.
        SpawnOptions::new().label("Alarm").spawn(async move { callback(event).await });
    }
}
