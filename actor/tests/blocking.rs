//! Blocking work: rule C5.

mod common;

use std::{sync::mpsc, time::Duration};

use common::{everywhere, threaded};
use riot_actor::{
    Reason, exit, monitor, receive,
    runtime::{Config, blocking},
    send, spawn, this,
};

#[test]
fn c05_only_the_caller_is_suspended() {
    threaded(|| async {
        let (go, wait) = mpsc::channel::<()>();
        let me = this();
        spawn(async move {
            blocking(move || wait.recv().expect("it comes")).await;
            send(me, "done");
        });
        // Both workers are free: this process runs, and another one with it.
        let echo = spawn(async move { send(me, receive::<u8>().await) });
        send(echo, 1_u8);
        assert_eq!(receive::<u8>().await, 1);
        go.send(()).expect("it waits");
        assert_eq!(receive::<&str>().await, "done");
    });
}

#[test]
fn c05_a_condemned_caller_is_released_without_waiting() {
    threaded(|| async {
        let (go, wait) = mpsc::channel::<()>();
        let (said, heard) = mpsc::channel::<&str>();
        let caller = spawn(async move {
            blocking(move || {
                wait.recv().expect("it comes");
                said.send("ran to its end").expect("somebody listens");
            })
            .await;
        });
        let down = monitor(caller);
        exit(caller, Reason::other("enough"));
        assert_eq!(down.down().await.reason, Reason::other("enough"));
        if go.send(()).is_ok() {
            // Condemned before its first poll it never started the work; else the work goes on without it.
            let end = blocking(move || heard.recv_timeout(Duration::from_secs(20))).await;
            assert_eq!(end, Ok("ran to its end"));
        }
    });
}

#[test]
fn the_result_comes_back_and_a_panic_too() {
    everywhere(|| async {
        assert_eq!(blocking(|| 6 * 7).await, 42);
        let pid = spawn(async { blocking(|| panic!("in there")).await });
        match monitor(pid).down().await.reason {
            Reason::Panic(panic) => assert!(panic.message.contains("in there"), "{panic}"),
            other => panic!("{other}"),
        }
    });
}

#[test]
fn more_work_than_threads_waits_its_turn() {
    let reason = Config::new().workers(2).max_blocking_threads(2).run(async {
        let me = this();
        for n in 0..50_u32 {
            spawn(async move { send(me, blocking(move || n).await) });
        }
        let mut sum = 0;
        for _ in 0..50 {
            sum += receive::<u32>().await;
        }
        assert_eq!(sum, 49 * 50 / 2);
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
}
