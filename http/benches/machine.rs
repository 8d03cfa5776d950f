//! The costs of HTTP without I/O: `cargo bench -p riot-http`. The flow is driven by calls: bytes go in, bytes
//! come out.
//!
//! | bench | one operation is |
//! |---|---|
//! | request/smallest, browser | a request read, and handed over with its head; two fields of it, and twelve |
//! | exchange/plain | a request, and its answer with a body of 13 bytes, until it is sent |
//! | exchange/16_pipelined | 16 of them that came at once |
//! | body/sized, chunked | 64 KiB of a body read by the handler; the chunks have 1 KiB |

use std::{
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use criterion::{Criterion, Throughput, criterion_main};
use riot_flow::ManualDriver;
use riot_http::{Http1, HttpConfig, Reqd, Requests, Response};

const SMALLEST: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n";

const BROWSER: &[u8] = b"GET /some/page?with=a&query=string HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: none\r\n\
    Priority: u=0, i\r\n\r\n";

const BODY_BYTES: usize = 64 * 1024;

/// A connection and its requests; the bench is driver and handler.
struct Held {
    hand: ManualDriver<Http1>,
    requests: Requests,
}

impl Held {
    fn new() -> Self {
        let (connection, requests) = Http1::new(Arc::new(HttpConfig::new()));
        Self { hand: ManualDriver::new(connection), requests }
    }

    fn request(&mut self) -> Reqd {
        match self.requests.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(reqd)) => reqd,
            _ => panic!("a request came"),
        }
    }

    fn answer(&mut self) {
        self.request().respond_with_string(Response::text(""), "Hello, World!").expect("it is answered");
        // What waits behind the one that was answered is read now.
        self.hand.pump();
    }
}

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}

fn requests(c: &mut Criterion) {
    for (name, bytes, fields) in [("smallest", SMALLEST, 1), ("browser", BROWSER, 12)] {
        c.bench_function(&format!("request/{name}"), |b| {
            let mut held = Held::new();
            b.iter(|| {
                held.hand.push(bytes);
                let reqd = held.request();
                assert_eq!(black_box(reqd.request().headers()).iter().count(), fields);
                reqd.respond_with_bytes(Response::new(riot_http::http::StatusCode::NO_CONTENT), &b""[..])
                    .expect("it is answered");
                black_box(held.hand.collect());
            });
        });
    }
}

fn exchanges(c: &mut Criterion) {
    let mut held = Held::new();
    c.bench_function("exchange/plain", |b| {
        b.iter(|| {
            held.hand.push(SMALLEST);
            held.answer();
            assert!(held.hand.collect().ends_with(b"\r\n\r\nHello, World!"));
        });
    });

    let mut group = c.benchmark_group("exchange");
    let (mut held, pipelined) = (Held::new(), SMALLEST.repeat(16));
    group.throughput(Throughput::Elements(16));
    group.bench_function("16_pipelined", |b| {
        b.iter(|| {
            held.hand.push(&pipelined);
            for _ in 0..16 {
                held.answer();
            }
            let answers = held.hand.collect();
            assert!(answers.len().is_multiple_of(16) && answers.ends_with(b"\r\n\r\nHello, World!"));
        });
    });
    group.finish();
}

fn bodies(c: &mut Criterion) {
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\n";
    let sized =
        [format!("{head}Content-Length: {BODY_BYTES}\r\n\r\n").into_bytes(), vec![b'x'; BODY_BYTES]].concat();
    let chunk = [b"400\r\n", &[b'x'; 1024][..], b"\r\n"].concat();
    let chunked = [
        format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes(),
        chunk.repeat(BODY_BYTES / 1024),
        b"0\r\n\r\n".to_vec(),
    ]
    .concat();

    let mut group = c.benchmark_group("body");
    group.throughput(Throughput::Bytes(BODY_BYTES as u64));
    for (name, bytes) in [("sized", sized), ("chunked", chunked)] {
        let mut held = Held::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                held.hand.push(&bytes);
                let (request, responder) = held.request().into_parts();
                let mut body = request.into_parts().1;
                let mut length = 0;
                while let Some(piece) = now(body.chunk()).expect("it is whole") {
                    length += piece.len();
                    held.hand.pump();
                }
                assert_eq!(length, BODY_BYTES);
                now(responder.respond(Response::text("ok"))).expect("it is answered");
                assert!(held.hand.collect().ends_with(b"\r\n\r\nok"));
            });
        });
    }
    group.finish();
}

fn all() {
    let mut criterion = Criterion::default().configure_from_args();
    requests(&mut criterion);
    exchanges(&mut criterion);
    bodies(&mut criterion);
}
criterion_main!(all);
