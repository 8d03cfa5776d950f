//! SIGINT and SIGTERM: the first asks the runtime to shut down, the second ends the program at once.

use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, Weak, atomic::AtomicBool},
    thread::JoinHandle,
};

use signal_hook::{SigId, consts, flag, low_level};

use super::shared::Shared;
use crate::{process::reason::Reason, sync::lock::lock};

/// The signals, and the exit codes that a shell shows for a program that they have ended.
const SIGNALS: [(i32, i32); 2] = [(consts::SIGINT, 130), (consts::SIGTERM, 143)];

/// Listens for the signals until it is dropped.
pub(crate) struct Listener {
    registered: Vec<SigId>,
    thread: Option<JoinHandle<()>>,
}

/// The state of all runtimes of the program, which share the signals.
static LISTENERS: Mutex<Listeners> = Mutex::new(Listeners { count: 0, defaults: Vec::new() });

struct Listeners {
    count: usize,
    /// The handlers that restore the default action of the signals while no runtime listens.
    defaults: Vec<SigId>,
}

impl Listener {
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let mut registered = Vec::new();
        let started = register(&mut registered).and_then(|pipe| listen(pipe, Arc::downgrade(shared)));
        let mut listeners = lock(&LISTENERS);
        listeners.count += 1;
        listeners.defaults.drain(..).for_each(unregister);
        drop(listeners);
        let (thread, error) = match started {
            Ok(thread) => (Some(thread), None),
            Err(error) => (None, Some(error)),
        };
        let listener = Self { registered, thread };
        error.map_or(Ok(listener), Err)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        {
            let mut listeners = lock(&LISTENERS);
            listeners.count -= 1;
            if listeners.count == 0 {
                let always = Arc::new(AtomicBool::new(true));
                let defaults = SIGNALS.iter().filter_map(|&(signal, _)| {
                    flag::register_conditional_default(signal, always.clone()).ok()
                });
                listeners.defaults = defaults.collect();
            }
        }
        // They own the other end of the pipe, so the thread ends.
        self.registered.drain(..).for_each(unregister);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            std::process::abort();
        }
    }
}

fn unregister(id: SigId) {
    low_level::unregister(id);
}

fn register(registered: &mut Vec<SigId>) -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    let once = Arc::new(AtomicBool::new(false));
    for (signal, code) in SIGNALS {
        // Handlers run in the order in which they were registered: the first signal finds the flag unset, and
        // sets it.
        registered.push(flag::register_conditional_shutdown(signal, code, once.clone())?);
        registered.push(flag::register(signal, once.clone())?);
        registered.push(low_level::pipe::register(signal, write.try_clone()?)?);
    }
    Ok(read)
}

fn listen(mut pipe: UnixStream, shared: Weak<Shared>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("riot-signals".into()).spawn(move || {
        while let Ok(1..) = pipe.read(&mut [0]) {
            if let Some(shared) = shared.upgrade() {
                shared.shut_down(Reason::Shutdown);
            }
        }
    })
}
