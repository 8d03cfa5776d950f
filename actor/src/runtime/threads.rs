//! The threads of a runtime: started by name, and joined within a time.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use crate::sync::lock::lock;

/// A set of threads. A thread that has done its work is joined by the next call that starts or awaits one.
#[derive(Clone, Default)]
pub(crate) struct Threads {
    inner: Arc<(Mutex<All>, Condvar)>,
}

#[derive(Default)]
struct All {
    started: u64,
    /// Threads that have not done their work. The handle is missing while its thread is being started.
    running: HashMap<u64, Option<JoinHandle<()>>>,
    /// Threads that have done their work, so that joining one takes no time.
    done: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts a thread.
    ///
    /// # Errors
    /// If the system refuses it.
    pub(crate) fn start(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let id = {
            let mut all = lock(&self.inner.0);
            all.started += 1;
            let id = all.started;
            all.running.insert(id, None);
            id
        };
        let leaving = Leaving { threads: self.clone(), id };
        let started = Builder::new().name(name.into()).spawn(move || {
            let _leaving = leaving;
            work();
        });
        let done = {
            let mut all = lock(&self.inner.0);
            match started {
                // A closure that was not started has been dropped, and its entry with it.
                Err(error) => return Err(error),
                Ok(thread) => match all.running.get_mut(&id) {
                    Some(handle) => *handle = Some(thread),
                    None => all.done.push(thread),
                },
            }
            std::mem::take(&mut all.done)
        };
        join(done);
        Ok(())
    }

    /// Waits until at most `left` threads have work, for `timeout` at most, and joins the others. Returns
    /// whether it is so.
    pub(crate) fn join(&self, left: usize, timeout: Duration) -> bool {
        let began = Instant::now();
        let (all, changed) = &*self.inner;
        let mut all = lock(all);
        while all.running.len() > left {
            let remaining = timeout.saturating_sub(began.elapsed());
            if remaining.is_zero() {
                break;
            }
            all = changed.wait_timeout(all, remaining).unwrap_or_else(PoisonError::into_inner).0;
        }
        let in_time = all.running.len() <= left;
        let done = std::mem::take(&mut all.done);
        drop(all);
        join(done);
        in_time
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        if thread.join().is_err() {
            // The code of users runs in guards, so this is a bug in the runtime.
            std::process::abort();
        }
    }
}

/// Notes the end of a thread's work when it is dropped.
struct Leaving {
    threads: Threads,
    id: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let (all, changed) = &*self.threads.inner;
        let mut all = lock(all);
        let handle = all.running.remove(&self.id).flatten();
        all.done.extend(handle);
        drop(all);
        changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn threads_that_have_done_their_work_are_joined_and_others_are_waited_for_in_vain() {
        let threads = Threads::default();
        let (go, wait) = mpsc::channel::<()>();
        for _ in 0..10 {
            threads.start("short", || ()).expect("the system has threads");
        }
        threads.start("long", move || _ = wait.recv()).expect("the system has threads");
        assert!(threads.join(1, Duration::from_secs(60)));
        assert!(!threads.join(0, Duration::from_millis(10)));
        drop(go);
        assert!(threads.join(0, Duration::from_secs(60)));
        let all = lock(&threads.inner.0);
        assert!(all.running.is_empty() && all.done.is_empty());
    }
}
