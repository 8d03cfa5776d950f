//! The end of a process with very many relations gives way: rule C14.

mod common;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use common::{everywhere_few, millis, on_one_worker, secs};
use riot_actor::{
    Down, Exit, Pid, Reason, exit,
    group::{broadcast, join_group, leave_group, members},
    link, monitor,
    process::{info, is_alive, processes, wait, yield_now},
    receive, register,
    runtime::Config,
    send, spawn, this,
    time::send_after,
    trap_exit, whereis,
};

const MANY: usize = 20_000;

/// Counts how often it runs, until it is killed.
fn ticker() -> (Pid, Arc<AtomicUsize>) {
    let ticks = Arc::new(AtomicUsize::new(0));
    let counted = ticks.clone();
    let pid = spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::SeqCst);
            yield_now().await;
        }
    });
    (pid, ticks)
}

/// Ends a process, and checks that others have run often meanwhile, and that nothing is left.
async fn ends_in_many_slices(what: &str, pid: Pid, reason: Reason) {
    let (ticker, ticks) = ticker();
    exit(pid, reason);
    let before = ticks.load(Ordering::SeqCst);
    wait(pid).await;
    let ran = ticks.load(Ordering::SeqCst) - before;
    assert!(ran >= MANY / 1_000, "{what}: others ran {ran} times while it ended");
    assert!(info(pid).is_none() && !is_alive(pid));
    exit(ticker, Reason::Kill);
    wait(ticker).await;
}

fn many(body: impl Fn() -> Pid) -> Vec<Pid> {
    (0..MANY).map(|_| body()).collect()
}

fn idle() -> Pid {
    spawn(async {
        trap_exit(true);
        receive::<()>().await;
    })
}

#[test]
fn c14_a_broadcast_to_many_members_gives_way() {
    on_one_worker(|| async {
        let main = this();
        many(|| {
            spawn(async move {
                join_group("many", this());
                send(main, ());
                send(main, receive::<&str>().await);
            })
        });
        for _ in 0..MANY {
            receive::<()>().await;
        }
        // The one that leaves and the one that joins during the call get no copy.
        let leaving = *members("many").last().unwrap();
        let (ticker, ticks) = ticker();
        let late = spawn(async move {
            leave_group("many", leaving).unwrap();
            join_group("many", this());
            receive::<&str>().await;
        });
        let before = ticks.load(Ordering::SeqCst);
        broadcast("many", "hello").await;
        let ran = ticks.load(Ordering::SeqCst) - before;
        assert!(ran >= MANY / 1_000, "others ran {ran} times while it sent");
        for _ in 1..MANY {
            assert_eq!(receive::<&str>().await, "hello");
        }
        assert!(is_alive(leaving) && is_alive(late));
        assert_eq!((info(leaving).unwrap().mailbox, members("many")), (0, vec![late]));
        for pid in [leaving, late, ticker] {
            exit(pid, Reason::Kill);
            wait(pid).await;
        }
    });
}

/// A message that counts its drop. Each tenth one panics in it.
struct Counted(usize, Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
        assert!(!self.0.is_multiple_of(1_000), "message {} is dropped", self.0);
    }
}

#[test]
fn c14_the_end_of_a_process_with_many_messages_gives_way() {
    for has_looked_at_them in [false, true] {
        on_one_worker(move || async move {
            let main = this();
            let pid = spawn(async move {
                register("reader", this()).unwrap();
                send(main, ());
                if has_looked_at_them {
                    receive::<()>().await;
                    send(main, ());
                }
                pending::<()>().await;
            });
            receive::<()>().await;
            let dropped = Arc::new(AtomicUsize::new(0));
            (0..MANY).for_each(|nth| send(pid, Counted(nth, dropped.clone())));
            if has_looked_at_them {
                send(pid, ());
                receive::<()>().await;
            }
            let all = dropped.clone();
            let watcher = spawn(async move {
                wait(pid).await;
                send(main, (all.load(Ordering::SeqCst), whereis("reader")));
            });
            ends_in_many_slices("messages", pid, Reason::other("end")).await;
            assert_eq!(receive::<(usize, Option<Pid>)>().await, (MANY, None), "messages go first");
            wait(watcher).await;
        });
    }
}

#[test]
fn c14_the_end_of_a_process_with_many_links_gives_way() {
    on_one_worker(|| async {
        let main = this();
        let partners = many(|| {
            spawn(async move {
                trap_exit(true);
                let told = receive::<Exit>().await;
                send(main, (told.from, told.reason));
            })
        });
        let linked = partners.clone();
        let pid = spawn(async move {
            linked.into_iter().for_each(link);
            send(main, ());
            pending::<()>().await;
        });
        receive::<()>().await;
        ends_in_many_slices("links", pid, Reason::other("end")).await;
        for _ in 0..MANY {
            assert_eq!(receive::<(Pid, Reason)>().await, (pid, Reason::other("end")));
        }
        while processes() != [main] {
            yield_now().await;
        }
    });
}

#[test]
fn c14_the_end_of_a_process_with_many_monitors_gives_way() {
    on_one_worker(|| async {
        let main = this();
        let watched = many(idle);
        let targets = watched.clone();
        let pid = spawn(async move {
            targets.into_iter().for_each(|pid| _ = monitor(pid));
            send(main, ());
            pending::<()>().await;
        });
        receive::<()>().await;
        let (ticker, ticks) = ticker();
        exit(pid, Reason::Kill);
        wait(pid).await;
        // Its end is told before its monitors are gone.
        let before = ticks.load(Ordering::SeqCst);
        while watched.iter().any(|pid| info(*pid).is_some_and(|info| !info.monitored_by.is_empty())) {
            yield_now().await;
        }
        assert!(ticks.load(Ordering::SeqCst) - before >= MANY / 1_000);
        exit(ticker, Reason::Kill);
        let watched = watched[0];
        (0..MANY).for_each(|_| _ = monitor(watched));
        ends_in_many_slices("monitors of it", watched, Reason::Kill).await;
        for _ in 0..MANY {
            assert_eq!(receive::<Down>().await.reason, Reason::Killed);
        }
    });
}

#[test]
fn c14_the_end_of_a_process_with_many_names_groups_and_timers_gives_way() {
    on_one_worker(|| async {
        for kind in 0..3 {
            let pid = spawn(pending::<()>());
            for nth in 0..MANY {
                match kind {
                    0 => register(format!("{nth}"), pid).expect("it is free"),
                    1 => join_group(format!("{nth}"), pid),
                    _ => _ = send_after(secs(3600), pid, ()),
                }
            }
            ends_in_many_slices("what is attached to it", pid, Reason::other("end")).await;
            assert!(whereis("7").is_none() && members("7").is_empty());
        }
    });
}

#[test]
fn c14_many_that_wait_for_an_end_are_woken_in_many_slices() {
    on_one_worker(|| async {
        let main = this();
        let pid = spawn(pending::<()>());
        many(|| spawn(async move { send(main, wait(pid).await) }));
        for _ in 0..10 {
            yield_now().await;
        }
        ends_in_many_slices("waits", pid, Reason::other("end")).await;
        for _ in 0..MANY {
            assert_eq!(receive::<Reason>().await, Reason::other("end"));
        }
    });
}

#[test]
fn c14_p06_links_are_told_before_a_large_process_is_unknown() {
    everywhere_few(|| async {
        trap_exit(true);
        let main = this();
        let pid = spawn(async move {
            for _ in 0..1_500 {
                link(spawn(async {
                    trap_exit(true);
                    receive::<Exit>().await;
                }));
            }
            link(main);
            receive::<()>().await;
        });
        let monitored = monitor(pid);
        send(pid, ());
        while info(pid).is_some() {
            yield_now().await;
        }
        let told = riot_actor::mailbox::receive_any().await;
        assert_eq!(told.downcast::<Exit>().expect("the link first").from, pid);
        assert_eq!(monitored.down().await.reason, Reason::Normal);
    });
}

#[test]
fn c14_a_runtime_that_ends_meanwhile_ends() {
    for _ in 0..5 {
        let reason = Config::new().workers(2).shutdown_timeout(millis(50)).run(async {
            let pids = many(idle);
            spawn(async move {
                pids.into_iter().for_each(link);
                Reason::other("end")
            });
            yield_now().await;
        });
        assert_eq!(reason.expect("it ends"), Reason::Normal);
    }
}
