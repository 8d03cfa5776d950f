//! Monitors: N1-N10.
mod common;

use std::{future::pending, time::Duration};

use common::*;
use riot_actor::{
    Down, Exit, Reason, demonitor, exit,
    mailbox::{receive_any, receive_timeout},
    monitor,
    name::unregister,
    process::{demonitor_flush, info, join, monitor_name, spawn_monitor, wait, yield_now},
    receive, register, send, spawn, this,
    time::TimedOut,
    trap_exit,
};

async fn no_down() {
    assert_eq!(receive_timeout::<Down>(Duration::ZERO).await, Err(TimedOut));
}

#[test]
fn n01_n02_every_monitor_fires_once_and_for_itself() {
    everywhere(|| async {
        let pid = spawn(receive::<()>());
        let (first, second) = (monitor(pid), monitor(pid));
        assert_ne!(first, second);
        send(pid, ());
        let down = second.down().await;
        assert_eq!((down.reference, down.pid, down.reason), (second, Some(pid), Reason::Normal));
        assert_eq!(first.down().await.reference, first);
        no_down().await;
    });
}

#[test]
fn n03_a_monitor_on_a_released_process_fires_at_once() {
    everywhere(|| async {
        let pid = spawn(async {});
        wait(pid).await;
        let end = monitor(pid);
        let down = receive_timeout::<Down>(Duration::ZERO).await.unwrap();
        assert_eq!((down.reference, down.reason), (end, Reason::NoProc));
    });
}

#[test]
fn n04_the_exit_of_a_condemned_process_is_told_after_its_release() {
    everywhere(|| async {
        let token = Token::new("held");
        let pid = spawn(async move {
            let _held = token;
            pending::<()>().await;
        });
        exit(pid, Reason::other("true"));
        let end = monitor(pid);
        no_down().await;
        assert_eq!(end.down().await.reason, Reason::other("true"));
        assert_eq!(receive_timeout::<Dropped>(Duration::ZERO).await.unwrap().0, "held");
    });
}

#[test]
fn n05_the_reason_is_the_targets() {
    everywhere(|| async {
        let killed = spawn_monitor(pending::<()>());
        exit(killed.0, Reason::Kill);
        assert_eq!(killed.1.down().await.reason, Reason::Killed);
        assert_eq!(spawn_monitor(async {}).1.down().await.reason, Reason::Normal);
        assert_eq!(spawn_monitor(async { Reason::Kill }).1.down().await.reason, Reason::Kill);
    });
}

#[test]
fn n06_a_monitor_is_one_way() {
    everywhere(|| async {
        let target = spawn(pending::<()>());
        let (_, end) = spawn_monitor(async move {
            monitor(target);
            Reason::other("crash")
        });
        end.down().await;
        assert!(riot_actor::process::is_alive(target));
        assert_eq!(info(target).unwrap().monitored_by, []);
        monitor(this());
        yield_now().await;
        no_down().await;
    });
}

#[test]
fn n07_demonitor_says_whether_it_came_in_time() {
    everywhere(|| async {
        let pid = spawn(receive::<()>());
        let (prevented, queued, flushed) = (monitor(pid), monitor(pid), monitor(pid));
        assert!(demonitor(prevented));
        assert!(!demonitor(prevented));
        // A monitor of another process is refused.
        let (_, end) = spawn_monitor(async move { assert!(!demonitor(queued)) });
        assert_eq!(end.down().await.reason, Reason::Normal);
        let gone = wait(pid);
        send(pid, ());
        gone.await;
        while info(this()).unwrap().mailbox < 2 {
            yield_now().await;
        }
        assert!(!demonitor(queued));
        assert!(!demonitor_flush(flushed));
        assert_eq!(receive::<Down>().await.reference, queued);
        no_down().await;
        assert!(!demonitor(queued));
    });
}

#[test]
fn n08_a_monitor_by_name_stays_with_its_first_holder() {
    everywhere(|| async {
        let [first, second] = [(); 2].map(|()| spawn(async { receive::<()>().await }));
        register("clerk", first).unwrap();
        let reference = monitor_name("clerk");
        unregister("clerk").unwrap();
        register("clerk", second).unwrap();
        send(second, ());
        wait(second).await;
        no_down().await;
        exit(first, Reason::other("end"));
        let down = reference.down().await;
        assert_eq!((down.pid, down.name), (Some(first), Some("clerk".into())));
        assert_eq!(down.reason, Reason::other("end"));
    });
}

#[test]
fn n08_a_monitor_on_a_free_name_fires_at_once() {
    everywhere(|| async {
        let reference = monitor_name("free");
        let down =
            receive_timeout::<Down>(Duration::ZERO).await.expect("it is there before the call returns");
        assert_eq!((down.reference, down.pid, down.reason), (reference, None, Reason::NoProc));
        assert_eq!(down.name, Some("free".into()));
        assert!(!demonitor(reference));
        no_down().await;
        // A monitor on the caller's own name is valid, and never fires.
        register("self", this()).unwrap();
        monitor_name("self");
        no_down().await;
    });
}

#[test]
fn n09_join_waits_for_all_and_leaves_the_mailbox_alone() {
    everywhere(|| async {
        let done = spawn(async {});
        wait(done).await;
        let pids: Vec<_> = (0..20)
            .map(|nth| {
                spawn(async move {
                    for _ in 0..nth {
                        yield_now().await;
                    }
                    Reason::other("whatever")
                })
            })
            .chain([done])
            .collect();
        send(this(), "left alone");
        let own = monitor(pids[0]);
        join(&pids).await;
        assert!(pids.iter().all(|&pid| info(pid).is_none()));
        own.down().await;
        assert_eq!(receive_any().await.downcast::<&str>().unwrap(), "left alone");
        no_down().await;
    });
}

#[test]
fn wait_says_why_without_a_message() {
    everywhere(|| async {
        let pid = spawn(async { Reason::other("end") });
        let end = wait(pid);
        assert_eq!(end.await, Reason::other("end"));
        assert_eq!(wait(pid).await, Reason::NoProc);
        // A wait that is given up leaves nothing behind.
        let idle = spawn(pending::<()>());
        assert!(riot_actor::timeout(Duration::ZERO, wait(idle)).await.is_err());
        exit(idle, Reason::Kill);
        assert_eq!(info(this()).unwrap().mailbox, 0);
    });
}

#[test]
fn n10_messages_precede_the_end_of_their_sender() {
    everywhere(|| async {
        trap_exit(true);
        for nth in 0..20 {
            let me = this();
            let (pid, _) = riot_actor::process::SpawnOptions::new().link().spawn_monitor(async move {
                send(me, 1);
                for _ in 0..nth % 3 {
                    yield_now().await;
                }
                send(me, 2);
            });
            assert_eq!(receive_any().await.downcast::<i32>().unwrap(), 1);
            assert_eq!(receive_any().await.downcast::<i32>().unwrap(), 2);
            assert_eq!(receive_any().await.downcast::<Exit>().unwrap().from, pid);
            assert_eq!(receive_any().await.downcast::<Down>().unwrap().pid, Some(pid));
        }
    });
}
