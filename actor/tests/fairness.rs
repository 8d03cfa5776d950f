//! Cooperation and scheduling: C1-C4, C7-C13.
mod common;

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use common::*;
use riot_actor::{
    Message, Pid, Reason, exit,
    mailbox::{receive_any, receive_if, receive_timeout, select},
    name::unregister,
    now,
    process::{Priority, SpawnOptions, info, join, spawn_monitor, try_this, wait, yield_now},
    receive, register,
    runtime::Config,
    send, sleep, spawn, this,
    time::send_interval,
    whereis,
};

#[test]
fn c01_no_wake_is_lost_and_no_two_workers_poll_one_process() {
    threaded(|| async {
        let (count, polling) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        const WAKES: usize = 2_000;
        let (counted, observer) = (count.clone(), this());
        let waiter = spawn(async move {
            let mut waker_sent = false;
            poll_fn(|cx| {
                assert!(!polling.swap(true, Ordering::SeqCst), "two at once");
                if !std::mem::replace(&mut waker_sent, true) {
                    send(observer, cx.waker().clone());
                }
                let seen = counted.load(Ordering::SeqCst);
                polling.store(false, Ordering::SeqCst);
                if seen == 2 * WAKES { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
        let waker = receive::<std::task::Waker>().await;
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (count, waker) = (count.clone(), waker.clone());
                std::thread::spawn(move || {
                    for _ in 0..WAKES {
                        count.fetch_add(1, Ordering::SeqCst);
                        waker.wake_by_ref();
                    }
                })
            })
            .collect();
        // If the last wake were lost this would not return.
        wait(waiter).await;
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn c02_what_could_go_on_for_ever_gives_way() {
    type Busy = fn() -> Pid;
    let busy: [Busy; 4] = [
        || {
            spawn(async {
                loop {
                    send(this(), ());
                    receive::<()>().await;
                }
            })
        },
        || {
            spawn(async {
                loop {
                    receive_timeout::<u8>(Duration::ZERO).await.ok();
                }
            })
        },
        || {
            spawn(async {
                loop {
                    sleep(Duration::ZERO).await;
                }
            })
        },
        || {
            spawn(async {
                let dead = spawn(async {});
                wait(dead).await;
                loop {
                    wait(dead).await;
                }
            })
        },
    ];
    for start in busy {
        on_one_worker(move || async move {
            let busy = start();
            for _ in 0..10 {
                yield_now().await;
            }
            sleep(millis(2)).await;
            exit(busy, Reason::Kill);
            wait(busy).await;
        });
    }
}

#[test]
fn c03_a_yield_lets_runnable_processes_go_first() {
    on_one_worker(|| async {
        let observer = this();
        for nth in 0..3 {
            spawn(async move {
                for _ in 0..3 {
                    send(observer, nth);
                    yield_now().await;
                }
            });
        }
        let mut order = Vec::new();
        for _ in 0..9 {
            order.push(receive::<i32>().await);
        }
        // In any order, each yield lets the two others run.
        for turns in order.chunks(3) {
            let mut turns = turns.to_vec();
            turns.sort_unstable();
            assert_eq!(turns, [0, 1, 2], "{order:?}");
        }
    });
}

#[test]
fn c07_high_runs_before_all_others() {
    on_one_worker(|| async {
        let observer = this();
        let of = |priority: Priority, what: &'static str| {
            SpawnOptions::new().priority(priority).spawn(async move {
                for _ in 0..5 {
                    send(observer, what);
                    yield_now().await;
                }
            });
        };
        of(Priority::Low, "low");
        of(Priority::Normal, "normal");
        of(Priority::High, "high");
        sleep(millis(5)).await;
        let mut order: Vec<&'static str> = Vec::new();
        for _ in 0..15 {
            order.push(receive().await);
        }
        assert_eq!(order[..5], ["high"; 5], "{order:?}");
    });
}

#[test]
fn c07_low_gets_one_poll_slice_in_nine() {
    on_one_worker(|| async {
        let turns = |priority| {
            let count = Counter::default();
            let counted = count.clone();
            let pid = SpawnOptions::new().priority(priority).spawn(async move {
                loop {
                    counted.add();
                    yield_now().await;
                }
            });
            (pid, count)
        };
        let (low, normal) = (turns(Priority::Low), turns(Priority::Normal));
        riot_actor::process::set_priority(Priority::High);
        while normal.1.get() < 8_000 {
            sleep(millis(1)).await;
        }
        let ratio = normal.1.get() as f64 / low.1.get() as f64;
        assert!((6.0..=10.0).contains(&ratio), "{ratio}");
        exit(low.0, Reason::Kill);
        exit(normal.0, Reason::Kill);
    });
}

#[test]
fn c08_a_suspended_process_that_is_condemned_is_released_promptly() {
    simulated(|| async {
        let start = now();
        for pid in [
            spawn(pending::<()>()),
            spawn(sleep(secs(3600))),
            spawn(receive::<()>()),
            spawn(async { receive_timeout::<()>(secs(3600)).await.map_err(Reason::from) }),
        ] {
            while info(pid).unwrap().state != riot_actor::process::ProcessState::Waiting {
                yield_now().await;
            }
            exit(pid, Reason::Kill);
            wait(pid).await;
        }
        assert!(now() - start < millis(1));
    });
}

#[test]
fn c09_processes_that_only_yield_get_equal_poll_slices() {
    on_one_worker(|| async {
        let counts: Vec<Counter> = (0..8).map(|_| Counter::default()).collect();
        for count in counts.clone() {
            spawn(async move {
                loop {
                    count.add();
                    yield_now().await;
                }
            });
        }
        while counts[0].get() < 5_000 {
            sleep(millis(1)).await;
        }
        let turns: Vec<usize> = counts.iter().map(Counter::get).collect();
        let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
        assert!(most <= &(least * 2), "{turns:?}");
    });
}

/// Code of a user that the runtime runs may call the runtime.
fn use_everything() {
    riot_actor::process::processes().into_iter().for_each(|pid| drop(info(pid)));
    let _ = whereis("free");
    if try_this().is_none() {
        return; // The dropped message of a timer: there is no process to act for.
    }
    send(this(), Message::new(()).type_name());
    let pid = spawn(async {});
    riot_actor::link(pid);
    riot_actor::unlink(pid);
    riot_actor::demonitor(riot_actor::monitor(pid));
    let name = format!("busy {pid}");
    if register(name.clone(), pid).is_ok() {
        let _ = whereis(&name);
        unregister(&name).ok();
    }
    riot_actor::time::send_after(secs(1), pid, ()).cancel();
    exit(pid, Reason::Kill);
}

struct Busy;

impl Drop for Busy {
    fn drop(&mut self) {
        use_everything();
    }
}

impl Clone for Busy {
    fn clone(&self) -> Self {
        use_everything();
        Self
    }
}

#[test]
fn c10_user_code_is_never_called_under_a_lock() {
    everywhere(|| async {
        // A selector, a guard, a message dropped by its sender, one dropped in a release, a body, a clone.
        send(this(), 1_u8);
        receive_if(|_: &u8| {
            use_everything();
            true
        })
        .await;
        send(this(), 1_u8);
        select(|message| {
            use_everything();
            message.is::<u8>()
        })
        .await;
        let pid = spawn(async {
            let _busy = Busy;
            pending::<()>().await;
        });
        send(pid, Busy);
        riot_actor::time::send_after(secs(3600), pid, Busy);
        send_interval(millis(1), pid, Busy).unwrap();
        sleep(millis(3)).await;
        exit(pid, Reason::Kill);
        send(pid, Busy);
        wait(pid).await;
        riot_actor::timeout(Duration::ZERO, async {
            loop {
                receive_any().await;
            }
        })
        .await
        .unwrap_err();
    });
}

/// With two threads of which one is held up, runnable processes run on the other one.
#[test]
fn c04_a_poll_that_does_not_end_holds_up_one_worker() {
    threaded(|| async {
        let (let_go, held) = mpsc::channel::<()>();
        let observer = this();
        let blocker = spawn(async move {
            // Enqueued on the worker that is about to be held up.
            for nth in 0..20 {
                spawn(async move { send(observer, nth) });
            }
            held.recv().unwrap();
        });
        for _ in 0..20 {
            receive::<i32>().await;
        }
        let_go.send(()).unwrap();
        wait(blocker).await;
    });
}

#[test]
fn c04_a_process_behind_one_that_does_not_give_way_runs_soon_on_a_sleeping_worker() {
    threaded(|| async {
        let observer = this();
        let mut delays = Vec::new();
        for _ in 0..20 {
            let woken = spawn(async move { send(observer, receive::<Instant>().await.elapsed()) });
            // It waits for its message by then, and the other worker sleeps.
            sleep(millis(5)).await;
            let (let_go, held) = mpsc::channel::<()>();
            let blocker = spawn(async move {
                send(woken, Instant::now());
                held.recv().unwrap();
            });
            delays.push(receive::<Duration>().await);
            let_go.send(()).unwrap();
            wait(blocker).await;
        }
        delays.sort_unstable();
        eprintln!("from a wake to a run on another worker: {delays:?}");
        // It took one look of the watchdog and another one 10 ms later. Other programs may hold up some.
        assert!(delays[4] < millis(8), "{delays:?}");
    });
}

#[test]
fn c04_workers_beyond_the_sixty_fourth_are_helped_too() {
    let reason = Config::new().workers(67).run(async {
        let observer = this();
        for worker in [0, 63, 64, 66] {
            let (let_go, held) = mpsc::channel::<()>();
            let blocker = SpawnOptions::new().pinned_to(worker).spawn(async move {
                spawn(async move { send(observer, ()) });
                held.recv().unwrap();
            });
            receive::<()>().await;
            let_go.send(()).unwrap();
            wait(blocker).await;
        }
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
}

/// A future that another thread completes, which then wakes the task that awaits it.
#[derive(Clone, Default)]
struct Foreign(Arc<Mutex<(Option<u32>, Option<Waker>)>>);

impl Foreign {
    fn complete(&self, value: u32) {
        let waker = {
            let mut inner = self.0.lock().unwrap();
            inner.0 = Some(value);
            inner.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Future for Foreign {
    type Output = u32;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        let mut inner = self.0.lock().unwrap();
        match inner.0 {
            Some(value) => Poll::Ready(value),
            None => {
                inner.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[test]
fn c11_foreign_futures_are_awaited_and_do_not_keep_a_condemned_process() {
    threaded(|| async {
        let foreign = Foreign::default();
        let completer = foreign.clone();
        let thread = std::thread::spawn(move || completer.complete(7));
        assert_eq!(foreign.await, 7);
        thread.join().unwrap();
    });
    everywhere(|| async {
        let (foreign, observer) = (Foreign::default(), this());
        let awaited = foreign.clone();
        let (pid, end) = spawn_monitor(async move {
            // A foreign future spends no reductions and does not stop by itself: condemned in the middle of
            // it, the process goes on to the next await of the runtime, or to the end of the poll.
            exit(this(), Reason::other("end"));
            poll_fn(|_| Poll::Ready(())).await;
            send(observer, "went on");
            send(observer, awaited.await);
        });
        assert_eq!(end.down().await.reason, Reason::other("end"));
        assert_eq!(receive::<&str>().await, "went on");
        foreign.complete(1);
        assert!(receive_timeout::<u32>(Duration::ZERO).await.is_err() && info(pid).is_none());
    });
}

#[test]
fn c12_a_pinned_process_stays_on_its_spawners_worker() {
    let here = || std::thread::current().id();
    threaded(move || async move {
        for _ in 0..20 {
            let worker = here();
            let pinned = SpawnOptions::new().pinned().spawn_monitor(async move {
                for _ in 0..50 {
                    assert_eq!(here(), worker);
                    yield_now().await;
                }
            });
            // Work for both workers, so that there is something to steal.
            let others: Vec<Pid> = (0..20).map(|_| spawn(async { yield_now().await })).collect();
            assert_eq!(pinned.1.down().await.reason, Reason::Normal);
            join(&others).await;
        }
    });
}

#[test]
fn c12_a_pinned_process_waits_for_its_worker_and_is_a_process_like_others() {
    threaded(|| async {
        let ran = Counter::default();
        let (pinned_ran, seen) = (ran.clone(), ran.clone());
        let (say, hear) = mpsc::channel();
        let blocker = spawn_monitor(async move {
            let options = SpawnOptions::new().pinned();
            let (pinned, end) = options.spawn_monitor(async move {
                pinned_ran.add();
                receive::<()>().await;
            });
            // Another worker takes this one over while this worker is held up; it must not take the pinned
            // one.
            spawn(async move { say.send(()).unwrap() });
            hear.recv().unwrap();
            assert_eq!(seen.get(), 0);
            send(pinned, ());
            assert_eq!(end.down().await.reason, Reason::Normal);
        });
        assert_eq!(blocker.1.down().await.reason, Reason::Normal);
        assert_eq!(ran.get(), 1);
        let (pinned, end) = SpawnOptions::new().pinned_to(1).spawn_monitor(pending::<()>());
        exit(pinned, Reason::other("end"));
        assert_eq!(end.down().await.reason, Reason::other("end"));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn c13_an_idle_runtime_uses_no_processor() {
    fn used_by_this_thread() -> Duration {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    }
    let reason = Config::new().workers(1).run(async {
        // These are never selected.
        for nth in 0..1000 {
            send(this(), nth);
        }
        let waiting: Vec<Pid> =
            (0..100).map(|_| spawn(async { receive::<String>().await.clear() })).collect();
        for &pid in &waiting {
            send(pid, "not for you");
        }
        sleep(millis(50)).await;
        let before = used_by_this_thread();
        sleep(millis(500)).await;
        let used = used_by_this_thread() - before;
        assert!(used < millis(5), "{used:?} in half a second of nothing to do");
    });
    assert_eq!(reason.unwrap(), Reason::Normal);
}
