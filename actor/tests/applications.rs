//! Applications: A3, A7, A8.
mod common;

use std::{
    future::{Future, pending, ready},
    sync::{Arc, Mutex},
    time::Duration,
};

use common::*;
use riot_actor::{
    Exit, Pid, Reason, exit, now,
    process::{SpawnOptions, yield_now},
    receive,
    runtime::{Application, Config, RunError, shutdown},
    send,
    simulation::Simulation,
    sleep, spawn, this, trap_exit, whereis,
};

/// The log of what happened, in order.
type Log = Arc<Mutex<Vec<String>>>;

fn log(log: &Log, text: impl Into<String>) {
    log.lock().unwrap().push(text.into());
}

/// Starts a process that reports its start and its exit, and exits when it is asked to or told.
fn top(name: &'static str, log_: &Log) -> Pid {
    let log_ = log_.clone();
    log(&log_, format!("+{name}"));
    SpawnOptions::new().link().trap_exit().name(name).spawn(async move {
        let reason = riot_actor::receive! {
            exit: Exit => exit.reason,
            reason: Reason => reason,
        };
        log(&log_, format!("-{name}"));
        reason
    })
}

fn application(name: &'static str, log: &Log) -> Application {
    let log = log.clone();
    Application::new(name, move || ready(Ok::<_, Reason>(top(name, &log))))
}

/// Runs a program under seeds and on threads, and shows each time how it ended and what happened.
fn everywhere_with<F: Future<Output = ()> + Send + 'static>(
    config: impl Fn(&Log) -> Config,
    main: impl Fn(Log) -> F,
    check: impl Fn(Result<Reason, RunError>, Vec<String>),
) {
    for seed in 0..50 {
        let log = Log::default();
        let result = Simulation::new(seed).config(config(&log)).try_run(main(log.clone()));
        let happened = std::mem::take(&mut *log.lock().unwrap());
        check(result, happened);
    }
    for _ in 0..5 {
        let log = Log::default();
        let result = config(&log).workers(2).run(main(log.clone()));
        let happened = std::mem::take(&mut *log.lock().unwrap());
        check(result, happened);
    }
}

#[test]
fn a07_applications_start_in_order_before_main() {
    everywhere_with(
        |log| {
            let slow = log.clone();
            Config::new()
                .application(Application::new("slow", move || async move {
                    sleep(millis(2)).await;
                    Ok::<_, Reason>(top("slow", &slow))
                }))
                .application(application("quick", log))
        },
        |log_| async move {
            log(&log_, "main");
            assert!(whereis("slow").is_some() && whereis("quick").is_some());
        },
        |result, happened| {
            assert_eq!(result.unwrap(), Reason::Normal);
            assert_eq!(happened, ["+slow", "+quick", "main", "-quick", "-slow"]);
        },
    );
}

#[test]
fn a07_if_one_fails_main_never_runs_and_the_others_stop_in_reverse_order() {
    type Failing = fn() -> Application;
    let failing: [Failing; 2] = [
        || Application::new("bad", || ready(Err::<Pid, _>(Reason::other("no")))),
        || Application::new("bad", || async { if true { panic!("no") } else { Ok::<_, Reason>(this()) } }),
    ];
    for failing in failing {
        everywhere_with(
            |log| {
                Config::new()
                    .application(application("a", log))
                    .application(application("b", log))
                    .application(failing())
                    .application(application("c", log))
            },
            |log_| async move { log(&log_, "main") },
            |result, happened| {
                let Err(RunError::AppStart { name, reason }) = result else { panic!("{result:?}") };
                assert_eq!(name, "bad");
                assert!(reason.to_string().contains("no"), "{reason}");
                assert_eq!(happened, ["+a", "+b", "-b", "-a"]);
            },
        );
    }
}

#[test]
fn a07_a_shutdown_while_they_start_stops_those_that_have() {
    everywhere_with(
        |log| {
            Config::new().application(application("a", log)).application(Application::new(
                "never",
                || async {
                    spawn(async { shutdown(Reason::other("enough")) });
                    pending::<Result<Pid, Reason>>().await
                },
            ))
        },
        |log_| async move { log(&log_, "main") },
        |result, happened| {
            assert_eq!(result.unwrap(), Reason::other("enough"));
            assert_eq!(happened, ["+a", "-a"]);
        },
    );
}

#[test]
fn a08_the_end_of_a_top_process_matters_as_its_application_says() {
    let (permanent, transient, temporary): (Kind, Kind, Kind) =
        (|app| app.permanent(), |app| app.transient(), |app| app.temporary());
    type Kind = fn(Application) -> Application;
    let crash = || Reason::other("crash");
    for (kind, reason, ends) in [
        ((|app| app) as Kind, Reason::Normal, true),
        (permanent, Reason::Normal, true),
        (permanent, crash(), true),
        (transient, Reason::Normal, false),
        (transient, Reason::shutdown_with("done"), false),
        (transient, crash(), true),
        (temporary, Reason::Normal, false),
        (temporary, crash(), false),
    ] {
        everywhere_with(
            |log| Config::new().application(application("a", log)).application(kind(application("b", log))),
            {
                let reason = reason.clone();
                move |log_| {
                    let reason = reason.clone();
                    async move {
                        let top = whereis("b").unwrap();
                        let end = riot_actor::monitor(top);
                        send(top, reason);
                        end.down().await;
                        if ends {
                            pending::<()>().await;
                        }
                        log(&log_, "main goes on");
                    }
                }
            },
            |result, happened| {
                let expected = if ends { reason.clone() } else { Reason::Normal };
                assert_eq!(result.unwrap(), expected);
                let goes_on = happened.iter().any(|line| line == "main goes on");
                assert_eq!((goes_on, happened.last().map(String::as_str)), (!ends, Some("-a")));
            },
        );
    }
}

#[test]
fn a03_applications_stop_before_all_others_are_asked() {
    everywhere_with(
        |log| Config::new().application(application("a", log)),
        |log_| async move {
            let other = log_.clone();
            let pid = SpawnOptions::new().spawn(async move {
                trap_exit(true);
                receive::<Exit>().await;
                log(&other, "other");
            });
            while riot_actor::process::info(pid)
                .is_some_and(|info| info.state != riot_actor::process::ProcessState::Waiting)
            {
                yield_now().await;
            }
        },
        |result, happened| {
            assert_eq!(result.unwrap(), Reason::Normal);
            assert_eq!(happened, ["+a", "-a", "other"]);
        },
    );
}

#[test]
fn a03_a_deaf_application_is_killed_after_its_time() {
    for seed in 0..50 {
        let times: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let kept = times.clone();
        let deaf = Application::new("deaf", || {
            let pid = SpawnOptions::new().link().trap_exit().spawn(pending::<()>());
            ready(Ok::<_, Reason>(pid))
        });
        let config = Config::new().application(deaf.shutdown(secs(3)));
        let result = Simulation::new(seed).config(config).try_run(async move {
            let start = now();
            spawn(async move {
                let _asked = OnDrop(move || kept.lock().unwrap().push(now() - start));
                pending::<()>().await;
            });
            yield_now().await;
        });
        assert_eq!(result.unwrap(), Reason::Normal);
        let times = times.lock().unwrap();
        assert!((secs(3)..secs(4)).contains(&times[0]), "seed {seed}: {times:?}");
    }
}

#[test]
fn an_application_may_outlive_a_killed_process_of_applications_no_more_than_its_link() {
    everywhere_with(
        |log| Config::new().application(application("a", log)),
        |_| async {
            let starter = riot_actor::process::info(whereis("a").unwrap()).unwrap().parent.unwrap();
            exit(starter, Reason::Kill);
            pending::<()>().await;
        },
        |result, happened| {
            assert_eq!(result.unwrap(), Reason::Killed);
            assert_eq!(happened, ["+a", "-a"]);
        },
    );
}

/// A value that panics when it is dropped, except while another panic unwinds.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a bomb");
        }
    }
}

/// An application that holds a bomb until it starts, and fails then.
fn failing(name: &'static str, bomb: Bomb) -> Application {
    Application::new(name, move || {
        std::mem::forget(bomb);
        ready(Err::<Pid, _>(Reason::other("no")))
    })
}

#[test]
fn a07_what_never_starts_may_panic_when_it_is_dropped() {
    let config = |log: &Log| {
        let all = [application("a", log), failing("b", Bomb), failing("c", Bomb)];
        all.into_iter().fold(Config::new().workers(2), Config::application)
    };
    everywhere_with(
        config,
        |_| {
            let bomb = Bomb;
            async move { drop(bomb) }
        },
        |result, happened| {
            let Err(RunError::AppStart { name, reason }) = result else { panic!("{result:?}") };
            assert_eq!((&*name, reason), ("b", Reason::other("no")));
            assert_eq!(happened, ["+a", "-a"]);
        },
    );
}

#[test]
fn a07_a_start_that_is_given_up_may_panic_when_it_is_dropped() {
    let config = |log: &Log| {
        let stuck = Application::new("stuck", || async {
            let _bomb = Bomb;
            shutdown(Reason::other("enough"));
            pending::<Result<Pid, Reason>>().await
        });
        [application("a", log), stuck].into_iter().fold(Config::new().workers(2), Config::application)
    };
    everywhere_with(
        config,
        |_| async {},
        |result, happened| {
            assert_eq!(result.expect("no application has failed"), Reason::other("enough"));
            assert_eq!(happened, ["+a", "-a"]);
        },
    );
}
