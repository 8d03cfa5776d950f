//! Alarms: somebody is told when a server fills up.

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

use super::info::ConnectionInfo;

type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Calls back when there are many connections. (Ranch: `alarms`, `num_connections`.)
///
/// It goes off when a connection begins and there are `threshold` of them or more, that one included. Then it is silent
/// for its cooldown, default 5 s; when that ends and there still are as many it goes off again. With a cooldown of zero
/// it goes off with every connection that begins above the threshold.
///
/// The callback runs in a process of its own: it may wait, call and crash.
///
/// ```
/// use riot_socket::Alarm;
/// let alarm = Alarm::new("nearly full", 9_000, |raised| async move {
///     eprintln!("{}: {} connections", raised.alarm, raised.active);
/// });
/// # drop(alarm);
/// ```
#[derive(Clone)]
pub struct Alarm {
    name: Cow<'static, str>,
    threshold: usize,
    cooldown: Duration,
    callback: Arc<dyn Fn(AlarmEvent) -> Body + Send + Sync>,
}

/// Why an [`Alarm`] went off.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AlarmEvent {
    /// Which.
    pub alarm: Cow<'static, str>,
    /// Connections there were.
    pub active: usize,
    /// Which ones.
    pub connections: Vec<ConnectionInfo>,
}

impl Alarm {
    /// An alarm for `threshold` connections.
    pub fn new<F, B>(name: impl Into<Cow<'static, str>>, threshold: usize, callback: F) -> Self
    where
        F: Fn(AlarmEvent) -> B + Send + Sync + 'static,
        B: Future<Output = ()> + Send + 'static,
    {
        Self {
            name: name.into(),
            threshold,
            cooldown: Duration::from_secs(5),
            callback: Arc::new(move |raised| Box::pin(callback(raised))),
        }
    }

    /// How long it is silent after it went off; default 5 s, as Ranch's.
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
pub(super) struct Alarms(Mutex<State>);

#[derive(Default)]
struct State {
    alarms: Vec<(Alarm, Option<Instant>)>,
    /// Counts the times they were replaced: a cooldown of alarms that are no more means nothing.
    generation: u64,
}

/// The cooldown of an alarm has ended.
pub(super) struct Cooled {
    generation: u64,
    index: usize,
}

impl Alarms {
    pub(super) fn new(alarms: Vec<Alarm>) -> Self {
        let this = Self::default();
        this.set(alarms);
        this
    }

    fn lock(&self) -> MutexGuard<'_, State> {
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

    /// A connection has begun. `keeper` is told when a cooldown ends.
    pub(super) fn begun(&self, active: usize, keeper: Pid, connections: impl Fn() -> Vec<ConnectionInfo>) {
        let mut state = self.lock();
        if state.alarms.is_empty() {
            return;
        }
        let generation = state.generation;
        let mut raised = Vec::new();
        for (index, (alarm, silent_until)) in state.alarms.iter_mut().enumerate() {
            if active >= alarm.threshold && silent_until.is_none_or(|until| until <= now()) {
                raised.push(alarm.clone());
                silence(alarm, silent_until, keeper, Cooled { generation, index });
            }
        }
        drop(state);
        for alarm in raised {
            alarm.raise(active, connections());
        }
    }

    /// A cooldown has ended: the alarm goes off again if there are still as many.
    pub(super) fn cooled(
        &self,
        cooled: Cooled,
        active: usize,
        keeper: Pid,
        connections: impl Fn() -> Vec<ConnectionInfo>,
    ) {
        let mut state = self.lock();
        if state.generation != cooled.generation {
            return;
        }
        let (alarm, silent_until) = &mut state.alarms[cooled.index];
        if active < alarm.threshold || silent_until.is_some_and(|until| until > now()) {
            return;
        }
        let raised = alarm.clone();
        silence(alarm, silent_until, keeper, cooled);
        drop(state);
        raised.raise(active, connections());
    }
}

fn silence(alarm: &Alarm, silent_until: &mut Option<Instant>, keeper: Pid, cooled: Cooled) {
    if !alarm.cooldown.is_zero() {
        *silent_until = now().checked_add(alarm.cooldown);
        send_after(alarm.cooldown, keeper, cooled);
    }
}

impl Alarm {
    fn raise(self, active: usize, connections: Vec<ConnectionInfo>) {
        let callback = self.callback;
        let raised = AlarmEvent { alarm: self.name, active, connections };
        // The callback itself may panic, not only its future.
        SpawnOptions::new().label("Alarm").spawn(async move { callback(raised).await });
    }
}
