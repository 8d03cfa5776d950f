//! Children for the tests of a supervisor: they report their starts and stops to the process that made their
//! specs.
#![allow(dead_code, unreachable_pub, reason = "every file of tests uses a part of it")]

use std::{
    future::{Future, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use riot_actor::{
    Exit, Pid, Reason,
    mailbox::receive_timeout,
    process::{SpawnOptions, wait},
    receive,
    runtime::Config,
    send,
    simulation::Simulation,
    this,
};
use riot_supervisor::{ChildSpec, SupervisorRef, worker};

/// Runs a program under many seeds, and on two threads.
#[track_caller]
pub fn everywhere<F: Future<Output = ()> + Send + 'static>(program: impl Fn() -> F) {
    simulated(&program);
    let reason = Config::new().workers(2).run(program()).expect("the process runs");
    // A main process that was ended by a link has shown nothing, however clean its exit reason.
    assert_eq!(reason, Reason::Normal, "on two threads");
}

/// Runs a program that depends on time, under many seeds.
#[track_caller]
pub fn simulated<F: Future<Output = ()> + Send + 'static>(program: impl Fn() -> F) {
    Simulation::sweep(0..50, program);
}

#[derive(Debug)]
pub struct Note(pub String);

/// An order to a child.
#[derive(Clone, Copy, Debug)]
pub enum Do {
    Finish,
    Fail,
    Panic,
}

/// Returns a child that notes `+id` when it is started and `-id` when it is asked to stop.
pub fn child(id: &'static str) -> ChildSpec {
    let observer = this();
    worker(id, move || ready(Ok::<_, Reason>(start(observer, id))))
}

/// Returns a child that fails to start, and notes `!id`, if `fails` says so, given the number of earlier
/// attempts.
pub fn faulty(id: &'static str, fails: impl Fn(usize) -> bool + Send + 'static) -> ChildSpec {
    let (observer, mut tried) = (this(), 0);
    worker(id, move || {
        tried += 1;
        ready(if fails(tried - 1) {
            note(observer, format!("!{id}"));
            Err(Reason::other("faulty"))
        } else {
            Ok(start(observer, id))
        })
    })
}

pub fn note(observer: Pid, text: impl Into<String>) {
    send(observer, Note(text.into()));
}

pub fn start(observer: Pid, id: &'static str) -> Pid {
    let pid = SpawnOptions::new().link().trap_exit().label(id).spawn(body(observer, id));
    note(observer, format!("+{id}"));
    pid
}

async fn body(observer: Pid, id: &'static str) -> Reason {
    riot_actor::receive! {
        exit: Exit => {
            note(observer, format!("-{id}"));
            exit.reason
        }
        order: Do => match order {
            Do::Finish => Reason::Normal,
            Do::Fail => Reason::other("failed"),
            Do::Panic => panic!("{id} panicked"),
        },
    }
}

/// Returns a child that traps exits and never receives them.
pub fn deaf(id: &'static str) -> ChildSpec {
    worker(id, || {
        let pid = SpawnOptions::new().link().trap_exit().spawn(std::future::pending::<()>());
        ready(Ok::<_, Reason>(pid))
    })
}

/// Receives the next notes, and compares them in their order.
#[track_caller]
pub fn notes(expected: &str) -> impl Future<Output = ()> {
    let here = std::panic::Location::caller();
    let expected = expected.to_owned();
    async move {
        let mut noted = Vec::new();
        for _ in expected.split_whitespace() {
            match receive_timeout::<Note>(Duration::from_secs(600)).await {
                Ok(Note(text)) => noted.push(text),
                Err(_) => break,
            }
        }
        assert_eq!(noted.join(" "), expected, "at {here}");
    }
}

/// Checks that nothing more is noted after the supervisor has handled all its messages.
#[track_caller]
pub fn settled(sup: SupervisorRef) -> impl Future<Output = ()> {
    let here = std::panic::Location::caller();
    async move {
        sup.count_children().await.unwrap_or_else(|error| panic!("{error}, at {here}"));
        nothing_noted(here).await;
    }
}

pub async fn nothing_noted(here: &std::panic::Location<'_>) {
    if let Ok(Note(text)) = receive_timeout::<Note>(Duration::ZERO).await {
        panic!("noted {text}, at {here}");
    }
}

pub async fn pid_of(sup: SupervisorRef, id: &'static str) -> Pid {
    let children = sup.which_children().await.expect("the supervisor answers");
    let child = children.iter().find(|child| child.id == id.into()).expect("the child is known");
    child.pid().expect("the process runs")
}

/// Tells a child what to do, and waits until it has ended.
pub async fn tell(sup: SupervisorRef, id: &'static str, order: Do) {
    let pid = pid_of(sup, id).await;
    let end = wait(pid);
    send(pid, order);
    end.await;
}

/// Returns the ids of the children, in their order, with `+` for running, `*` for restarting, `-` for others.
pub async fn which(sup: SupervisorRef) -> String {
    use riot_supervisor::ChildState;
    let children = sup.which_children().await.expect("the supervisor answers");
    let children = children.iter().map(|child| {
        let state = match child.state {
            ChildState::Running(_) => '+',
            ChildState::Restarting => '*',
            ChildState::Stopped => '-',
        };
        format!("{state}{}", child.id)
    });
    children.collect::<Vec<_>>().join(" ")
}

/// Receives the `Exit` of the supervisor, in a test that traps exits.
pub async fn exit_of(sup: SupervisorRef) -> Reason {
    riot_actor::mailbox::receive_if(move |exit: &Exit| exit.from == sup.pid()).await.reason
}

pub async fn go() {
    receive::<Go>().await;
}

/// The message that a slow start function waits for.
pub struct Go;

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
