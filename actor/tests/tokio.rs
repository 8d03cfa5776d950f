//! A tokio runtime beside this one: TK1 to TK4, and TK7.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/kept_log.rs"]
mod kept_log;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use common::{millis, secs};
use kept_log::KeptLog;
use riot_actor::{
    Reason, exit,
    process::{SpawnOptions, spawn, spawn_monitor, wait},
    run,
    runtime::{Application, Config, RunError, has_tokio, in_tokio},
    simulation::Simulation,
    sleep, spawn_link,
};
use tokio::{runtime::Handle, sync};

const ADVICE: &str = "this future needs tokio: use Config::tokio() with SpawnOptions::tokio(), \
                      Server::tokio(), Server::axum(..) or in_tokio(..)";

fn with_tokio<F: Future<Output = ()> + Send + 'static>(main: F) {
    assert_eq!(Config::new().workers(2).tokio().run(main).unwrap(), Reason::Normal);
}

#[test]
fn tk01_tokio_is_there_before_the_applications_and_ends_after_the_last_process() {
    let ended = Arc::new(Mutex::new(Vec::new()));
    let (in_task, in_process) = (ended.clone(), ended.clone());
    let application = Application::new("app", move || {
        let (in_task, in_process) = (in_task.clone(), in_process.clone());
        async move {
            assert!(has_tokio());
            in_tokio(async move {
                // Told also if it is dropped before its first poll.
                let told = OnDrop(Some(move || in_task.lock().unwrap().push("task")));
                tokio::spawn(async move {
                    let _told = told;
                    std::future::pending::<()>().await;
                });
            })
            .await;
            let told = OnDrop(Some(move || in_process.lock().unwrap().push("process")));
            Ok::<_, Reason>(spawn_link(async move {
                let _told = told;
                std::future::pending::<()>().await;
            }))
        }
    });
    let reason = Config::new().tokio().tokio_workers(2).application(application).run(async {
        let name = in_tokio(async {
            tokio::spawn(async { thread::current().name().map(str::to_owned) }).await.unwrap()
        });
        assert_eq!(name.await.as_deref(), Some("riot-tokio"));
        let workers = in_tokio(async { Handle::current().metrics().num_workers() });
        assert_eq!(workers.await, 2);
    });
    assert_eq!(reason.unwrap(), Reason::Normal);
    assert_eq!(*ended.lock().unwrap(), ["process", "task"]);
}

struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0.take().unwrap()();
    }
}

#[test]
fn t11_the_time_of_a_shutdown_may_be_of_any_length() {
    for edge in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX, Duration::from_secs(u64::MAX / 2)] {
        let config = Config::new().tokio().tokio_shutdown_timeout(edge).without_default_log();
        let reason = config.run(async { in_tokio(async { drop(tokio::spawn(async {})) }).await });
        assert_eq!(reason.unwrap(), Reason::Normal);
    }
}

#[test]
fn tk01_the_runtime_of_the_caller_is_used_and_goes_on() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let id = tokio.handle().id();
    let (tell, told) = sync::oneshot::channel();
    let reason = Config::new().tokio_handle(tokio.handle().clone()).run(async move {
        in_tokio(async {
            assert_eq!(Handle::current().id(), id);
            tokio::spawn(async {
                tokio::time::sleep(millis(20)).await;
                tell.send(7).unwrap();
            });
        })
        .await;
    });
    assert_eq!(reason.unwrap(), Reason::Normal);
    assert_eq!(tokio.block_on(told), Ok(7));
}

#[test]
fn tk01_a_program_inside_tokio_can_have_another_tokio() {
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Ending a runtime on this thread would panic: it must not wait.
    let reason = tokio.block_on(async { Config::new().tokio().run(async { in_tokio(async {}).await }) });
    assert_eq!(reason.unwrap(), Reason::Normal);
}

#[test]
#[should_panic(expected = "tokio needs at least one thread")]
fn tk01_no_threads_are_refused() {
    let _ = Config::new().tokio_workers(0);
}

#[test]
#[should_panic(expected = "tokio has at most 512 threads here")]
fn tk01_too_many_threads_are_refused() {
    let _ = Config::new().tokio_workers(513);
}

/// Says whether the thread is inside tokio.
fn is_inside() -> bool {
    Handle::try_current().is_ok()
}

/// Spawns on tokio in its drop, as pools of connections do.
struct SpawnsInDrop(Arc<AtomicUsize>);

impl Drop for SpawnsInDrop {
    fn drop(&mut self) {
        if is_inside() {
            tokio::spawn(std::future::ready(()));
            self.0.fetch_add(1, SeqCst);
        }
    }
}

#[test]
fn tk02_a_process_is_inside_tokio_at_every_poll_and_at_its_drop() {
    let drops = Arc::new(AtomicUsize::new(0));
    let counted = drops.clone();
    with_tokio(async move {
        assert!(!is_inside(), "others are not");
        let (returned, killed) = (SpawnsInDrop(counted.clone()), SpawnsInDrop(counted.clone()));
        let never_polled = SpawnsInDrop(counted);
        let process = SpawnOptions::new().tokio().spawn(async move {
            let _returned = returned;
            assert!(is_inside());
            tokio::time::sleep(millis(1)).await;
            assert!(is_inside());
            sleep(millis(1)).await;
            assert!(is_inside());
            tokio::task::spawn_blocking(is_inside).await.map_err(Reason::from)?;
            Ok::<(), Reason>(())
        });
        assert_eq!(wait(process).await, Reason::Normal);
        let (process, monitor) = SpawnOptions::new().tokio().spawn_monitor(async move {
            let _killed = killed;
            std::future::pending::<()>().await;
        });
        sleep(millis(1)).await;
        exit(process, Reason::Kill);
        monitor.down().await;
        let process = SpawnOptions::new().tokio().spawn(async move { drop(never_polled) });
        exit(process, Reason::Kill);
        wait(process).await;
        assert!(!is_inside());
    });
    assert_eq!(drops.load(SeqCst), 3);
}

#[test]
fn tk02_it_is_left_after_a_panic_and_between_polls() {
    with_tokio(async {
        let process = SpawnOptions::new().tokio().pinned().spawn_monitor(async {
            tokio::time::sleep(millis(1)).await;
            panic!("inside");
        });
        let beside = SpawnOptions::new().pinned().spawn_monitor(async {
            for _ in 0..100 {
                assert!(!is_inside());
                riot_actor::process::yield_now().await;
            }
        });
        for (monitor, panics) in [(process.1, true), (beside.1, false)] {
            let reason = monitor.down().await.reason;
            assert_eq!(matches!(reason, Reason::Panic(_)), panics, "{reason}");
        }
        let caught = riot_actor::process::catch_panic(in_tokio(async { panic!("inside") })).await;
        assert!(caught.is_err() && !is_inside());
    });
}

#[test]
fn tk02_without_tokio_the_panic_says_what_to_do() {
    let reason = run(async {
        let (_, body) = spawn_monitor(async { in_tokio(async {}).await });
        let (_, option) = spawn_monitor(async { _ = SpawnOptions::new().tokio().spawn(async {}) });
        for down in [body.down().await, option.down().await] {
            let Reason::Panic(panic) = down.reason else { panic!("{}", down.reason) };
            assert!(panic.message.contains(ADVICE), "{}", panic.message);
        }
    });
    assert_eq!(reason, Reason::Normal);
}

#[test]
fn tk03_no_wake_up_from_the_threads_of_tokio_is_lost() {
    let each = if std::env::var_os("RIOT_SOAK").is_some() { 250_000 } else { 25_000 };
    let main = async move {
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                SpawnOptions::new().tokio().spawn_monitor(async move {
                    // The receiver of a full channel is woken for each message.
                    let (sender, mut receiver) = sync::mpsc::channel(1);
                    tokio::spawn(async move {
                        for number in 0..each {
                            sender.send(number).await.unwrap();
                        }
                    });
                    for number in 0..each {
                        assert_eq!(receiver.recv().await, Some(number));
                    }
                })
            })
            .collect();
        for (_, monitor) in receivers {
            assert_eq!(monitor.down().await.reason, Reason::Normal);
        }
    };
    assert_eq!(Config::new().workers(2).tokio().tokio_workers(4).run(main).unwrap(), Reason::Normal);
}

#[test]
fn tk04_the_report_of_a_future_without_tokio_says_what_to_do() {
    let crashed = KeptLog::default();
    let _guard = tracing::subscriber::set_default(crashed.clone());
    let reason = Simulation::new(1).run(async {
        let missing = spawn(async { tokio::time::sleep(secs(1)).await });
        let other = spawn(async { panic!("no luck") });
        wait(missing).await;
        wait(other).await;
    });
    assert_eq!(reason, Reason::Normal);
    let mut reports: Vec<_> =
        crashed.events().into_iter().filter(|event| event.target == "riot::crash").collect();
    reports.sort_by_key(|report| report.message.contains("no luck"));
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[0].message.contains("there is no reactor running"), "{reports:?}");
    assert_eq!([0, 1].map(|report| reports[report].fields.contains(ADVICE)), [true, false], "{reports:?}");
}

#[test]
fn tk07_a_simulation_refuses_tokio() {
    let refused = Simulation::new(1).config(Config::new().tokio()).try_run(async {});
    assert!(matches!(refused, Err(RunError::TokioInSimulation)));
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("a simulation has no world outside") && text.contains("use riot_socket::memory"),
        "{text}"
    );
}

#[test]
fn what_is_not_asked_for_has_no_tokio() {
    assert_eq!(run(async { assert!(!has_tokio()) }), Reason::Normal);
}
