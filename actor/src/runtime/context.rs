//! Who is running here: the worker of this thread, and the process it polls.
//!
//! Set around every poll and cleared after it, so nothing of a process is left behind on a thread.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    ptr::{self, NonNull},
    rc::Rc,
    sync::Arc,
};

use crate::{
    process::pid::Pid,
    runtime::{
        kernel::{
            record::{Process, Slot},
            table::FreeList,
        },
        scheduler::LocalQueue,
        shared::Shared,
    },
};

thread_local! {
    /// The `Local` of an [`enter`] that has not returned, or null. A pointer, since every send and receive looks here, and
    /// nothing has to be counted, or destroyed with the thread.
    static LOCAL: Cell<*const Local> = const { Cell::new(ptr::null()) };
}

/// What belongs to the thread of a worker (or of a simulation).
pub(crate) struct Local {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
    pub(crate) queue: LocalQueue,
    /// The process that is polled: while it runs its own code finds it here. Put there by [`Local::begin`].
    pub(crate) running: RefCell<Option<Box<Process>>>,
    /// Its place, or that of the one before; none before the first.
    place: Cell<Option<NonNull<Slot>>>,
    /// FreeList in the table for the processes that are spawned here.
    pub(crate) free_list: RefCell<FreeList>,
    /// What the driver gave to whoever installed it.
    pub(crate) driver_handle: RefCell<Option<Rc<dyn Any>>>,
    /// Whether a process is being polled, as opposed to the worker looking for one.
    pub(crate) polling: Cell<bool>,
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
            place: Cell::new(None),
            free_list: RefCell::default(),
            driver_handle: RefCell::new(None),
            polling: Cell::new(false),
            tracing: Cell::new(false),
        })
    }

    /// Makes a process the running one; this is its place.
    #[inline(always)]
    pub(crate) fn begin(&self, process: Box<Process>) -> &Slot {
        let slot = self.shared.table.slot_at(&process);
        self.place.set(Some(NonNull::from(slot)));
        let before = self.running.replace(Some(process));
        debug_assert!(before.is_none(), "one process runs at a time");
        slot
    }

    /// Shows `f` the running process and its place.
    #[inline]
    #[expect(unsafe_code, reason = "see the proof")]
    pub(crate) fn with_running<R>(&self, f: impl FnOnce(&Slot, &mut Process) -> R) -> Option<R> {
        let mut running = self.running.borrow_mut();
        let process = running.as_mut()?;
        // SAFETY: what is there came from a reference into our table, where free_list neither move nor go away before the
        // table does; and we are borrowed, and the table with us.
        let slot = unsafe { self.place.get()?.as_ref() };
        debug_assert!(std::ptr::eq(slot, self.shared.table.slot_at(process)), "`begin` has put both there");
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

/// Whether a process is being polled on this thread.
pub(crate) fn is_polling() -> bool {
    with_local(|local| local.is_some_and(|local| local.polling.get()))
}

/// Whether this thread belongs to a runtime.
pub(crate) fn is_entered() -> bool {
    !LOCAL.get().is_null()
}

#[inline(always)]
#[expect(unsafe_code, reason = "see the proof")]
pub(crate) fn with_local<R>(f: impl FnOnce(Option<&Local>) -> R) -> R {
    // SAFETY: a pointer that is not null was made of a reference by an `enter` on this thread which is still on the
    // stack below us, so what it refers to is borrowed until after we have returned; `f` cannot keep it longer.
    f(unsafe { LOCAL.get().as_ref() })
}

/// The runtime of the running process.
#[inline]
pub(crate) fn with_shared<R>(what: &str, f: impl FnOnce(&Arc<Shared>) -> R) -> R {
    with_local(|local| match local {
        Some(local) => f(&local.shared),
        None => outside(what),
    })
}

/// The running process.
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

/// How many messages the running process holds, if that is `pid`.
pub(crate) fn mailbox_len_of(pid: Pid) -> Option<usize> {
    with_local(|local| {
        let running = local?.running.borrow();
        running.as_ref().filter(|running| running.pid == pid).map(|running| running.mailbox.len())
    })
}

#[cold]
fn outside(what: &str) -> ! {
    panic!(
        "riot_actor: `{what}` acts for the running process, and none runs on this thread; call it inside `run` or `spawn`, or use a `Handle`"
    )
}
