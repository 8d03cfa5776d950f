//! The benches on tokio's tasks, unbounded channels and oneshots.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Builder,
    sync::{
        broadcast,
        mpsc::{UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::{spawn, yield_now},
};

use crate::{IDLE, LINKED, RING, SENDERS, bytes_each, resident, timed};

fn run<R: Send + 'static>(workers: usize, program: impl Future<Output = R> + Send + 'static) -> R {
    let runtime =
        Builder::new_multi_thread().worker_threads(workers).enable_time().build().expect("it starts");
    // On a worker, as the main process of this crate.
    runtime.block_on(async { spawn(program).await.expect("it ends") })
}

pub(crate) fn spawn_exit(times: u64, workers: usize) -> Duration {
    run(workers, async move {
        let (main, mut inbox) = unbounded_channel();
        let start = Instant::now();
        for number in 0..times {
            let (to, mut from) = unbounded_channel::<u64>();
            let main = main.clone();
            spawn(async move { main.send(from.recv().await.expect("it comes")).expect("it is heard") });
            to.send(number).expect("it is heard");
            if number % 64 == 63 {
                yield_now().await;
            }
        }
        let mut sum = 0;
        for _ in 0..times {
            sum += inbox.recv().await.expect("it comes");
        }
        timed(start, sum, times * times.saturating_sub(1) / 2)
    })
}

/// Starts a task that forwards every number, plus one.
fn adder(times: u64, to: UnboundedSender<u64>) -> UnboundedSender<u64> {
    let (sender, mut inbox) = unbounded_channel::<u64>();
    spawn(async move {
        for _ in 0..times {
            to.send(inbox.recv().await.expect("it comes") + 1).expect("it is heard");
        }
    });
    sender
}

async fn round(times: u64, members: u64) -> Duration {
    let (main, mut inbox) = unbounded_channel::<u64>();
    let next = (1..members).fold(main, |to, _| adder(times, to));
    let start = Instant::now();
    let mut number = 0;
    for _ in 0..times {
        next.send(number).expect("it is heard");
        number = inbox.recv().await.expect("it comes");
    }
    timed(start, number, times * (members - 1))
}

pub(crate) fn ping_pong(times: u64, workers: usize) -> Duration {
    run(workers, round(times, 2))
}

pub(crate) fn ring(times: u64, workers: usize) -> Duration {
    run(workers, round(times, RING))
}

pub(crate) fn fan_in(times: u64, workers: usize) -> Duration {
    run(workers, async move {
        let (main, mut inbox) = unbounded_channel::<u64>();
        let start = Instant::now();
        for _ in 0..SENDERS {
            let main = main.clone();
            spawn(async move {
                for number in 0..times {
                    main.send(1).expect("it is heard");
                    if number % 64 == 63 {
                        yield_now().await;
                    }
                }
            });
        }
        let mut sum = 0;
        for _ in 0..times * SENDERS {
            sum += inbox.recv().await.expect("it comes");
        }
        timed(start, sum, times * SENDERS)
    })
}

pub(crate) fn call(times: u64, workers: usize) -> Duration {
    run(workers, async move {
        let (server, mut inbox) = unbounded_channel::<(u64, oneshot::Sender<u64>)>();
        spawn(async move {
            while let Some((query, reply)) = inbox.recv().await {
                reply.send(query + 1).expect("it is heard");
            }
        });
        let start = Instant::now();
        let mut number = 0;
        for _ in 0..times {
            let (reply, answer) = oneshot::channel();
            server.send((number, reply)).expect("it is heard");
            number = answer.await.expect("it answers");
        }
        timed(start, number, times)
    })
}

pub(crate) fn timers(times: u64, workers: usize) -> Duration {
    use std::task::{Context, Waker};
    run(workers, async move {
        let start = Instant::now();
        let mut pending = 0;
        for number in 0..times {
            // The timer starts with the first poll, and is cancelled when it is dropped.
            let mut sleep = Box::pin(tokio::time::sleep(Duration::from_millis(10_000 + number % 1_000)));
            let mut context = Context::from_waker(Waker::noop());
            pending += u64::from(sleep.as_mut().poll(&mut context).is_pending());
        }
        timed(start, pending, times)
    })
}

pub(crate) fn crash(times: u64, workers: usize) -> Duration {
    run(workers, async move {
        let mut elapsed = Duration::ZERO;
        for _ in 0..times {
            let (centre, _) = broadcast::channel::<()>(1);
            let (main, mut inbox) = unbounded_channel::<()>();
            let linked: Vec<_> = (0..LINKED)
                .map(|_| {
                    let (mut told, main) = (centre.subscribe(), main.clone());
                    spawn(async move {
                        main.send(()).expect("it is heard");
                        told.recv().await.expect_err("it is closed");
                    })
                })
                .collect();
            for _ in 0..LINKED {
                inbox.recv().await.expect("it comes");
            }
            let start = Instant::now();
            drop(centre);
            for linked in linked {
                linked.await.expect("it ends");
            }
            elapsed += start.elapsed();
        }
        elapsed
    })
}

pub(crate) fn idle() -> usize {
    run(1, async {
        let (main, mut inbox) = unbounded_channel::<()>();
        let mut kept = Vec::with_capacity(IDLE);
        let before = resident();
        for number in 0..IDLE {
            let (to, mut from) = unbounded_channel::<u64>();
            kept.push(to);
            let main = main.clone();
            spawn(async move {
                main.send(()).expect("it is heard");
                from.recv().await;
            });
            if number % 64 == 63 {
                yield_now().await;
            }
        }
        for _ in 0..IDLE {
            inbox.recv().await.expect("it comes");
        }
        bytes_each(before)
    })
}
