//! The costs of a connection in memory, on one worker: `cargo bench -p riot-socket`.
//!
//! | bench | one operation is |
//! |---|---|
//! | memory/round_trip/BYTES | BYTES bytes to a process that echoes them, and back |
//! | memory/accept | a client that connects, is accepted, greeted, and closed |
//! | tcp/round_trip/64 | a round trip of 64 bytes over TCP |

use std::{
    future::Future,
    io,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_main};
use riot_actor::{Reason, runtime::Config, spawn};
use riot_socket::{Address, Connection, Server, memory};

/// Lets criterion use the time that a program inside the runtime has measured.
fn inside<F>(program: impl Fn(usize) -> F) -> impl FnMut(u64) -> Duration
where
    F: Future<Output = io::Result<Duration>> + Send + 'static,
{
    move |times| {
        let (tell, told) = std::sync::mpsc::channel();
        let timed = program(usize::try_from(times).expect("the number of times fits"));
        let reason = Config::new().workers(1).run(async move {
            tell.send(timed.await?).expect("the bench waits");
            Ok::<(), Reason>(())
        });
        assert!(matches!(reason, Ok(Reason::Normal)), "{reason:?}");
        told.recv().expect("it was sent")
    }
}

async fn echo(mut connection: Connection) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match connection.read(&mut buffer).await? {
            0 => return Ok(()),
            read => connection.write_all(&buffer[..read]).await?,
        }
    }
}

async fn round_trips(mut client: Connection, bytes: usize, times: usize) -> io::Result<Duration> {
    let sent: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
    let mut back = vec![0; bytes];
    let start = Instant::now();
    for _ in 0..times {
        client.write_all(&sent).await?;
        client.read_exact(&mut back).await?;
    }
    assert_eq!(back, sent);
    Ok(start.elapsed())
}

async fn in_memory(bytes: usize, times: usize) -> io::Result<Duration> {
    let (here, there) = memory::pair();
    spawn(echo(Connection::new(there, Address::Memory(1))));
    round_trips(Connection::new(here, Address::Memory(2)), bytes, times).await
}

async fn over_tcp(times: usize) -> io::Result<Duration> {
    let server = Server::bind("127.0.0.1:0")?.start_link(echo).await.map_err(io::Error::other)?;
    let client = Connection::connect(&server.local_addr().to_string()).await?;
    let time = round_trips(client, 64, times).await?;
    server.stop(Duration::ZERO).await;
    Ok(time)
}

async fn accepts(times: usize) -> io::Result<Duration> {
    let listener = memory::Listener::new();
    let greet = |mut connection: Connection| async move { connection.write_all(b"hello").await };
    let server = Server::listen(listener.clone()).start_link(greet).await.map_err(io::Error::other)?;
    let start = Instant::now();
    for _ in 0..times {
        let mut client = listener.connect()?;
        let (mut greeting, mut more) = ([0; 5], [0; 5]);
        client.read_exact(&mut greeting).await?;
        assert_eq!((&greeting, client.read(&mut more).await?), (b"hello", 0));
    }
    let time = start.elapsed();
    server.stop(Duration::ZERO).await;
    Ok(time)
}

fn benches(c: &mut Criterion) {
    for bytes in [64, 16 * 1024] {
        c.bench_function(&format!("memory/round_trip/{bytes}"), |b| {
            b.iter_custom(inside(move |times| in_memory(bytes, times)));
        });
    }
    c.bench_function("memory/accept", |b| b.iter_custom(inside(accepts)));
    c.bench_function("tcp/round_trip/64", |b| b.iter_custom(inside(over_tcp)));
}

fn all() {
    let mut criterion = Criterion::default().configure_from_args();
    benches(&mut criterion);
}
criterion_main!(all);
