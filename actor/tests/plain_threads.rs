//! The clock and the timers of a runtime, used by plain threads.
mod common;

use std::{future::poll_fn, pin::pin, sync::mpsc, thread, time::Instant};

use common::{millis, secs, threaded};
use futures_lite::future::{block_on, poll_once};
use riot_actor::{
    Reason,
    process::spawn,
    receive,
    runtime::{Config, Handle, Running, RuntimeId},
    send, sleep, this,
};

/// Waits on this plain thread for the end of a sleep.
fn sleep_here(handle: &Handle, millis_long: u64) {
    let mut slept = pin!(sleep(millis(millis_long)));
    block_on(poll_fn(|cx| handle.enter(|| slept.as_mut().poll(cx))));
}

#[test]
fn a_timer_of_a_plain_thread_is_noticed_by_workers_that_sleep() {
    threaded(|| async {
        let (handle, main) = (Handle::current(), this());
        // Without the thread's timers the workers would sleep for an hour.
        spawn(sleep(secs(3600)));
        let waiting = thread::spawn(move || {
            for _ in 0..50 {
                let began = Instant::now();
                sleep_here(&handle, 1);
                assert!(began.elapsed() >= millis(1));
            }
            send_from_here(&handle, main);
        });
        assert_eq!(receive::<&str>().await, "slept");
        waiting.join().unwrap();
        riot_actor::runtime::shutdown(riot_actor::Reason::Normal);
    });
}

fn send_from_here(handle: &Handle, to: riot_actor::Pid) {
    handle.enter(|| send(to, "slept"));
}

#[test]
fn a_thread_is_back_outside_after_a_visit_and_after_a_panic() {
    threaded(|| async {
        let (id, handle) = (RuntimeId::current().unwrap(), Handle::current());
        let visit = thread::spawn(move || {
            assert_eq!(RuntimeId::current(), None);
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                handle.enter(|| panic!("during the visit"));
            }));
            assert!(panicked.is_err());
            assert!(std::panic::catch_unwind(send_outside).is_err(), "it is outside again");
            assert!(id.handle().is_some());
        });
        while !visit.is_finished() {
            sleep(millis(1)).await;
        }
        visit.join().unwrap();
        // A process stays what it is.
        Handle::current().enter(|| send(this(), 1_u8));
        assert_eq!(receive::<u8>().await, 1);
    });
}

fn send_outside() {
    let _ = riot_actor::time::send_after(millis(1), "nobody", ());
}

fn start() -> Running {
    Config::new().workers(1).start(std::future::pending::<()>()).unwrap()
}

#[test]
fn t12_a_sleep_that_moves_to_another_runtime_leaves_the_sleeps_there_alone() {
    let (from, to) = (start(), start());
    // Both are the first sleeps of their runtimes, so their timers have the same number.
    let slept = from.handle().run(async {
        let mut moved = Box::pin(sleep(secs(3600)));
        assert_eq!(poll_once(moved.as_mut()).await, None);
        (moved,)
    });
    let (mut moved,) = slept.wait().unwrap();
    let (begin, began) = mpsc::channel();
    let innocent = to.handle().run(async move {
        let mut own = pin!(sleep(millis(500)));
        poll_fn(|cx| {
            let polled = own.as_mut().poll(cx);
            // It is polled again only when its timer wakes it.
            let _ = begin.send(());
            polled
        })
        .await;
    });
    began.recv().unwrap();
    assert_eq!(to.handle().enter(|| block_on(poll_once(moved.as_mut()))), None);
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(innocent.wait()));
    assert_eq!(told.recv_timeout(secs(30)), Ok(Ok(())), "its timer wakes it");
    for running in [from, to] {
        running.handle().shutdown(Reason::Normal);
        running.wait().unwrap();
    }
}
