//! The most memory that one connection can hold: rule H19. Hostile clients drive a connection to its
//! limits, and an allocator counts what the program holds for it.
#![cfg(all(feature = "driver", target_os = "linux"))]

#[path = "../../actor/tests/common/counting_allocator.rs"]
mod counting_allocator;

use std::{
    future::pending,
    io::{ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use counting_allocator::{Counting, live, peak, reset_peak};
use riot_actor::{
    Reason,
    runtime::{Config, blocking},
};
use riot_http::{HandlerError, Limits, Reqd, Response, Server, ServerHandle};
use riot_socket::Options;
use socket2::SockRef;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KIB: usize = 1024;

/// The largest piece that the handler gives a response at one time.
const PIECE: usize = 16 * KIB;

/// The limits that the formula is about, in bytes; pipelined requests and fields are numbers.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    head: usize,
    window: usize,
    output: usize,
    extra: usize,
    pipeline: usize,
    fields: usize,
}

impl Bounds {
    fn limits(self) -> Limits {
        Limits::new()
            .max_head_bytes(self.head)
            .max_header_bytes(self.head)
            .window_bytes(self.window)
            .output_high_water_bytes(self.output)
            .max_chunk_extra_bytes(self.extra)
            .max_pipeline(self.pipeline)
            .max_headers(self.fields)
    }

    /// The formula of rule H19.
    fn most(self) -> usize {
        let Self { head, window, output, extra, pipeline, fields } = self;
        let read = 64 * KIB;
        16 * KIB
            + 2 * (head + read)
            + 2 * (window + head.max(read))
            + pipeline * (KIB + 32 * fields)
            + 2 * (output + PIECE)
            + 2 * extra
    }
}

/// Answers by path: never, at length, shortly, or after the body.
async fn handle(reqd: Reqd) -> Result<(), HandlerError> {
    match reqd.request().path() {
        "/long" => {
            let mut body = reqd.respond_with_streaming(Response::ok())?;
            loop {
                body.write(vec![b'x'; PIECE]).await?;
            }
        }
        "/short" => {
            reqd.respond_with_string(Response::ok(), "x".repeat(PIECE))?;
        }
        _ => {
            pending::<()>().await;
            drop(reqd);
        }
    }
    Ok(())
}

/// A client that sends `begin`, then `again` for ever, and reads nothing.
struct Hostile {
    name: &'static str,
    begin: Vec<u8>,
    again: Vec<u8>,
    /// The memory that it can make the server hold at least, or the test shows nothing.
    least: usize,
    /// Whether the client sends a kilobyte at a time, and waits until that is received.
    in_pieces: bool,
}

fn hostile(bounds: Bounds) -> Vec<Hostile> {
    let field = |bytes: usize| format!("A: {}\r\n", "b".repeat(bytes - 5));
    let head = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}");
    let large = field(bounds.head - 200);
    let many = "A:b\r\n".repeat(bounds.fields - 2);
    let post = |fields: &str| format!("POST /hang HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let chunked = post("Transfer-Encoding: chunked\r\n");
    let chunk = |bytes: usize| format!("{bytes:x}\r\n{}\r\n", "c".repeat(bytes));
    let trailer = format!("0\r\n{}", field((bounds.extra - 100).min(8 * KIB)));
    let client = |name, begin: String, again: String, least| {
        // In large pieces, so that little time goes into system calls.
        let times = if again.is_empty() { 0 } else { (64 * KIB).div_ceil(again.len()) };
        let (begin, again) = (begin.into_bytes(), again.repeat(times).into_bytes());
        Hostile { name, begin, again, least, in_pieces: false }
    };
    // Half of a limit shows that the client reaches the state that the limit is for.
    let (window, output) = (bounds.window / 2, bounds.output / 2);
    let endless = || client("a head without an end", head("/hang", &large), String::new(), bounds.head / 2);
    vec![
        endless(),
        Hostile { name: "a head in small pieces", in_pieces: true, ..endless() },
        client(
            "large heads behind a request",
            head("/hang", "\r\n"),
            head("/", &(large.clone() + "\r\n")),
            window,
        ),
        client("heads of many fields", head("/hang", "\r\n"), head("/", &(many + "\r\n")), 0),
        client("a body that is not read", post("Content-Length: 100000000\r\n"), "x".repeat(KIB), window),
        client("chunks of a byte", chunked.clone(), chunk(1), window),
        client("chunks of a kilobyte", chunked.clone(), chunk(1024), window),
        client("chunks of both kinds", chunked.clone(), chunk(1024) + &chunk(1).repeat(60), window),
        client("a long trailer", chunked, trailer, 0),
        client("a response that is not read", head("/long", "\r\n"), String::new(), output),
        client("responses that are not read", String::new(), head("/short", "\r\n"), output),
    ]
}

/// Sends as much as the server takes, until that stays the same for some time. Returns the memory that the
/// server has held at most.
fn attack(server: &ServerHandle, hostile: &Hostile, at_rest: usize) -> usize {
    let mut client = TcpStream::connect::<SocketAddr>(server.local_addr()).expect("it listens");
    client.set_nonblocking(true).expect("the option can be set");
    SockRef::from(&client).set_send_buffer_size(32 * KIB).expect("the option can be set");
    let (mut left, mut received, mut quiet) = (&hostile.begin[..], 0, 0);
    let limit = Instant::now() + Duration::from_secs(5);
    // A wait that ends too early makes the result smaller, and never larger than it may be.
    while quiet < 30 || (peak() - at_rest < hostile.least && Instant::now() < limit) {
        if left.is_empty() {
            left = &hostile.again;
        }
        let piece = if hostile.in_pieces { left.len().min(KIB) } else { left.len() };
        let before = server.info().bytes_received;
        match client.write(&left[..piece]) {
            Ok(written) => {
                left = &left[written..];
                while hostile.in_pieces && written > 0 && server.info().bytes_received == before {
                    std::thread::yield_now();
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break, // It is cut off, which is a bound too.
        }
        let now = server.info().bytes_received + server.info().bytes_sent;
        quiet = if now == received { quiet + 1 } else { 0 };
        received = now;
        if quiet > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    peak() - at_rest
}

/// Attacks servers with every kind of client, twice each: the first time fills what the workers keep. Returns
/// the names of the clients, the most memory that was held, and the least that is possible.
fn held(bounds: Bounds) -> Vec<(&'static str, usize, usize)> {
    let (tell, told) = std::sync::mpsc::channel();
    let reason = Config::new().workers(1).run(async move {
        let mut results = Vec::new();
        for hostile in hostile(bounds) {
            let hostile = Arc::new(hostile);
            let mut most = 0;
            for _ in 0..2 {
                // Small buffers of the system, so that there is little to be filled.
                let options = Options::new().receive_buffer(32 * KIB).send_buffer(32 * KIB);
                let server = Server::bind("127.0.0.1:0")?.options(options).limits(bounds.limits());
                let server = server.handler(handle).start_link().await?;
                let (attacked, attacker) = (server.clone(), hostile.clone());
                most = blocking(move || attack(&attacked, &attacker, reset_peak())).await;
                server.stop(Duration::ZERO).await;
            }
            results.push((hostile.name, most, hostile.least));
        }
        tell.send(results).expect("the test waits");
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
    told.recv().expect("it was sent")
}

#[test]
fn h19_a_connection_holds_no_more_memory_than_its_limits_say() {
    assert!(live() > 0, "the allocator counts");
    let default = Bounds {
        head: 64 * KIB,
        window: 64 * KIB,
        output: 64 * KIB,
        extra: 16 * KIB,
        pipeline: 16,
        fields: 100,
    };
    let small =
        Bounds { head: 8 * KIB, window: 4 * KIB, output: 4 * KIB, extra: KIB, pipeline: 2, fields: 10 };
    let large = Bounds {
        head: 256 * KIB,
        window: 1024 * KIB,
        output: 512 * KIB,
        extra: 128 * KIB,
        pipeline: 64,
        fields: 1000,
    };
    for bounds in [default, small, large] {
        println!("{bounds:?}: at most {} KiB", bounds.most() / KIB);
        for (name, most, least) in held(bounds) {
            println!("  {:>6} KiB for {name}", most / KIB);
            assert!(most <= bounds.most(), "{name}: {most} of {} with {bounds:?}", bounds.most());
            assert!(most >= least, "{name}: {most}, but {least} is possible with {bounds:?}");
        }
    }
}
