//! The costs of supervision: `cargo bench -p riot-supervisor`. Each bench runs in a process of a runtime of
//! one worker.

use std::{
    future::{Future, pending, ready},
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_main};
use riot_actor::{Exit, Pid, Reason, receive, run, runtime::Config, trap_exit};
use riot_supervisor::{Supervisor, SupervisorRef, process};

/// Lets criterion use the time that a program inside the runtime has measured.
fn inside<F>(program: impl Fn(u64) -> F) -> impl FnMut(u64) -> Duration
where
    F: Future<Output = Duration> + Send + 'static,
{
    move |times| {
        let (tell, told) = std::sync::mpsc::channel();
        let timed = program(times);
        let reason = Config::new().workers(1).on_crash(|_| {}).run(async move {
            tell.send(timed.await).expect("the bench waits");
        });
        assert!(matches!(reason, Ok(Reason::Normal)), "{reason:?}");
        told.recv().expect("it was sent")
    }
}

async fn start_and_stop(sup: SupervisorRef, times: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        let child = sup
            .start_child(process("child", pending::<()>).temporary())
            .await
            .expect("the supervisor starts");
        sup.terminate_child(black_box(child)).await.expect("the supervisor stops");
    }
    start.elapsed()
}

/// Measures the restarts of a child that fails until its supervisor gives up.
async fn restarts<F>(times: u64, body: impl FnMut() -> F + Send + 'static) -> Duration
where
    F: Future<Output = Result<(), std::fmt::Error>> + Send + 'static,
{
    trap_exit(true);
    let start = Instant::now();
    let sup = Supervisor::one_for_one()
        .intensity(times as usize, Duration::from_secs(3600))
        .child(process("failing", body))
        .start_link()
        .await
        .expect("the supervisor starts");
    let end = receive::<Exit>().await;
    assert!(end.from == sup.pid() && end.reason == Reason::Shutdown);
    start.elapsed()
}

const MANY: u32 = 100_000;

async fn dynamic_sup(count: u32) -> (SupervisorRef, Vec<Pid>) {
    let sup = Supervisor::dynamic().start_link().await.expect("the supervisor starts");
    let mut pids = Vec::new();
    for nth in 0..count {
        pids.push(
            sup.start_child(process(nth, pending::<()>).temporary()).await.expect("the supervisor starts"),
        );
    }
    // The last child to be started is polled after all others, so none of them is left to be polled while
    // time is taken.
    start_and_stop(sup, 100).await;
    (sup, pids)
}

fn benches(c: &mut Criterion) {
    c.bench_function("supervisor/start_stop", |b| {
        b.iter_custom(inside(|times| async move {
            start_and_stop(
                Supervisor::one_for_one().start_link().await.expect("the supervisor starts"),
                times,
            )
            .await
        }));
    });
    c.bench_function("supervisor/restart_error", |b| {
        b.iter_custom(inside(|times| restarts(times, || ready(Err(std::fmt::Error)))));
    });
    c.bench_function("supervisor/restart_panic", |b| {
        b.iter_custom(inside(|times| restarts(times, || async { panic!("failed") })));
    });

    let mut group = c.benchmark_group("dynamic");
    group.sample_size(10);
    for count in [1_000, MANY] {
        group.bench_function(format!("start_stop_among_{count}"), |b| {
            b.iter_custom(inside(move |times| async move {
                start_and_stop(dynamic_sup(count).await.0, times).await
            }));
        });
        group.bench_function(format!("lookup_among_{count}"), |b| {
            b.iter_custom(inside(move |times| async move {
                let (sup, pids) = dynamic_sup(count).await;
                let start = Instant::now();
                for nth in 0..times as usize {
                    black_box(sup.get_child_spec(pids[nth % pids.len()]).await.expect("it is there"));
                }
                start.elapsed()
            }));
        });
    }
    group.bench_function("start_100000_and_shut_down", |b| {
        b.iter(|| {
            let reason = run(async {
                let (sup, _) = dynamic_sup(MANY).await;
                sup.stop(Reason::Normal).await.expect("the supervisor stops");
            });
            assert_eq!(reason, Reason::Normal);
        });
    });
    group.finish();
}

fn all() {
    benches(&mut Criterion::default().configure_from_args());
}
criterion_main!(all);
