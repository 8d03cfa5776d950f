//! The benches on async-executor's tasks and async-channel.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use async_channel::{Sender, bounded, unbounded};
use async_executor::Executor;
use futures_lite::future::{block_on, yield_now};

use crate::{IDLE, LINKED, RING, SENDERS, bytes_each, resident, timed};

type Shared = Arc<Executor<'static>>;

fn run<R, F>(workers: usize, program: impl FnOnce(Shared) -> F) -> R
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let executor = Shared::default();
    let (stop, stopped) = bounded::<()>(1);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| block_on(executor.run(stopped.recv())));
        }
        let result = block_on(executor.spawn(program(executor.clone())));
        drop(stop);
        result
    })
}

pub(crate) fn spawn_exit(times: u64, workers: usize) -> Duration {
    run(workers, |executor| async move {
        let (main, inbox) = unbounded();
        let start = Instant::now();
        for number in 0..times {
            let (to, from) = unbounded::<u64>();
            let main = main.clone();
            let body =
                async move { main.try_send(from.recv().await.expect("it comes")).expect("it is heard") };
            executor.spawn(body).detach();
            to.try_send(number).expect("it is heard");
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
fn adder(executor: &Shared, times: u64, to: Sender<u64>) -> Sender<u64> {
    let (sender, inbox) = unbounded::<u64>();
    let body = async move {
        for _ in 0..times {
            to.try_send(inbox.recv().await.expect("it comes") + 1).expect("it is heard");
        }
    };
    executor.spawn(body).detach();
    sender
}

async fn round(executor: Shared, times: u64, members: u64) -> Duration {
    let (main, inbox) = unbounded::<u64>();
    let next = (1..members).fold(main, |to, _| adder(&executor, times, to));
    let start = Instant::now();
    let mut number = 0;
    for _ in 0..times {
        next.try_send(number).expect("it is heard");
        number = inbox.recv().await.expect("it comes");
    }
    timed(start, number, times * (members - 1))
}

pub(crate) fn ping_pong(times: u64, workers: usize) -> Duration {
    run(workers, |executor| round(executor, times, 2))
}

pub(crate) fn ring(times: u64, workers: usize) -> Duration {
    run(workers, |executor| round(executor, times, RING))
}

pub(crate) fn fan_in(times: u64, workers: usize) -> Duration {
    run(workers, |executor| async move {
        let (main, inbox) = unbounded::<u64>();
        let start = Instant::now();
        for _ in 0..SENDERS {
            let main = main.clone();
            let body = async move {
                for number in 0..times {
                    main.try_send(1).expect("it is heard");
                    if number % 64 == 63 {
                        yield_now().await;
                    }
                }
            };
            executor.spawn(body).detach();
        }
        let mut sum = 0;
        for _ in 0..times * SENDERS {
            sum += inbox.recv().await.expect("it comes");
        }
        timed(start, sum, times * SENDERS)
    })
}

pub(crate) fn call(times: u64, workers: usize) -> Duration {
    run(workers, |executor| async move {
        let (server, inbox) = unbounded::<(u64, Sender<u64>)>();
        let body = async move {
            while let Ok((query, reply)) = inbox.recv().await {
                reply.try_send(query + 1).expect("it is heard");
            }
        };
        executor.spawn(body).detach();
        let start = Instant::now();
        let mut number = 0;
        for _ in 0..times {
            let (reply, answer) = bounded(1);
            server.try_send((number, reply)).expect("it is heard");
            number = answer.recv().await.expect("it answers");
        }
        timed(start, number, times)
    })
}

pub(crate) fn crash(times: u64, workers: usize) -> Duration {
    run(workers, |executor| async move {
        let mut elapsed = Duration::ZERO;
        for _ in 0..times {
            let (centre, told) = bounded::<()>(1);
            let (main, inbox) = unbounded::<()>();
            let linked: Vec<_> = (0..LINKED)
                .map(|_| {
                    let (told, main) = (told.clone(), main.clone());
                    executor.spawn(async move {
                        main.try_send(()).expect("it is heard");
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
                linked.await;
            }
            elapsed += start.elapsed();
        }
        elapsed
    })
}

pub(crate) fn idle() -> usize {
    run(1, |executor| async move {
        let (main, inbox) = unbounded::<()>();
        let mut kept = Vec::with_capacity(IDLE);
        let before = resident();
        for number in 0..IDLE {
            let (to, from) = unbounded::<u64>();
            kept.push(to);
            let main = main.clone();
            let body = async move {
                main.try_send(()).expect("it is heard");
                from.recv().await.expect_err("no task sends");
            };
            executor.spawn(body).detach();
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
