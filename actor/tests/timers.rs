//! Timers: T1-T14.
mod common;

use std::{
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::{Arc, mpsc},
    task::Poll,
    time::{Duration, Instant},
};

use common::*;
use riot_actor::{
    Exit, Reason, coop, exit,
    mailbox::receive_timeout,
    now,
    process::{SpawnOptions, info, is_alive, spawn_monitor, wait, yield_now},
    receive, register,
    runtime::Config,
    send,
    simulation::Simulation,
    sleep, spawn, this,
    time::{
        TimedOut, Timeout, ZeroPeriod, exit_after, interval, kill_after, send_after, send_interval,
        sleep_until, start_timer, timeout,
    },
};

async fn nothing<T: Send + std::fmt::Debug + PartialEq + 'static>() {
    assert_eq!(receive_timeout::<T>(Duration::ZERO).await, Err(TimedOut));
}

#[test]
fn t01_a_timer_sends_once() {
    everywhere(|| async {
        let timer = send_after(Duration::ZERO, this(), 1);
        assert_eq!(receive::<i32>().await, 1);
        assert_eq!(timer.cancel(), None);
        sleep(millis(5)).await;
        nothing::<i32>().await;
    });
}

#[test]
fn t02_no_timer_is_early() {
    everywhere(|| async {
        for nanos in [0, 1, 999_999, 1_000_000, 1_000_001, 3_500_000] {
            let (start, delay) = (now(), Duration::from_nanos(nanos));
            send_after(delay, this(), ());
            receive::<()>().await;
            assert!(now() - start >= delay);
            let start = now();
            sleep(delay).await;
            assert!(now() - start >= delay);
        }
    });
    simulated(|| async {
        for delay in [millis(1), millis(63), millis(64), millis(4096), secs(300), secs(86_400)] {
            let start = now();
            sleep(delay).await;
            assert!((delay..delay + millis(10)).contains(&(now() - start)), "{delay:?}");
        }
    });
}

#[test]
fn t03_cancel_says_what_was_left_and_then_nothing_comes() {
    simulated(|| async {
        let timer = send_after(secs(10), this(), 1);
        sleep(secs(4)).await;
        let left = timer.read().unwrap();
        assert!(left > secs(5) && left <= secs(6), "{left:?}");
        assert_eq!(timer.read(), Some(left));
        let me = this();
        spawn(async move { send(me, timer.cancel()) }); // from any process
        assert!(receive::<Option<Duration>>().await.is_some());
        assert_eq!((timer.cancel(), timer.read()), (None, None));
        sleep(secs(20)).await;
        nothing::<i32>().await;
    });
}

#[test]
fn t04_a_timer_outlives_its_creator() {
    simulated(|| async {
        let me = this();
        let creator = spawn(async move {
            send_after(secs(5), me, 1);
        });
        wait(creator).await;
        assert_eq!(receive::<i32>().await, 1);
    });
}

#[test]
fn t05_a_timer_ends_with_its_destination() {
    everywhere(|| async {
        let (pid, kept) = (spawn(pending::<()>()), Arc::new(()));
        let timer = send_after(secs(3600), pid, kept.clone());
        let repeated = send_interval(secs(3600), pid, kept.clone()).unwrap();
        assert!(timer.read().is_some() && repeated.read().is_some());
        exit(pid, Reason::Kill);
        wait(pid).await;
        assert_eq!((timer.read(), repeated.read(), timer.cancel()), (None, None, None));
        assert_eq!(Arc::strong_count(&kept), 1);
        let late = send_after(secs(1), pid, kept.clone());
        assert_eq!((late.read(), Arc::strong_count(&kept)), (None, 1));
    });
}

#[test]
fn t06_a_name_is_looked_up_when_the_timer_fires() {
    simulated(|| async {
        send_after(secs(1), "late", 1);
        send_after(secs(3), "late", 2);
        sleep(secs(2)).await;
        register("late", this()).unwrap();
        assert_eq!(receive::<i32>().await, 2);
        nothing::<i32>().await;
    });
}

#[test]
fn t07_timers_fire_in_the_order_of_their_deadlines() {
    everywhere(|| async {
        let start = now();
        for nth in (0..40_u32).rev() {
            // Counted from one instant, else the time that this takes would count.
            let due = start + millis(5 + u64::from(nth));
            send_after(due.saturating_duration_since(now()), this(), nth);
        }
        for nth in 0..40_u32 {
            assert_eq!(receive::<u32>().await, nth);
        }
    });
}

#[test]
fn t08_a_timeout_carries_the_timer_it_came_from() {
    everywhere(|| async {
        let stale = start_timer(Duration::ZERO, this(), "stale");
        let current = start_timer(millis(3), this(), "current");
        assert_eq!(receive::<Timeout<&str>>().await, Timeout { timer: stale, value: "stale" });
        assert_eq!(receive::<Timeout<&str>>().await, Timeout { timer: current, value: "current" });
        assert_ne!(stale, current);
    });
}

#[test]
fn t09_an_interval_does_not_drift() {
    simulated(|| async {
        let start = now();
        let timer = send_interval(secs(10), this(), ()).unwrap();
        for nth in 1..100 {
            receive::<()>().await;
            assert_eq!((now() - start).as_secs(), nth * 10);
            sleep(secs(nth % 7)).await;
        }
        assert!(timer.cancel().is_some());
        sleep(secs(100)).await;
        nothing::<()>().await;
        assert_eq!(send_interval(Duration::ZERO, this(), ()), Err(ZeroPeriod));
        let (start, mut ticks) = (now(), interval(secs(3)));
        for nth in 1..10 {
            ticks.tick().await;
            assert_eq!((now() - start).as_secs(), nth * 3);
        }
    });
}

#[test]
fn t10_a_sleep_takes_no_message_and_is_not_cut_short() {
    simulated(|| async {
        let (start, me) = (now(), this());
        spawn(async move {
            for nth in 0..5 {
                sleep(secs(1)).await;
                send(me, nth);
            }
        });
        sleep(secs(10)).await;
        assert_eq!((now() - start).as_secs(), 10);
        assert_eq!(info(this()).unwrap().mailbox, 5);
        sleep_until(start + secs(12)).await;
        assert_eq!((now() - start).as_secs(), 12);
    });
}

#[test]
fn t11_a_duration_beyond_all_time_never_fires() {
    simulated(|| async {
        let timer = send_after(Duration::MAX, this(), 1);
        let sleeper = spawn(sleep(Duration::MAX));
        send_interval(Duration::MAX, this(), 2).unwrap();
        assert!(receive_timeout::<i32>(secs(86_400 * 365)).await.is_err());
        assert!(timer.cancel().is_some() && riot_actor::process::is_alive(sleeper));
    });
}

#[test]
fn t14_a_timeout_ends_a_future_that_uses_up_every_poll_slice() {
    threaded(|| async {
        let busy = async {
            loop {
                send(this(), 1_u32);
                receive::<u32>().await;
            }
        };
        let start = Instant::now();
        // Stops the test if the timeout does not.
        let watched = poll_fn(|_| {
            assert!(start.elapsed() < secs(20), "the timeout does not end it");
            Poll::<()>::Pending
        });
        assert_eq!(timeout(millis(20), futures_lite::future::or(busy, watched)).await, Err(TimedOut));
        assert!(start.elapsed() >= millis(20));
    });
}

#[test]
fn t14_what_is_there_is_taken_though_a_poll_slice_was_used_up_before() {
    everywhere_few(|| async {
        send(this(), 7_u8);
        let mut receiving = pin!(timeout(Duration::ZERO, receive::<u8>()));
        for _ in 0..5 {
            poll_fn(|cx| {
                while coop::poll_proceed(cx).is_ready() {}
                assert!(receiving.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            yield_now().await;
        }
        assert_eq!(receiving.await, Ok(7));
    });
}

#[test]
fn t13_a_timer_sends_an_exit_signal() {
    everywhere(|| async {
        let (asked, end) = spawn_monitor(pending::<()>());
        exit_after(millis(1), asked, Reason::other("enough"));
        assert_eq!(end.down().await.reason, Reason::other("enough"));
        let deaf = SpawnOptions::new().trap_exit().spawn_monitor(async {
            exit_after(Duration::ZERO, this(), Reason::Shutdown);
            let told = receive::<Exit>().await;
            assert_eq!((told.from, told.reason), (this(), Reason::Shutdown));
            pending::<()>().await;
        });
        sleep(millis(5)).await;
        assert!(is_alive(deaf.0), "it traps exits");
        kill_after(millis(1), deaf.0);
        assert_eq!(deaf.1.down().await.reason, Reason::Killed);
        let spared = spawn(pending::<()>());
        let timer = kill_after(millis(1), spared);
        assert!(timer.cancel().is_some());
        sleep(millis(5)).await;
        assert!(is_alive(spared));
        // A name is looked up when the timer fires.
        register("later", this()).expect("it is free");
        let timer = start_timer(millis(1), "later", 7_u8);
        assert_eq!(receive::<Timeout<u8>>().await, Timeout { timer, value: 7 });
        exit(spared, Reason::Kill);
        wait(spared).await;
    });
}

#[test]
fn t12_a_blocked_worker_holds_up_no_timer() {
    threaded(|| async {
        let (let_go, held) = mpsc::channel::<()>();
        let me = this();
        let blocker = spawn(async move {
            send_after(millis(1), me, "from the blocked one");
            send(me, ());
            held.recv().unwrap();
        });
        receive::<()>().await;
        let fired = receive_timeout::<&'static str>(secs(30)).await;
        assert_eq!(fired, Ok("from the blocked one"));
        let_go.send(()).unwrap();
        wait(blocker).await;
    });
}

#[test]
fn a_message_that_panics_when_a_timer_drops_or_clones_it_harms_no_other() {
    struct Fragile;
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            panic!("cloned")
        }
    }
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("dropped")
        }
    }
    everywhere(|| async {
        send_after(millis(1), "free", Fragile);
        let repeated = send_interval(millis(1), this(), Fragile).unwrap();
        sleep(millis(5)).await;
        assert_eq!(repeated.read(), None);
        send_after(secs(3600), "free", Fragile);
    });
}

#[test]
fn t12_timers_are_dropped_unfired_at_the_end() {
    let kept = Arc::new(());
    let main = |kept: Arc<()>| async move {
        send_after(secs(3600), "free", kept.clone());
        send_after(secs(3600), this(), kept);
        yield_now().await;
    };
    Config::new().workers(2).run(main(kept.clone())).unwrap();
    assert_eq!(Arc::strong_count(&kept), 1);
    Simulation::new(1).run(main(kept.clone()));
    assert_eq!(Arc::strong_count(&kept), 1);
}
