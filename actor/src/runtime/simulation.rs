//! The same runtime on one thread: a seed chooses who runs next, and time jumps when nobody can.
//!
//! A run is a function of its seed: one that fails is replayed by running the seed runnable.

use std::{
    future::Future,
    rc::Rc,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::{
    process::reason::{Outcome, Reason},
    runtime::{
        config::{Config, RunError, check_can_run},
        context::{self, Local},
        kernel::{record::Process, slice::run_slice},
        scheduler::LocalQueue,
        shared::{Scheduling, Shared},
    },
    sync::lock::lock,
    time::clock::Clock,
};

/// Processes runnable to run in a simulation, in no order but the seed's.
pub(crate) struct SimulatedQueue(Mutex<Schedule>);

struct Schedule {
    #[expect(clippy::vec_box, reason = "a process keeps its one allocation wherever it goes")]
    runnable: Vec<Box<Process>>,
    random: Random,
    /// How many processes are in the midst of a poll while another one runs.
    interrupted: usize,
}

impl SimulatedQueue {
    pub(crate) fn push(&self, process: Box<Process>) {
        lock(&self.0).runnable.push(process);
    }

    fn new(seed: u64) -> Self {
        Self(Mutex::new(Schedule { runnable: Vec::new(), random: Random::new(seed), interrupted: 0 }))
    }

    fn take(&self) -> Option<Box<Process>> {
        let Schedule { runnable, random, .. } = &mut *lock(&self.0);
        if runnable.is_empty() {
            return None;
        }
        let at = random.below(runnable.len());
        Some(runnable.swap_remove(at))
    }

    /// A process that runs while another one is in the midst of its poll, if the seed says so.
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

/// Processes interrupted at once: each keeps its stack.
const MAX_INTERRUPTED: usize = 8;

/// A point where other processes may run before the caller goes on, in the midst of its poll, as they would on other
/// workers: the seed chooses which, if any. For code that is to be tried against others in between: a future's `poll`
/// between its look and its `Pending`, a destructor, a guard of a receive. Does nothing outside a simulation.
///
/// The caller must hold no lock the others take: there is one thread, and nobody to let go of it.
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
///         // Killed while it looks, it receives nothing.
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
            local.polling.set(false);
            let runnable = run_slice(local, process);
            local.shared.enqueue(runnable);
            local.polling.set(true);
            if let Some(interrupted) = interrupted {
                local.begin(interrupted);
            }
            queue.resume();
        }
    });
}

/// Runs a program under a seed and a clock of its own.
///
/// ```
/// use std::time::Duration;
/// use riot_actor::{now, simulation::Simulation, sleep};
///
/// Simulation::new(1).run(async {
///     let start = now();
///     sleep(Duration::from_secs(3600)).await;      // takes no time at all
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
    /// A simulation that takes its choices from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, config: Config::new() }
    }

    /// The settings of the runtime; those about threads mean nothing here.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Runs a program made anew for each seed, for every seed in `seeds`.
    ///
    /// # Panics
    /// Filter a run ends otherwise than [`Reason::Normal`]; the message names the seed that did it. (A `main` that was taken
    /// along by a link has not shown anything, however clean its end.)
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

    /// Runs `main` until all processes have ended, and returns why it did.
    ///
    /// # Panics
    /// Where [`try_run`](Self::try_run) gives an error; or on a deadlock, when every process waits for what can never come:
    /// the message lists them.
    pub fn run<F>(self, main: F) -> Reason
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        self.try_run(main).unwrap_or_else(|error| panic!("Simulation::run: {error}"))
    }

    /// [`run`](Self::run) for programs that may not even start.
    ///
    /// # Errors
    /// Inside a process; if an application does not start.
    ///
    /// # Panics
    /// On a deadlock.
    pub fn try_run<F>(self, main: F) -> Result<Reason, RunError>
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        check_can_run()?;
        let queue = SimulatedQueue::new(self.seed);
        let applications = self.config.take_applications();
        let shared = Shared::new(self.config, Clock::by_hand(), Scheduling::Simulated(queue));
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
    /// Runs until the program has ended, and all its processes.
    fn run(&mut self) -> Result<Reason, RunError> {
        let reason = loop {
            if let Some(reason) = self.shared.end_reason() {
                break reason;
            }
            self.step(None);
        };
        if let Some(applications) = self.shared.stop_applications() {
            while self.shared.is_present(applications) {
                self.step(None);
            }
        }
        self.shared.ask_all();
        let deadline = self.shared.now() + self.shared.config.shutdown_timeout;
        while self.shared.live() > 0 && self.shared.now() < deadline {
            self.step(Some(deadline));
        }
        if self.shared.live() > 0 {
            self.shared.kill_all();
        }
        while self.shared.live() > 0 {
            self.step(None);
        }
        self.shared.timers.clear();
        self.shared.outcome(reason)
    }

    /// Runs one process, or else moves the clock to the next timer, but not beyond `deadline`.
    fn step(&mut self, deadline: Option<Instant>) {
        let Some(queue) = self.shared.simulated() else { unreachable!("a simulation has its own queue") };
        if let Some(process) = queue.take() {
            self.shared.clock().advance_to(self.shared.now() + Duration::from_nanos(100));
            let runnable = run_slice(&self.local, process);
            self.shared.enqueue(runnable);
            return;
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
        panic!("deadlock under seed {}: nobody can run and no timer is set{waiting}", self.seed)
    }
}

/// Marsaglia's xorshift: fast, and the same everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // Seeds next to each other must not give runs next to each other, and zero would stay zero.
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
