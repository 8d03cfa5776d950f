//! The runtime: A1-A6, A9, A11, A12.
mod common;

use std::{
    future::pending,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use common::*;
use riot_actor::{
    Exit, Pid, Reason, now,
    process::{SpawnOptions, info, is_alive, yield_now},
    receive, run,
    runtime::{Config, Handle, RunError, shutdown},
    send,
    simulation::Simulation,
    sleep, spawn, spawn_link, this,
    time::now_coarse,
    trap_exit,
};

/// Returns the exit reason of a program, under a seed and on threads.
fn reasons<T: riot_actor::process::Outcome + 'static, F>(program: impl Fn() -> F) -> [Reason; 2]
where
    F: Future<Output = T> + Send + 'static,
{
    [Simulation::new(7).run(program()), Config::new().workers(2).run(program()).unwrap()]
}

fn both(reason: Reason) -> [Reason; 2] {
    [reason.clone(), reason]
}

#[test]
fn a01_run_returns_mains_reason_or_that_of_a_shutdown_whichever_was_first() {
    assert_eq!(reasons(|| async {}), both(Reason::Normal));
    assert_eq!(reasons(|| async { Reason::other(1) }), both(Reason::other(1)));
    assert_eq!(
        reasons(|| async {
            spawn(async { shutdown(Reason::other("enough")) });
            pending::<()>().await;
        }),
        both(Reason::other("enough"))
    );
    assert_eq!(
        reasons(|| async {
            shutdown(Reason::other("first"));
            shutdown(Reason::other("second"));
            Reason::other("third")
        }),
        both(Reason::other("first"))
    );
    assert!(matches!(
        &reasons::<(), _>(|| async { panic!("main") })[..],
        [Reason::Panic(_), Reason::Panic(_)]
    ));
    let killed = reasons(|| async {
        spawn_link(async { Reason::other("a link") });
        pending::<()>().await;
    });
    assert_eq!(killed, both(Reason::other("a link")));
}

#[test]
fn a02_a_shutdown_may_come_from_a_plain_thread() {
    let reason = Config::new().workers(2).run(async {
        let handle = Handle::current();
        std::thread::spawn(move || handle.shutdown(Reason::other("from outside")));
        pending::<()>().await;
    });
    assert_eq!(reason.unwrap(), Reason::other("from outside"));
}

#[test]
fn a03_all_are_asked_then_killed_after_the_shutdown_timeout() {
    for seed in 0..50 {
        let (say, hear) = mpsc::channel();
        Simulation::new(seed).config(Config::new().shutdown_timeout(secs(3))).run(async move {
            let start = now();
            let polite = say.clone();
            let asked = SpawnOptions::new().trap_exit().spawn(async move {
                let exit = receive::<Exit>().await;
                assert!(exit.from.is_system());
                polite.send(("asked", exit.reason, now() - start)).unwrap();
            });
            let deaf = say.clone();
            SpawnOptions::new().trap_exit().spawn(async move {
                let _when = OnDrop(move || deaf.send(("deaf", Reason::Killed, now() - start)).unwrap());
                pending::<()>().await;
            });
            spawn(async move {
                let _when = OnDrop(move || say.send(("plain", Reason::Shutdown, now() - start)).unwrap());
                pending::<()>().await;
            });
            for _ in 0..20 {
                yield_now().await;
            }
            assert!(is_alive(asked));
        });
        let heard: Vec<_> = hear.iter().collect();
        let of = |who| heard.iter().find(|(name, ..)| *name == who).expect("it ended");
        assert_eq!(of("asked").1, Reason::Shutdown, "seed {seed}");
        assert!(of("asked").2 < secs(1) && of("plain").2 < secs(1), "seed {seed}");
        assert!((secs(3)..secs(4)).contains(&of("deaf").2), "seed {seed}: {heard:?}");
    }
}

#[test]
fn a04_when_run_returns_nothing_is_left() {
    let kept = Arc::new(());
    let main = |kept: Arc<()>| async move {
        for _ in 0..20 {
            let (in_body, in_mailbox) = (kept.clone(), kept.clone());
            let pid =
                SpawnOptions::new().name(format!("{:?}", Arc::as_ptr(&in_body))).try_spawn(async move {
                    let _kept = in_body;
                    pending::<()>().await;
                });
            if let Ok(pid) = pid {
                send(pid, in_mailbox);
            }
        }
        sleep(millis(1)).await;
    };
    for _ in 0..3 {
        Config::new().workers(2).run(main(kept.clone())).unwrap();
        assert_eq!(Arc::strong_count(&kept), 1);
        Simulation::new(3).run(main(kept.clone()));
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}

#[test]
fn a05_a_body_that_does_not_give_way_is_left_behind() {
    let (let_go, held) = mpsc::channel::<()>();
    let (say, hear) = mpsc::channel::<Pid>();
    let result =
        Config::new().workers(2).shutdown_timeout(millis(20)).kill_timeout(millis(50)).run(async move {
            let main = this();
            spawn(async move {
                say.send(this()).unwrap();
                send(main, ());
                held.recv().ok();
            });
            receive::<()>().await;
        });
    let Err(RunError::Stuck(pids)) = result else { panic!("{result:?}") };
    assert_eq!(pids, [hear.recv().unwrap()]);
    let_go.send(()).unwrap();
}

#[test]
fn a06_a_process_spawned_during_the_shutdown_takes_part_in_it() {
    for seed in 0..50 {
        let (say, hear) = mpsc::channel();
        Simulation::new(seed).run(async move {
            SpawnOptions::new().trap_exit().spawn(async move {
                receive::<Exit>().await;
                // When it is asked, it starts another process, which is asked as well.
                let asked = say.clone();
                SpawnOptions::new().trap_exit().spawn(async move {
                    asked.send(receive::<Exit>().await.reason).unwrap();
                });
                let _late = OnDrop(move || {
                    let ran = say.clone();
                    // After all were killed, a new process is condemned before its first poll.
                    spawn(async move { ran.send(Reason::other("it ran")).unwrap() });
                });
                pending::<()>().await;
            });
            yield_now().await;
        });
        assert_eq!(hear.iter().collect::<Vec<_>>(), [Reason::Shutdown], "seed {seed}");
    }
}

#[test]
fn a09_no_runtime_inside_a_process_but_any_number_beside_each_other() {
    let reason = run(async {
        let nested = Config::new().run(async {});
        assert!(matches!(nested, Err(RunError::NestedRuntime)));
    });
    assert_eq!(reason, Reason::Normal);
    let threads: Vec<_> = (0..4_u32)
        .map(|nth| {
            std::thread::spawn(move || {
                run(async move {
                    riot_actor::register("same", this()).unwrap();
                    Reason::other(nth)
                })
            })
        })
        .collect();
    for (nth, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), Reason::other(nth as u32));
    }
}

#[cfg(unix)]
#[test]
fn a11_a_worker_that_panics_ends_the_program_loudly() {
    use std::os::unix::process::ExitStatusExt;
    const CHILD: &str = "RIOT_RUNTIME_CHILD";
    /// A bug in a worker's own loop, which no process contains.
    struct Broken;
    impl riot_actor::driver::Driver for Broken {
        fn park(&mut self, _: Option<std::time::Duration>) {
            panic!("a driver may not");
        }
        fn dispatch(&mut self) {}
        fn unparker(&self) -> Arc<dyn riot_actor::driver::Unpark> {
            struct Nobody;
            impl riot_actor::driver::Unpark for Nobody {
                fn unpark(&self) {}
            }
            Arc::new(Nobody)
        }
    }
    if std::env::var_os(CHILD).is_some() {
        let _never = Config::new().workers(1).run(async {
            riot_actor::driver::install(|| Ok((Broken, ()))).unwrap();
            pending::<()>().await;
        });
        return;
    }
    let myself = std::env::current_exe().unwrap();
    let test = "a11_a_worker_that_panics_ends_the_program_loudly";
    let output = std::process::Command::new(myself)
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    const SIGABRT: i32 = 6;
    assert_eq!(output.status.signal(), Some(SIGABRT), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("a worker panicked; this is a bug in the runtime"), "{said}");
}

#[test]
fn a12_one_crash_report_for_each_abnormal_end() {
    everywhere_with_crash_reports(|crashes| async move {
        trap_exit(true);
        let cause = SpawnOptions::new().label("cause").name("known").spawn(async {
            receive::<()>().await;
            Reason::other("crash")
        });
        let follower = spawn(async move {
            riot_actor::link(cause);
            pending::<()>().await;
        });
        while info(cause).unwrap().links.is_empty() {
            yield_now().await;
        }
        let (first, second) = (riot_actor::process::wait(cause), riot_actor::process::wait(follower));
        send(cause, ());
        first.await;
        second.await;
        riot_actor::process::wait(spawn(async { Reason::shutdown_with("clean") })).await;
        let crashes = crashes.lock().unwrap();
        let seen: Vec<_> = crashes.iter().map(|report| (report.pid, report.by_signal)).collect();
        assert_eq!(seen, [(cause, false), (follower, true)]);
        let report = &crashes[0];
        assert_eq!((report.label.as_deref(), report.parent), (Some("cause"), Some(this())));
        assert_eq!(
            (report.names.clone(), report.reason.clone()),
            (vec!["known".into()], Reason::other("crash"))
        );
    });
}

#[test]
fn a_simulation_replays_its_seed() {
    let trace = |seed| {
        let (say, hear) = mpsc::channel();
        Simulation::new(seed).run(async move {
            for nth in 0..10 {
                let say = say.clone();
                spawn(async move {
                    for _ in 0..5 {
                        say.send(nth).unwrap();
                        yield_now().await;
                    }
                });
            }
            sleep(secs(1)).await;
        });
        hear.iter().collect::<Vec<i32>>()
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

#[test]
fn a_simulation_names_those_that_wait_for_ever() {
    let panic = std::panic::catch_unwind(|| {
        Simulation::new(9).run(async {
            let _stuck = SpawnOptions::new().label("stuck").spawn(receive::<()>());
            receive::<()>().await;
        })
    })
    .unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("seed 9") && text.contains("stuck") && text.contains("main"), "{text}");
}

#[test]
fn a_simulation_does_not_wait_for_a_timer_beyond_all_time() {
    let far: [fn(); 4] = [
        || {
            riot_actor::time::send_after(std::time::Duration::MAX, this(), ());
        },
        || {
            riot_actor::time::start_timer(secs(600 * 365 * 24 * 3600), this(), ());
        },
        || {
            riot_actor::time::send_interval(std::time::Duration::MAX, this(), ()).unwrap();
        },
        || {
            spawn(sleep(secs(u64::MAX / 4)));
        },
    ];
    for far in far {
        let panic = std::panic::catch_unwind(|| {
            Simulation::new(1).run(async move {
                far();
                receive::<u8>().await;
            })
        });
        let text = panic.unwrap_err().downcast::<String>().unwrap();
        assert!(text.starts_with("deadlock"), "{text}");
    }
    // A century is beyond the clock.
    Simulation::new(1).run(async {
        let century = secs(100 * 365 * 24 * 3600);
        let start = now();
        sleep(century).await;
        assert!(now() - start >= century);
    });
}

#[test]
fn the_recent_time_is_that_of_the_last_wake_up_or_later() {
    let program = || async {
        let mut last = now_coarse();
        for _ in 0..20 {
            let before = now();
            sleep(Duration::from_millis(2)).await;
            let recent = now_coarse();
            assert!(before + Duration::from_millis(2) <= recent && recent <= now() && last <= recent);
            last = recent;
        }
    };
    assert_eq!(reasons(program), both(Reason::Normal));
}

#[test]
fn the_recent_time_goes_on_though_a_process_keeps_its_worker() {
    let keeps = async {
        let (before, begun) = (now_coarse(), Instant::now());
        while now_coarse() < before + Duration::from_millis(50) {
            assert!(begun.elapsed() < Duration::from_secs(30), "no worker reads the clock");
            std::thread::yield_now();
        }
    };
    assert_eq!(Config::new().workers(1).run(keeps).unwrap(), Reason::Normal);
}
