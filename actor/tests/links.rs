//! Links: L1-L10.
mod common;

use std::{future::pending, time::Duration};

use common::*;
use riot_actor::{
    Exit, Pid, Reason, exit, link,
    mailbox::{receive_if, receive_timeout},
    monitor,
    process::{SpawnOptions, info, spawn_monitor, unlink_flush, wait, yield_now},
    receive, send, spawn, spawn_link, this,
    time::TimedOut,
    trap_exit, unlink,
};

fn idle() -> Pid {
    spawn(pending::<()>())
}

fn links(pid: Pid) -> Vec<Pid> {
    info(pid).unwrap().links
}

async fn no_exit() {
    assert_eq!(receive_timeout::<Exit>(Duration::ZERO).await, Err(TimedOut));
}

#[test]
fn l01_a_link_is_one_and_symmetric_and_either_side_may_end_it() {
    everywhere(|| async {
        let other = idle();
        link(other);
        link(other);
        assert_eq!((links(this()), links(other)), (vec![other], vec![this()]));
        unlink(other);
        assert_eq!((links(this()), links(other)), (vec![], vec![]));
        let me = this();
        let (unlinker, end) = spawn_monitor(async move {
            link(me);
            unlink(me);
            link(me);
            yield_now().await;
            unlink(me);
        });
        end.down().await;
        assert!(!links(me).contains(&unlinker));
    });
}

#[test]
fn l02_a_link_with_oneself_is_none() {
    everywhere(|| async {
        link(this());
        assert_eq!(links(this()), []);
        unlink(this());
        unlink(idle());
    });
}

#[test]
fn l03_a_link_with_a_released_process_is_an_exit_signal() {
    everywhere(|| async {
        let dead = spawn(async {});
        wait(dead).await;
        let (_, end) = spawn_monitor(async move {
            link(dead);
            pending::<()>().await;
        });
        assert_eq!(end.down().await.reason, Reason::NoProc);
        trap_exit(true);
        link(dead);
        let exit = receive::<Exit>().await;
        assert_eq!((exit.from, exit.reason, exit.by_link), (dead, Reason::NoProc, true));
    });
}

#[test]
fn l04_a_link_that_races_with_an_end_gives_exactly_one_signal() {
    everywhere(|| async {
        trap_exit(true);
        for nth in 0..20 {
            let dying = spawn(async move {
                for _ in 0..nth % 3 {
                    yield_now().await;
                }
                Reason::other("true")
            });
            for _ in 0..nth % 4 {
                yield_now().await;
            }
            link(dying);
            let reason = receive_if(move |exit: &Exit| exit.from == dying).await.reason;
            assert!(reason == Reason::other("true") || reason == Reason::NoProc);
            wait(dying).await;
            no_exit().await;
        }
    });
}

#[test]
fn l04_a_link_with_a_condemned_process_tells_the_true_reason_after_its_release() {
    everywhere(|| async {
        trap_exit(true);
        let token = Token::new("held");
        let dying = spawn(async move {
            let _held = token;
            pending::<()>().await;
        });
        exit(dying, Reason::other("true"));
        link(dying);
        no_exit().await;
        assert_eq!(receive::<Exit>().await.reason, Reason::other("true"));
        assert_eq!(receive_timeout::<Dropped>(Duration::ZERO).await.unwrap().0, "held");
    });
}

#[test]
fn l05_after_unlink_no_exit_comes_and_flush_removes_one_that_has() {
    everywhere(|| async {
        trap_exit(true);
        for nth in 0..20 {
            let dying = spawn_link(async { Reason::other("end") });
            for _ in 0..nth % 3 {
                yield_now().await;
            }
            if nth % 2 == 0 {
                unlink(dying);
                let queued = receive_timeout::<Exit>(Duration::ZERO).await;
                wait(dying).await;
                if queued.is_ok() {
                    no_exit().await;
                }
            } else {
                unlink_flush(dying);
                wait(dying).await;
            }
            no_exit().await;
        }
    });
}

#[test]
fn l06_a_link_that_was_removed_can_be_made_again() {
    everywhere(|| async {
        trap_exit(true);
        let other = idle();
        link(other);
        unlink(other);
        link(other);
        exit(other, Reason::Kill);
        assert_eq!(receive::<Exit>().await.reason, Reason::Killed);
        assert_eq!(links(this()), []);
    });
}

/// Starts a process linked with `next` that reports what it traps.
fn linked_with(next: Option<Pid>, trap: bool) -> Pid {
    let observer = this();
    let mut options = SpawnOptions::new();
    if trap {
        options = options.trap_exit();
    }
    options.spawn(async move {
        if let Some(next) = next {
            link(next);
        }
        send(observer, "linked");
        loop {
            let exit = receive::<Exit>().await;
            if exit.from.is_system() {
                return;
            }
            send(observer, exit);
        }
    })
}

#[test]
fn l07_an_end_spreads_to_those_that_do_not_trap() {
    everywhere(|| async {
        // d - c - b - a, of which only b traps exits.
        let a = linked_with(None, false);
        receive::<&str>().await;
        let b = linked_with(Some(a), true);
        receive::<&str>().await;
        let c = linked_with(Some(b), false);
        receive::<&str>().await;
        let d = linked_with(Some(c), false);
        receive::<&str>().await;
        let end = monitor(c);
        exit(d, Reason::Kill);
        assert_eq!(end.down().await.reason, Reason::Killed);
        let exit = receive::<Exit>().await;
        assert_eq!((exit.from, exit.reason), (c, Reason::Killed));
        assert!(riot_actor::process::is_alive(a) && riot_actor::process::is_alive(b));
        no_exit().await;
    });
}

#[test]
fn l08_a_normal_exit_ends_no_linked_process() {
    everywhere(|| async {
        let plain = linked_with(None, false);
        let trapping = linked_with(None, true);
        receive::<&str>().await;
        receive::<&str>().await;
        let (gone, end) = spawn_monitor(async move {
            link(plain);
            link(trapping);
        });
        end.down().await;
        let exit = receive::<Exit>().await;
        assert_eq!((exit.from, exit.reason), (gone, Reason::Normal));
        assert!(riot_actor::process::is_alive(plain));
        assert_eq!(links(plain), []);
    });
}

#[test]
fn l09_links_are_symmetric_whatever_came_before() {
    everywhere(|| async {
        let observer = this();
        let make = |seed: u32| {
            spawn(async move {
                let other = receive::<Pid>().await;
                for nth in 0..50 {
                    if (nth * 7 + seed).is_multiple_of(3) {
                        unlink(other)
                    } else {
                        link(other)
                    }
                    if (nth + seed).is_multiple_of(2) {
                        yield_now().await;
                    }
                }
                send(observer, "quiet");
                pending::<()>().await;
            })
        };
        let (p, q) = (make(1), make(2));
        send(p, q);
        send(q, p);
        receive::<&str>().await;
        receive::<&str>().await;
        assert_eq!(links(p).contains(&q), links(q).contains(&p));
    });
}

#[test]
fn l10_each_of_many_partners_gets_one_signal() {
    everywhere(|| async {
        let hub = idle();
        let observer = this();
        for _ in 0..200 {
            SpawnOptions::new().trap_exit().spawn(async move {
                link(hub);
                send(observer, "linked");
                let mut heard = 0;
                while receive_timeout::<Exit>(Duration::from_millis(if heard == 0 { 60_000 } else { 0 }))
                    .await
                    .is_ok()
                {
                    heard += 1;
                }
                send(observer, heard);
            });
        }
        for _ in 0..200 {
            receive::<&str>().await;
        }
        exit(hub, Reason::other("end"));
        for _ in 0..200 {
            assert_eq!(receive::<i32>().await, 1);
        }
    });
}
