//! Events of riot itself: each owns a bit that is set while it has a handler, so that code which could emit
//! it asks with a load and a test.

use std::{
    any::TypeId,
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{runtime::context, sync::lock::lock};

/// An event that riot emits itself. Handlers are [attached](super::telemetry::attach) to its type, as to any
/// other; the type of an own event need not implement this.
///
/// ```
/// use riot_actor::telemetry::{CrashReport, NamedEvent};
/// assert_eq!(CrashReport::NAME, "crash");
/// ```
pub trait NamedEvent: 'static {
    /// The name in logs and in JSON, such as `request.ended`.
    const NAME: &'static str;
}

/// An event that owns a bit of [`Watched`]. The crates of this workspace divide the 64 bits: riot-actor has 0
/// to 15, riot-supervisor 16 to 23, riot-socket 24 to 39, riot-http 40 to 55, and the packages above it the
/// rest.
#[doc(hidden)]
pub trait BuiltInEvent: NamedEvent {
    const BIT: u32;
    const MASK: u64 = 1 << Self::BIT;
}

/// Names events and gives each its bit, and defines `register_events`, which makes the bits follow the
/// handlers.
#[doc(hidden)]
#[macro_export]
macro_rules! built_in_events {
    ($($event:ty: $name:literal, $bit:expr;)*) => {
        $(
            impl $crate::telemetry::NamedEvent for $event {
                const NAME: &'static str = $name;
            }
            impl $crate::telemetry::BuiltInEvent for $event {
                const BIT: u32 = $bit;
            }
        )*

        /// Makes the bits of these events follow their handlers.
        pub(super) fn register_events() {
            $($crate::telemetry::register::<$event>();)*
        }
    };
}

/// The bits of a runtime: a bit is set while its event has a handler.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Watched(Arc<Bits>);

#[derive(Default)]
struct Bits {
    bits: AtomicU64,
    followers: Mutex<Vec<(u64, Weak<dyn Follower>)>>,
}

/// A party with a switch of its own, where even the load of [`Watched`] would cost too much. Its calls are
/// made under a lock, and must call nothing here.
#[doc(hidden)]
pub trait Follower: Send + Sync {
    /// Sets the switch: one of the events is watched, or none is.
    fn set_watched(&self, is_watched: bool);
}

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
        self.0.bits.load(Relaxed) & mask != 0
    }

    /// Returns whether `E` is watched.
    #[inline]
    #[must_use]
    pub fn includes<E: BuiltInEvent>(&self) -> bool {
        self.any(E::MASK)
    }

    /// Sets or clears bits, and the switches of their followers.
    pub(super) fn set(&self, mask: u64, is_watched: bool) {
        if mask == 0 {
            return;
        }
        let mut followers = lock(&self.0.followers);
        if is_watched {
            self.0.bits.fetch_or(mask, Relaxed);
        } else {
            self.0.bits.fetch_and(!mask, Relaxed);
        }
        followers.retain(|(events, follower)| {
            let Some(follower) = follower.upgrade() else { return false };
            if events & mask != 0 {
                follower.set_watched(self.any(*events));
            }
            true
        });
    }

    /// Keeps the switch of `follower` as the events in `mask` are watched, as long as it lives.
    pub fn follow(&self, mask: u64, follower: Weak<dyn Follower>) {
        let mut followers = lock(&self.0.followers);
        if let Some(follower) = follower.upgrade() {
            follower.set_watched(self.any(mask));
        }
        followers.push((mask, follower));
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.bits.load(Relaxed))
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
