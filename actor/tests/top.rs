//! The processes with most of something, and reading 100 000 processes (OB-2a).
mod common;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use common::*;
use riot_actor::{
    Pid, Reason, exit,
    process::{By, SpawnOptions, for_each_summary, processes, top, top_window, wait, yield_now},
    receive,
    runtime::{Handle, blocking},
    send, sleep, spawn, this,
};

#[test]
fn ob02_the_first_have_most_and_the_older_one_comes_first() {
    everywhere(|| async {
        let pids: Vec<Pid> = (0..20_usize)
            .map(|number| {
                let pid = spawn(pending::<()>());
                (0..number / 2).for_each(|_| send(pid, ()));
                pid
            })
            .collect();
        let found = top(By::Mailbox, 5).await;
        let shown: Vec<(Pid, usize)> = found.iter().map(|process| (process.pid, process.mailbox)).collect();
        let expected = [(18, 9), (19, 9), (16, 8), (17, 8), (14, 7)].map(|(at, len)| (pids[at], len));
        assert_eq!(shown, expected);
        assert_eq!(top(By::Mailbox, 0).await.len(), 1);
        assert_eq!(top(By::Age, usize::MAX).await.len(), 21);
        assert_eq!(top(By::Age, 1).await[0].pid, this());
        assert_eq!(Handle::current().top(By::Mailbox, 1)[0].pid, pids[18]);
        // The largest future is found.
        let large = spawn(async {
            let room = [0_u8; 10_000];
            pending::<()>().await;
            std::hint::black_box(room);
        });
        assert_eq!(top(By::FutureBytes, 1).await[0].pid, large);
    });
}

#[test]
fn ob02_slices_and_messages_are_ordered() {
    everywhere(|| async {
        let reader = spawn(async {
            for _ in 0..50 {
                receive::<u8>().await;
            }
            pending::<()>().await;
        });
        (0..50_u8).for_each(|number| send(reader, number));
        let yielding = spawn(async {
            for _ in 0..200 {
                yield_now().await;
            }
            pending::<()>().await;
        });
        while top(By::Received, 1).await[0].received < 50 {
            yield_now().await;
        }
        assert_eq!(top(By::Received, 1).await[0].pid, reader);
        let is_done = |pid| riot_actor::process::info(pid).expect("it lives").slices > 200;
        while !is_done(yielding) {
            yield_now().await;
        }
        // This process runs, too.
        let found = top(By::Slices, 2).await;
        assert!(found.iter().any(|process| process.pid == yielding));
    });
}

#[test]
fn ob02_a_window_shows_what_has_changed_in_it() {
    simulated(|| async {
        let quiet = spawn(pending::<()>());
        (0..100).for_each(|number: i32| send(quiet, number));
        let fed = spawn(pending::<()>());
        let feeder = spawn(async move {
            loop {
                sleep(millis(100)).await;
                send(fed, ());
            }
        });
        let drained = spawn(async {
            sleep(millis(500)).await;
            for _ in 0..30 {
                receive::<()>().await;
            }
            pending::<()>().await;
        });
        (0..30).for_each(|_| send(drained, ()));
        // One that is spawned meanwhile counts from nothing.
        spawn(async {
            sleep(millis(300)).await;
            let late = SpawnOptions::new().label("late").spawn(pending::<()>());
            (0..3).for_each(|_| send(late, ()));
        });
        let found = top_window(By::Mailbox, 100, millis(1_050)).await;
        let growth = |pid: Pid| found.iter().find(|process| process.pid == pid).expect("it lives").growth;
        assert_eq!((growth(quiet), growth(fed), growth(drained)), (0, 10, -30));
        assert_eq!((found[0].pid, found.last().map(|process| process.pid)), (fed, Some(drained)));
        let late = found.iter().find(|process| process.label.as_deref() == Some("late")).expect("it lives");
        assert_eq!((late.growth, late.mailbox), (3, 3));
        let slices = top_window(By::Slices, 1, millis(10_050)).await;
        assert_eq!(slices[0].pid, feeder);
        assert!((99..=101).contains(&slices[0].growth), "{:?}", slices[0]);
        let aged = top_window(By::Age, 1, secs(1)).await;
        assert!((1_000_000_000..1_010_000_000).contains(&aged[0].growth), "{:?}", aged[0].growth);
    });
}

#[test]
fn ob02_the_busy_one_is_found_from_a_plain_thread() {
    threaded(|| async {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let busy = spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let handle = Handle::current();
        let found = blocking(move || {
            loop {
                let found = handle.top_window(By::Busy, 1, millis(100));
                if found[0].growth > 0 {
                    return found;
                }
            }
        });
        let found = found.await;
        assert_eq!(found[0].pid, busy);
        stop.store(true, Ordering::Relaxed);
        wait(busy).await;
    });
}

#[test]
#[should_panic(expected = "a process awaits `top_window` instead")]
fn ob02_a_window_from_a_thread_blocks_no_process() {
    simulated(|| async { drop(Handle::current().top_window(By::Age, 1, Duration::ZERO)) });
}

#[test]
fn ob02_a_hundred_thousand_processes_are_read_and_hold_up_no_other() {
    const MANY: usize = 100_000;
    threaded(|| async {
        let pids: Vec<Pid> = (0..MANY).map(|_| spawn(async { _ = receive::<u8>().await })).collect();
        while processes().len() <= MANY {
            yield_now().await;
        }
        let handle = Handle::current();
        let reader = handle.clone();
        let (read, found) = blocking(move || {
            let all = (0..5).map(|_| {
                let began = Instant::now();
                let count = reader.summaries().len();
                (began.elapsed(), count)
            });
            all.min().expect("it was read")
        })
        .await;
        assert!(found > MANY);
        // A process that always runs notes the longest gap between two of its slices while others read.
        let gap = Arc::new(AtomicU64::new(0));
        let longest = gap.clone();
        let runner = spawn(async move {
            let mut before = Instant::now();
            loop {
                yield_now().await;
                let now = Instant::now();
                longest.fetch_max((now - before).as_nanos() as u64, Ordering::Relaxed);
                before = now;
            }
        });
        let took_longest = |what: &'static str| {
            let gap = Duration::from_nanos(gap.swap(0, Ordering::Relaxed));
            eprintln!("{what}: at most {gap:?} between two slices of another process");
            gap
        };
        took_longest("before");
        let mut best = [Duration::MAX; 2];
        for _ in 0..5 {
            let mut count = 0;
            for_each_summary(|_| count += 1).await;
            assert!(count > MANY);
            best[0] = best[0].min(took_longest("for_each_summary"));
            assert_eq!(top(By::Received, 10_000).await.len(), 10_000);
            best[1] = best[1].min(took_longest("top"));
        }
        eprintln!("summaries of {found} processes: {read:?}");
        // The figures of a build without optimization on a machine that is busy with other tests.
        assert!(read < Duration::from_secs(2), "{read:?}");
        assert!(best.iter().all(|&gap| gap < millis(50)), "{best:?}");
        exit(runner, Reason::Kill);
        pids.into_iter().for_each(|pid| exit(pid, Reason::Kill));
    });
}
