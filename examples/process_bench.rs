//! The costs of processes: `process_bench BENCH N THREADS [K]` prints one line of JSON, `{"ns": per
//! operation}` or `{"bytes": per live process}`.
//!
//! | BENCH | N | what is timed |
//! |---|---|---|
//! | spawn, spawnburst, spawnbare | processes | a process spawned and ended; yielding each 64, never, and with no mailbox touched |
//! | spawnidle | processes | as spawn, beside K that are idle |
//! | spawnlinked | processes | as spawnbare, with a label and a link to the one that spawns |
//! | mem | processes | memory of one blocked in receive |
//! | pingpong, ppx | round trips | one message there and one back; `ppx` between two workers |
//! | pingidle | round trips | as pingpong, beside K that are idle |
//! | ring | processes, K laps | one hop |
//! | fanin | messages in all, K senders | one message |
//! | call | calls | a request and its reply |
//! | gencall | calls | the same of a generic server (`GenServer`), with the timer that a call has by default |
//! | selrecv | calls | the same with K unmatched messages waiting |
//! | skynet | leaves | one process of the tree |
//! | timers | timers | a start and a cancel |
//! | links | processes | one death, all linked to one that crashes |
//! | lookup, lookupkey | look-ups | a name that is a text, or a key of two parts |
//! | alias | messages | one message by an alias to the process itself, and its receive; `self` is the same without |
//! | local | reads | a process-local value |
//! | handlecall | calls | a call from a plain thread, that waits for the reply |
//! | restart, restartpanic | restarts | a child that fails, by an error or a panic, restarted by its supervisor |

use std::{
    cell::Cell,
    future::Future,
    hint::black_box,
    pin::Pin,
    time::{Duration, Instant},
};

use riot_actor::{
    Pid, Reason, call,
    call::CallRequest,
    gen_server::{Call, GenServer},
    link,
    mailbox::alias,
    name::AsName,
    process::{SpawnOptions, join, yield_now},
    process_local, receive, register,
    runtime::{Config, Handle, blocking},
    send, spawn, spawn_link, this,
    time::send_after,
    trap_exit, whereis,
};
use riot_supervisor::{Supervisor, process};

/// The allocator that the peers of the benchmark use: a message is an allocation, and the allocator is the
/// program's choice.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: usize| arguments.get(at).map_or(default, |n| n.parse().expect("a number"));
    let bench = arguments.first().cloned().unwrap_or_else(|| usage());
    let (n, threads, k) = (number(1, 1_000_000), number(2, 1), number(3, 10_000));
    let config = Config::new().workers(threads).on_crash(|_| {});
    let reason = config.run(async move {
        match bench.as_str() {
            "spawn" => spawning(n, Some(64), true).await,
            "spawnburst" => spawning(n, None, true).await,
            "spawnbare" => spawning(n, Some(64), false).await,
            "spawnlinked" => spawning_linked(n).await,
            "spawnidle" => {
                let idle = idle(k).await;
                spawning(n, Some(64), true).await;
                stop(idle);
            }
            "mem" => memory(n).await,
            "pingpong" => ping_pong(n, false).await,
            "pingidle" => {
                let idle = idle(k).await;
                ping_pong(n, false).await;
                stop(idle);
            }
            "ppx" => ping_pong(n, true).await,
            "ring" => ring(n, k).await,
            "fanin" => fan_in(n, k).await,
            "call" => calls(n, 0).await,
            "gencall" => server_calls(n).await,
            "selrecv" => calls(n, k).await,
            "skynet" => skynet_all(n).await,
            "timers" => timers(n).await,
            "lookup" => look_ups(n, "a registered process"),
            "lookupkey" => look_ups(n, &("a registered process", 7_u32)),
            "alias" => to_itself(n, true).await,
            "self" => to_itself(n, false).await,
            "local" => local_values(n),
            "handlecall" => handle_calls(n).await,
            "links" => links(n).await,
            "restart" => restarts(n, false).await,
            "restartpanic" => restarts(n, true).await,
            _ => usage(),
        }
    });
    assert!(matches!(reason, Ok(Reason::Normal)), "{reason:?}");
}

fn usage() -> ! {
    eprintln!("usage: process_bench BENCH N THREADS [K]");
    std::process::exit(2)
}

fn report(start: Instant, operations: usize) {
    println!("{{\"ns\": {:.1}}}", start.elapsed().as_nanos() as f64 / operations as f64);
}

fn look_ups(n: usize, name: &(impl AsName + ?Sized)) {
    register("a registered process", this()).expect("it is free");
    register(("a registered process", 7_u32), this()).expect("it is free");
    let start = Instant::now();
    for _ in 0..n {
        assert_eq!(whereis(black_box(name)), Some(this()));
    }
    report(start, n);
}

async fn to_itself(n: usize, by_alias: bool) {
    let (this, alias) = (this(), alias::<Token>());
    let start = Instant::now();
    for number in 0..n {
        match by_alias {
            true => alias.send(Token(number)),
            false => send(this, Token(number)),
        }
        let Token(received) = receive().await;
        assert_eq!(received, number);
    }
    report(start, n);
}

process_local! { static COUNT: Cell<usize> }

fn local_values(n: usize) {
    COUNT.set(Cell::new(0));
    let start = Instant::now();
    for _ in 0..n {
        COUNT.with(|count| count.set(count.get() + 1));
    }
    report(start, n);
    assert_eq!(COUNT.with(Cell::get), Some(n));
}

async fn handle_calls(n: usize) {
    let callee = spawn(async {
        loop {
            let CallRequest { query: Token(number), reply, .. } = receive().await;
            reply.send(number + 1);
        }
    });
    let handle = Handle::current();
    let calling = move || {
        let start = Instant::now();
        for number in 0..n {
            let answer = handle.call::<_, usize>(callee, Token(number), None).wait();
            assert_eq!(answer, Ok(number + 1));
        }
        report(start, n);
    };
    blocking(calling).await;
}

struct Done;
struct Token(usize);
struct Stop;

async fn spawning(n: usize, pause: Option<usize>, mailbox: bool) {
    let parent = this();
    let start = Instant::now();
    for number in 1..=n {
        let last = number == n;
        let pid = spawn(async move {
            if mailbox {
                let Token(_) = receive().await;
            }
            if last {
                send(parent, Done);
            }
        });
        if mailbox {
            send(pid, Token(0));
        }
        if pause.is_some_and(|pause| number.is_multiple_of(pause)) {
            yield_now().await;
        }
    }
    let Done = receive().await;
    report(start, n);
}

async fn spawning_linked(n: usize) {
    let parent = this();
    let start = Instant::now();
    for number in 1..=n {
        SpawnOptions::new().label("linked").link().spawn(async move {
            if number == n {
                send(parent, Done);
            }
        });
        if number.is_multiple_of(2) {
            yield_now().await;
        }
    }
    let Done = receive().await;
    report(start, n);
}

async fn memory(n: usize) {
    let before = resident();
    let pids = idle(n).await;
    let parent = this();
    let last = *pids.last().expect("at least one");
    spawn(async move { send(parent, riot_actor::process::info(last).expect("it waits").mailbox) });
    assert_eq!(receive::<usize>().await, 0);
    println!("{{\"bytes\": {:.1}}}", (resident() - before) as f64 / n as f64);
    stop(pids);
}

/// Spawns `n` processes, each of which waits for a message.
async fn idle(n: usize) -> Vec<Pid> {
    let mut pids = Vec::with_capacity(n);
    for number in 0..n {
        pids.push(spawn(async {
            let Stop = receive().await;
        }));
        if number.is_multiple_of(64) {
            yield_now().await;
        }
    }
    for _ in 0..100 {
        yield_now().await;
    }
    pids
}

fn stop(pids: Vec<Pid>) {
    pids.into_iter().for_each(|pid| send(pid, Stop));
}

/// Returns the bytes of memory that the system has given this program.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = status.split(' ').nth(1).expect("a second field").parse().expect("a number");
    pages * 4096
}

async fn ping_pong(n: usize, across: bool) {
    let parent = this();
    let start = Instant::now();
    let partner = if across {
        // Two processes that stay on their workers, which are different.
        SpawnOptions::new().pinned_to(1).spawn(echo(parent))
    } else {
        spawn(echo(parent))
    };
    let pinger = move || async move {
        for number in 0..n {
            send(partner, Token(number));
            let Token(back) = receive().await;
            assert_eq!(back, number);
        }
        send(partner, Stop);
    };
    if across {
        let pinger = SpawnOptions::new().pinned_to(0).spawn(async move {
            send(partner, this());
            pinger().await;
        });
        join(&[pinger]).await;
    } else {
        send(partner, parent);
        pinger().await;
    }
    report(start, n);
}

async fn echo(_starter: Pid) {
    let partner: Pid = receive().await;
    loop {
        riot_actor::receive! {
            token: Token => send(partner, token),
            Stop => return,
        }
    }
}

async fn ring(n: usize, laps: usize) {
    let parent = this();
    let mut next = parent;
    for _ in 1..n {
        let to = next;
        next = spawn(async move {
            loop {
                riot_actor::receive! {
                    token: Token => send(to, token),
                    Stop => {
                        send(to, Stop);
                        return;
                    },
                }
            }
        });
    }
    let start = Instant::now();
    for lap in 0..laps {
        send(next, Token(lap));
        let Token(_) = receive().await;
    }
    report(start, n * laps);
    send(next, Stop);
    let Stop = receive().await;
}

async fn fan_in(n: usize, senders: usize) {
    let senders = senders.clamp(1, 1024);
    let parent = this();
    let each = n / senders;
    let start = Instant::now();
    for _ in 0..senders {
        spawn(async move {
            for number in 0..each {
                send(parent, Token(number));
                if number % 64 == 63 {
                    yield_now().await;
                }
            }
        });
    }
    for _ in 0..each * senders {
        let Token(_) = receive().await;
    }
    report(start, each * senders);
}

async fn calls(n: usize, unmatched: usize) {
    let server = spawn(async {
        loop {
            riot_actor::receive! {
                request: CallRequest<usize, usize> => request.reply.send(request.query + 1),
                Stop => return,
            }
        }
    });
    for _ in 0..unmatched {
        send(this(), "nobody asks for this");
    }
    yield_now().await;
    let start = Instant::now();
    for number in 0..n {
        assert_eq!(call::<usize, usize>(server, number, None).await, Ok(number + 1));
    }
    report(start, n);
    send(server, Stop);
}

struct Adder;

impl GenServer for Adder {
    type Args = ();
    async fn init((): ()) -> Result<Self, riot_actor::gen_server::Stop> {
        Ok(Self)
    }
}

impl Call<usize> for Adder {
    type Reply = usize;
    async fn call(&mut self, number: usize) -> usize {
        number + 1
    }
}

async fn server_calls(n: usize) {
    let server = Adder::start_link(()).await.expect("it starts");
    let start = Instant::now();
    for number in 0..n {
        assert_eq!(server.call(number).await, Ok(number + 1));
    }
    report(start, n);
}

async fn skynet_all(leaves: usize) {
    let parent = this();
    let start = Instant::now();
    spawn(skynet(parent, 0, leaves));
    let sum: u64 = receive().await;
    assert_eq!(sum, (leaves as u64 - 1) * leaves as u64 / 2);
    let mut processes = 0;
    let mut level = leaves;
    while level > 0 {
        processes += level;
        level /= 10;
    }
    report(start, processes);
}

fn skynet(parent: Pid, number: u64, size: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if size == 1 {
            return send(parent, number);
        }
        let part = size / 10;
        for child in 0..10 {
            spawn(skynet(this(), number + child * part as u64, part));
        }
        let mut sum = 0;
        for _ in 0..10 {
            sum += receive::<u64>().await;
        }
        send(parent, sum);
    })
}

async fn timers(n: usize) {
    let start = Instant::now();
    let started: Vec<_> = (0..n)
        .map(|number| send_after(Duration::from_millis(10_000 + number as u64 % 1000), this(), Stop))
        .collect();
    let cancelled = started.into_iter().filter(|timer| timer.cancel().is_some()).count();
    assert_eq!(cancelled, n);
    report(start, n);
}

async fn links(n: usize) {
    trap_exit(true);
    let centre = spawn_link(async {
        let Stop = receive().await;
        Err::<(), _>(Reason::other("crash"))
    });
    let mut pids = Vec::with_capacity(n);
    for number in 0..n {
        pids.push(spawn(async move {
            link(centre);
            std::future::pending::<()>().await;
        }));
        if number.is_multiple_of(64) {
            yield_now().await;
        }
    }
    for _ in 0..10 {
        yield_now().await;
    }
    let start = Instant::now();
    send(centre, Stop);
    join(&pids).await;
    report(start, n);
}

async fn restarts(n: usize, panics: bool) {
    trap_exit(true);
    let failing = move || async move {
        if panics {
            std::panic::panic_any("failed");
        }
        Err::<(), std::fmt::Error>(std::fmt::Error)
    };
    let sup = Supervisor::one_for_one().intensity(n, Duration::from_secs(3600));
    let start = Instant::now();
    // One failure more than it may restart ends the supervisor.
    let sup = sup.child(process("failing", failing)).start_link().await.expect("it starts");
    let end = receive::<riot_actor::Exit>().await;
    assert!(end.from == sup.pid() && end.reason == Reason::Shutdown, "{}", end.reason);
    report(start, n);
}
