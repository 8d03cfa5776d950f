//! Panics, destructors and wakers stay in their process, and what can be seen of one: P25-P32.
mod common;

use std::{
    future::{Future, pending, poll_fn},
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use common::*;
use riot_actor::{
    Down, Exit, Message, Pid, Reason, exit, link,
    mailbox::{receive_any, receive_timeout},
    monitor, now,
    process::{
        Priority, ProcessState, SpawnOptions, info, is_alive, processes, set_label, set_priority,
        spawn_monitor, summaries, try_this, wait, yield_now,
    },
    receive, register,
    runtime::{Config, Handle},
    send, sleep, spawn, spawn_link, this, trap_exit, unlink, whereis,
};

async fn reason<T: riot_actor::process::Outcome>(body: impl Future<Output = T> + Send + 'static) -> Reason {
    spawn_monitor(body).1.down().await.reason
}

#[test]
fn p25_a_panic_ends_one_process_and_is_reported_once() {
    everywhere_with_crash_reports(|crashes| async move {
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
        // The process that has its slot now is not disturbed.
        let next = spawn(pending::<()>());
        waker.wake();
        assert!(is_alive(next));
    });
}

#[test]
fn p29_info_shows_a_process_and_disturbs_none() {
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
fn p29_info_shows_lists_of_any_length() {
    everywhere(|| async {
        let others: Vec<Pid> = (0..200).map(|_| spawn_link(pending::<()>())).collect();
        let watched: Vec<Pid> = others.iter().copied().step_by(2).collect();
        watched.iter().for_each(|&pid| _ = monitor(pid));
        let names: Vec<String> = (0..50).map(|number| format!("name {number}")).collect();
        names.iter().for_each(|name| register(name.as_str(), this()).expect("it is free"));
        set_label("a label that is no constant".repeat(10));
        let shown = info(this()).expect("it runs");
        let sorted = |mut pids: Vec<Pid>| {
            pids.sort_unstable();
            pids
        };
        assert_eq!(sorted(shown.links), sorted(others.clone()));
        assert_eq!(sorted(shown.monitors), sorted(watched));
        assert_eq!(shown.names.iter().map(|name| name.as_str()).collect::<Vec<_>>(), names);
        assert_eq!(shown.label.map(|label| label.len()), Some(270));
        others.into_iter().for_each(unlink);
    });
}

#[test]
fn p29_info_lists_a_thousand_of_many_and_counts_all() {
    on_one_worker(|| async {
        let others: Vec<Pid> = (0..3_000).map(|_| spawn_link(pending::<()>())).collect();
        others.iter().take(2_000).for_each(|&pid| _ = monitor(pid));
        let shown = info(this()).expect("it runs");
        assert_eq!((shown.links.len(), shown.monitors.len(), shown.monitored_by.len()), (1_000, 1_000, 0));
        let counts = shown.relations;
        assert_eq!((counts.links, counts.monitors, counts.monitored_by), (3_000, 2_000, 0));
        assert!(shown.links.iter().all(|pid| others.contains(pid)));
        others.into_iter().for_each(unlink);
    });
}

#[test]
fn p29_summaries_equal_what_info_shows() {
    everywhere(|| async {
        trap_exit(true);
        for nth in 0..100_u32 {
            let body = async move {
                if nth.is_multiple_of(3) {
                    set_label(format!("process {nth}"));
                }
                link(this());
                receive::<()>().await;
            };
            let pid = match nth % 2 {
                0 => spawn_link(body),
                _ => SpawnOptions::new().label("odd").priority(Priority::High).spawn(body),
            };
            (0..nth % 4).for_each(|number| send(pid, number));
        }
        while info(this()).is_some_and(|main| main.links.len() < 50)
            || processes()
                .into_iter()
                .any(|pid| pid != this() && info(pid).unwrap().state != ProcessState::Waiting)
        {
            yield_now().await;
        }
        let all = summaries();
        assert_eq!(all.iter().map(|process| process.pid).collect::<Vec<_>>(), processes());
        for summary in &all {
            let info = info(summary.pid).expect("it waits");
            assert_eq!(
                (summary.label.clone(), summary.state, summary.mailbox),
                (info.label, info.state, info.mailbox)
            );
            assert_eq!(
                (summary.trap_exit, summary.priority, summary.nth),
                (info.trap_exit, info.priority, info.nth)
            );
            assert_eq!((summary.parent, summary.relations), (info.parent, info.relations));
            assert!(summary.age <= info.age);
        }
        let main = all.iter().find(|summary| summary.pid == this()).expect("it runs");
        assert_eq!((main.state, main.relations.links), (ProcessState::Running, 50));
        trap_exit(false);
        processes().into_iter().filter(|pid| *pid != this()).for_each(|pid| send(pid, ()));
    });
}

#[test]
fn p30_a_timer_of_a_receive_ends_with_its_process() {
    everywhere(|| async {
        let pid = spawn(async { receive_timeout::<u8>(secs(1000)).await.map(drop).map_err(Reason::from) });
        yield_now().await;
        exit(pid, Reason::Kill);
        wait(pid).await;
        // If the timer were left, this would end only after it.
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
        while riot_actor::timeout(Duration::ZERO, receive_any()).await.is_ok() {}
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
fn p32_outside_a_process_a_verb_panics() {
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
