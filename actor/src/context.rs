//! Who is running here: the worker of this thread, and the process it polls.
//!
//! Set around every poll and cleared after it, so nothing of a process is left behind on a thread.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use crate::{pid::Pid, process::Process, runtime::Shared, scheduler::LocalQueue};

thread_local! {
    static LOCAL: RefCell<Option<Rc<Local>>> = const { RefCell::new(None) };
}

/// What belongs to the thread of a worker (or of a simulation).
pub(crate) struct Local {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
    pub(crate) queue: LocalQueue,
    /// The process that is polled: while it runs its own code finds it here.
    pub(crate) running: RefCell<Option<Box<Process>>>,
    /// What the driver gave to whoever installed it.
    pub(crate) driver_handle: RefCell<Option<Rc<dyn Any>>>,
    /// Whether a process is being polled, as opposed to the worker looking for one.
    pub(crate) polling: Cell<bool>,
    /// Whether a handler of traced events runs: what it does is not traced.
    pub(crate) tracing: Cell<bool>,
}

/// Makes this the thread of `local` until the guard is dropped.
pub(crate) fn enter(local: Rc<Local>) -> Entered {
    LOCAL.with(|here| {
        let mut here = here.borrow_mut();
        assert!(here.is_none(), "a thread belongs to one runtime at a time");
        *here = Some(local);
    });
    Entered
}

pub(crate) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        let local = LOCAL.with(|here| here.borrow_mut().take());
        drop(local);
    }
}

/// Whether this thread belongs to a runtime.
pub(crate) fn is_entered() -> bool {
    LOCAL.with(|here| here.borrow().is_some())
}

pub(crate) fn with_local<R>(f: impl FnOnce(Option<&Local>) -> R) -> R {
    // At the end of a thread its locals are gone before other destructors have run.
    let mut f = Some(f);
    let ran = LOCAL.try_with(|here| {
        let here = here.borrow();
        (f.take().expect("it runs once"))(here.as_deref())
    });
    ran.unwrap_or_else(|_| (f.take().expect("it has not run"))(None))
}

/// The runtime of the running process.
pub(crate) fn with_shared<R>(what: &str, f: impl FnOnce(&Arc<Shared>) -> R) -> R {
    with_local(|local| match local {
        Some(local) => f(&local.shared),
        None => outside(what),
    })
}

/// The running process.
pub(crate) fn with_running<R>(what: &str, f: impl FnOnce(&Shared, &mut Process) -> R) -> R {
    with_local(|local| {
        let Some(local) = local else { outside(what) };
        let mut running = local.running.borrow_mut();
        match running.as_mut() {
            Some(running) => f(&local.shared, running),
            None => {
                drop(running);
                outside(what)
            }
        }
    })
}

pub(crate) fn current() -> Option<Pid> {
    with_local(|local| local?.running.borrow().as_ref().map(|running| running.pid))
}

/// How many messages the running process holds, if that is `pid`.
pub(crate) fn held(pid: Pid) -> Option<usize> {
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
