//! The running supervisor beside a plain model of the rules, under random histories.
//!
//! A history is a row of batches. While a batch is made the supervisor is held in a start function, so that
//! ends and requests queue up in its mailbox in the order of the batch, as in a busy system. Then it is
//! released, and its starts, stops, answers and children must equal those of the model. Between batches time
//! passes.
#[path = "../common/mod.rs"]
mod common;
mod histories;
mod play;
mod rules;
mod world;

use std::{
    collections::{HashSet, VecDeque},
    future::{Future, poll_fn, ready},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
    time::Duration,
};

use self::{histories::history, play::play, rules::*, world::*};
use common::*;
use proptest::prelude::*;
use riot_actor::{
    Exit, Pid, Reason,
    call::CallError,
    exit,
    mailbox::receive_if,
    process::{SpawnOptions, processes, wait, yield_now},
    send,
    simulation::Simulation,
    sleep, trap_exit,
};
use riot_supervisor::{
    AutoShutdown, ChildError, ChildKey, ChildSpec, DeleteChildError, Ignore, Restart, RestartChildError,
    StartChildError, Supervisor, SupervisorRef, SupervisorStartError, worker,
};

pub(crate) const IDS: usize = 6;
/// No sum of delays is a period, so no attempt lies on the edge of one.
pub(crate) const PERIOD: u64 = 5_503;
pub(crate) const RETRY_DELAY: u64 = 2_317;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    OneForOne,
    OneForAll,
    RestForOne,
    Dynamic,
}

/// The result of a start function.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Up,
    Fail,
    Panic,
    Ignore,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Finish,
    Fail,
    Panic,
    Kill,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A child ends by itself. The outcomes are those of its next starts.
    End(usize, End, Vec<Outcome>),
    Start(usize, Restart, bool, Outcome),
    Terminate(usize),
    Restart(usize, Outcome),
    Delete(usize),
    /// The parent sends an exit signal to the supervisor.
    Shutdown,
    Stop,
}

#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) shape: Shape,
    pub(crate) auto_shutdown: AutoShutdown,
    pub(crate) max_restarts: usize,
    pub(crate) retry_delay: u64,
    pub(crate) first: Vec<(Restart, bool, Outcome)>,
    /// The steps of a batch, and the seconds that pass after it.
    pub(crate) batches: Vec<(Vec<Step>, u64)>,
    pub(crate) seed: u64,
}

fn equals_the_model(history: History) -> Result<(), TestCaseError> {
    let reason = Simulation::new(history.seed).run(play(history));
    prop_assert_eq!(reason, Reason::Normal);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn one_for_one_equals_the_model(history in history(Shape::OneForOne)) {
        equals_the_model(history)?;
    }
    #[test]
    fn one_for_all_equals_the_model(history in history(Shape::OneForAll)) {
        equals_the_model(history)?;
    }
    #[test]
    fn rest_for_one_equals_the_model(history in history(Shape::RestForOne)) {
        equals_the_model(history)?;
    }
    #[test]
    fn dynamic_equals_the_model(history in history(Shape::Dynamic)) {
        equals_the_model(history)?;
    }
}
