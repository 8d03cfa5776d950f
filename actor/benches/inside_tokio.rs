//! The price of being inside tokio: `cargo bench -p riot-actor --features tokio --bench inside_tokio`.
//!
//! One operation is a poll of a process that gives way at once, on one worker: outside of tokio, and inside.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use riot_actor::{
    Reason,
    process::{SpawnOptions, yield_now},
    receive,
    runtime::Config,
    send, this,
};

/// Returns how long a number of polls takes.
fn polls(times: u64, is_inside: bool) -> Duration {
    let (tell, told) = std::sync::mpsc::channel();
    let reason = Config::new().workers(1).tokio().run(async move {
        let main = this();
        let options = SpawnOptions::new();
        let options = if is_inside { options.tokio() } else { options };
        options.spawn(async move {
            let began = Instant::now();
            for _ in 0..times {
                yield_now().await;
            }
            send(main, began.elapsed());
        });
        tell.send(receive::<Duration>().await).expect("the bench waits");
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
    told.recv().expect("it was sent")
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let mut group = criterion.benchmark_group("poll");
    for (name, is_inside) in [("outside", false), ("inside", true)] {
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter_custom(|times| polls(times, is_inside));
        });
    }
    group.finish();
    criterion.final_summary();
}
