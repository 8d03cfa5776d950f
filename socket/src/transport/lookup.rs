//! Looking names up in threads of their own, so that a name server that does not answer keeps no other
//! work from the threads of [`blocking`](riot_actor::runtime::blocking).
//!
//! The system's function cannot be interrupted. A look-up that is given up makes room for another one at
//! once; its thread ends when the system returns.

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, ToSocketAddrs},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
};

use parking_lot::Mutex;

use crate::io::wake::wake_all;

/// Bounds the look-ups at one time: 8. The others wait.
const MAX_LOOKUPS: usize = 8;

/// Bounds the threads, those of look-ups that were given up included: 64.
const MAX_THREADS: usize = 64;

type Found = io::Result<Vec<SocketAddr>>;

/// Returns the addresses of a name with a port, such as `example.org:80`. An address needs no thread.
///
/// Cancel safe: a future that is dropped gives its look-up up.
pub(super) async fn look_up(name: &str) -> Found {
    static LOOKUPS: Lookups = Lookups {
        state: Mutex::new(LookupState::new()),
        resolve: |name| Ok(name.to_socket_addrs()?.collect()),
    };
    match name.parse() {
        Ok(address) => Ok(vec![address]),
        Err(_) => LOOKUPS.start(name).await,
    }
}

/// The look-ups of a program.
struct Lookups {
    state: Mutex<LookupState>,
    resolve: fn(&str) -> Found,
}

struct LookupState {
    /// Look-ups that run and have not been given up.
    running: usize,
    /// Threads, those of look-ups that were given up included.
    threads: usize,
    queue: VecDeque<Arc<Lookup>>,
}

impl LookupState {
    const fn new() -> Self {
        Self { running: 0, threads: 0, queue: VecDeque::new() }
    }

    /// Takes the next look-up out of the queue, if it may run.
    fn next(&mut self) -> Option<Arc<Lookup>> {
        let next = if self.running < MAX_LOOKUPS { self.queue.pop_front() } else { None };
        self.running += usize::from(next.is_some());
        next
    }
}

struct Lookup {
    name: String,
    progress: Mutex<Progress>,
}

enum Progress {
    Waiting(Option<Waker>),
    Done(Found),
    /// The look-up was given up, or its result was taken.
    Over,
}

/// A look-up that is under way. Dropping it gives it up.
struct PendingLookup {
    lookups: &'static Lookups,
    lookup: Arc<Lookup>,
}

impl Lookups {
    fn start(&'static self, name: &str) -> PendingLookup {
        let lookup = Arc::new(Lookup { name: name.into(), progress: Mutex::new(Progress::Waiting(None)) });
        self.state.lock().queue.push_back(lookup.clone());
        self.run_next();
        PendingLookup { lookups: self, lookup }
    }

    /// Starts threads for look-ups that may run.
    fn run_next(&'static self) {
        loop {
            let mut state = self.state.lock();
            if state.threads >= MAX_THREADS {
                return;
            }
            let Some(lookup) = state.next() else { return };
            state.threads += 1;
            drop(state);
            let running = lookup.clone();
            let thread = thread::Builder::new().name("riot-lookup".into());
            if let Err(error) = thread.spawn(move || self.run(running)) {
                self.state.lock().threads -= 1;
                self.finish(&lookup, Err(error));
            }
        }
    }

    /// Runs look-ups, one after the other, while there are some.
    fn run(&'static self, mut lookup: Arc<Lookup>) {
        loop {
            let found = (self.resolve)(&lookup.name);
            self.finish(&lookup, found);
            let mut state = self.state.lock();
            match state.next() {
                Some(next) => lookup = next,
                None => {
                    state.threads -= 1;
                    return;
                }
            }
        }
    }

    fn finish(&self, lookup: &Lookup, found: Found) {
        let mut progress = lookup.progress.lock();
        if matches!(*progress, Progress::Over) {
            return; // It was given up, and is no longer counted.
        }
        let before = std::mem::replace(&mut *progress, Progress::Done(found));
        self.state.lock().running -= 1;
        drop(progress);
        if let Progress::Waiting(Some(waker)) = before {
            wake_all([waker]);
        }
    }
}

impl Future for PendingLookup {
    type Output = Found;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Found> {
        let mut progress = self.lookup.progress.lock();
        match std::mem::replace(&mut *progress, Progress::Over) {
            Progress::Done(found) => Poll::Ready(found),
            Progress::Waiting(_) => {
                *progress = Progress::Waiting(Some(cx.waker().clone()));
                Poll::Pending
            }
            Progress::Over => unreachable!("the future is not polled again"),
        }
    }
}

impl Drop for PendingLookup {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *self.lookup.progress.lock(), Progress::Over);
        let Progress::Waiting(_) = before else { return };
        let mut state = self.lookups.state.lock();
        match state.queue.iter().position(|queued| Arc::ptr_eq(queued, &self.lookup)) {
            Some(position) => drop(state.queue.remove(position)),
            None => {
                state.running -= 1;
                drop(state);
                self.lookups.run_next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Condvar, PoisonError},
        task::Wake,
        thread::Thread,
        time::{Duration, Instant},
    };

    use super::*;

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    /// Waits for a look-up in this thread.
    fn wait(mut lookup: PendingLookup) -> Found {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match Pin::new(&mut lookup).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(found) => return found,
                Poll::Pending => thread::park(),
            }
        }
    }

    /// A name server that answers names that begin with `stuck` only when it is told to.
    struct NameServer {
        state: std::sync::Mutex<(bool, usize)>,
        changed: Condvar,
    }

    impl NameServer {
        const fn new() -> Self {
            Self { state: std::sync::Mutex::new((false, 0)), changed: Condvar::new() }
        }

        fn answer(&self, name: &str) -> Found {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if name.starts_with("stuck") {
                state.1 += 1;
                self.changed.notify_all();
                while !state.0 {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
            Ok(vec![([192, 0, 2, 1], 80).into()])
        }

        /// Waits until so many look-ups are stuck.
        fn wait_for_stuck(&self, number: usize) {
            let limit = Instant::now() + Duration::from_secs(20);
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            while state.1 < number {
                assert!(Instant::now() < limit, "{} are stuck", state.1);
                let waited = self.changed.wait_timeout(state, Duration::from_secs(1));
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            assert_eq!(state.1, number);
        }

        fn release(&self) {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
            self.changed.notify_all();
        }
    }

    #[test]
    fn b24_no_more_than_eight_run_at_once_and_the_others_wait() {
        static SERVER: NameServer = NameServer::new();
        static LOOKUPS: Lookups =
            Lookups { state: Mutex::new(LookupState::new()), resolve: |name| SERVER.answer(name) };
        let stuck: Vec<_> = (0..20).map(|number| LOOKUPS.start(&format!("stuck{number}:80"))).collect();
        SERVER.wait_for_stuck(MAX_LOOKUPS);
        assert_eq!(LOOKUPS.state.lock().queue.len(), 12);
        SERVER.release();
        assert!(stuck.into_iter().all(|lookup| wait(lookup).is_ok()));
        let state = LOOKUPS.state.lock();
        assert_eq!((state.running, state.queue.len()), (0, 0));
    }

    #[test]
    fn b24_one_that_is_given_up_makes_room_for_another() {
        static SERVER: NameServer = NameServer::new();
        static LOOKUPS: Lookups =
            Lookups { state: Mutex::new(LookupState::new()), resolve: |name| SERVER.answer(name) };
        let stuck: Vec<_> = (0..8).map(|number| LOOKUPS.start(&format!("stuck{number}:80"))).collect();
        SERVER.wait_for_stuck(8);
        let (queued, next) = (LOOKUPS.start("queued:80"), LOOKUPS.start("next:80"));
        drop(queued);
        assert_eq!(LOOKUPS.state.lock().queue.len(), 1);
        drop(stuck);
        assert!(wait(next).is_ok(), "the look-ups before it never end");
        // Threads that are stuck are bounded too.
        for round in 1..=7 {
            let more: Vec<_> = (0..8).map(|_| LOOKUPS.start("stuck:80")).collect();
            SERVER.wait_for_stuck(8 + round * 8);
            drop(more);
        }
        let waiting = LOOKUPS.start("waiting:80");
        assert_eq!(LOOKUPS.state.lock().threads, MAX_THREADS);
        SERVER.release();
        assert!(wait(waiting).is_ok());
    }
}
