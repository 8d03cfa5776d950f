//! Processes and signals: P1-P32.
mod common;

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::{Arc, mpsc},
    task::{Poll, Waker},
    time::Duration,
};

use common::*;
use riot_actor::{
    Down, Exit, Message, Pid, Reason, exit, link,
    mailbox::{receive_any, receive_timeout},
    monitor, now,
    process::{
        Priority, ProcessState, SpawnOptions, catch_panic, exit_self, info, is_alive, processes,
        set_priority, spawn_monitor, try_this, wait, yield_now,
    },
    receive, register, run,
    runtime::{Config, Handle},
    send, sleep, spawn, spawn_link, this,
    time::TimedOut,
    trap_exit, whereis,
};

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

async fn reason<T: riot_actor::process::Outcome>(body: impl Future<Output = T> + Send + 'static) -> Reason {
    spawn_monitor(body).1.down().await.reason
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
            // Of the process itself: a lock still held would be taken twice.
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
                // All of it before anybody was told, and in the process's own name.
                for what in ["body", "message"] {
                    let dropped = receive_timeout::<Dropped>(Duration::ZERO).await;
                    if what == "body" {
                        assert_eq!(dropped, Ok(Dropped(what, Some(pid))));
                    } else {
                        // One that was refused was dropped at once, by its sender.
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
        || Box::pin(receive::<u8>().map_(drop)),
        || Box::pin(receive_any().map_(drop)),
        || Box::pin(receive_timeout::<u16>(Duration::ZERO).map_(drop)),
        || Box::pin(riot_actor::timeout(secs(1), pending::<()>()).map_(drop)),
        || Box::pin(wait(spawn(async {})).map_(drop)),
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
            // What it did before the await stands, and precedes its end.
            assert_eq!(receive_any().await.downcast::<i32>().unwrap(), 1);
            let child = receive_any().await.downcast::<Pid>().unwrap();
            assert_eq!(end.down().await.reason, Reason::other("end"));
            wait(child).await;
            assert_eq!(receive_timeout::<i32>(secs(5)).await, Err(TimedOut));
        });
    }
}

trait Map: Future + Sized {
    fn map_<T>(self, f: impl FnOnce(Self::Output) -> T) -> impl Future<Output = T> {
        async { f(self.await) }
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

/// A process that notes every exit it traps, or that does not trap.
fn listener(trap: bool) -> Pid {
    let observer = this();
    let mut options = SpawnOptions::new();
    if trap {
        options = options.trap_exit();
    }
    options.spawn(async move {
        loop {
            let Exit { from, reason, .. } = receive::<Exit>().await;
            if from.is_system() {
                return; // The test is over.
            }
            send(observer, (from, reason));
        }
    })
}

async fn noted() -> Reason {
    receive::<(Pid, Reason)>().await.1
}

#[test]
fn p12_p13_kill_cannot_be_trapped() {
    for trap in [false, true] {
        everywhere(move || async move {
            let victim = listener(trap);
            let end = monitor(victim);
            trap_exit(true);
            link(victim);
            exit(victim, Reason::Kill);
            assert_eq!(end.down().await.reason, Reason::Killed);
            assert_eq!(receive::<Exit>().await.reason, Reason::Killed);
        });
    }
}

#[test]
fn p14_a_body_that_ends_with_kill_is_no_kill() {
    everywhere(|| async {
        trap_exit(true);
        spawn_link(async { Reason::Kill });
        assert_eq!(receive::<Exit>().await.reason, Reason::Kill);
        let plain = async {
            spawn_link(async { Reason::Kill });
            pending::<()>().await;
        };
        assert_eq!(reason(plain).await, Reason::Kill);
    });
}

#[test]
fn p15_normal_ends_only_who_says_it_to_himself() {
    everywhere(|| async {
        let (trapping, plain) = (listener(true), listener(false));
        exit(trapping, Reason::Normal);
        assert_eq!(noted().await, Reason::Normal);
        exit(plain, Reason::Normal);
        assert!(is_alive(plain) && is_alive(trapping));
        let own = async {
            exit(this(), Reason::Normal);
            pending::<()>().await;
        };
        assert_eq!(reason(own).await, Reason::Normal);
        let own_trapped = async {
            trap_exit(true);
            exit(this(), Reason::Normal);
            receive::<Exit>().await.reason
        };
        assert_eq!(reason(own_trapped).await, Reason::Normal);
    });
}

#[test]
fn p16_any_other_reason_ends_or_is_trapped() {
    for signal in [Reason::Killed, Reason::Shutdown, Reason::NoProc, Reason::other(1)] {
        everywhere(move || {
            let signal = signal.clone();
            async move {
                let (trapping, plain) = (listener(true), listener(false));
                let end = monitor(plain);
                exit(trapping, signal.clone());
                exit(plain, signal.clone());
                assert_eq!(noted().await, signal);
                assert_eq!(end.down().await.reason, signal);
                assert!(is_alive(trapping));
            }
        });
    }
}

#[test]
fn p17_an_explicit_signal_names_its_sender_and_leaves_the_link() {
    everywhere(|| async {
        let listener = listener(true);
        link(listener);
        exit(listener, Reason::other("a word"));
        assert_eq!(receive::<(Pid, Reason)>().await, (this(), Reason::other("a word")));
        assert_eq!(info(listener).unwrap().links, [this()]);
    });
}

#[test]
fn p18_trapping_is_judged_when_the_signal_comes() {
    everywhere(|| async {
        trap_exit(true);
        exit(this(), Reason::other(1));
        trap_exit(false);
        yield_now().await;
        assert_eq!(receive::<Exit>().await.reason, Reason::other(1));
        let too_late = async {
            exit(this(), Reason::other(2));
            trap_exit(true);
            yield_now().await;
        };
        assert_eq!(reason(too_late).await, Reason::other(2));
    });
}

#[test]
fn p19_flags_return_what_they_were_and_are_not_inherited() {
    everywhere(|| async {
        assert!(!trap_exit(true));
        assert!(trap_exit(true));
        assert_eq!(set_priority(Priority::High), Priority::Normal);
        assert_eq!(set_priority(Priority::High), Priority::High);
        let child = info(spawn_link(pending::<()>())).unwrap();
        assert_eq!((child.trap_exit, child.priority), (false, Priority::Normal));
    });
}

#[test]
fn p20_signals_of_one_process_take_effect_in_order() {
    everywhere(|| async {
        for _ in 0..50 {
            let observer = this();
            let (pid, end) = spawn_monitor(async move {
                loop {
                    send(observer, receive::<char>().await);
                }
            });
            yield_now().await;
            send(pid, 'a');
            exit(pid, Reason::other("end"));
            send(pid, 'b');
            end.down().await;
            while let Ok(received) = receive_timeout::<char>(Duration::ZERO).await {
                assert_eq!(received, 'a');
            }
        }
    });
}

#[test]
fn p21_what_was_accepted_is_before_what_it_causes() {
    everywhere(|| async {
        for _ in 0..50 {
            let c = this();
            let b = spawn(async move {
                receive::<()>().await;
                send(c, "b");
            });
            spawn(async move {
                send(c, "a");
                send(b, ());
            });
            assert_eq!((receive::<&str>().await, receive::<&str>().await), ("a", "b"));
        }
    });
}

#[test]
fn p22_the_dead_take_signals_without_complaint() {
    everywhere(|| async {
        let pid = spawn(async {});
        wait(pid).await;
        send(pid, 1);
        exit(pid, Reason::Kill);
        assert_eq!(riot_actor::mailbox::try_send(pid, 7), Err(riot_actor::mailbox::TrySendError::NoProc(7)));
    });
}

#[test]
fn p23_the_first_fatal_signal_decides() {
    everywhere(|| async {
        let pid = spawn(pending::<()>());
        let end = monitor(pid);
        exit(pid, Reason::other(1));
        exit(pid, Reason::Kill);
        assert_eq!(end.down().await.reason, Reason::other(1));
    });
}

#[test]
fn p24_spawn_link_and_spawn_monitor_tell_the_true_reason() {
    everywhere_reported(|crashes| async move {
        trap_exit(true);
        spawn_link(async { Reason::other("at once") });
        assert_eq!(receive::<Exit>().await.reason, Reason::other("at once"));
        let (pid, end) = spawn_monitor(pending::<()>());
        exit(pid, Reason::Kill);
        assert_eq!(end.down().await.reason, Reason::Killed);

        // A parent that is condemned as it spawns takes the child along, for its own reason.
        let observer = this();
        let parent = async move {
            exit(this(), Reason::other("parent"));
            send(observer, spawn_link(pending::<()>()));
        };
        assert_eq!(reason(parent).await, Reason::other("parent"));
        let child = receive::<Pid>().await;
        wait(child).await;
        let crashes = crashes.lock().unwrap();
        let report = crashes.iter().find(|report| report.pid == child).unwrap();
        assert_eq!(report.reason, Reason::other("parent"));
    });
}

/// A plain thread kills whatever it sees, as early as it sees it.
#[test]
fn p24_a_child_killed_at_once_is_still_told_of() {
    threaded(|| async {
        trap_exit(true);
        let (handle, main) = (Handle::current(), this());
        let (done, is_done) = mpsc::channel::<()>();
        let killer = std::thread::spawn(move || {
            while is_done.try_recv() == Err(mpsc::TryRecvError::Empty) {
                for pid in handle.processes().into_iter().filter(|&pid| pid != main) {
                    handle.exit(pid, Reason::Kill);
                }
            }
        });
        for _ in 0..20_000 {
            let (pid, end) = SpawnOptions::new().link().spawn_monitor(pending::<()>());
            let exit = riot_actor::timeout(
                secs(20),
                riot_actor::mailbox::receive_if(move |exit: &Exit| exit.from == pid),
            );
            assert_eq!(exit.await.expect("its end is told").reason, Reason::Killed);
            assert_eq!(end.down().await.reason, Reason::Killed);
        }
        assert!(info(main).unwrap().links.is_empty());
        done.send(()).unwrap();
        killer.join().unwrap();
    });
}

#[test]
fn p25_a_panic_ends_one_process_and_is_reported_once() {
    everywhere_reported(|crashes| async move {
        let bystander = spawn(pending::<()>());
        for _ in 0..10 {
            assert!(matches!(reason::<()>(async { panic!("bang") }).await, Reason::Panic(_)));
        }
        assert!(is_alive(bystander));
        assert_eq!(crashes.lock().unwrap().len(), 10);
        reason(async {}).await;
        assert_eq!(reason(async { Reason::Shutdown }).await, Reason::Shutdown);
        assert_eq!(crashes.lock().unwrap().len(), 10, "clean ends are no news");
    });
}

#[test]
fn p26_a_panic_in_a_destructor_changes_nothing() {
    everywhere(|| async {
        let fragile = || OnDrop(|| panic!("in a destructor"));
        let (pid, end) = spawn_monitor(async move {
            let _fragile = (fragile(), Token::new("after"));
            pending::<()>().await;
        });
        send(pid, fragile());
        send(pid, Token::new("message"));
        yield_now().await;
        exit(pid, Reason::other("end"));
        assert_eq!(end.down().await.reason, Reason::other("end"));
        assert_eq!(receive::<Dropped>().await.0, "message");
        let at_the_end = async {
            let _fragile = OnDrop(|| panic!("at the end"));
        };
        assert!(matches!(reason(at_the_end).await, Reason::Panic(_)));
    });
}

#[test]
fn p27_a_destructor_may_send_spawn_and_link_but_not_register() {
    everywhere(|| async {
        trap_exit(true);
        let observer = this();
        let (pid, end) = spawn_monitor(async move {
            let _last_words = OnDrop(move || {
                send(observer, "last words");
                let heir = spawn_link(async {
                    trap_exit(true);
                    receive::<Exit>().await;
                });
                send(observer, heir);
                link(observer);
                assert!(register("ghost", this()).is_err());
                exit(observer, Reason::other("a greeting"));
            });
            pending::<()>().await;
        });
        yield_now().await;
        exit(pid, Reason::Kill);
        let first = receive_any().await;
        if first.is::<Down>() {
            return; // It had not run yet: nothing to drop.
        }
        assert_eq!(first.downcast::<&str>().unwrap(), "last words");
        assert!(receive_any().await.is::<Pid>());
        assert_eq!(receive_any().await.downcast::<Exit>().unwrap().reason, Reason::other("a greeting"));
        assert_eq!(receive_any().await.downcast::<Exit>().unwrap().reason, Reason::Killed);
        assert_eq!(receive_any().await.downcast::<Down>().unwrap().reference, end);
        assert_eq!(whereis("ghost"), None);
    });
}

#[test]
fn p28_wakers_outlive_processes_harmlessly() {
    everywhere(|| async {
        let (observer, kept) = (this(), Arc::new(()));
        let in_body = kept.clone();
        let (pid, end) = spawn_monitor(async move {
            let _kept = in_body;
            poll_fn(|cx| {
                send(observer, cx.waker().clone());
                Poll::<()>::Pending
            })
            .await;
        });
        let waker = receive::<Waker>().await;
        send(pid, kept.clone());
        exit(pid, Reason::Kill);
        end.down().await;
        assert_eq!(Arc::strong_count(&kept), 1);
        waker.wake_by_ref();
        let elsewhere = waker.clone();
        std::thread::spawn(move || (0..100).for_each(|_| elsewhere.wake_by_ref())).join().unwrap();
        // Whoever has its place now is not disturbed.
        let next = spawn(pending::<()>());
        waker.wake();
        assert!(is_alive(next));
    });
}

#[test]
fn p29_info_shows_a_process_and_disturbs_nobody() {
    everywhere(|| async {
        let pid = SpawnOptions::new().trap_exit().label("shown").name("known").link().spawn(async {
            set_priority(Priority::Low);
            monitor(receive::<Pid>().await);
            receive::<()>().await;
        });
        monitor(pid);
        send(pid, this());
        send(pid, "left");
        while info(pid).unwrap().state != ProcessState::Waiting || info(pid).unwrap().mailbox != 1 {
            yield_now().await;
        }
        let seen = info(pid).unwrap();
        assert_eq!((seen.pid, seen.label.as_deref(), seen.mailbox), (pid, Some("shown"), 1));
        assert_eq!(
            (seen.links, seen.monitors, seen.monitored_by),
            (vec![this()], vec![this()], vec![this()])
        );
        assert_eq!((seen.trap_exit, seen.priority), (true, Priority::Low));
        assert_eq!((seen.names, seen.parent), (vec!["known".into()], Some(this())));
        assert_eq!(info(this()).unwrap().state, ProcessState::Running);
        assert_eq!(processes(), [this(), pid]);
        let ready = spawn(async {});
        assert_eq!(info(ready).unwrap().state, ProcessState::Runnable);
        exit(ready, Reason::Kill);
        assert_eq!(info(ready).unwrap().state, ProcessState::Exiting);
        send(pid, ());
        wait(pid).await;
        assert!(info(pid).is_none());
    });
}

#[test]
fn p30_a_timer_of_a_receive_ends_with_its_process() {
    everywhere(|| async {
        let pid = spawn(async { receive_timeout::<u8>(secs(1000)).await.map(drop).map_err(Reason::from) });
        yield_now().await;
        exit(pid, Reason::Kill);
        wait(pid).await;
        // Were the timer left, the end of this would be found only after it.
        let start = now();
        sleep(secs(1)).await;
        assert_eq!((now() - start).as_secs(), 1);
    });
}

#[test]
fn p31_no_table_keeps_a_process_that_is_gone() {
    threaded(|| async {
        trap_exit(true);
        let before = (processes().len(), info(this()).unwrap());
        for _ in 0..1_000 {
            let batch: Vec<Pid> = (0..100_u8)
                .map(|nth| {
                    let body = async move {
                        register(format!("name {nth}"), this()).ok();
                        monitor(spawn_link(async {}));
                    };
                    SpawnOptions::new().link().spawn_monitor(body).0
                })
                .collect();
            riot_actor::process::join(&batch).await;
        }
        while let Ok(()) = riot_actor::timeout(Duration::ZERO, receive_any().map_(drop)).await {}
        while processes().len() > before.0 {
            yield_now().await;
        }
        let after = info(this()).unwrap();
        assert_eq!((after.links, after.monitors), (before.1.links, before.1.monitors));
        assert_eq!(after.monitored_by, before.1.monitored_by);
        assert!((0..100).all(|nth| whereis(&format!("name {nth}")).is_none()));
    });
}

#[test]
fn p32_outside_a_process_there_is_nobody_to_act_for() {
    assert_eq!(try_this(), None);
    let panic = std::panic::catch_unwind(this).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("Handle"));
    let reason = Config::new().workers(2).run(async {
        let (handle, main) = (Handle::current(), this());
        std::thread::spawn(move || {
            assert_eq!(try_this(), None);
            handle.send(main, Message::new(1).type_name());
            handle.spawn(async move { send(main, this()) })
        })
        .join()
        .unwrap();
        assert_eq!(receive::<&str>().await, "i32");
        receive::<Pid>().await;
    });
    assert_eq!(reason.unwrap(), Reason::Normal);
}
