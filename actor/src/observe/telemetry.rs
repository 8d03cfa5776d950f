//! Events to count or watch: any type is an event, and its handlers run where it is emitted.
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
//! use riot_actor::{run, telemetry};
//!
//! struct Served { bytes: u64 }
//!
//! let sum = Arc::new(AtomicU64::new(0));
//! let kept = sum.clone();
//! run(async move {
//!     telemetry::attach(move |served: &Served| { kept.fetch_add(served.bytes, Ordering::Relaxed); });
//!     telemetry::emit(&Served { bytes: 512 });
//! });
//! assert_eq!(sum.load(Ordering::Relaxed), 512);
//! ```
//!
//! Handlers belong to one runtime. An event without a handler costs a load.
//!
//! riot emits events itself, and names them: each is a [`NamedEvent`]. Their handlers are attached in the
//! same way. Here are [`CrashReport`] and [`TraceEvent`](crate::trace::TraceEvent); riot-supervisor,
//! riot-socket and riot-http have more.

pub use crate::observe::{
    crash_history::{CrashEntry, FollowedBy, crashes, note_restart},
    crash_report::{CrashReport, add_crash_detail, crash_detail, set_crash_level, set_crash_level_of_error},
    watched::{BuiltInEvent, Follower, NamedEvent, Watched},
};
use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::watched::Masks;
use crate::{
    guard::{Contained, panic::catch},
    runtime::{context, handle::Handle, shared::Shared},
    sync::lock::lock,
};

/// Identifies a handler that was attached.
///
/// See [`detach`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandlerId(u64);

/// Attaches a handler for events of type `E`. It is called in the process that emits one, before that goes
/// on, so it must not block. A handler that panics is detached and reported; the emitter goes on.
///
/// See the [module](self) for an example.
///
/// # Panics
/// Panics outside a process.
pub fn attach<E: 'static>(handler: impl Fn(&E) + Send + Sync + 'static) -> HandlerId {
    context::with_shared("telemetry::attach", |shared| shared.attach(handler))
}

/// Detaches a handler. Returns false if it was detached before. A call that is running on another worker goes
/// on.
///
/// ```
/// # use riot_actor::{run, telemetry};
/// # run(async {
/// let handler = telemetry::attach(|number: &u32| println!("{number}"));
/// assert!(telemetry::detach(handler));
/// assert!(!telemetry::detach(handler));
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn detach(handler: HandlerId) -> bool {
    context::with_shared("telemetry::detach", |shared| shared.telemetry.detach(handler))
}

/// Shows `event` to all handlers of its type. Outside a process there are none.
///
/// See the [module](self) for an example.
pub fn emit<E: 'static>(event: &E) {
    context::with_local(|local| {
        if let Some(local) = local {
            local.shared.telemetry.emit(event);
        }
    });
}

/// Returns whether events of type `E` have a handler, so that one that is costly to make need not be made.
/// Outside a process they have none.
///
/// ```
/// # use riot_actor::{run, telemetry::{attach, is_watched}};
/// # run(async {
/// assert!(!is_watched::<u32>());
/// attach(|number: &u32| println!("{number}"));
/// assert!(is_watched::<u32>() && !is_watched::<u64>());
/// # });
/// ```
#[must_use]
pub fn is_watched<E: 'static>() -> bool {
    context::with_local(|local| local.is_some_and(|local| local.shared.telemetry.is_watched::<E>()))
}

/// Makes the bit of `E` follow its handlers. The crate that emits it says so before it does: a handler may be
/// attached earlier.
///
/// # Panics
/// Panics outside a process.
#[doc(hidden)]
pub fn register<E: BuiltInEvent>() {
    context::with_shared("telemetry::register", |shared| shared.telemetry.register::<E>());
}

impl Handle {
    /// Attaches a handler, as [`attach`] does, from a plain thread.
    pub fn attach<E: 'static>(&self, handler: impl Fn(&E) + Send + Sync + 'static) -> HandlerId {
        self.shared.attach(handler)
    }

    /// Detaches a handler, as [`detach`] does, from a plain thread.
    pub fn detach(&self, handler: HandlerId) -> bool {
        self.shared.telemetry.detach(handler)
    }
}

type HandlerFn = dyn Fn(&dyn Any) + Send + Sync;
/// The handlers of one type of event. The list is replaced as a whole, so that no lock is held while they
/// run.
type Handlers = Arc<Vec<(HandlerId, Arc<HandlerFn>)>>;

#[derive(Default)]
pub(crate) struct Telemetry {
    /// The number of handlers, to be read without the lock.
    count: AtomicUsize,
    /// The events that are watched, of those that are registered. It changes under the lock.
    watched: Watched,
    attached: Mutex<AttachedHandlers>,
}

#[derive(Default)]
struct AttachedHandlers {
    handlers: HashMap<TypeId, Handlers>,
    masks: Masks,
}

impl Telemetry {
    pub(super) fn watched(&self) -> &Watched {
        &self.watched
    }

    fn register<E: BuiltInEvent>(&self) {
        let mut attached = lock(&self.attached);
        attached.masks.add::<E>();
        if attached.handlers.contains_key(&TypeId::of::<E>()) {
            self.watched.set(E::MASK, true);
        }
    }

    /// Shows an event to its handlers. Must be called while no lock is held: handlers may call anything.
    #[inline]
    pub(crate) fn emit<E: 'static>(&self, event: &E) {
        if self.count.load(Ordering::Relaxed) != 0 {
            self.show(event);
        }
    }

    #[inline]
    fn is_watched<E: 'static>(&self) -> bool {
        self.count.load(Ordering::Relaxed) != 0
            && lock(&self.attached).handlers.contains_key(&TypeId::of::<E>())
    }

    fn show<E: 'static>(&self, event: &E) {
        let handlers = lock(&self.attached).handlers.get(&TypeId::of::<E>()).cloned();
        for (id, call) in handlers.iter().flat_map(|handlers| handlers.iter()) {
            if let Err(panic) = catch(|| call(event)) {
                self.detach(*id);
                let event = type_name::<E>();
                crate::log_event!(
                    ERROR,
                    "riot::telemetry",
                    event,
                    "a handler panicked and was detached: {panic}"
                );
            }
        }
    }

    fn detach(&self, handler: HandlerId) -> bool {
        let mut attached = lock(&self.attached);
        let AttachedHandlers { handlers: all, masks } = &mut *attached;
        let found = all.iter().find_map(|(&event, handlers)| {
            handlers.iter().position(|(id, _)| *id == handler).map(|at| (event, at))
        });
        let Some((event, at)) = found else { return false };
        let mut handlers = all[&event].to_vec();
        let removed = handlers.remove(at);
        let before = if handlers.is_empty() {
            self.watched.set(masks.of(event), false);
            all.remove(&event)
        } else {
            all.insert(event, Arc::new(handlers))
        };
        self.count.fetch_sub(1, Ordering::Relaxed);
        drop(attached);
        // A handler holds values of a user, which are dropped outside the lock.
        drop((removed, before));
        true
    }
}

impl Shared {
    fn attach<E: 'static>(&self, handler: impl Fn(&E) + Send + Sync + 'static) -> HandlerId {
        let id = HandlerId(self.next_reference().0);
        let handler = Contained::new(handler);
        let call: Arc<HandlerFn> = Arc::new(move |event: &dyn Any| {
            if let Some(event) = event.downcast_ref() {
                handler(event);
            }
        });
        let mut attached = lock(&self.telemetry.attached);
        let handlers = attached.handlers.entry(TypeId::of::<E>()).or_default();
        let mut more = handlers.to_vec();
        more.push((id, call));
        let before = std::mem::replace(handlers, Arc::new(more));
        self.telemetry.count.fetch_add(1, Ordering::Relaxed);
        self.telemetry.watched.set(attached.masks.of(TypeId::of::<E>()), true);
        drop(attached);
        drop(before);
        id
    }
}
