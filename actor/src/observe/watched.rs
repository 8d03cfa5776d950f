//! What is watched: one bit for each type of event that riot emits itself, so that code which could emit one
//! asks with a load and a test.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::runtime::context;

/// An event that riot emits itself. Handlers are [attached](super::telemetry::attach) to its type, as to any
/// other; the type of an own event need not implement this.
///
/// ```
/// use riot_actor::telemetry::{CrashReport, Event};
/// assert_eq!(CrashReport::NAME, "crash");
/// ```
pub trait Event: 'static {
    /// The name in logs and in JSON, such as `request.ended`.
    const NAME: &'static str;
}

/// An event that owns a bit of [`Watched`]. The crates of this workspace divide the 64 bits: riot-actor has 0
/// to 15, riot-supervisor 16 to 23, riot-socket 24 to 39, riot-http 40 to 55, and the packages above it the
/// rest.
#[doc(hidden)]
pub trait BuiltInEvent: Event {
    const BIT: u32;
    const MASK: u64 = 1 << Self::BIT;
}

/// The bits of a runtime: a bit is set while its event has a handler.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Watched(Arc<AtomicU64>);

impl Watched {
    /// Returns the bits of the running runtime. Outside a process nothing is watched, ever.
    #[must_use]
    pub fn current() -> Self {
        context::with_local(|local| {
            local.map(|local| local.shared.telemetry.watched().clone()).unwrap_or_default()
        })
    }

    /// Returns whether one of the events in `mask` is watched.
    #[inline]
    #[must_use]
    pub fn any(&self, mask: u64) -> bool {
        self.0.load(Relaxed) & mask != 0
    }

    /// Returns whether `E` is watched.
    #[inline]
    #[must_use]
    pub fn includes<E: BuiltInEvent>(&self) -> bool {
        self.any(E::MASK)
    }

    /// Sets or clears bits.
    pub fn set(&self, mask: u64, is_watched: bool) {
        if is_watched {
            self.0.fetch_or(mask, Relaxed);
        } else {
            self.0.fetch_and(!mask, Relaxed);
        }
    }
}

/// The bits of the events that are registered, by their types.
#[derive(Default)]
pub(super) struct Masks(HashMap<TypeId, u64>);

impl Masks {
    /// Adds an event. Adding it again changes nothing.
    pub(super) fn add<E: BuiltInEvent>(&mut self) {
        self.0.insert(TypeId::of::<E>(), E::MASK);
    }

    /// Returns the bits of the event; none if it is not registered.
    pub(super) fn of(&self, event: TypeId) -> u64 {
        self.0.get(&event).copied().unwrap_or(0)
    }
}
