//! tokio's tasks and channels, used as processes and mailboxes: `tokio_processes BENCH N THREADS [K]`, with
//! the command line of the example `process_bench`.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: usize| arguments.get(at).map_or(default, |n| n.parse().expect("a number"));
    let bench = arguments.first().cloned().expect("a bench");
    let (n, threads, k) = (number(1, 1_000_000), number(2, 1), number(3, 10_000));
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(threads).enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        tokio::spawn(async move {
            match bench.as_str() {
                "spawn" => spawning(n, Some(64)).await,
                "spawnburst" => spawning(n, None).await,
                "spawnbare" => spawning_bare(n).await,
                "spawnidle" => {
                    let _idle = idle(k).await;
                    spawning(n, Some(64)).await;
                }
                "mem" => memory(n).await,
                "pingpong" => ping_pong(n).await,
                "pingidle" => {
                    let _idle = idle(k).await;
                    ping_pong(n).await;
                }
                "ppx" => ping_pong_across(n).await,
                "ring" => ring(n, k).await,
                "fanin" => fan_in(n, k).await,
                "call" => calls(n, None).await,
                "gencall" => calls(n, Some(Duration::from_secs(5))).await,
                "skynet" => skynet_all(n).await,
                "timers" => timers(n).await,
                _ => panic!("no such bench"),
            }
        })
        .await
        .expect("it does not panic");
    });
}

fn report(start: Instant, operations: usize) {
    println!("{{\"ns\": {:.1}}}", start.elapsed().as_nanos() as f64 / operations as f64);
}

async fn spawning(n: usize, pause: Option<usize>) {
    let (done, mut wait) = mpsc::unbounded_channel();
    let start = Instant::now();
    for number in 1..=n {
        let (send, mut receive) = mpsc::unbounded_channel::<usize>();
        let done = (number == n).then(|| done.clone());
        tokio::spawn(async move {
            receive.recv().await;
            if let Some(done) = done {
                done.send(()).ok();
            }
        });
        send.send(0).ok();
        if pause.is_some_and(|pause| number.is_multiple_of(pause)) {
            tokio::task::yield_now().await;
        }
    }
    wait.recv().await;
    report(start, n);
}

/// Spawns tasks without a channel.
async fn spawning_bare(n: usize) {
    let (done, wait) = oneshot::channel();
    let mut done = Some(done);
    let start = Instant::now();
    for number in 1..=n {
        let done = if number == n { done.take() } else { None };
        tokio::spawn(async move {
            if let Some(done) = done {
                done.send(()).ok();
            }
        });
        if number.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
    }
    wait.await.expect("the last one ends");
    report(start, n);
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = status.split(' ').nth(1).expect("a second field").parse().expect("a number");
    pages * 4096
}

async fn memory(n: usize) {
    let before = resident();
    let _idle = idle(n).await;
    println!("{{\"bytes\": {:.1}}}", (resident() - before) as f64 / n as f64);
}

/// Spawns `n` tasks, each waiting for a message.
async fn idle(n: usize) -> Vec<mpsc::UnboundedSender<usize>> {
    let mut senders = Vec::with_capacity(n);
    for number in 0..n {
        let (send, mut receive) = mpsc::unbounded_channel::<usize>();
        tokio::spawn(async move { receive.recv().await });
        senders.push(send);
        if number.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    senders
}

async fn ping_pong(n: usize) {
    let (to, mut from_us) = mpsc::unbounded_channel::<usize>();
    let (back, mut from_them) = mpsc::unbounded_channel::<usize>();
    let start = Instant::now();
    tokio::spawn(async move {
        while let Some(token) = from_us.recv().await {
            back.send(token).ok();
        }
    });
    for number in 0..n {
        to.send(number).ok();
        assert_eq!(from_them.recv().await, Some(number));
    }
    report(start, n);
}

/// Runs a ping-pong between two threads with a runtime each, since a runtime's scheduler may move its tasks.
async fn ping_pong_across(n: usize) {
    let (to, mut from_us) = mpsc::unbounded_channel::<usize>();
    let (back, mut from_them) = mpsc::unbounded_channel::<usize>();
    let alone = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let echo = std::thread::spawn(move || {
        alone().block_on(async move {
            while let Some(token) = from_us.recv().await {
                back.send(token).ok();
            }
        });
    });
    let pinger = std::thread::spawn(move || {
        alone().block_on(async move {
            let start = Instant::now();
            for number in 0..n {
                to.send(number).ok();
                assert_eq!(from_them.recv().await, Some(number));
            }
            report(start, n);
        });
    });
    pinger.join().expect("it ends");
    echo.join().expect("it ends");
}

async fn ring(n: usize, laps: usize) {
    let (first, mut last) = mpsc::unbounded_channel::<usize>();
    let mut next = first;
    for _ in 1..n {
        let (send, mut receive) = mpsc::unbounded_channel::<usize>();
        let to = std::mem::replace(&mut next, send);
        tokio::spawn(async move {
            while let Some(token) = receive.recv().await {
                to.send(token).ok();
            }
        });
    }
    let start = Instant::now();
    for lap in 0..laps {
        next.send(lap).ok();
        last.recv().await;
    }
    report(start, n * laps);
}

async fn fan_in(n: usize, senders: usize) {
    let senders = senders.clamp(1, 1024);
    let (send, mut receive) = mpsc::unbounded_channel::<usize>();
    let each = n / senders;
    let start = Instant::now();
    for _ in 0..senders {
        let send = send.clone();
        tokio::spawn(async move {
            for number in 0..each {
                send.send(number).ok();
                if number % 64 == 63 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    for _ in 0..each * senders {
        receive.recv().await;
    }
    report(start, each * senders);
}

/// Calls a task `n` times; with a timeout each call starts a timer.
async fn calls(n: usize, timeout: Option<Duration>) {
    let (send, mut receive) = mpsc::unbounded_channel::<(usize, oneshot::Sender<usize>)>();
    tokio::spawn(async move {
        while let Some((query, reply)) = receive.recv().await {
            reply.send(query + 1).ok();
        }
    });
    let start = Instant::now();
    for number in 0..n {
        let (reply, answer) = oneshot::channel();
        send.send((number, reply)).ok();
        let answer = match timeout {
            Some(timeout) => tokio::time::timeout(timeout, answer).await.expect("the reply comes in time"),
            None => answer.await,
        };
        assert_eq!(answer, Ok(number + 1));
    }
    report(start, n);
}

async fn skynet_all(leaves: usize) {
    let start = Instant::now();
    let (send, mut receive) = mpsc::unbounded_channel();
    tokio::spawn(skynet(send, 0, leaves));
    assert_eq!(receive.recv().await, Some((leaves as u64 - 1) * leaves as u64 / 2));
    let (mut processes, mut level) = (0, leaves);
    while level > 0 {
        processes += level;
        level /= 10;
    }
    report(start, processes);
}

fn skynet(
    parent: mpsc::UnboundedSender<u64>,
    number: u64,
    size: usize,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if size == 1 {
            parent.send(number).ok();
            return;
        }
        let (send, mut receive) = mpsc::unbounded_channel();
        let part = size / 10;
        for child in 0..10 {
            tokio::spawn(skynet(send.clone(), number + child * part as u64, part));
        }
        let mut sum = 0;
        for _ in 0..10 {
            sum += receive.recv().await.expect("every child sends");
        }
        parent.send(sum).ok();
    })
}

async fn timers(n: usize) {
    use std::{future::Future, pin::pin, task::Context};
    let start = Instant::now();
    let mut sleeps = Vec::with_capacity(n);
    std::future::poll_fn(|cx: &mut Context<'_>| {
        for number in 0..n {
            let delay = Duration::from_millis(10_000 + number as u64 % 1000);
            let mut sleep = Box::pin(tokio::time::sleep(delay));
            assert!(pin!(&mut sleep).poll(cx).is_pending());
            sleeps.push(sleep);
        }
        std::task::Poll::Ready(())
    })
    .await;
    drop(sleeps);
    report(start, n);
}
