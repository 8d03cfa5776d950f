//! Benches of reads of a table, beside the standard library's `RwLock<HashMap>`:
//! `cargo bench -p riot-actor --bench tables`. Every read checks its answer.
//!
//! | bench | one operation is |
//! |---|---|
//! | get | a read of one of 1 000 numbers, by one process |
//!
//! With `RIOT_BENCH_READS` set to `table` or `rwlock` the program makes as many reads as its first argument
//! says and ends, to be counted by callgrind: the difference of two runs is that of their reads.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::RwLock,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use riot_actor::{
    Reason,
    runtime::Config,
    table::{Table, TableRef},
};

const ENTRIES: u64 = 1_000;

fn keys(reads: u64) -> impl Iterator<Item = u64> {
    (0..reads).map(|nth| nth.wrapping_mul(7) % ENTRIES)
}

fn read_table(table: &TableRef<u64, u64>, reads: u64) {
    keys(reads).for_each(|key| assert_eq!(table.get(black_box(&key)), Some(key + 1)));
}

fn read_map(map: &RwLock<HashMap<u64, u64>>, reads: u64) {
    let get = |key: &u64| map.read().expect("no writer has panicked").get(key).copied();
    keys(reads).for_each(|key| assert_eq!(get(black_box(&key)), Some(key + 1)));
}

fn map() -> RwLock<HashMap<u64, u64>> {
    RwLock::new((0..ENTRIES).map(|key| (key, key + 1)).collect())
}

/// Returns how long `f` takes with a table, in a process.
fn with_table(f: impl FnOnce(&TableRef<u64, u64>) + Send + 'static) -> Duration {
    let (tell, told) = std::sync::mpsc::channel();
    let reason = Config::new().workers(1).run(async move {
        let table = Table::<u64, u64>::new("bench");
        (0..ENTRIES).for_each(|key| table.insert(key, key + 1).expect("there is room"));
        let start = Instant::now();
        f(&table);
        tell.send(start.elapsed()).expect("it is heard");
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
    told.recv().expect("it was told")
}

fn main() {
    let reads = || std::env::args().nth(1).and_then(|reads| reads.parse().ok()).expect("a number of reads");
    match std::env::var("RIOT_BENCH_READS").as_deref() {
        Ok("table") => {
            let reads = reads();
            with_table(move |table| read_table(table, reads));
            return;
        }
        Ok("rwlock") => return read_map(&map(), reads()),
        _ => {}
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("get");
    group.throughput(Throughput::Elements(1)).sample_size(20).measurement_time(Duration::from_secs(2));
    group.bench_function("table", |b| {
        b.iter_custom(|reads| with_table(move |table| read_table(table, reads)));
    });
    group.bench_function("RwLock<HashMap>", |b| {
        let map = map();
        b.iter_custom(|reads| {
            let start = Instant::now();
            read_map(&map, reads);
            start.elapsed()
        });
    });
    group.finish();
    criterion.final_summary();
}
