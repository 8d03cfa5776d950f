//! Benches of processes, each beside the same work on tokio's tasks and channels, and on async-executor with
//! async-channel: `cargo bench -p riot-actor`. Every program checks its answer.
//!
//! | bench | one operation is |
//! |---|---|
//! | spawn_exit | a process with a mailbox, spawned and released |
//! | ping_pong/1, /2 | one message and its answer, on one or two workers |
//! | ring/1, /2 | one hop of a token round 100 processes |
//! | fan_in/1, /2 | one message of eight senders to one receiver |
//! | call | a request and its reply |
//! | call_behind_10000 | a request and its reply, behind 10 000 messages that do not match |
//! | timers | a timer, started and cancelled |
//! | monitor | a monitor, made and ended |
//! | crash_of_10000 | 10 000 linked processes exit with one; on tokio, async-executor: tasks of a channel |
//!
//! The bytes of an idle process are printed first: of a million (`IDLE`) that wait for a message, each peer
//! in a program of its own.

mod peers {
    pub(crate) mod executor;
    pub(crate) mod riot;
    pub(crate) mod tokio;
}

use std::{
    process::Command,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput};
use peers::{executor, riot, tokio};

const SENDERS: u64 = 8;
const RING: u64 = 100;
const UNMATCHED: usize = 10_000;
const LINKED: u64 = 10_000;
const IDLE: usize = 1_000_000;

/// Returns how long a number of operations takes on a number of workers.
type Bench = fn(u64, usize) -> Duration;

fn group(c: &mut Criterion, name: &str, workers: &[usize], each: u64, peers: &[(&str, Bench)]) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(each)).sample_size(20).measurement_time(Duration::from_secs(2));
    for &workers in workers {
        for &(peer, bench) in peers {
            let id = BenchmarkId::new(peer, workers);
            group.bench_function(id, |b| b.iter_custom(|times| bench(times, workers)));
        }
    }
    group.finish();
}

fn benches(c: &mut Criterion) {
    let all = |riot: Bench, tokio: Bench, executor: Bench| {
        [("riot", riot), ("tokio", tokio), ("async-executor", executor)]
    };
    group(c, "spawn_exit", &[1, 2], 1, &all(riot::spawn_exit, tokio::spawn_exit, executor::spawn_exit));
    group(c, "ping_pong", &[1, 2], 1, &all(riot::ping_pong, tokio::ping_pong, executor::ping_pong));
    group(c, "ring", &[1, 2], RING, &all(riot::ring, tokio::ring, executor::ring));
    group(c, "fan_in", &[1, 2], SENDERS, &all(riot::fan_in, tokio::fan_in, executor::fan_in));
    group(c, "call", &[1, 2], 1, &all(riot::call, tokio::call, executor::call));
    group(c, "call_behind_10000", &[1], 1, &[("riot", riot::call_behind)]);
    group(c, "timers", &[1], 1, &[("riot", riot::timers), ("tokio", tokio::timers)]);
    group(c, "monitor", &[1], 1, &[("riot", riot::monitors)]);
    group(c, "crash_of_10000", &[1, 2], LINKED, &all(riot::crash, tokio::crash, executor::crash));
}

/// Returns the resident memory of this program in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).map_or(0, |pages| pages * 4096)
}

/// Returns the bytes that one of the idle tasks takes, while they exist.
fn bytes_each(before: usize) -> usize {
    (resident() - before) / IDLE
}

fn main() {
    const PEER: &str = "RIOT_BENCH_IDLE";
    match std::env::var(PEER).as_deref() {
        Ok("riot") => return println!("{}", riot::idle()),
        Ok("tokio") => return println!("{}", tokio::idle()),
        Ok("async-executor") => return println!("{}", executor::idle()),
        _ => {}
    }
    // Only when benches are measured, not when they are tested (`cargo test --benches`).
    if std::env::args().any(|argument| argument == "--bench") && cfg!(target_os = "linux") {
        let myself = std::env::current_exe().expect("a program has a path");
        for peer in ["riot", "tokio", "async-executor"] {
            let output = Command::new(&myself).env(PEER, peer).output().expect("it runs");
            println!("idle: {peer} {} bytes each", String::from_utf8_lossy(&output.stdout).trim());
        }
    }
    let mut criterion = Criterion::default().configure_from_args();
    benches(&mut criterion);
    criterion.final_summary();
}

/// Returns the time since `start`, after a check of the answer.
fn timed(start: Instant, answer: u64, expected: u64) -> Duration {
    let elapsed = start.elapsed();
    assert_eq!(answer, expected);
    elapsed
}
