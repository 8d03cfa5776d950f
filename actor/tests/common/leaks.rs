//! Running a program on every kind of runtime, with a look at what it leaves behind.

use std::future::Future;

use riot_actor::{
    Reason,
    process::{info, processes, wait},
    runtime::Config,
    simulation::Simulation,
    spawn,
    stats::scheduler_stats,
    table::tables,
    this, timeout,
};

use super::secs;

/// Runs a program under 50 seeds, and on 1, 2 and 8 workers. Each time it must end normally and leave no
/// process, timer, link, monitor, name or table.
#[track_caller]
pub fn leaves_nothing<F: Future<Output = ()> + Send + 'static>(program: impl Fn() -> F) {
    Simulation::sweep(0..50, || and_nothing_is_left(program()));
    for workers in [1, 2, 8] {
        let reason = Config::new().workers(workers).run(and_nothing_is_left(program()));
        assert_eq!(reason.expect("it runs"), Reason::Normal, "on {workers} workers");
    }
}

async fn and_nothing_is_left(program: impl Future<Output = ()> + Send + 'static) {
    assert_eq!(wait(spawn(program)).await, Reason::Normal);
    // Processes that the program has not waited for end by themselves.
    let others = || processes().into_iter().filter(|pid| *pid != this());
    while let Some(other) = others().next() {
        let ended = timeout(secs(60), wait(other)).await;
        assert!(ended.is_ok(), "{:#?} is left", info(other));
    }
    let main = info(this()).expect("it runs");
    assert_eq!((main.links, main.monitors, main.monitored_by), (vec![], vec![], vec![]));
    assert!(main.names.is_empty(), "{:?}", main.names);
    assert_eq!(scheduler_stats().timers, 0, "timers are left");
    assert_eq!(tables(), [], "tables are left");
}
