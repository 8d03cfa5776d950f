//! Watching processes at work, as Erlang's `trace` does: each spawn, exit, send, receive and turn as an event.
//!
//! Events are shown to the handlers of [`TraceEvent`] that [`telemetry`](crate::telemetry) has, on the
//! worker where they happen. Nothing is traced before [`trace`] says so. Until then each place an event could come from
//! costs a load and a branch: 20 instructions of 620 for a message that wakes its receiver, its turn included, 11 of 270
//! for one that does not, 40 of 1 420 for the whole life of a process. (Counted by callgrind: `process_bench` ring, fanin and
//! spawn, with and without.)

use std::{
    ops::BitOr,
    sync::atomic::{AtomicU8, Ordering},
};

use crate::{
    process::{pid::Pid, reason::Reason},
    runtime::{context, handle::Handle, shared::Shared},
};

/// Kinds of events to be traced; several are joined with `|`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceFlags(u8);

impl TraceFlags {
    /// Nothing.
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

/// Something a process does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TraceEvent {
    /// A process was spawned; it has not run yet.
    Spawned {
        /// The new process.
        pid: Pid,
        /// Who spawned it.
        parent: Option<Pid>,
    },
    /// A process has ended and is released; nobody else has been told yet.
    Exited {
        /// Who it was.
        pid: Pid,
        /// Why it ended.
        reason: Reason,
    },
    /// A message is sent by a user; whether it is accepted is not known yet.
    Sent {
        /// The sender; none if it is no process.
        from: Option<Pid>,
        /// Whom to.
        to: Pid,
        /// The type of the message.
        message: &'static str,
    },
    /// A process takes a message out of its mailbox.
    Received {
        /// Who.
        pid: Pid,
        /// The type of the message.
        message: &'static str,
    },
    /// A process begins a turn.
    In {
        /// Who.
        pid: Pid,
    },
    /// A process has done its turn.
    Out {
        /// Who.
        pid: Pid,
    },
}

/// Has events of these kinds shown from now on, and those of other kinds not; returns what was traced before. What a
/// handler does itself is not traced. Off by default.
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
/// Outside a process.
pub fn trace(what: TraceFlags) -> TraceFlags {
    context::with_shared("trace", |shared| shared.tracer.set(what))
}

impl Handle {
    /// [`trace`] from a plain thread.
    pub fn trace(&self, what: TraceFlags) -> TraceFlags {
        self.shared.tracer.set(what)
    }
}

/// What a runtime traces.
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

impl Shared {
    /// Shows an event of a kind that is traced. Only where no lock is held.
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
