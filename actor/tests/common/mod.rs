//! Running a program on every kind of runtime, and helpers for tests.
#![allow(dead_code, unreachable_pub, reason = "every file of tests uses a part of it")]

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

pub mod leaks;
pub mod talker;

use riot_actor::{
    Pid, Reason, process::try_this, runtime::Config, send, simulation::Simulation, telemetry::CrashReport,
    this,
};

/// Runs a program under many seeds, and on two threads.
#[track_caller]
pub fn everywhere<F: Future<Output = ()> + Send + 'static>(program: impl Fn() -> F) {
    simulated(&program);
    threaded(program);
}

/// Runs a large program under a few seeds, and on two threads.
#[track_caller]
pub fn everywhere_few<F: Future<Output = ()> + Send + 'static>(program: impl Fn() -> F) {
    Simulation::sweep(0..5, &program);
    threaded(program);
}

/// Runs a program under many seeds, for promises that depend on time.
#[track_caller]
pub fn simulated<F: Future<Output = ()> + Send + 'static>(program: impl Fn() -> F) {
    Simulation::sweep(0..50, program);
}

/// Runs a program on two threads.
#[track_caller]
pub fn threaded<F: Future<Output = ()> + Send + 'static>(program: impl Fn() -> F) {
    let reason = Config::new().workers(2).run(program()).expect("it runs");
    assert_eq!(reason, Reason::Normal, "on two threads");
}

/// Runs a program on one thread, for promises about one worker.
#[track_caller]
pub fn on_one_worker<F: Future<Output = ()> + Send + 'static>(program: impl Fn() -> F) {
    let reason = Config::new().workers(1).run(program()).expect("it runs");
    assert_eq!(reason, Reason::Normal, "on one thread");
}

pub type Crashes = Arc<Mutex<Vec<CrashReport>>>;

/// Runs a program on every kind of runtime and gives it the crash reports.
#[track_caller]
pub fn everywhere_with_crash_reports<F: Future<Output = ()> + Send + 'static>(
    program: impl Fn(Crashes) -> F,
) {
    let config = |crashes: &Crashes| {
        let crashes = crashes.clone();
        Config::new().workers(2).on_crash(move |report| crashes.lock().unwrap().push(report.clone()))
    };
    for seed in 0..50 {
        let crashes = Crashes::default();
        let reason = Simulation::new(seed).config(config(&crashes)).run(program(crashes));
        assert_eq!(reason, Reason::Normal, "seed {seed}");
    }
    let crashes = Crashes::default();
    let reason = config(&crashes).run(program(crashes)).expect("it runs");
    assert_eq!(reason, Reason::Normal, "on two threads");
}

/// Calls a function when it is dropped.
pub struct OnDrop<F: FnMut() + Send>(pub F);

impl<F: FnMut() + Send> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Tells an observer that it is dropped, and in which process.
#[derive(Debug)]
pub struct Token {
    pub what: &'static str,
    pub observer: Pid,
}

#[derive(Debug, PartialEq)]
pub struct Dropped(pub &'static str, pub Option<Pid>);

impl Token {
    pub fn new(what: &'static str) -> Self {
        Self { what, observer: this() }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        send(self.observer, Dropped(self.what, try_this()));
    }
}

#[derive(Clone, Default)]
pub struct Counter(Arc<AtomicUsize>);

impl Counter {
    pub fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
