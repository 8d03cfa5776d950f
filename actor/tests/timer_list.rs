//! The timers that run (OB-2c).
mod common;

use std::{future::Future, pin::pin, time::Duration};

use common::*;
use futures_lite::future::block_on;
use riot_actor::{
    Pid, Reason, call, exit, now,
    process::{WaitingFor, info, yield_now},
    register,
    runtime::Handle,
    sleep, spawn, this,
    time::{TimerEffect, TimerInfo, exit_after, interval, send_after, send_interval, start_timer, timers},
};

/// Returns the timers that are due within two hours.
async fn soon() -> Vec<TimerInfo> {
    let mut all = timers().await;
    all.retain(|timer| timer.due < secs(7200));
    all
}

fn shown(timer: &TimerInfo) -> (Duration, Option<Pid>, TimerEffect) {
    (timer.due, timer.to, timer.effect)
}

async fn until_parked(pid: Pid) {
    let is_parked =
        || info(pid).expect("it lives").waiting_for.is_some_and(|wait| wait != WaitingFor::Foreign);
    while !is_parked() {
        yield_now().await;
    }
}

#[test]
fn ob02_each_kind_of_timer_shows_its_time_target_and_effect() {
    simulated(|| async {
        let main = this();
        let other = spawn(std::future::pending::<()>());
        assert!(timers().await.is_empty());
        register("clerk", other).unwrap();
        send_after(secs(10), main, 7_u8);
        send_after(secs(20), "clerk", "text");
        send_after(secs(30), "unknown", "text");
        send_interval(secs(40), other, 1_u16).unwrap();
        exit_after(secs(50), other, Reason::Kill);
        let sleeper = spawn(sleep(secs(60)));
        let caller = spawn(async move { _ = call::<u8, u8>(other, 1, Some(secs(70))).await });
        let ticking = spawn(async { interval(secs(80)).tick().await });
        let named = start_timer(secs(90), main, 'x');
        for pid in [sleeper, caller, ticking] {
            until_parked(pid).await;
        }
        let all = timers().await;
        let began = now();
        let expected = [
            (10, Some(main), TimerEffect::Message("u8")),
            (20, Some(other), TimerEffect::Message("&str")),
            (30, None, TimerEffect::Message("&str")),
            (40, Some(other), TimerEffect::Interval("u16")),
            (50, Some(other), TimerEffect::Exit),
            (60, Some(sleeper), TimerEffect::Wake),
            (70, Some(caller), TimerEffect::CallTimeout),
            (80, Some(ticking), TimerEffect::Wake),
        ];
        for (timer, (due, to, effect)) in all.iter().zip(expected) {
            let (left, shown_to, shown_effect) = shown(timer);
            assert_eq!((shown_to, shown_effect), (to, effect));
            assert!(left <= secs(due) + millis(1) && left + millis(1) >= secs(due), "{left:?} of {due} s");
        }
        assert_eq!(all.len(), 9);
        assert!(matches!(all[8].effect, TimerEffect::Message(name) if name.contains("Timeout<char>")));
        assert_eq!(all[1].name, Some("clerk".into()));
        assert_eq!((&all[0].name, all[2].to), (&None, None));
        // What is over is not listed, what repeats is.
        assert!(named.cancel().is_some());
        sleep(secs(45)).await;
        let left: Vec<TimerEffect> = timers().await.iter().map(|timer| timer.effect).collect();
        assert_eq!(left[..2], [TimerEffect::Exit, TimerEffect::Wake]);
        assert_eq!(left.iter().filter(|effect| **effect == TimerEffect::Interval("u16")).count(), 1);
        assert_eq!(left.len(), 5);
        assert!(now() - began >= secs(45));
    });
}

#[test]
fn ob02_a_timer_that_is_never_due_is_listed_last() {
    everywhere(|| async {
        send_after(Duration::MAX, this(), 1_u8);
        send_after(secs(3600), this(), 2_u8);
        let all = timers().await;
        assert_eq!(all.last().map(|timer| timer.due), Some(Duration::MAX));
        assert_eq!(soon().await.len(), 1);
        assert_eq!(Handle::current().timers().len(), all.len());
    });
}

#[test]
fn ob02_of_many_timers_the_ten_thousand_that_are_due_first_are_listed() {
    everywhere_few(|| async {
        let target = spawn(std::future::pending::<()>());
        let delays = (0..30_000_u64).map(|number| (number * 7_919) % 30_000);
        for delay in delays {
            send_after(secs(3600) + millis(delay), target, delay);
        }
        let all = timers().await;
        assert_eq!(all.len(), 10_000);
        assert!(all.is_sorted_by_key(|timer| timer.due));
        let last = all.last().expect("there are many").due;
        assert!(last <= secs(3600) + millis(10_000), "{last:?}");
        assert!(all.iter().all(|timer| timer.to == Some(target)));
        exit(target, Reason::Kill);
    });
}

#[test]
fn ob02_the_wake_up_of_another_executor_has_no_process() {
    threaded(|| async {
        let handle = Handle::current();
        let mut slept = pin!(sleep(secs(3600)));
        let polled = block_on(std::future::poll_fn(|cx| {
            std::task::Poll::Ready(handle.enter(|| slept.as_mut().poll(cx)).is_pending())
        }));
        assert!(polled);
        let all = soon().await;
        assert_eq!((all.len(), all[0].to, all[0].effect), (1, None, TimerEffect::Wake));
    });
}
