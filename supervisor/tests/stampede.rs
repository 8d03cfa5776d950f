//! The promises that hold although any process may be killed at any time.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicIsize, Ordering},
    },
    time::Duration,
};

use riot_actor::{
    Pid, Reason, exit,
    mailbox::receive_timeout,
    process::{SpawnOptions, info, processes, wait, yield_now},
    runtime::Config,
    simulation::Simulation,
    this, trap_exit,
};
use riot_supervisor::{ChildShutdown, ChildSpec, Supervisor, SupervisorRef, supervisor, worker};

/// The number of live processes of each child, and whether there were ever two.
#[derive(Clone, Default)]
struct Census {
    live: Arc<[AtomicIsize; 6]>,
    doubled: Arc<AtomicBool>,
}

struct Counted(Census, usize);

impl Counted {
    fn new(census: Census, place: usize) -> Self {
        if census.live[place].fetch_add(1, Ordering::SeqCst) > 0 {
            census.doubled.store(true, Ordering::SeqCst);
        }
        Self(census, place)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.live[self.1].fetch_sub(1, Ordering::SeqCst);
    }
}

/// Returns a child that may live only once. Every third one traps exits and ends slowly; every other one is
/// killed.
fn unique(census: &Census, place: usize) -> ChildSpec {
    let census = census.clone();
    let spec = worker(place as u32, move || {
        let here = Counted::new(census.clone(), place);
        let mut options = SpawnOptions::new().link();
        if place.is_multiple_of(3) {
            options = options.trap_exit();
        }
        let pid = options.spawn(async move {
            let _here = here;
            let exit = riot_actor::receive::<riot_actor::Exit>().await;
            yield_now().await;
            exit.reason
        });
        ready(Ok::<_, Reason>(pid))
    });
    if place.is_multiple_of(2) { spec.shutdown(ChildShutdown::Kill) } else { spec }
}

fn tree(census: &Census) -> Supervisor {
    let (upper, lower) = (census.clone(), census.clone());
    Supervisor::one_for_all()
        .intensity(10_000, Duration::from_secs(3600))
        .child(unique(census, 0))
        .child(supervisor("rest", move || {
            let sup = Supervisor::rest_for_one().intensity(10_000, Duration::from_secs(3600));
            sup.child(unique(&upper, 1)).child(unique(&upper, 2)).child(unique(&upper, 3)).start_link()
        }))
        .child(supervisor("one", move || {
            let sup = Supervisor::one_for_one().intensity(10_000, Duration::from_secs(3600));
            sup.child(unique(&lower, 4)).child(unique(&lower, 5)).start_link()
        }))
}

/// Returns the pids of the supervisors of this tree. A killed supervisor would leave orphans (S18).
async fn supervisors(sup: SupervisorRef) -> Vec<Pid> {
    let children = sup.which_children().await.expect("the supervisor lives");
    let below = children.iter().filter(|child| child.kind == riot_supervisor::ChildKind::Supervisor);
    below.filter_map(|child| child.pid()).chain([sup.pid()]).collect()
}

async fn stampede(seed: u64, rounds: u64) {
    trap_exit(true);
    let census = Census::default();
    let sup = tree(&census).start_link().await.unwrap();
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..rounds {
        let kept = supervisors(sup).await;
        let victims: Vec<Pid> =
            processes().into_iter().filter(|pid| *pid != this() && !kept.contains(pid)).collect();
        for _ in 0..next() % 3 {
            if victims.is_empty() {
                break;
            }
            let victim = victims[next() as usize % victims.len()];
            // A supervisor that was started since is spared as well.
            if info(victim).and_then(|info| info.label).is_some_and(|label| label == "supervisor") {
                continue;
            }
            exit(victim, if next() % 2 == 0 { Reason::Kill } else { Reason::other("stampede") });
        }
        for _ in 0..next() % 4 {
            yield_now().await;
        }
    }
    // After the last kill every child is there, once.
    let all_there = || census.live.iter().all(|live| live.load(Ordering::SeqCst) == 1);
    let mut patience = 100_000;
    while !all_there() && patience > 0 {
        yield_now().await;
        patience -= 1;
    }
    assert!(all_there(), "{:?}", census.live);
    assert!(!census.doubled.load(Ordering::SeqCst), "two incarnations of one child");
    sup.stop(Reason::Normal).await.unwrap();
    assert!(census.live.iter().all(|live| live.load(Ordering::SeqCst) == 0), "{:?}", census.live);
    assert_eq!(processes(), [this()]);
    while receive_timeout::<riot_actor::Exit>(Duration::ZERO).await.is_ok() {}
    wait(sup.pid()).await;
}

#[test]
fn kill_anything_and_the_tree_comes_back_whole_and_single() {
    for seed in 0..300 {
        let reason = Simulation::new(seed).run(stampede(seed, 30));
        assert_eq!(reason, Reason::Normal, "seed {seed}");
    }
    for seed in 0..20 {
        let reason = Config::new().workers(2).run(stampede(seed, 200)).unwrap();
        assert_eq!(reason, Reason::Normal, "seed {seed}, on two threads");
    }
}
