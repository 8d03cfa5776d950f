//! Asking a process about its mailbox (OB-2b).
mod common;

use std::{
    future::pending,
    sync::mpsc,
    time::{Duration, Instant},
};

use common::*;
use riot_actor::{
    Pid, Reason,
    call::CallError,
    exit,
    mailbox::{Alias, alias, receive_if},
    now,
    process::{INSPECT_TIMEOUT, Inspection, SpawnOptions, info, inspect, wait, yield_now},
    receive,
    runtime::{Handle, blocking},
    send, sleep, spawn, this, timeout,
};

async fn asked(pid: Pid) -> Inspection {
    inspect(pid, secs(60)).await.expect("it answers")
}

#[derive(Clone, Copy)]
struct Numbered<const N: usize>;

#[test]
fn ob02_types_and_bytes_are_exact() {
    everywhere(|| async {
        let clerk = spawn(async {
            receive::<&str>().await;
            receive::<u64>().await;
            pending::<()>().await;
        });
        assert_eq!(asked(clerk).await, Inspection::default());
        (0..5_u64).for_each(|number| send(clerk, number));
        (0..3).for_each(|_| send(clerk, [0_u8; 100]));
        send(clerk, "taken");
        (0..2).for_each(|_| send(clerk, Numbered::<7>));
        // A box of 24 bytes; what the vector points to is not counted.
        send(clerk, vec![0_u8; 1_000]);
        // One of the numbers is taken, and the text; the others were passed over.
        while info(clerk).expect("it lives").received < 2 {
            yield_now().await;
        }
        let mailbox = asked(clerk).await;
        assert_eq!(mailbox.messages, 10);
        assert_eq!(mailbox.inline_bytes, 4 * 8);
        assert_eq!(mailbox.boxed_bytes, 3 * 100 + size_of::<Vec<u8>>());
        let types: Vec<(&str, usize)> = mailbox.types.iter().map(|kind| (kind.message, kind.count)).collect();
        assert_eq!(types[..2], [("u64", 4), ("[u8; 100]", 3)]);
        assert!(types[2].0.ends_with("Numbered<7>") && types[2].1 == 2, "{types:?}");
        assert_eq!((types[3], types.len(), mailbox.distinct_types), (("alloc::vec::Vec<u8>", 1), 4, 4));
    });
}

#[test]
fn ob02_the_sixteen_most_frequent_types_are_listed() {
    everywhere_few(|| async {
        let clerk = spawn(pending::<()>());
        fn send_some<const N: usize>(to: Pid) {
            (0..=N).for_each(|_| send(to, Numbered::<N>));
        }
        macro_rules! all {
            ($($n:literal)*) => { $(send_some::<$n>(clerk);)* };
        }
        all!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19);
        let mailbox = asked(clerk).await;
        assert_eq!((mailbox.messages, mailbox.distinct_types), (210, 20));
        let counts: Vec<usize> = mailbox.types.iter().map(|kind| kind.count).collect();
        assert_eq!(counts, (5..=20).rev().collect::<Vec<_>>());
        assert!(mailbox.types[0].message.ends_with("Numbered<19>"));
    });
}

#[test]
fn ob02_messages_with_priority_and_arrivals_are_counted() {
    everywhere(|| async {
        let main = this();
        let clerk = spawn(async move {
            let urgent: Alias<u16> = alias().priority();
            send(main, urgent);
            receive_if(|_: &u8| false).await;
        });
        let urgent: Alias<u16> = receive().await;
        send(clerk, 1_u8);
        urgent.send(1);
        let mailbox = asked(clerk).await;
        assert_eq!((mailbox.messages, mailbox.inline_bytes), (2, 3));
        // A process can ask itself.
        send(main, 1_u32);
        assert_eq!(asked(main).await.inline_bytes, 4);
        assert_eq!(receive::<u32>().await, 1);
    });
}

#[test]
fn ob02_a_long_mailbox_is_counted_in_portions() {
    const MANY: usize = 25_000;
    everywhere_few(|| async {
        let clerk = spawn(async {
            for _ in 0..MANY {
                receive::<u8>().await;
            }
            receive::<&str>().await;
        });
        let held = SpawnOptions::new().spawn(pending::<()>());
        for number in 0..MANY {
            send(held, number as u8);
            if number % 2 == 0 {
                send(held, number);
            }
        }
        let slices = info(held).expect("it lives").slices;
        let mailbox = asked(held).await;
        assert_eq!(mailbox.messages, MANY + MANY / 2);
        assert_eq!(mailbox.inline_bytes, MANY + MANY / 2 * 8);
        // The body is polled at most once before and once after the count.
        assert!(info(held).expect("it lives").slices <= slices + 2);
        // One that receives meanwhile loses nothing.
        (0..MANY).for_each(|_| send(clerk, 1_u8));
        let found = asked(clerk).await;
        assert!(found.messages <= MANY);
        send(clerk, "end");
        assert_eq!(wait(clerk).await, Reason::Normal);
    });
}

#[test]
fn ob02_many_ask_at_once_and_all_are_answered() {
    everywhere(|| async {
        let clerk = spawn(async {
            loop {
                receive::<u8>().await;
            }
        });
        let main = this();
        for _ in 0..20 {
            spawn(async move {
                send(clerk, 1_u8);
                send(main, asked(clerk).await);
            });
        }
        for _ in 0..20 {
            assert!(receive::<Inspection>().await.messages <= 20);
        }
    });
}

#[test]
fn ob02_a_process_that_does_not_give_way_times_out() {
    threaded(|| async {
        let (go_on, wait_for_it) = mpsc::channel::<()>();
        let (started, has_started) = mpsc::channel::<()>();
        let busy = spawn(async move {
            started.send(()).expect("it is awaited");
            wait_for_it.recv().expect("it is told");
            receive::<u8>().await;
        });
        blocking(move || has_started.recv().expect("it starts")).await;
        assert_eq!(inspect(busy, millis(20)).await, Err(CallError::Timeout));
        assert_eq!(inspect(busy, Duration::ZERO).await, Err(CallError::Timeout));
        let handle = Handle::current();
        let asked_by_thread = handle.clone();
        let found = blocking(move || asked_by_thread.inspect(busy, millis(20)).wait()).await;
        assert_eq!(found, Err(CallError::Timeout));
        go_on.send(()).expect("it waits");
        let began = Instant::now();
        let found = blocking(move || handle.inspect(busy, INSPECT_TIMEOUT).wait()).await.expect("it answers");
        assert!(found.messages == 0 && began.elapsed() < secs(60));
        send(busy, 1_u8);
        assert_eq!(wait(busy).await, Reason::Normal);
    });
}

#[test]
fn ob02_one_that_has_exited_or_exits_is_an_error() {
    everywhere(|| async {
        let dead = spawn(async {});
        wait(dead).await;
        let began = now();
        assert_eq!(inspect(dead, secs(60)).await, Err(CallError::NoProc));
        assert_eq!(Handle::current().inspect(dead, secs(60)).await, Err(CallError::NoProc));
        let dying = spawn(async { sleep(secs(1)).await });
        (0..25_000).for_each(|number: u32| send(dying, number));
        let killer = spawn(async move { exit(dying, Reason::Kill) });
        let found = inspect(dying, secs(60)).await;
        let is_told = match &found {
            Ok(mailbox) => mailbox.messages == 25_000,
            Err(CallError::Exit(reason)) => *reason == Reason::Killed,
            Err(error) => *error == CallError::NoProc,
        };
        assert!(is_told, "{found:?}");
        wait(killer).await;
        assert!(now() - began < secs(60), "it was told at once");
    });
}

#[test]
fn ob02_a_question_that_was_given_up_disturbs_nothing() {
    everywhere(|| async {
        let clerk = spawn(async {
            let mut sum = 0;
            while sum < 100 {
                sum += receive::<u32>().await;
            }
            receive::<()>().await;
        });
        for _ in 0..100 {
            assert!(timeout(Duration::ZERO, inspect(clerk, secs(60))).await.is_err() || this() != clerk);
            send(clerk, 1_u32);
        }
        while info(clerk).expect("it lives").received < 100 {
            yield_now().await;
        }
        assert_eq!(asked(clerk).await.messages, 0);
    });
}
