//! The state that the Connector, hyper's service and the stream share.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use riot_actor::process::{contain, try_this};
use riot_socket::{Connection, Control, Shutdown, Status, Transport};

use super::Settings;
use crate::{exchange::DrainFlag, h1::Unanswered};

/// A connection that hyper serves: one request, and the upgraded protocol behind it.
pub(super) struct HyperConnection {
    transport: Arc<dyn Transport>,
    drain: Arc<DrainFlag>,
    /// Requests received, this one included.
    requests: u64,
    /// The handler has used its time up.
    is_too_slow: AtomicBool,
    half_closed_timeout: Option<Duration>,
    state: Mutex<ConnectionState>,
}

struct ConnectionState {
    stage: Stage,
    /// The panic that was answered with 500.
    panic: Option<String>,
    /// Waits for the end of the stream.
    connector: Option<Waker>,
    /// Waits for input that is for the upgraded protocol.
    reader: Option<Waker>,
    /// The connection behind a response that is no switch.
    given_back: Option<Connection>,
}

/// The stage of a connection that hyper serves.
///
/// ```text
/// Waiting → Answering      Waiting → Switching → Upgraded      any → Gone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The request waits for its response.
    Waiting,
    /// The response is being sent. It is the last.
    Answering,
    /// The response switches the protocol, or hyper is about to.
    Switching,
    /// The stream belongs to another protocol.
    Upgraded,
    /// The stream was dropped.
    Gone,
}

/// The use of what is read from the stream.
pub(super) enum ReadableAs {
    /// A request is under way, and the client is watched.
    Http,
    /// Nothing is read until hyper has upgraded the stream.
    Nothing,
    Upgraded,
}

/// How long the end of the input is hidden from hyper while a request is under way.
pub(super) enum HiddenEnd {
    ToItsEnd,
    /// For so long at most.
    For(Duration),
}

impl HyperConnection {
    pub(super) fn new(transport: Arc<dyn Transport>, left: Unanswered, settings: &Settings) -> Arc<Self> {
        let state = ConnectionState {
            stage: Stage::Waiting,
            panic: None,
            connector: None,
            reader: None,
            given_back: None,
        };
        let shared = Self {
            transport,
            drain: Arc::default(),
            requests: left.requests,
            is_too_slow: AtomicBool::new(false),
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

    pub(super) fn response_begins(&self) {
        self.move_to(Stage::Answering);
    }

    pub(super) fn switch_begins(&self) {
        self.move_to(Stage::Switching);
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
            if state.stage == Stage::Gone {
                return;
            }
            state.stage = stage;
            state.reader.take()
        };
        // It may be code of a user, of which a panic is none of this process.
        let _ = reader.map(|reader| contain(|| reader.wake()));
    }

    /// Records that the handler has used its time up.
    pub(super) fn handler_is_too_slow(&self) {
        self.is_too_slow.store(true, Relaxed);
    }

    pub(super) fn is_too_slow(&self) -> bool {
        self.is_too_slow.load(Relaxed)
    }

    /// Returns whether the response has begun, and is no switch.
    pub(super) fn is_answered(&self) -> bool {
        self.state.lock().stage == Stage::Answering
    }

    /// Returns the use of what is read now. `cx` is woken when that changes.
    pub(super) fn readable_as(&self, cx: &Context<'_>) -> ReadableAs {
        let by_hyper = try_this().is_some();
        // The waker of a stream that is about to be upgraded may be code of a user: it runs outside the lock.
        let waker = cx.waker().clone();
        let (readable, before) = {
            let state = &mut *self.state.lock();
            let readable = match state.stage {
                Stage::Upgraded | Stage::Gone => return ReadableAs::Upgraded,
                Stage::Waiting | Stage::Answering if by_hyper => ReadableAs::Http,
                Stage::Waiting | Stage::Answering | Stage::Switching => ReadableAs::Nothing,
            };
            (readable, state.reader.replace(waker))
        };
        drop(before);
        readable
    }

    /// Returns how long the end of the input is hidden.
    pub(super) fn hides_end(&self) -> HiddenEnd {
        // If it drains, this server itself has ended the input.
        let timeout = self.half_closed_timeout.filter(|_| !self.drain.is_set());
        timeout.map_or(HiddenEnd::ToItsEnd, HiddenEnd::For)
    }

    /// Takes the connection back behind a response that is no switch, else drops it.
    pub(super) fn give_back(&self, connection: Connection) {
        // Elsewhere it is dropped outside the lock.
        let mut state = self.state.lock();
        if state.stage == Stage::Answering {
            state.given_back = Some(connection);
        } else {
            drop(state);
        }
    }

    pub(super) fn take_back(&self) -> Option<Connection> {
        self.state.lock().given_back.take()
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

    /// Cuts the connection off: what was sent and not taken is dropped.
    pub(super) fn reset(&self) {
        self.transport.reset_on_close();
    }

    pub(super) fn keep_panic(&self, panic: String) {
        self.state.lock().panic = Some(panic);
    }

    pub(super) fn take_panic(&self) -> Option<String> {
        mem::take(&mut self.state.lock().panic)
    }
}

impl Control for HyperConnection {
    // Every response is the last.
    fn announce_drain(&self) {}

    fn drain(&self, _deadline: Option<Instant>) {
        self.drain.set();
    }

    fn cut(&self) {
        self.reset();
    }

    fn status(&self) -> Status {
        Status { state: "hyper", requests: self.requests }
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
