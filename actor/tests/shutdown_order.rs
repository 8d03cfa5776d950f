//! The order in which a runtime stops its processes: A3.
mod common;

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::*;
use riot_actor::{
    Exit, Pid, Reason, exit, now,
    process::{SpawnOptions, join},
    receive,
    runtime::{Config, shutdown, shutdown_signal},
    simulation::Simulation,
    sleep, spawn, trap_exit,
};

/// The log of what happened, in order.
type Log = Arc<Mutex<Vec<&'static str>>>;

fn log(log: &Log, text: &'static str) {
    log.lock().unwrap().push(text);
}

/// A process that notes that it was asked to stop, takes some time, and notes that it has stopped.
async fn stops_in(time: Duration, names: [&'static str; 2], noted: Log) {
    trap_exit(true);
    receive::<Exit>().await;
    log(&noted, names[0]);
    sleep(time).await;
    log(&noted, names[1]);
}

/// A process that stops the given child in its own time when it is asked to stop.
fn tree(names: [&'static str; 2], noted: &Log, child: impl Future<Output = ()> + Send + 'static) -> Pid {
    let noted = noted.clone();
    SpawnOptions::new().stops_its_children().trap_exit().spawn(async move {
        let child = spawn(child);
        receive::<Exit>().await;
        log(&noted, names[0]);
        exit(child, Reason::Shutdown);
        join(&[child]).await;
        log(&noted, names[1]);
    })
}

/// Runs a program under seeds and on threads, and returns each time what happened.
fn everywhere_with_log<F: Future<Output = ()> + Send + 'static>(
    main: impl Fn(Log) -> F,
    check: impl Fn(Vec<&'static str>),
) {
    for seed in 0..50 {
        let log = Log::default();
        Simulation::new(seed).run(main(log.clone()));
        check(std::mem::take(&mut *log.lock().unwrap()));
    }
    let log = Log::default();
    Config::new().workers(2).run(main(log.clone())).expect("it runs");
    check(std::mem::take(&mut *log.lock().unwrap()));
}

#[test]
fn a03_trees_stop_before_others_the_last_started_first() {
    let main = |noted: Log| async move {
        let plain = spawn(stops_in(millis(0), ["plain is asked", "plain"], noted.clone()));
        let first_child = stops_in(millis(20), ["first child is asked", "first child"], noted.clone());
        let first = tree(["first is asked", "first"], &noted, first_child);
        let second_child = stops_in(millis(20), ["second child is asked", "second child"], noted.clone());
        let second = tree(["second is asked", "second"], &noted, second_child);
        // All have begun to wait before main ends.
        sleep(millis(10)).await;
        let _ = (plain, first, second);
    };
    everywhere_with_log(main, |happened| {
        let order = [
            "second is asked",
            "second child is asked",
            "second child",
            "second",
            "first is asked",
            "first child is asked",
            "first child",
            "first",
            "plain is asked",
            "plain",
        ];
        assert_eq!(happened, order);
    });
}

#[test]
fn a03_a_tree_below_a_tree_is_left_to_it() {
    let main = |noted: Log| async move {
        let inner_noted = noted.clone();
        let inner = async move {
            let child = stops_in(millis(1), ["child is asked", "child"], inner_noted.clone());
            join(&[tree(["inner is asked", "inner"], &inner_noted, child)]).await;
        };
        tree(["outer is asked", "outer"], &noted, async move {
            trap_exit(true);
            spawn(inner);
            receive::<Exit>().await;
        });
        sleep(millis(10)).await;
    };
    everywhere_with_log(main, |happened| {
        // The inner one has a living ancestor until the outer one has ended; then it is one by itself.
        assert_eq!(
            happened,
            ["outer is asked", "outer", "inner is asked", "child is asked", "child", "inner"]
        );
    });
}

#[test]
fn a03_a_request_of_eight_seconds_is_finished_whatever_began_the_shutdown() {
    let causes: [fn(); 2] = [|| (), || shutdown(Reason::Shutdown)];
    for cause in causes {
        for seed in 0..50 {
            let noted = Log::default();
            let (in_main, start) = (noted.clone(), Arc::new(Mutex::new(None)));
            let began = start.clone();
            Simulation::new(seed).run(async move {
                let request = stops_in(secs(8), ["asked", "answered"], in_main.clone());
                tree(["tree is asked", "tree"], &in_main, request);
                sleep(millis(10)).await;
                *began.lock().unwrap() = Some(now());
                cause();
            });
            assert_eq!(*noted.lock().unwrap(), ["tree is asked", "asked", "answered", "tree"]);
        }
    }
}

#[test]
fn a03_trees_have_the_stop_timeout_and_the_others_their_own() {
    for seed in 0..50 {
        let noted = Log::default();
        let in_main = noted.clone();
        let config = Config::new().stop_timeout(secs(3)).shutdown_timeout(secs(2)).without_default_log();
        Simulation::new(seed).config(config).run(async move {
            let start = now();
            let plain_noted = in_main.clone();
            spawn(async move {
                trap_exit(true);
                receive::<Exit>().await;
                log(&plain_noted, if (now() - start).as_secs() == 3 { "after 3 s" } else { "too early" });
            });
            let deaf_noted = in_main.clone();
            SpawnOptions::new().stops_its_children().trap_exit().spawn(async move {
                let _last = OnDrop(move || {
                    log(
                        &deaf_noted,
                        if (now() - start).as_secs() == 5 { "killed after 5 s" } else { "else" },
                    );
                });
                pending::<()>().await;
            });
            sleep(millis(1)).await;
        });
        assert_eq!(*noted.lock().unwrap(), ["after 3 s", "killed after 5 s"], "seed {seed}");
    }
}

#[test]
fn a02_the_beginning_of_the_shutdown_can_be_awaited() {
    let main = |noted: Log| async move {
        let signals = (shutdown_signal(), shutdown_signal());
        drop(signals.0.clone());
        let in_tree = noted.clone();
        tree(["tree is asked", "tree"], &noted, async move {
            trap_exit(true);
            signals.0.await;
            log(&in_tree, "begun");
            receive::<Exit>().await;
        });
        drop(signals.1);
        sleep(millis(10)).await;
        shutdown(Reason::Shutdown);
        shutdown_signal().await;
    };
    everywhere_with_log(main, |happened| {
        let mut sorted = happened.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ["begun", "tree", "tree is asked"], "{happened:?}");
        assert_eq!(happened.last(), Some(&"tree"));
    });
}
