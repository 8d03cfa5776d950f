//! Tracing processes, as Erlang's `trace` does: each spawn, exit, send, receive and poll slice as an event.
//!
//! Events are shown to the handlers of [`TraceEvent`] in [`telemetry`](crate::telemetry), on the worker where
//! they happen. Tracing is off until [`trace`] is called. Then each place that an event could come from costs
//! a load and a branch: 20 instructions of 620 for a message that wakes its receiver, its poll slice
//! included, 11 of 270 for one that does not, 40 of 1 420 for the whole life of a process. (Counted by
//! callgrind: `process_bench` ring, fanin and spawn, with and without.)

use std::{
    ops::BitOr,
    sync::atomic::{AtomicU8, Ordering},
};

use super::watched::NamedEvent;
use crate::{
    process::{pid::Pid, reason::Reason},
    runtime::{context, handle::Handle, shared::Shared},
};

/// Kinds of events to trace; several are joined with `|`.
///
/// ```
/// # use riot_actor::{run, trace::{TraceFlags, trace}};
/// # run(async {
/// assert_eq!(trace(TraceFlags::PROCS | TraceFlags::SEND), TraceFlags::NOTHING);
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceFlags(u8);

impl TraceFlags {
    /// No events.
    pub const NOTHING: Self = Self(0);
    /// [`TraceEvent::Spawned`] and [`TraceEvent::Exited`].
    pub const PROCS: Self = Self(1);
    /// [`TraceEvent::Sent`].
    pub const SEND: Self = Self(2);
    /// [`TraceEvent::Received`].
    pub const RECEIVE: Self = Self(4);
    /// [`TraceEvent::In`] and [`TraceEvent::Out`].
    pub const RUNNING: Self = Self(8);

    fn includes(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for TraceFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Something that a process does.
///
/// See [`trace`] for an example.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TraceEvent {
    /// A process was spawned. It has not run yet.
    Spawned {
        /// The new process.
        pid: Pid,
        /// The process that spawned it.
        parent: Option<Pid>,
    },
    /// A process has exited and is released. No other process has been told yet.
    Exited {
        /// The process.
        pid: Pid,
        /// The exit reason.
        reason: Reason,
    },
    /// A message of a user is sent. Whether it is accepted is not known yet.
    Sent {
        /// The sender; none if it is no process.
        from: Option<Pid>,
        /// The receiver.
        to: Pid,
        /// The type of the message.
        message: &'static str,
    },
    /// A process takes a message out of its mailbox.
    Received {
        /// The process.
        pid: Pid,
        /// The type of the message.
        message: &'static str,
    },
    /// A process begins a poll slice.
    In {
        /// The process.
        pid: Pid,
    },
    /// A process ends a poll slice.
    Out {
        /// The process.
        pid: Pid,
    },
}

/// Sets which kinds of events are traced, and returns the setting before. What a handler does itself is not
/// traced. Off by default.
///
/// ```
/// use riot_actor::{run, spawn, telemetry, trace::{TraceEvent, TraceFlags, trace}};
///
/// run(async {
///     telemetry::attach(|event: &TraceEvent| println!("{event:?}"));
///     trace(TraceFlags::PROCS | TraceFlags::SEND);
///     spawn(async {});                                    // Spawned { pid: <1.1.0>, parent: Some(<1.0.0>) }
///     trace(TraceFlags::NOTHING);
/// });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn trace(what: TraceFlags) -> TraceFlags {
    context::with_shared("trace", |shared| shared.tracer.set(what))
}

impl Handle {
    /// Sets which kinds of events are traced, as [`trace`] does, from a plain thread.
    pub fn trace(&self, what: TraceFlags) -> TraceFlags {
        self.shared.tracer.set(what)
    }
}

/// The kinds of events that a runtime traces.
#[derive(Default)]
pub(crate) struct Tracer(AtomicU8);

impl Tracer {
    fn set(&self, what: TraceFlags) -> TraceFlags {
        TraceFlags(self.0.swap(what.0, Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn is_on(&self, what: TraceFlags) -> bool {
        TraceFlags(self.0.load(Ordering::Relaxed)).includes(what)
    }
}

impl NamedEvent for TraceEvent {
    const NAME: &'static str = "trace";
}

impl Shared {
    /// Shows an event, if its kind is traced. Must be called while no lock is held.
    #[inline]
    pub(crate) fn trace(&self, what: TraceFlags, event: impl FnOnce() -> TraceEvent) {
        if self.tracer.is_on(what) {
            self.show_traced(&event());
        }
    }

    #[cold]
    fn show_traced(&self, event: &TraceEvent) {
        context::with_local(|local| {
            let Some(local) = local else { return self.telemetry.emit(event) };
            if !local.tracing.replace(true) {
                self.telemetry.emit(event);
                local.tracing.set(false);
            }
        });
    }
}
