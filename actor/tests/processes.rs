//! Processes and their release: P1-P11.
mod common;

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::mpsc,
    task::{Poll, Waker},
    time::Duration,
};

use common::*;
use riot_actor::{
    Down, Exit, Pid, Reason, exit,
    mailbox::{receive_any, receive_timeout},
    monitor,
    process::{catch_panic, exit_self, info, is_alive, spawn_monitor, wait, yield_now},
    receive, register, run, send, sleep, spawn, spawn_link, this,
    time::TimedOut,
    trap_exit, whereis,
};

async fn reason<T: riot_actor::process::Outcome>(body: impl Future<Output = T> + Send + 'static) -> Reason {
    spawn_monitor(body).1.down().await.reason
}

trait Map: Future + Sized {
    fn map_output<T>(self, f: impl FnOnce(Self::Output) -> T) -> impl Future<Output = T> {
        async { f(self.await) }
    }
}

#[test]
fn p01_spawn_runs_nothing_on_the_callers_stack() {
    simulated(|| async {
        let ran = Counter::default();
        let counted = ran.clone();
        let (_, end) = spawn_monitor(async move {
            counted.add();
        });
        assert_eq!(ran.get(), 0);
        end.down().await;
        assert_eq!(ran.get(), 1);
    });
}

#[test]
fn p02_pids_are_never_reused_and_mean_nothing_elsewhere() {
    everywhere(|| async {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            let pid = spawn(async {});
            assert!(seen.insert(pid));
            wait(pid).await;
        }
        let before = seen.iter().max().unwrap();
        assert!(!is_alive(*before) && before.to_string().starts_with('<'));
    });
    let (say, hear) = mpsc::channel();
    run(async move { say.send(this()).unwrap() });
    let foreign = hear.recv().unwrap();
    everywhere(move || async move {
        assert!(!is_alive(foreign) && foreign != this());
        send(foreign, 1);
        exit(foreign, Reason::Kill);
        assert_eq!(monitor(foreign).down().await.reason, Reason::NoProc);
    });
}

#[test]
fn p03_how_a_body_ends_is_its_reason() {
    #[derive(Debug)]
    struct Broken;
    impl std::fmt::Display for Broken {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("broken")
        }
    }
    impl std::error::Error for Broken {}
    everywhere(|| async {
        assert_eq!(reason(async {}).await, Reason::Normal);
        assert_eq!(reason(async { Ok::<_, Broken>(()) }).await, Reason::Normal);
        assert_eq!(reason(async { Err::<(), _>(Broken) }).await, Reason::from(Broken));
        assert_eq!(reason(async { Err::<(), _>(Reason::Shutdown) }).await, Reason::Shutdown);
        assert_eq!(reason(async { Reason::other(1) }).await, Reason::other(1));
        let Reason::Panic(panic) = reason::<()>(async { panic!("number {}", 7) }).await else { panic!() };
        assert_eq!(panic.message, "number 7");
        assert!(panic.location.as_ref().unwrap().contains("processes.rs"));
    });
}

#[test]
fn p04_the_first_cause_wins() {
    everywhere(|| async {
        let then_panics = async {
            exit(this(), Reason::other(1));
            if true {
                panic!("too late");
            }
        };
        assert_eq!(reason(then_panics).await, Reason::other(1));
        let then_returns = async {
            exit(this(), Reason::other(1));
            Reason::other(2)
        };
        assert_eq!(reason(then_returns).await, Reason::other(1));
    });
}

#[test]
fn p04_a_reason_that_came_too_late_is_dropped_where_it_may_do_anything() {
    #[derive(Debug)]
    struct Last(Pid);
    impl PartialEq for Last {
        fn eq(&self, _: &Self) -> bool {
            true
        }
    }
    impl Drop for Last {
        fn drop(&mut self) {
            // In the same process: a lock that is still held would be taken twice.
            send(self.0, info(this()).is_some());
        }
    }
    everywhere(|| async {
        let observer = this();
        let returned = async move {
            exit(this(), Reason::Shutdown);
            Reason::other(Last(observer))
        };
        assert_eq!(reason(returned).await, Reason::Shutdown);
        assert!(receive::<bool>().await);
        let exiting = async move {
            exit(this(), Reason::Shutdown);
            exit_self(Reason::other(Last(observer))).await;
        };
        assert_eq!(reason(exiting).await, Reason::Shutdown);
        assert!(receive::<bool>().await);
    });
}

#[test]
fn p05_release_drops_the_body_then_the_messages_then_frees_the_names() {
    for signal in [Reason::Kill, Reason::Shutdown] {
        everywhere(move || {
            let signal = signal.clone();
            async move {
                let in_body = Token::new("body");
                let (pid, end) = spawn_monitor(async move {
                    let _held = (OnDrop(|| assert_eq!(whereis("held"), Some(this()))), in_body);
                    register("held", this()).unwrap();
                    send(_held.1.observer, "ready");
                    pending::<()>().await;
                });
                receive::<&str>().await;
                send(pid, Token::new("message"));
                exit(pid, signal);
                let down = end.down().await;
                assert!(!matches!(down.reason, Reason::Panic(_)));
                // All of it before the exit was told, and with the process as the running one.
                for what in ["body", "message"] {
                    let dropped = receive_timeout::<Dropped>(Duration::ZERO).await;
                    if what == "body" {
                        assert_eq!(dropped, Ok(Dropped(what, Some(pid))));
                    } else {
                        // A refused message was dropped at once, by its sender.
                        assert_eq!(dropped.unwrap().0, what);
                    }
                }
                register("held", this()).unwrap();
            }
        });
    }
}

#[test]
fn p06_exits_are_told_before_downs() {
    everywhere(|| async {
        trap_exit(true);
        let pid = spawn_link(async { receive::<()>().await });
        let end = monitor(pid);
        send(pid, ());
        assert!(receive_any().await.is::<Exit>());
        assert_eq!(receive_any().await.downcast::<Down>().unwrap().reference, end);
    });
}

#[test]
fn p07_a_condemned_process_is_not_alive() {
    everywhere(|| async {
        let pid = spawn(async {
            loop {
                yield_now().await;
            }
        });
        assert!(is_alive(pid));
        exit(pid, Reason::other("end"));
        assert!(!is_alive(pid));
        wait(pid).await;
        assert!(!is_alive(pid));
    });
}

#[test]
fn p08_a_body_that_ended_is_not_polled_again() {
    fn counted(
        polls: Counter,
        mut each: impl FnMut(&Waker) -> Poll<()> + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(poll_fn(move |cx| {
            polls.add();
            cx.waker().wake_by_ref();
            each(cx.waker())
        }))
    }
    type Each = fn(&Waker) -> Poll<()>;
    let condemned: Each = |_| {
        exit(this(), Reason::Kill);
        Poll::Pending
    };
    for each in [(|_: &Waker| Poll::Ready(())) as Each, |_| panic!("once"), condemned] {
        everywhere(move || async move {
            let polls = Counter::default();
            spawn_monitor(counted(polls.clone(), each)).1.down().await;
            yield_now().await;
            assert_eq!(polls.get(), 1);
        });
    }
}

#[test]
fn p09_a_condemned_process_goes_on_to_its_next_await_which_never_completes() {
    type Await = fn() -> Pin<Box<dyn Future<Output = ()> + Send>>;
    let awaits: [Await; 9] = [
        || Box::pin(yield_now()),
        || Box::pin(sleep(Duration::ZERO)),
        || Box::pin(receive::<u8>().map_output(drop)),
        || Box::pin(receive_any().map_output(drop)),
        || Box::pin(receive_timeout::<u16>(Duration::ZERO).map_output(drop)),
        || Box::pin(riot_actor::timeout(secs(1), pending::<()>()).map_output(drop)),
        || Box::pin(wait(spawn(async {})).map_output(drop)),
        || Box::pin(async { drop(riot_actor::call::<u8, u8>(spawn(async {}), 1, None).await) }),
        || Box::pin(async { exit_self(Reason::other("later")).await }),
    ];
    for next in awaits {
        simulated(move || async move {
            let observer = this();
            let (_, end) = spawn_monitor(async move {
                send(this(), 1_u8);
                exit(this(), Reason::other("end"));
                send(observer, 1);
                let child = spawn_link(pending::<()>());
                send(observer, child);
                next().await;
                send(observer, 2);
            });
            // What it did before the await stands, and precedes its exit.
            assert_eq!(receive_any().await.downcast::<i32>().unwrap(), 1);
            let child = receive_any().await.downcast::<Pid>().unwrap();
            assert_eq!(end.down().await.reason, Reason::other("end"));
            wait(child).await;
            assert_eq!(receive_timeout::<i32>(secs(5)).await, Err(TimedOut));
        });
    }
}

impl<F: Future> Map for F {}

#[test]
fn p10_an_exit_cannot_be_undone_by_catching_panics() {
    everywhere(|| async {
        for now_or_later in [true, false] {
            let stubborn = async move {
                trap_exit(now_or_later);
                loop {
                    let _ = catch_panic(async {
                        if now_or_later {
                            exit_self(Reason::other("end")).await;
                        }
                        exit(this(), Reason::other("end"));
                        yield_now().await;
                        panic!("not reached");
                    })
                    .await;
                }
            };
            assert_eq!(reason(stubborn).await, Reason::other("end"));
        }
    });
}

#[test]
fn p11_a_process_condemned_before_its_first_poll_never_runs() {
    simulated(|| async {
        let (ran, token) = (Counter::default(), Token::new("capture"));
        let counted = ran.clone();
        let (pid, end) = spawn_monitor(async move {
            let _kept = &token;
            counted.add();
        });
        exit(pid, Reason::other("early"));
        assert_eq!(end.down().await.reason, Reason::other("early"));
        assert_eq!(receive::<Dropped>().await, Dropped("capture", Some(pid)));
        assert_eq!(ran.get(), 0);
    });
}
