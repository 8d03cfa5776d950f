//! Whether every worker makes progress, as health checks ask.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use riot_actor::{
    Reason,
    process::SpawnOptions,
    run,
    runtime::{Application, Config, Handle, applications_started},
    simulation::Simulation,
    sleep, spawn_link,
    stats::{scheduler_stats, workers_alive},
};

const MILLI: Duration = Duration::from_millis(1);

#[test]
fn hl03_a_worker_that_is_held_up_is_not_alive_until_it_goes_on() {
    let reason = Config::new().workers(2).run(async {
        assert!(workers_alive(Duration::ZERO), "a process that runs holds its worker up for no time yet");
        let (tell, told) = mpsc::channel::<()>();
        let since = Instant::now();
        let (_, blocked) = SpawnOptions::new().pinned_to(1).spawn_monitor(async move {
            // Blocks its worker.
            let _ = told.recv();
        });
        let within = 100 * MILLI;
        while workers_alive(within) {
            sleep(MILLI).await;
        }
        let took = since.elapsed();
        assert!(took >= within && took < Duration::from_secs(3), "{took:?}");
        assert!(workers_alive(Duration::MAX) && !workers_alive(Duration::ZERO));
        assert!(workers_alive(Duration::from_secs(3600)) && !Handle::current().workers_alive(within));
        drop(tell);
        blocked.down().await;
        while !workers_alive(within) {
            sleep(MILLI).await;
        }
        Reason::Normal
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}

#[test]
fn hl03_workers_that_sleep_or_are_busy_with_short_poll_slices_are_alive() {
    let reason = Config::new().workers(2).run(async {
        sleep(200 * MILLI).await;
        assert!(workers_alive(50 * MILLI), "all slept");
        let until = Instant::now() + 200 * MILLI;
        while Instant::now() < until {
            riot_actor::process::yield_now().await;
        }
        assert!(workers_alive(50 * MILLI), "one was busy");
        Reason::Normal
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
    Simulation::sweep(1..2, || async { assert!(workers_alive(Duration::ZERO)) });
}

#[test]
fn the_sleep_that_a_worker_is_in_is_counted() {
    let reason = Config::new().workers(2).run(async {
        // The other worker has nothing to do at all, once its search has ended.
        sleep(100 * MILLI).await;
        let before = scheduler_stats();
        sleep(100 * MILLI).await;
        let after = scheduler_stats();
        let (elapsed, workers) = (after.age - before.age, before.workers.iter().zip(&after.workers));
        for (before, after) in workers {
            let slept = after.asleep - before.asleep;
            assert!(slept >= elapsed / 2 && slept <= elapsed + MILLI, "{slept:?} of {elapsed:?}");
        }
        Reason::Normal
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}

#[test]
fn hl02_applications_have_started_once_all_have() {
    run(async { assert!(applications_started(), "there are none") });
    let start = |name: &'static str| {
        Application::new(name, || async {
            assert!(!applications_started());
            sleep(MILLI).await;
            Ok::<_, Reason>(spawn_link(std::future::pending::<()>()))
        })
    };
    let reason = Config::new()
        .application(start("one"))
        .application(start("two"))
        .run(async { if applications_started() { Reason::Normal } else { Reason::other("too early") } });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}
