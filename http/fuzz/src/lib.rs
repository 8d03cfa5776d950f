//! The fuzz targets, and the properties that must hold whatever the bytes.
//!
//! The project's own tests run these on the corpus and on mutations of it; a fuzzer goes on from there.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, UNIX_EPOCH},
};

use riot_flow::{Flow, FlowError, ManualDriver};
use riot_http::{Http1, HttpConfig, Reqd, Requests, Response, serve_requests};

/// Larger bodies are not said back.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The end of any connection comes after so many moves without input; else it hangs.
const MOVES_MAX: usize = 10_000;

/// A head, whole or cut in two anywhere, gets the same answer; one that is accepted is what it says.
pub fn head(bytes: &[u8]) {
    let whole = answers(bytes, usize::MAX);
    for cut in [1, 7, bytes.len() / 2] {
        assert_eq!(text(&answers(bytes, cut)), text(&whole), "cut every {cut}");
    }
}

/// A chunked body, whole or cut anywhere, is the same body or the same refusal.
pub fn chunked(bytes: &[u8]) {
    let mut request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let start = request.len();
    request.extend(bytes);
    let whole = answers(&request, usize::MAX);
    for cut in [1, 5, start + bytes.len() / 2] {
        assert_eq!(text(&answers(&request, cut)), text(&whole), "cut every {cut}");
    }
}

/// Any order of events: bytes, ends, errors, time, answers of every kind. Each byte but those of input is a
/// move.
pub fn connection(bytes: &[u8]) {
    let (connection, mut requests) = Http1::new(config());
    let mut hand = ManualDriver::new(connection);
    let (mut reqd, mut body, mut rest) = (None, None, bytes);
    while let [what, more @ ..] = rest {
        rest = more;
        match what % 16 {
            0..=4 => {
                let length = rest.len().min(usize::from(*what) * 2);
                let (input, more) = rest.split_at(length);
                rest = more;
                hand.push(input);
            }
            5 => hand.end_input(),
            6 => reqd = next(&mut requests).or(reqd),
            7 => drop(reqd.take().map(|reqd: Reqd| reqd.respond_with_string(Response::ok(), "text"))),
            8 => {
                let writer = reqd.take().and_then(|reqd| reqd.respond_with_streaming(Response::ok()).ok());
                body = writer.or(body);
            }
            9 => drop(reqd.take()),
            10 => body = None,
            11 => drop(body.take().map(riot_http::BodyWriter::close)),
            12 => hand.advance(Duration::from_secs(u64::from(*what))),
            13 => {
                let mut context = Context::from_waker(Waker::noop());
                drop(reqd.as_mut().map(|reqd| reqd.body().poll_chunk(&mut context)));
            }
            14 => drop(hand.collect_at_most(usize::from(*what))),
            _ => match what / 16 {
                0 => hand.shutdown_gracefully(None),
                1 => hand.flow.shutdown(),
                2 => hand.flow.report_error(FlowError::Application("so".into())),
                3 => hand.refuse_output(),
                _ => drop(hand.collect()),
            },
        }
        hand.pump();
    }
    // Left alone, every connection ends: its timers see to that.
    drop((reqd, body));
    for _ in 0..MOVES_MAX {
        if hand.flow.is_closed() {
            return;
        }
        drop(next(&mut requests));
        hand.pump();
        drop(hand.collect());
        hand.advance(Duration::from_secs(10));
    }
    panic!("a connection left alone does not end");
}

/// Returns what a handler that echoes everything answers to these bytes, in reads of at most `cut`.
fn answers(bytes: &[u8], cut: usize) -> Vec<u8> {
    let (connection, requests) = Http1::new(config());
    let mut hand = ManualDriver::new(connection);
    let mut serving: Serving = Some(Box::pin(async move { serve_requests(requests, &say_back).await }));
    let mut output = Vec::new();
    for piece in bytes.chunks(cut.max(1)) {
        hand.push(piece);
        run(&mut hand, &mut serving, &mut output);
    }
    hand.end_input();
    run(&mut hand, &mut serving, &mut output);
    output
}

type Serving = Option<Pin<Box<dyn Future<Output = ()>>>>;

/// Lets everybody run until nothing moves.
fn run(hand: &mut ManualDriver<Http1>, serving: &mut Serving, output: &mut Vec<u8>) {
    loop {
        let before = (output.len(), hand.unread().len());
        if let Some(task) = serving
            && task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        {
            *serving = None;
        }
        hand.pump();
        output.extend(hand.collect());
        if before == (output.len(), hand.unread().len()) {
            return;
        }
    }
}

async fn say_back(mut reqd: Reqd) {
    let head = reqd.request();
    let mut seen = format!("{} {} {:?}\n", head.method(), head.target(), head.version()).into_bytes();
    for (name, value) in head.headers() {
        assert!(!name.is_empty() && !value.iter().any(|byte| b"\r\n\0".contains(byte)));
        seen.extend(name.bytes().chain([b'=']).chain(value.iter().copied()).chain([b'\n']));
    }
    // Only when all of it is there, so that cuts do not show.
    if let Ok(body) = reqd.body().bytes(BODY_BYTES_MAX).await {
        seen.extend(body);
        let _ = reqd.respond_with_bytes(Response::ok(), seen);
    }
}

fn config() -> Arc<HttpConfig> {
    Arc::new(HttpConfig::new().clock(|| UNIX_EPOCH))
}

fn next(requests: &mut Requests) -> Option<Reqd> {
    match requests.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(reqd) => reqd,
        Poll::Pending => None,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
