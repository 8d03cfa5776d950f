//! The clock and the timers of a runtime, used by plain threads.
mod common;

use std::{future::poll_fn, pin::pin, thread, time::Instant};

use common::{millis, secs, threaded};
use futures_lite::future::block_on;
use riot_actor::{
    process::spawn,
    receive,
    runtime::{Handle, RuntimeId},
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
