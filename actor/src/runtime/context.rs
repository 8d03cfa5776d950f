//! The current context: the worker of this thread, and the process that it polls.
//!
//! The context is set around every poll and cleared after it, so nothing of a process is left on a thread.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    ptr::{self, NonNull},
    rc::Rc,
    sync::Arc,
};

use super::{
    kernel::{exit_hooks::ExitHook, process::Process, record::Slot, table::FreeList},
    scheduler::LocalQueue,
    shared::Shared,
};
use crate::process::pid::Pid;

thread_local! {
    /// Points to the `Local` of an [`enter`] that has not returned, or is null. A pointer, because every send
    /// and receive reads it, and a pointer needs no count and no destructor.
    static LOCAL: Cell<*const Local> = const { Cell::new(ptr::null()) };

    /// The runtime that a plain thread [visits](visit).
    static VISITED: Cell<*const Arc<Shared>> = const { Cell::new(ptr::null()) };
}

/// The state of the thread of a worker or of a simulation.
pub(crate) struct Local {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
    pub(crate) queue: LocalQueue,
    /// The process that is polled. [`Local::begin`] puts it here, so that its own code finds it.
    pub(crate) running: RefCell<Option<Box<Process>>>,
    /// The slot of the process that is polled, or was polled last; none before the first.
    slot: Cell<Option<NonNull<Slot>>>,
    /// Free slots for processes that are spawned on this thread.
    pub(crate) free_list: RefCell<FreeList>,
    /// The handle that the driver came with.
    pub(crate) driver_handle: RefCell<Option<Rc<dyn Any>>>,
    /// Whether a process is being polled, as opposed to the worker looking for one.
    pub(crate) polling: Cell<bool>,
    /// Waits that running processes have [abandoned](super::kernel::abandoned), until the end of their slice.
    pub(crate) abandoned: RefCell<Vec<(Pid, ExitHook)>>,
    /// Whether a handler of traced events runs: what it does is not traced.
    pub(crate) tracing: Cell<bool>,
}

impl Local {
    pub(crate) fn new(shared: Arc<Shared>, worker: usize, queue: LocalQueue) -> Rc<Self> {
        Rc::new(Self {
            shared,
            worker,
            queue,
            running: RefCell::new(None),
            slot: Cell::new(None),
            free_list: RefCell::default(),
            driver_handle: RefCell::new(None),
            polling: Cell::new(false),
            abandoned: RefCell::default(),
            tracing: Cell::new(false),
        })
    }

    /// Makes a process the running one, and returns its slot.
    #[inline(always)] // perf: call and reply, 1194 → 1166 instructions
    pub(crate) fn begin(&self, process: Box<Process>) -> &Slot {
        let slot = self.shared.table.slot_at(&process);
        self.slot.set(Some(NonNull::from(slot)));
        let before = self.running.replace(Some(process));
        debug_assert!(before.is_none(), "one process runs at a time");
        slot
    }

    /// Shows `f` the running process and its slot, while the process is borrowed: `f` must not run code of a
    /// user.
    #[inline]
    #[expect(unsafe_code, reason = "see the proof")]
    pub(crate) fn with_running<R>(&self, f: impl FnOnce(&Slot, &mut Process) -> R) -> Option<R> {
        let mut running = self.running.borrow_mut();
        let process = running.as_mut()?;
        // SAFETY:
        // 1. The pointer came from a reference to a slot of this runtime's table (`begin`).
        // 2. Slots neither move nor go away before the table does.
        // 3. `self` owns the `Shared` that owns the table, and is borrowed as long as the reference is used.
        let slot = unsafe { self.slot.get()?.as_ref() };
        debug_assert!(std::ptr::eq(slot, self.shared.table.slot_at(process)), "`begin` has set both");
        Some(f(slot, process))
    }
}

/// Makes this the thread of `local` while `f` runs.
pub(crate) fn enter<R>(local: &Local, f: impl FnOnce() -> R) -> R {
    struct Left;
    impl Drop for Left {
        fn drop(&mut self) {
            LOCAL.set(ptr::null());
        }
    }
    assert!(!is_entered(), "a thread belongs to one runtime at a time");
    LOCAL.set(local);
    let _left = Left;
    f()
}

/// Lets a plain thread use the clock, the timers and the drivers of a runtime while `f` runs. It has no
/// process.
pub(crate) fn visit<R>(shared: &Arc<Shared>, f: impl FnOnce() -> R) -> R {
    struct Back(*const Arc<Shared>);
    impl Drop for Back {
        fn drop(&mut self) {
            VISITED.set(self.0);
        }
    }
    let _back = Back(VISITED.replace(shared));
    f()
}

/// Returns the runtime that this thread visits.
#[cold]
#[inline(never)]
#[expect(unsafe_code, reason = "see the proof")]
fn visited<'a>(what: &str) -> &'a Arc<Shared> {
    // SAFETY:
    // 1. A pointer that is not null was made from a reference by a `visit` on this thread that has not
    //   returned, because `visit` resets it when it returns or unwinds.
    // 2. That `visit` is below this call on the stack, so its reference is valid until after this call.
    // 3. The one caller, `with_shared`, passes the reference to a function that takes any lifetime and cannot
    //   keep it.
    unsafe { VISITED.get().as_ref() }.unwrap_or_else(|| outside(what))
}

/// Returns whether a process is being polled on this thread.
pub(crate) fn is_polling() -> bool {
    with_local(|local| local.is_some_and(|local| local.polling.get()))
}

/// Returns whether this thread belongs to a runtime.
pub(crate) fn is_entered() -> bool {
    !LOCAL.get().is_null()
}

/// Returns whether this thread belongs to a runtime or visits one.
pub(crate) fn has_runtime() -> bool {
    is_entered() || !VISITED.get().is_null()
}

#[inline]
#[expect(unsafe_code, reason = "see the proof")]
pub(crate) fn with_local<R>(f: impl FnOnce(Option<&Local>) -> R) -> R {
    // SAFETY:
    // 1. A pointer that is not null was made from a reference by an `enter` on this thread that has not
    //    returned, because `enter` resets it when it returns or unwinds.
    // 2. That `enter` is below this call on the stack, so its reference is valid until after this call.
    // 3. `f` cannot keep the reference: it takes any lifetime.
    f(unsafe { LOCAL.get().as_ref() })
}

/// Shows `f` the runtime of the running process.
#[inline]
pub(crate) fn with_shared<R>(what: &str, f: impl FnOnce(&Arc<Shared>) -> R) -> R {
    with_local(|local| {
        f(match local {
            Some(local) => &local.shared,
            None => visited(what),
        })
    })
}

/// Shows `f` the running process, while it is borrowed: `f` must not run code of a user.
#[inline]
pub(crate) fn with_running<R>(what: &str, f: impl FnOnce(&Shared, &Slot, &mut Process) -> R) -> R {
    with_local(|local| {
        let Some(local) = local else { outside(what) };
        local.with_running(|slot, running| f(&local.shared, slot, running)).unwrap_or_else(|| outside(what))
    })
}

pub(crate) fn current() -> Option<Pid> {
    with_local(|local| local?.running.borrow().as_ref().map(|running| running.pid))
}

/// Returns how many messages are in the mailbox of the running process, if that is `pid`.
pub(crate) fn mailbox_len_of(pid: Pid) -> Option<usize> {
    with_local(|local| {
        let running = local?.running.borrow();
        running.as_ref().filter(|running| running.pid == pid).map(|running| running.mailbox.len())
    })
}

#[cold]
fn outside(what: &str) -> ! {
    panic!(
        "riot_actor: `{what}` acts for the running process, and none runs on this thread; \
         call it inside `run` or `spawn`, or take a `Handle` there and use that on this thread, such as in \
         a task of tokio"
    )
}

/// Returns the pid of the running process.
///
/// ```
/// # use riot_actor::{receive, run, send, this};
/// # run(async {
/// send(this(), 1_u8);
/// assert_eq!(receive::<u8>().await, 1);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process; see [`try_this`](crate::process::try_this).
#[must_use]
pub fn this() -> Pid {
    with_running("this", |_, _, running| running.pid)
}

/// Returns the pid of the running process, if one runs on this thread.
///
/// ```
/// # use riot_actor::process::try_this;
/// assert_eq!(try_this(), None);
/// # riot_actor::run(async {
/// assert_eq!(try_this(), Some(riot_actor::this()));
/// # });
/// ```
#[must_use]
pub fn try_this() -> Option<Pid> {
    current()
}
