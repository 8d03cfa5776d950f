//! The benches on this crate.

use std::{
    future::{Future, pending},
    sync::mpsc,
    time::{Duration, Instant},
};

use riot_actor::{
    Pid, Reason,
    call::CallRequest,
    demonitor, link, monitor,
    process::{join, yield_now},
    receive,
    runtime::Config,
    send, spawn, spawn_link, this,
    time::send_after,
    trap_exit,
};

use crate::{IDLE, LINKED, RING, SENDERS, UNMATCHED, bytes_each, resident, timed};

fn run<R: Send + 'static>(workers: usize, program: impl Future<Output = R> + Send + 'static) -> R {
    let (say, hear) = mpsc::channel();
    let reason = Config::new().workers(workers).on_crash(|_| {}).run(async move {
        say.send(program.await).expect("the receiver waits");
    });
    assert!(matches!(reason, Ok(Reason::Normal)), "{reason:?}");
    hear.recv().expect("it was said")
}

pub(crate) fn spawn_exit(times: u64, workers: usize) -> Duration {
    run(workers, async move {
        let (main, start) = (this(), Instant::now());
        for number in 0..times {
            let pid = spawn(async move { send(main, receive::<u64>().await) });
            send(pid, number);
            if number % 64 == 63 {
                yield_now().await;
            }
        }
        let mut sum = 0;
        for _ in 0..times {
            sum += receive::<u64>().await;
        }
        timed(start, sum, times * times.saturating_sub(1) / 2)
    })
}

pub(crate) fn ping_pong(times: u64, workers: usize) -> Duration {
    run(workers, async move {
        let main = this();
        let partner = spawn(async move {
            for _ in 0..times {
                send(main, receive::<u64>().await + 1);
            }
        });
        let start = Instant::now();
        let mut number = 0;
        for _ in 0..times {
            send(partner, number);
            number = receive::<u64>().await;
        }
        timed(start, number, times)
    })
}

pub(crate) fn ring(times: u64, workers: usize) -> Duration {
    run(workers, async move {
        let mut next = this();
        for _ in 1..RING {
            let to = next;
            next = spawn(async move {
                for _ in 0..times {
                    send(to, receive::<u64>().await + 1);
                }
            });
        }
        let start = Instant::now();
        let mut number = 0;
        for _ in 0..times {
            send(next, number);
            number = receive::<u64>().await;
        }
        timed(start, number, times * (RING - 1))
    })
}

pub(crate) fn fan_in(times: u64, workers: usize) -> Duration {
    run(workers, async move {
        let (main, start) = (this(), Instant::now());
        for _ in 0..SENDERS {
            spawn(async move {
                for number in 0..times {
                    send(main, 1_u64);
                    if number % 64 == 63 {
                        yield_now().await;
                    }
                }
            });
        }
        let mut sum = 0;
        for _ in 0..times * SENDERS {
            sum += receive::<u64>().await;
        }
        timed(start, sum, times * SENDERS)
    })
}

fn server() -> Pid {
    spawn(async {
        loop {
            let request = receive::<CallRequest<u64, u64>>().await;
            request.reply.send(request.query + 1);
        }
    })
}

async fn calls(times: u64) -> Duration {
    let server = server();
    let start = Instant::now();
    let mut number = 0;
    for _ in 0..times {
        number = riot_actor::call::<u64, u64>(server, number, None).await.expect("it answers");
    }
    timed(start, number, times)
}

pub(crate) fn call(times: u64, workers: usize) -> Duration {
    run(workers, calls(times))
}

pub(crate) fn call_behind(times: u64, workers: usize) -> Duration {
    run(workers, async move {
        (0..UNMATCHED).for_each(|_| send(this(), "not received"));
        calls(times).await
    })
}

pub(crate) fn timers(times: u64, workers: usize) -> Duration {
    run(workers, async move {
        let start = Instant::now();
        let mut cancelled = 0;
        for number in 0..times {
            let timer = send_after(Duration::from_millis(10_000 + number % 1_000), this(), ());
            cancelled += u64::from(timer.cancel().is_some());
        }
        timed(start, cancelled, times)
    })
}

pub(crate) fn monitors(times: u64, workers: usize) -> Duration {
    run(workers, async move {
        let other = spawn(pending::<()>());
        let start = Instant::now();
        let ended = (0..times).map(|_| u64::from(demonitor(monitor(other)))).sum();
        timed(start, ended, times)
    })
}

pub(crate) fn crash(times: u64, workers: usize) -> Duration {
    run(workers, async move {
        trap_exit(true);
        let mut elapsed = Duration::ZERO;
        for _ in 0..times {
            let centre = spawn_link(async {
                receive::<()>().await;
                Reason::other("crash")
            });
            let main = this();
            let linked: Vec<Pid> = (0..LINKED)
                .map(|_| {
                    spawn(async move {
                        link(centre);
                        send(main, ());
                        pending::<()>().await;
                    })
                })
                .collect();
            for _ in 0..LINKED {
                receive::<()>().await;
            }
            let start = Instant::now();
            send(centre, ());
            join(&linked).await;
            elapsed += start.elapsed();
        }
        elapsed
    })
}

pub(crate) fn idle() -> usize {
    run(1, async {
        let (main, before) = (this(), resident());
        for number in 0..IDLE {
            spawn(async move {
                send(main, ());
                receive::<u64>().await;
            });
            if number % 64 == 63 {
                yield_now().await;
            }
        }
        for _ in 0..IDLE {
            receive::<()>().await;
        }
        bytes_each(before)
    })
}
