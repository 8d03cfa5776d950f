//! The three state machines of a connection, and their legal moves.
//!
//! ```text
//! Reading    Head ⇄ Body           Writing   Open → Closing     Response   Queued → Waiting → Complete
//!               ↘   ↓                           ↘                                    ↘         ↗
//!    Upgraded ← Discard → Closed                 Upgrading                            Streaming
//! ```
//!
//! `Head` becomes `LastHead` when a drain is announced or begins, and `LastHead` then stands in its place.
//! Both can also become `Upgraded` or `Closed` at once, and `Upgraded` becomes `Closed` when the transport
//! fails. Every assignment goes through one of the moves below, which check the tables in debug builds; a new
//! exchange begins as `Queued`.

use super::{
    queue::{Exchange, ResponseState},
    state::{Reading, State, Writing},
};

/// A move from one state to another, by their names.
type Move = (&'static str, &'static str);

impl Reading {
    /// The legal moves.
    pub(crate) const MOVES: &[Move] = &[
        ("Head", "Body"),
        ("Body", "Head"),
        ("Head", "Discard"),
        ("Body", "Discard"),
        ("Discard", "Discard"),
        ("Head", "LastHead"),
        ("LastHead", "Body"),
        ("Body", "LastHead"),
        ("LastHead", "Discard"),
        ("LastHead", "Upgraded"),
        ("LastHead", "Closed"),
        ("Head", "Upgraded"),
        ("Discard", "Upgraded"),
        ("Head", "Closed"),
        ("Discard", "Closed"),
        ("Upgraded", "Closed"),
        ("Closed", "Closed"),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Head => "Head",
            Self::LastHead => "LastHead",
            Self::Body => "Body",
            Self::Discard { .. } => "Discard",
            Self::Upgraded => "Upgraded",
            Self::Closed => "Closed",
        }
    }
}

impl Writing {
    /// The legal moves.
    pub(crate) const MOVES: &[Move] = &[("Open", "Closing"), ("Open", "Upgrading")];

    fn name(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::Closing => "Closing",
            Self::Upgrading => "Upgrading",
        }
    }
}

impl ResponseState {
    /// The legal moves.
    pub(crate) const MOVES: &[Move] = &[
        ("Queued", "Waiting"),
        ("Waiting", "Streaming"),
        ("Waiting", "Complete"),
        ("Streaming", "Complete"),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Waiting => "Waiting",
            Self::Streaming(_) => "Streaming",
            Self::Complete => "Complete",
        }
    }
}

impl State {
    #[inline]
    pub(crate) fn move_reading(&mut self, to: Reading) {
        check(Reading::MOVES, self.reading.name(), to.name());
        self.reading = to;
    }

    #[inline]
    pub(crate) fn move_writing(&mut self, to: Writing) {
        check(Writing::MOVES, self.writing.name(), to.name());
        self.writing = to;
    }
}

impl Exchange {
    #[inline]
    pub(crate) fn move_response(&mut self, to: ResponseState) {
        check(ResponseState::MOVES, self.response.name(), to.name());
        self.response = to;
    }
}

#[inline]
fn check(moves: &[Move], from: &'static str, to: &'static str) {
    debug_assert!(moves.contains(&(from, to)), "{from} does not become {to}");
    #[cfg(test)]
    tests::record(from, to);
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        collections::BTreeSet,
        sync::Arc,
        task::Waker,
        time::{Duration, Instant},
    };

    use bytes::Bytes;
    use http::StatusCode;
    use proptest::{
        collection::vec,
        prelude::*,
        test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
    };

    use super::*;
    use crate::{
        HttpConfig,
        h1::{Payload, Shared},
        message::ResponseHead,
        observe::Peer,
    };

    thread_local! {
        static SEEN: RefCell<BTreeSet<Move>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn record(from: &'static str, to: &'static str) {
        SEEN.with_borrow_mut(|seen| seen.insert((from, to)));
    }

    const INPUTS: [&str; 9] = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nhi",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: b\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "GET / HTTP/1.1\r\nHo",
        "nonsense\r\n\r\n",
    ];

    /// Does one thing that a driver, a handler or a peer may do.
    fn act(state: &mut State, what: usize, input: &mut Vec<u8>, id: &mut u64, now: &mut Instant) {
        let head = |status| ResponseHead { status, content_type: None, others: &[] };
        match what {
            0..=8 => input.extend_from_slice(INPUTS[what].as_bytes()),
            9..=11 if state.may_read() && !state.backpressured => {
                let consumed = state.read(input, *now);
                input.drain(..consumed);
            }
            12 if state.may_read() && !state.backpressured => {
                let consumed = state.read_eof(input, *now);
                input.drain(..consumed);
            }
            13 | 14 => *id = state.hand_over().map_or(*id, |(id, _)| id),
            15 | 16 => drop(state.respond(*id, &head(StatusCode::OK), &mut Payload::Borrowed(b"x"))),
            17 => drop(state.respond_streaming(*id, &head(StatusCode::OK))),
            18 => drop(state.write(*id, &mut Bytes::from_static(b"piece"))),
            19 => drop(state.finish(*id, &[])),
            20 => state.abort(*id, false),
            21 => drop(state.respond_upgrade(*id, &head(StatusCode::SWITCHING_PROTOCOLS))),
            22 => drop(state.respond_upgrade(*id, &head(StatusCode::OK))),
            23 => drop(state.poll_chunk(*id, &mut Some(Waker::noop().clone()))),
            24 => state.drain(None),
            25 => {
                *now += Duration::from_secs(11);
                state.handle_deadline(*now);
            }
            26 => state.sent(state.pending() as usize),
            27 => state.abandon(*id, false),
            28 => state.transport_failed(),
            29 => state.close(),
            30 => state.requests_dropped(),
            31 => state.announce_end(),
            _ => {}
        }
        // The reader that waits yields, and what it holds may be presented again.
        if state.backpressured {
            state.backpressured = state.is_paused();
        }
        state.finish_call();
    }

    #[test]
    fn every_move_is_legal_and_every_legal_move_happens() {
        // The last actions are rare, or most conversations would end with them at once.
        let action = prop_oneof![60 => 0..24_usize, 12 => 24..28_usize, 2 => 28..32_usize];
        // The same conversations every time, so that the rare moves are among them.
        let config = Config { cases: 4_000, failure_persistence: None, ..Config::default() };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let outcome = runner.run(&vec(action, 1..60), |actions| {
            let shared = Shared::new(Arc::new(HttpConfig::new()), Peer::default());
            let mut state = shared.lock();
            let (mut input, mut id, mut now) = (Vec::new(), 0, Instant::now());
            for action in actions {
                act(&mut state, action, &mut input, &mut id, &mut now);
            }
            Ok(())
        });
        outcome.expect("no move is illegal");
        let seen = SEEN.take();
        let legal = [Reading::MOVES, Writing::MOVES, ResponseState::MOVES].concat();
        let never: Vec<_> = legal.iter().filter(|legal| !seen.contains(legal)).collect();
        assert!(never.is_empty(), "these moves never happened: {never:?}");
    }
}
