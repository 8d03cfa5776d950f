//! A runtime on one thread: a seed chooses which process runs next, and the clock jumps when none can.
//!
//! A run is a function of its seed: one that fails is replayed by running the seed again.

use std::{
    future::Future,
    hint::cold_path,
    rc::Rc,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    config::{Config, RunError, check_can_run},
    context::{self, Local},
    kernel::{
        observed::{note_wait, noted_wait},
        process::Process,
        slice::run_slice,
    },
    scheduler::LocalQueue,
    shared::{Scheduling, Shared},
    shutdown::EndWaiter,
};
use crate::{
    observe::repeats::Repeated,
    process::reason::{Outcome, Reason},
    sync::lock::lock,
    time::clock::{Clock, deadline_after},
};

/// The runnable processes of a simulation, in the order that the seed chooses.
pub(crate) struct SimulatedQueue(Mutex<Schedule>);

struct Schedule {
    #[expect(clippy::vec_box, reason = "a process keeps its one allocation wherever it goes")]
    runnable: Vec<Box<Process>>,
    random: Xorshift,
    /// How many processes are interrupted in the middle of a poll.
    interrupted: usize,
}

impl SimulatedQueue {
    pub(crate) fn push(&self, process: Box<Process>) {
        lock(&self.0).runnable.push(process);
    }

    fn new(seed: u64) -> Self {
        Self(Mutex::new(Schedule { runnable: Vec::new(), random: Xorshift::new(seed), interrupted: 0 }))
    }

    fn take(&self) -> Option<Box<Process>> {
        let Schedule { runnable, random, .. } = &mut *lock(&self.0);
        if runnable.is_empty() {
            return None;
        }
        let at = random.below(runnable.len());
        Some(runnable.swap_remove(at))
    }

    /// Takes a process that runs in the middle of another one's poll, if the seed says so.
    fn interrupt(&self) -> Option<Box<Process>> {
        {
            let chance = &mut *lock(&self.0);
            if chance.interrupted == MAX_INTERRUPTED || chance.random.below(2) == 0 {
                return None;
            }
        }
        let process = self.take()?;
        lock(&self.0).interrupted += 1;
        Some(process)
    }

    pub(crate) fn random(&self) -> u64 {
        lock(&self.0).random.next()
    }

    fn resume(&self) {
        lock(&self.0).interrupted -= 1;
    }
}

/// Processes interrupted at once at most: each keeps its stack.
const MAX_INTERRUPTED: usize = 8;

/// Marks a point where other processes may run in the middle of the caller's poll, as they would on other
/// workers. The seed chooses which, if any. Does nothing outside a simulation.
///
/// Use it in code whose interleavings are to be tested: between a future's check and its `Pending`, in a
/// destructor, in a guard of a receive.
///
/// The caller must hold no lock that the others take: there is one thread, so they would wait forever.
///
/// ```
/// use riot_actor::{
///     exit, mailbox::receive_if, process::wait, send, simulation::{Simulation, interleave}, spawn, this,
///     Reason,
/// };
///
/// Simulation::sweep(0..100, || async {
///     let main = this();
///     let victim = spawn(async move {
///         // If it is killed during the guard it receives nothing.
///         receive_if(|_: &u8| { interleave(); true }).await;
///         send(main, "received");
///     });
///     spawn(async move { exit(victim, Reason::Kill) });
///     send(victim, 1_u8);
///     wait(victim).await;
/// });
/// ```
pub fn interleave() {
    context::with_local(|local| {
        let Some(local) = local else { return };
        let Some(queue) = local.shared.simulated().filter(|_| local.polling.get()) else { return };
        while let Some(process) = queue.interrupt() {
            let interrupted = local.running.take();
            let wait = noted_wait();
            local.polling.set(false);
            run_one(local, process);
            local.polling.set(true);
            if let Some(interrupted) = interrupted {
                local.begin(interrupted);
            }
            note_wait(wait);
            queue.resume();
        }
    });
}

impl Shared {
    /// Marks a point in the release of a process, which is no longer the running one, as [`interleave`] does
    /// in a poll.
    #[inline]
    pub(crate) fn interleave_released(&self, local: &Local) {
        if let Some(queue) = self.simulated() {
            cold_path();
            interleave_released_slow(local, queue);
        }
    }
}

#[inline(never)]
fn interleave_released_slow(local: &Local, queue: &SimulatedQueue) {
    debug_assert!(!local.polling.get() && local.running.borrow().is_none(), "no process runs");
    while let Some(process) = queue.interrupt() {
        run_one(local, process);
        queue.resume();
    }
}

/// Runs one poll slice of a process.
#[inline(never)]
fn run_one(local: &Local, process: Box<Process>) {
    let runnable = run_slice(local, process);
    local.shared.enqueue(runnable);
}

/// Runs a program under a seed and with a virtual clock.
///
/// ```
/// use std::time::Duration;
/// use riot_actor::{now, simulation::Simulation, sleep};
///
/// Simulation::new(1).run(async {
///     let start = now();
///     sleep(Duration::from_secs(3600)).await; // takes no real time
///     assert!(now() - start >= Duration::from_secs(3600));
/// });
/// ```
#[derive(Debug)]
#[must_use = "nothing runs before `run`"]
pub struct Simulation {
    seed: u64,
    config: Config,
}

impl Simulation {
    /// Makes a simulation that takes its choices from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, config: Config::new() }
    }

    /// Sets the settings of the runtime; those about threads mean nothing here.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Runs a program, made anew for each seed, for every seed in `seeds`.
    ///
    /// # Panics
    /// Panics if a run ends otherwise than with [`Reason::Normal`]; the message names the seed. (A
    /// `main` that was ended by a link has shown nothing, however clean its reason.)
    #[track_caller]
    pub fn sweep<F>(seeds: impl IntoIterator<Item = u64>, program: impl Fn() -> F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        for seed in seeds {
            let reason = Simulation::new(seed).run(program());
            assert!(matches!(reason, Reason::Normal), "seed {seed}: {reason}");
        }
    }

    /// Runs `main` until all processes have exited, and returns the exit reason of `main`.
    ///
    /// # Panics
    /// Panics where [`try_run`](Self::try_run) returns an error; or on a deadlock, when every
    /// process waits for something that can never come: the message lists them.
    pub fn run<F>(self, main: F) -> Reason
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        self.try_run(main).unwrap_or_else(|error| panic!("Simulation::run: {error}"))
    }

    /// Runs `main`, as [`run`](Self::run) does, and returns an error where the program does not start.
    ///
    /// # Errors
    /// If it is called inside a process, an application does not start, or the config asks for tokio, which
    /// has a clock and a world of its own.
    ///
    /// # Panics
    /// Panics on a deadlock.
    pub fn try_run<F>(self, main: F) -> Result<Reason, RunError>
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        check_can_run()?;
        #[cfg(feature = "tokio")]
        if self.config.tokio.is_wanted() {
            return Err(RunError::TokioInSimulation);
        }
        let queue = SimulatedQueue::new(self.seed);
        let applications = self.config.take_applications();
        let shared = Shared::new(self.config, Clock::new_virtual(), Scheduling::Simulated(queue));
        let local = Local::new(shared.clone(), 0, LocalQueue::new());
        let mut world = World { shared, local: local.clone(), seed: self.seed };
        context::enter(&local, || {
            world.shared.start(applications, main);
            world.run()
        })
    }
}

struct World {
    shared: Arc<Shared>,
    local: Rc<Local>,
    seed: u64,
}

impl World {
    /// Runs until the program has ended and all its processes are released.
    fn run(&mut self) -> Result<Reason, RunError> {
        let reason = loop {
            if let Some(reason) = self.shared.end_reason() {
                break reason;
            }
            self.step(None);
        };
        let _all_ended = self.shared.clone().end_processes(self);
        // A killed process that makes new ones in its destructor is polled for as long as it takes.
        while self.shared.live() > 0 {
            self.step(None);
        }
        self.shared.timers.clear();
        self.shared.repeats.take_due(self.shared.now(), true).into_iter().for_each(Repeated::print);
        self.shared.outcome(reason)
    }

    /// Runs one process, or else advances the clock to the next timer, but not beyond `deadline`.
    fn step(&mut self, deadline: Option<Instant>) {
        let Some(queue) = self.shared.simulated() else { unreachable!("a simulation has its own queue") };
        if let Some(process) = queue.take() {
            self.shared.clock().advance_to(self.shared.now() + Duration::from_nanos(100));
            return run_one(&self.local, process);
        }
        let next = match (self.shared.timers.next_deadline(), deadline) {
            (Some(timer), Some(deadline)) => timer.min(deadline),
            (Some(timer), None) => timer,
            (None, Some(deadline)) => deadline,
            (None, None) => self.deadlock(),
        };
        self.shared.clock().advance_to(next);
        self.shared.timers.fire(&self.shared, self.shared.now());
    }

    fn deadlock(&self) -> ! {
        let mut waiting = String::new();
        for info in self.shared.processes().into_iter().filter_map(|pid| self.shared.info(pid)) {
            waiting += &format!(
                "\n  {} {} {}, {} messages in its mailbox",
                info.pid,
                info.label.as_deref().unwrap_or("-"),
                info.state,
                info.mailbox
            );
        }
        for ring in self.shared.handle().wait_graph().rings {
            waiting += "\n  ring of calls:";
            for edge in ring {
                waiting += &format!(" {} calls {} with {};", edge.from, edge.to, edge.request);
            }
        }
        panic!("deadlock under seed {}: no process can run and no timer is set{waiting}", self.seed)
    }
}

/// Processes run, and the clock advances, until it is over or too late.
impl EndWaiter for World {
    fn until(&mut self, timeout: Duration, is_over: &dyn Fn() -> bool) -> bool {
        let deadline = deadline_after(self.shared.now(), timeout);
        while !is_over() {
            if deadline.is_some_and(|deadline| self.shared.now() >= deadline) {
                return false;
            }
            self.step(deadline);
        }
        true
    }

    fn warn(&mut self, warning: String) {
        crate::log_event!(WARN, "riot::shutdown", "{warning}");
    }
}

/// Marsaglia's xorshift: fast, and the same on every platform.
struct Xorshift(u64);

impl Xorshift {
    fn new(seed: u64) -> Self {
        // Adjacent seeds must not give similar runs, and a state of zero would stay zero.
        Self((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
