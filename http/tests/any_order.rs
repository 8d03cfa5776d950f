//! Whatever loops, handler, peer and clock do in whatever order: nothing panics, answers are whole and in
//! order, and the connection ends when everybody has let go.

mod common;

use std::time::Duration;

use common::{Held, config, poll, undated};
use proptest::prelude::*;
use riot_flow::{Flow, FlowError, ReadOperation, WriteOperation, WriteResult};
use riot_http::{BodyWriter, Reqd, Response, http::header};

#[derive(Clone, Debug)]
enum Act {
    Push(usize),
    EndInput,
    Next,
    ReadBody,
    Answer,
    AnswerLarge,
    Begin,
    Write(usize),
    Close,
    DropRequest,
    DropWriter,
    Collect(usize),
    /// A write is under way while the next act happens.
    BeginWrite,
    Advance(u64),
    Fail,
    Reset,
    ShutDown,
    ShutDownGracefully,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (0..INPUTS.len()).prop_map(Act::Push),
        8 => Just(Act::Next),
        4 => Just(Act::ReadBody),
        6 => Just(Act::Answer),
        1 => Just(Act::AnswerLarge),
        4 => Just(Act::Begin),
        6 => (0usize..60_000).prop_map(Act::Write),
        4 => Just(Act::Close),
        1 => Just(Act::DropRequest),
        1 => Just(Act::DropWriter),
        6 => (0usize..40_000).prop_map(Act::Collect),
        2 => Just(Act::BeginWrite),
        1 => (0u64..40).prop_map(Act::Advance),
        1 => prop_oneof![
            Just(Act::EndInput),
            Just(Act::Fail),
            Just(Act::Reset),
            Just(Act::ShutDown),
            Just(Act::ShutDownGracefully),
        ],
    ];
    prop::collection::vec(act, 1..80)
}

const INPUTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET",
    " / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "3\r\nabc\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

/// Everybody, and what has been sent.
struct World {
    held: Held,
    reqd: Option<Reqd>,
    writer: Option<BodyWriter>,
    handed: usize,
    sent: Vec<u8>,
    write_under_way: Option<usize>,
}

impl World {
    fn act(&mut self, act: Act) {
        let under_way = self.write_under_way.take();
        match act {
            Act::Push(number) => self.held.hand.push(INPUTS[number].as_bytes()),
            Act::EndInput => self.held.hand.end_input(),
            Act::Next => {
                if self.reqd.is_none() && self.writer.is_none() {
                    self.reqd = self.held.next();
                    self.handed += usize::from(self.reqd.is_some());
                }
            }
            Act::ReadBody => {
                if let Some(reqd) = &mut self.reqd {
                    let _ = poll(reqd.body().chunk());
                }
            }
            Act::Answer => self.answer("small".into()),
            Act::AnswerLarge => self.answer("x".repeat(100_000)),
            Act::Begin => {
                let number = self.handed;
                let response = Response::ok().try_header("x-number", number.to_string()).unwrap();
                if let Some(reqd) = self.reqd.take() {
                    self.writer = reqd.respond_with_streaming(response).ok();
                }
            }
            Act::Write(bytes) => {
                if let Some(writer) = &mut self.writer {
                    let _ = poll(writer.write(vec![b'y'; bytes]));
                }
            }
            Act::Close => {
                if let Some(writer) = self.writer.take() {
                    let _ = writer.close();
                }
            }
            Act::DropRequest => self.reqd = None,
            Act::DropWriter => self.writer = None,
            Act::Collect(bytes) if under_way.is_none() => {
                self.sent.extend(self.held.hand.collect_at_most(bytes))
            }
            Act::BeginWrite if under_way.is_none() => {
                let now = self.held.hand.now();
                if let WriteOperation::Write(slices) = self.held.hand.flow.next_write_operation(now) {
                    self.write_under_way = Some(slices.total());
                    self.sent.extend(slices.to_vec());
                }
            }
            Act::Collect(_) | Act::BeginWrite => {}
            Act::Advance(seconds) => self.held.hand.advance(Duration::from_secs(seconds)),
            Act::Fail => self.held.hand.flow.report_error(FlowError::Application("a bug".into())),
            Act::Reset => self.held.hand.reset(),
            Act::ShutDown => self.held.hand.flow.shutdown(),
            Act::ShutDownGracefully => self.held.hand.shutdown_gracefully(None),
        }
        if let Some(bytes) = under_way {
            let now = self.held.hand.now();
            self.held.hand.flow.report_write_result(WriteResult::Written(bytes), now);
        }
        assert!(self.held.hand.unread().len() < 200_000);
        let read = self.held.hand.read_operation();
        assert_eq!(self.held.hand.read_operation(), read);
        if self.held.hand.flow.is_closed() {
            assert_eq!(read, ReadOperation::Close);
        }
    }

    fn answer(&mut self, body: String) {
        if let Some(reqd) = self.reqd.take() {
            let response = Response::ok().try_header("x-number", self.handed.to_string()).unwrap();
            let _ = reqd.respond_with_string(response, body);
        }
    }
}

/// Reads answers as a client would; says which numbers it saw. Only the last may be cut off.
fn numbers(sent: &str) -> Vec<usize> {
    let (mut rest, mut numbers) = (sent, Vec::new());
    while !rest.is_empty() {
        let Some((head, body)) = rest.split_once("\r\n\r\n") else { break };
        assert!(head.starts_with("HTTP/1.1 "), "out of step at {head:?}");
        let field = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(&format!("{name}: ")));
        if let Some(number) = field("x-number") {
            numbers.push(number.parse().unwrap());
        }
        rest = match (field(header::CONTENT_LENGTH.as_str()), field(header::TRANSFER_ENCODING.as_str())) {
            // A body is known by its letter; an answer to HEAD has none.
            (Some(length), _) if !body.starts_with("HTTP/1.1 ") => {
                body.get(length.parse().unwrap()..).unwrap_or("")
            }
            (_, Some(_)) => behind_chunks(body),
            _ if body.starts_with("HTTP/1.1 ") => body,
            _ => "",
        };
    }
    numbers
}

fn behind_chunks(mut body: &str) -> &str {
    loop {
        let Some((size, rest)) = body.split_once("\r\n") else { return "" };
        let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("{size:?} is no size"));
        let Some(behind) = rest.get(size..).and_then(|rest| rest.strip_prefix("\r\n")) else { return "" };
        if size == 0 {
            return behind;
        }
        body = behind;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_order_of_events_is_survived(acts in acts()) {
        let held = Held::new(config());
        let (handed, sent) = (0, Vec::new());
        let mut world = World { held, reqd: None, writer: None, handed, sent, write_under_way: None };
        for act in acts {
            world.act(act);
        }
        // Everybody lets go.
        world.act(Act::Collect(0));
        world.act(Act::DropWriter);
        world.act(Act::DropRequest);
        world.held.hand.end_input();
        for _ in 0..200 {
            world.act(Act::Next);
            world.act(Act::Answer);
            world.sent.extend(world.held.hand.collect());
        }
        world.held.hand.advance(Duration::from_secs(100));
        world.sent.extend(world.held.hand.collect());
        prop_assert!(world.held.hand.flow.is_closed());
        prop_assert!(world.held.is_over());
        let numbers = numbers(&undated(world.sent));
        prop_assert!(numbers.is_sorted_by(|a, b| a < b), "{:?}", numbers);
        prop_assert!(numbers.last().is_none_or(|&last| last <= world.handed));
    }
}
