//! Random trees three levels deep under random crashes: the order of starts and stops, the number of restarts
//! that is too many, no child lives twice, and no process is left.
use std::{
    future::ready,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use riot_actor::{
    Exit, Pid, Reason, exit,
    process::{SpawnOptions, is_alive, processes, yield_now},
    simulation::Simulation,
    sleep, this, trap_exit,
};
use riot_supervisor::{ChildShutdown, ChildSpec, Supervisor, SupervisorRef, supervisor, worker};

const PERIOD: u64 = 2_500;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Strategy {
    OneForOne,
    OneForAll,
    RestForOne,
}

/// The shape of a tree. As the model it also counts the restarts of each supervisor.
#[derive(Clone, Debug)]
enum Node {
    /// A worker. One that traps exits logs that it was asked to stop.
    Worker {
        number: usize,
        traps: bool,
    },
    Supervisor {
        strategy: Strategy,
        max_restarts: usize,
        attempts: Vec<u64>,
        children: Vec<Node>,
    },
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn supervisor(&mut self, depth: usize, workers: &mut usize, wild: bool) -> Node {
        let strategies = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];
        let children = (0..=self.below(3))
            .map(|nth| {
                if depth < 3 && (nth == 0 || self.below(2) == 0) {
                    return self.supervisor(depth + 1, workers, wild);
                }
                *workers += 1;
                Node::Worker { number: *workers - 1, traps: self.below(2) == 0 }
            })
            .collect();
        let max_restarts = if wild { 4 + self.below(20) } else { self.below(5) };
        let strategy = strategies[self.below(3) as usize];
        Node::Supervisor { strategy, max_restarts: max_restarts as usize, attempts: Vec::new(), children }
    }
}

impl Node {
    fn start(&mut self, log: &mut Vec<String>) {
        match self {
            Self::Worker { number, .. } => log.push(format!("+{number}")),
            Self::Supervisor { attempts, children, .. } => {
                attempts.clear();
                children.iter_mut().for_each(|child| child.start(log));
            }
        }
    }

    fn stop(&self, log: &mut Vec<String>) {
        match self {
            Self::Worker { number, traps: true } => log.push(format!("-{number}")),
            Self::Worker { .. } => {}
            Self::Supervisor { children, .. } => children.iter().rev().for_each(|child| child.stop(log)),
        }
    }

    fn workers(&self) -> Vec<usize> {
        match self {
            Self::Worker { number, .. } => vec![*number],
            Self::Supervisor { children, .. } => children.iter().flat_map(Self::workers).collect(),
        }
    }

    fn processes(&self) -> usize {
        match self {
            Self::Worker { .. } => 1,
            Self::Supervisor { children, .. } => 1 + children.iter().map(Self::processes).sum::<usize>(),
        }
    }

    /// Handles the crash of a worker. Returns whether this node has ended with it.
    fn crash(&mut self, victim: usize, now: u64, log: &mut Vec<String>) -> bool {
        let Self::Supervisor { strategy, max_restarts, attempts, children } = self else { return true };
        let at = children.iter().position(|child| child.workers().contains(&victim));
        let at = at.expect("the worker is in this tree");
        if !children[at].crash(victim, now, log) {
            return false;
        }
        attempts.retain(|then| then + PERIOD >= now);
        let gives_up = attempts.len() == *max_restarts;
        let affected = match strategy {
            _ if gives_up => 0..children.len(),
            Strategy::OneForOne => at..at + 1,
            Strategy::OneForAll => 0..children.len(),
            Strategy::RestForOne => at..children.len(),
        };
        for other in affected.clone().rev().filter(|&other| other != at) {
            children[other].stop(log);
        }
        if !gives_up {
            attempts.push(now);
            children[affected].iter_mut().for_each(|child| child.start(log));
        }
        gives_up
    }
}

/// The observed state of the real tree.
#[derive(Clone)]
struct World(Arc<Mutex<Seen>>);

struct Seen {
    main: Pid,
    log: Vec<String>,
    live: Vec<usize>,
    pids: Vec<Option<Pid>>,
    /// The violations found. They are collected here, since a panic in a child would only restart it.
    wrong: Vec<String>,
}

impl Seen {
    fn check(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.wrong.push(what());
        }
    }
}

struct Life(World, usize);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.lock().live[self.1] -= 1;
    }
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn asked(&self, number: usize, by: Pid, later: &[usize]) {
        let mut seen = self.lock();
        if by != seen.main {
            let gone = later.iter().all(|&other| seen.live[other] == 0);
            seen.check(gone, || format!("{number} stops too early"));
            seen.log.push(format!("-{number}"));
        }
    }

    /// Returns a worker. `later` are the workers after it below the same supervisor: when it is asked to stop
    /// they are gone.
    fn worker(&self, number: usize, traps: bool, later: Vec<usize>, strict: bool) -> ChildSpec {
        let (world, later) = (self.clone(), Arc::new(later));
        let spec = worker(number, move || {
            let mut seen = world.lock();
            let alone = seen.live[number] == 0;
            seen.check(alone, || format!("two incarnations of {number}"));
            let early = later.iter().any(|&other| seen.live[other] > 0);
            seen.check(!(strict && early), || format!("{number} starts while those that rely on it are up"));
            seen.live[number] += 1;
            seen.log.push(format!("+{number}"));
            drop(seen);
            let (life, later) = (Life(world.clone(), number), later.clone());
            let options = SpawnOptions::new().link();
            let pid = if traps { options.trap_exit() } else { options }.spawn(async move {
                let asked = riot_actor::receive::<Exit>().await;
                let Life(world, number) = &life;
                world.asked(*number, asked.from, &later);
                yield_now().await;
                asked.reason
            });
            world.lock().pids[number] = Some(pid);
            ready(Ok::<_, Reason>(pid))
        });
        if !traps && number.is_multiple_of(2) { spec.shutdown(ChildShutdown::Kill) } else { spec }
    }

    fn supervisor(&self, node: &Node) -> Supervisor {
        let Node::Supervisor { strategy, max_restarts, children, .. } = node else {
            unreachable!("the root")
        };
        let (sup, strict) = match strategy {
            Strategy::OneForOne => (Supervisor::one_for_one(), false),
            Strategy::OneForAll => (Supervisor::one_for_all(), true),
            Strategy::RestForOne => (Supervisor::rest_for_one(), true),
        };
        let sup = sup.intensity(*max_restarts, Duration::from_secs(PERIOD));
        children.iter().enumerate().fold(sup, |sup, (nth, child)| {
            sup.child(match child {
                Node::Worker { number, traps } => {
                    let later = children[nth + 1..].iter().flat_map(Node::workers).collect();
                    self.worker(*number, *traps, later, strict)
                }
                Node::Supervisor { .. } => {
                    let (world, child) = (self.clone(), child.clone());
                    supervisor(format!("sup {nth}"), move || world.supervisor(&child).start_link()).untyped()
                }
            })
        })
    }

    /// Waits until all children are there, or the root is gone. Checks at every step that no child lives
    /// twice.
    async fn settle(&self, sup: SupervisorRef, expected: usize) {
        let mut quiet = 0;
        for _ in 0..100_000 {
            let whole = {
                let seen = self.lock();
                assert!(seen.live.iter().all(|&live| live <= 1), "{:?}", seen.live);
                seen.live.iter().all(|&live| live == 1)
            };
            // One that exits is listed until its links know of it.
            let there = processes().into_iter().filter(|pid| is_alive(*pid)).count();
            assert!(there <= expected + 1, "{there} processes of {expected}");
            if whole && there == expected + 1 {
                quiet += 1;
            } else {
                quiet = 0;
            }
            if quiet == 100 || (there == 1 && !is_alive(sup.pid())) {
                return;
            }
            yield_now().await;
        }
        panic!("it does not settle: {:?}", self.lock().live);
    }
}

async fn start(seed: u64, wild: bool) -> (Random, Node, World, SupervisorRef) {
    trap_exit(true);
    let mut random = Random(seed);
    let mut workers = 0;
    let tree = random.supervisor(1, &mut workers, wild);
    let seen = Seen {
        main: this(),
        log: Vec::new(),
        live: vec![0; workers],
        pids: vec![None; workers],
        wrong: Vec::new(),
    };
    let world = World(Arc::new(Mutex::new(seen)));
    let sup = world.supervisor(&tree).start_link().await.expect("the supervisor starts");
    (random, tree, world, sup)
}

async fn finish(world: World, sup: SupervisorRef) {
    if is_alive(sup.pid()) {
        sup.stop(Reason::Normal).await.expect("the supervisor lives");
    }
    assert!(world.lock().live.iter().all(|&live| live == 0));
    assert!(world.lock().wrong.is_empty(), "{:?}", world.lock().wrong);
    // Ends that the supervisor knows of may still be on their way out of the table.
    for _ in 0..1_000 {
        if processes() == [this()] {
            break;
        }
        yield_now().await;
    }
    assert_eq!(processes(), [this()], "a process is left");
    assert_eq!(Arc::strong_count(&world.0), 1, "nothing is left");
}

/// Crashes one worker after the other. The tree does what the model does, in the same order, up to the exact
/// crash that is too many for a supervisor, for the one above it, and for the root.
async fn exact(seed: u64) {
    let (mut random, mut tree, world, sup) = start(seed, false).await;
    let (mut log, mut now) = (Vec::new(), PERIOD * 10);
    tree.start(&mut log);
    for _ in 0..30 {
        assert_eq!(world.lock().log, log);
        let victim = random.below(tree.workers().len() as u64) as usize;
        let pid = world.lock().pids[victim].expect("the child was started");
        exit(pid, if random.below(2) == 0 { Reason::Kill } else { Reason::other("crash") });
        let ended = tree.crash(victim, now, &mut log);
        world.settle(sup, tree.processes()).await;
        assert_eq!(world.lock().log, log);
        assert_eq!(is_alive(sup.pid()), !ended, "the root ends exactly when the model says so");
        if ended {
            break;
        }
        let pause = random.below(3) * 1_000;
        sleep(Duration::from_secs(pause)).await;
        now += pause;
    }
    finish(world, sup).await;
}

/// Crashes workers at random, also those that are just being started or stopped.
async fn wild(seed: u64) {
    let (mut random, tree, world, sup) = start(seed, true).await;
    for _ in 0..40 {
        for _ in 0..=random.below(3) {
            let victim = random.below(tree.workers().len() as u64) as usize;
            let pid = world.lock().pids[victim].expect("the child was started");
            exit(pid, if random.below(2) == 0 { Reason::Kill } else { Reason::other("crash") });
        }
        for _ in 0..random.below(6) {
            yield_now().await;
            assert!(world.lock().live.iter().all(|&live| live <= 1));
        }
    }
    world.settle(sup, tree.processes()).await;
    finish(world, sup).await;
}

#[test]
fn a_random_tree_restarts_in_order_and_gives_up_exactly_when_it_should() {
    for seed in 0..200 {
        let reason = Simulation::new(seed).run(exact(seed));
        assert_eq!(reason, Reason::Normal, "seed {seed}");
    }
}

#[test]
fn a_random_tree_keeps_its_invariants_under_crashes_upon_crashes() {
    for seed in 0..200 {
        let reason = Simulation::new(seed).run(wild(seed));
        assert_eq!(reason, Reason::Normal, "seed {seed}");
    }
}
