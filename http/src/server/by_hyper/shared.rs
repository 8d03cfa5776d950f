//! The state that the Connector, hyper's service and the stream share.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use riot_socket::{Control, Shutdown, Status, Transport};

use super::Settings;
use crate::{exchange::DrainFlag, h1::Unanswered};

/// A connection that hyper serves.
pub(super) struct HyperConnection {
    transport: Arc<dyn Transport>,
    drain: Arc<DrainFlag>,
    /// The next response is the last.
    is_last: AtomicBool,
    /// Requests received, those before hyper included.
    requests: AtomicU64,
    max_requests: Option<u64>,
    half_closed_timeout: Option<Duration>,
    state: Mutex<ConnectionState>,
}

struct ConnectionState {
    stage: Stage,
    /// The panic that was answered with 500.
    panic: Option<String>,
    /// Waits for the end of the stream.
    connector: Option<Waker>,
    /// Waits for the input, whose end is hidden.
    reader: Option<Waker>,
}

/// The stage of a connection that hyper serves.
///
/// ```text
/// Idle ⇄ Waiting → Answering → Idle       Waiting → Switching → Upgraded       any → Gone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No request is under way.
    Idle,
    /// A request waits for its response.
    Waiting,
    /// A response is being sent.
    Answering,
    /// The response switches the protocol, or hyper is about to.
    Switching,
    /// The stream belongs to another protocol.
    Upgraded,
    /// The stream was dropped.
    Gone,
}

/// The outcome of a read at the end of the input.
pub(super) enum EndOfInput {
    Shown,
    /// Hidden as long as a request is under way: hyper would not answer it.
    Hidden,
    /// Hidden for so long at most.
    HiddenFor(Duration),
}

impl HyperConnection {
    pub(super) fn new(transport: Arc<dyn Transport>, left: Unanswered, settings: &Settings) -> Arc<Self> {
        let state = ConnectionState { stage: Stage::Idle, panic: None, connector: None, reader: None };
        let shared = Self {
            transport,
            drain: Arc::default(),
            is_last: AtomicBool::new(left.is_last || left.is_announced || left.is_draining),
            // hyper reads the last one again.
            requests: AtomicU64::new(left.requests - 1),
            max_requests: settings.max_requests,
            half_closed_timeout: settings.half_closed_timeout,
            state: Mutex::new(state),
        };
        if left.is_draining {
            shared.drain.set();
        }
        Arc::new(shared)
    }

    pub(super) fn drain_flag(&self) -> Arc<DrainFlag> {
        self.drain.clone()
    }

    pub(super) fn request_begins(&self) {
        let requests = self.requests.fetch_add(1, Relaxed) + 1;
        if self.max_requests.is_some_and(|max| requests >= max) {
            self.is_last.store(true, Relaxed);
        }
        self.move_to(Stage::Waiting);
    }

    pub(super) fn response_begins(&self) {
        self.move_to(Stage::Answering);
    }

    pub(super) fn switch_begins(&self) {
        self.move_to(Stage::Switching);
    }

    /// Records that the body of a response has ended.
    pub(super) fn response_ended(&self) {
        self.move_to(Stage::Idle);
    }

    /// Records that hyper has nothing more to do: what is left of the connection is an upgraded stream.
    pub(super) fn http_ended(&self) {
        self.move_to(Stage::Upgraded);
    }

    /// Records that the stream was dropped.
    pub(super) fn stream_dropped(&self) {
        self.move_to(Stage::Gone);
        let connector = self.state.lock().connector.take();
        connector.into_iter().for_each(Waker::wake);
    }

    fn move_to(&self, stage: Stage) {
        let reader = {
            let state = &mut *self.state.lock();
            match (state.stage, stage) {
                (Stage::Gone, _) | (Stage::Switching, Stage::Idle) => return,
                _ => state.stage = stage,
            }
            match stage {
                Stage::Idle | Stage::Upgraded | Stage::Gone => state.reader.take(),
                Stage::Waiting | Stage::Answering | Stage::Switching => None,
            }
        };
        reader.into_iter().for_each(Waker::wake);
    }

    /// Returns whether a response is the last.
    pub(super) fn is_last_response(&self) -> bool {
        self.is_last.load(Relaxed) || self.drain.is_set()
    }

    /// Returns whether a request waits for its response, or a switch is under way.
    pub(super) fn owes_response(&self) -> bool {
        matches!(self.state.lock().stage, Stage::Waiting | Stage::Switching)
    }

    pub(super) fn is_upgraded(&self) -> bool {
        self.state.lock().stage == Stage::Upgraded
    }

    /// Returns whether the end of the input is shown now. If it is hidden, `cx` is woken when that changes.
    pub(super) fn end_of_input(&self, cx: &Context<'_>) -> EndOfInput {
        // The waker of a stream that is about to be upgraded may be code of a user: it runs outside the lock.
        let waker = cx.waker().clone();
        let (hidden, before) = {
            let state = &mut *self.state.lock();
            let hidden = match state.stage {
                Stage::Idle | Stage::Upgraded | Stage::Gone => return EndOfInput::Shown,
                Stage::Switching => EndOfInput::Hidden,
                // This server itself has ended the input.
                Stage::Waiting | Stage::Answering if self.drain.is_set() => EndOfInput::Hidden,
                Stage::Waiting | Stage::Answering => {
                    self.half_closed_timeout.map_or(EndOfInput::Hidden, EndOfInput::HiddenFor)
                }
            };
            (hidden, state.reader.replace(waker))
        };
        drop(before);
        hidden
    }

    /// Ready when the stream was dropped.
    pub(super) fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        let state = &mut *self.state.lock();
        if state.stage == Stage::Gone {
            return Poll::Ready(());
        }
        state.connector = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ends the input of the upgraded stream: that is how it learns of a drain.
    pub(super) fn end_input(&self) {
        // A stream whose transport has failed has ended.
        let _ = self.transport.shutdown(Shutdown::Read);
    }

    pub(super) fn keep_panic(&self, panic: String) {
        self.is_last.store(true, Relaxed);
        self.state.lock().panic = Some(panic);
    }

    pub(super) fn take_panic(&self) -> Option<String> {
        mem::take(&mut self.state.lock().panic)
    }
}

impl Control for HyperConnection {
    fn announce_drain(&self) {
        self.is_last.store(true, Relaxed);
    }

    fn drain(&self, _deadline: Option<Instant>) {
        self.drain.set();
    }

    fn cut(&self) {
        self.transport.reset_on_close();
    }

    fn status(&self) -> Status {
        Status { state: "hyper", requests: self.requests.load(Relaxed) }
    }
}

/// The Connector's hold of a connection that hyper serves. If the Connector ends before the stream was
/// dropped, the stream ends.
pub(super) struct Owner(pub(super) Arc<HyperConnection>);

impl Drop for Owner {
    fn drop(&mut self) {
        let Self(shared) = self;
        let is_gone = shared.state.lock().stage == Stage::Gone;
        if !is_gone {
            // A transport that cannot be shut down has ended.
            let _ = shared.transport.shutdown(Shutdown::Both);
        }
        shared.drain.set();
    }
}
