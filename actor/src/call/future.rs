//! A call whose answer comes into the future that waits for it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;

use super::{
    CallError, ReplyPath, ReplyTo,
    oneshot::{Receiver, Wait, send_query},
    reply_slot::{CallId, ReplySlot, Settled},
};
use crate::{
    messages::message::Message,
    process::pid::Pid,
    runtime::{
        context, coop,
        kernel::record::{Process, Slot},
    },
    time::api::{Sleep, sleep_until},
};

pin_project! {
    /// A call: sent when it is first polled, given up when it is dropped.
    ///
    /// It is made on the stack and then carried to where it waits. What is written in one piece and read in another before
    /// the processor has put it away costs as much as twenty instructions, so there is little of it, and no gaps.
    #[repr(C)]
    pub(crate) struct CallFuture<R: Send, F> {
        state: CallState<R, F>,
        timeout: CallTimeout,
        // When its time is up, in nanoseconds of the clock; 0 before it is known.
        deadline: u64,
        sleep: Option<Box<Sleep>>,
        // The end of who called, where another process waits.
        end: Option<Box<Wait>>,
        #[pin]
        slot: ReplySlot<R>,
        to: Pid,
    }

    impl<R: Send, F> PinnedDrop for CallFuture<R, F> {
        fn drop(this: Pin<&mut Self>) {
            if let CallState::Open(call) = this.state {
                call.close();
            }
        }
    }
}

/// How long a call waits, in nanoseconds; so many that nobody lives to see it: for ever.
#[derive(Clone, Copy)]
struct CallTimeout(u64);

impl CallTimeout {
    #[inline]
    fn new(timeout: Option<Duration>) -> Self {
        Self(timeout.map_or(u64::MAX, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)))
    }

    #[inline]
    fn is_any(self) -> bool {
        self.0 != u64::MAX
    }
}

/// How a call goes on whose answer is not there.
enum WaitFor {
    /// Its time is up.
    No,
    /// It is the process that will be woken.
    Here,
    /// It is somebody else; this is when the clock began to count.
    Elsewhere(Instant),
}

enum CallState<R: Send, F> {
    /// It makes the message out of who asks and where the reply goes.
    New(F),
    /// The answer comes into the future itself.
    Open(CallId),
    /// The process has another call open already, or it is not the process itself that waits.
    Shared(Box<Receiver<R>>),
    Over,
}

impl<R: Send + 'static, F: FnOnce(Pid, ReplyTo<R>) -> Message> CallFuture<R, F> {
    #[inline]
    pub(crate) fn new(to: Pid, timeout: Option<Duration>, make: F) -> Self {
        let (state, slot) = (CallState::New(make), ReplySlot::new());
        Self { state, timeout: CallTimeout::new(timeout), deadline: 0, sleep: None, end: None, slot, to }
    }

    /// Sends the request; false if there is no turn left for that.
    #[inline]
    fn begin(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<bool, CallError> {
        let this = self.project();
        let to = *this.to;
        let begun = context::with_running("call", |_, slot, running| {
            if coop::proceed(slot, running, cx).is_pending() {
                return None;
            }
            let call = if running.is_waker(cx.waker()) { CallId::open(slot, running.pid) } else { None };
            Some((running.pid, call))
        });
        let Some((caller, call)) = begun else { return Ok(false) };
        let CallState::New(make) = std::mem::replace(this.state, CallState::Over) else {
            unreachable!("it is new")
        };
        let Some(call) = call else {
            *this.state = CallState::Shared(Box::new(send_query(to, |reply| make(caller, reply))?));
            return Ok(true);
        };
        *this.state = CallState::Open(call);
        let slot = this.slot.as_ref().get_ref();
        let sent = context::with_shared("call", |shared| {
            if caller == to {
                return Err(CallError::CallingSelf);
            }
            // SAFETY: the slot is pinned, as we are, and whatever becomes of us, the call is closed before it goes: by
            // `drop`, if by nobody else.
            #[expect(unsafe_code, reason = "see the proof")]
            let (reply_handle, callee_exit) = unsafe { (slot.reply_handle(call), slot.callee_exit(call)) };
            shared.send_call(to, make(caller, ReplyTo(ReplyPath::Slot(reply_handle))), callee_exit)
        });
        if sent.is_err() {
            call.close();
            *this.state = CallState::Over;
        }
        sent.map(|()| true)
    }

    /// Whether the call is closed.
    #[inline]
    fn poll_closed(self: Pin<&mut Self>, call: CallId, cx: &mut Context<'_>) -> Poll<()> {
        let look = |slot: &Slot, running: &mut Process| {
            if coop::proceed(slot, running, cx).is_pending() {
                return Some(Poll::Pending);
            }
            if !call.is_of(running.pid) || !running.is_waker(cx.waker()) {
                return None;
            }
            Some(if call.is_open(slot) { Poll::Pending } else { Poll::Ready(()) })
        };
        match context::with_local(|local| local?.with_running(look).flatten()) {
            Some(polled) => polled,
            None => self.poll_elsewhere(call, cx),
        }
    }

    /// Somebody else than the process alone waits: a future that holds several, or another process it was given to.
    #[cold]
    fn poll_elsewhere(mut self: Pin<&mut Self>, call: CallId, cx: &mut Context<'_>) -> Poll<()> {
        let slot = self.as_ref().project_ref().slot.get_ref();
        if !call.wake_also(slot, cx.waker()) {
            return Poll::Ready(());
        }
        if context::current().is_some_and(|pid| call.is_of(pid)) {
            return Poll::Pending;
        }
        // Filter the caller ends nobody answers.
        let this = self.as_mut().project();
        if this.end.is_none() {
            *this.end = call.exit_of_caller().map(Box::new);
        }
        match this.end {
            Some(end) => Pin::new(&mut **end).poll(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    /// The time may be up.
    #[inline]
    fn expire(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        let this = self.as_mut().project();
        let timeout = this.timeout.0;
        let waits = context::with_running("call", |shared, _, running| {
            let now = shared.clock().now_nanos();
            if *this.deadline == 0 {
                *this.deadline = now.saturating_add(timeout);
            }
            if *this.deadline <= now {
                return WaitFor::No;
            }
            if !running.is_waker(cx.waker()) {
                return WaitFor::Elsewhere(shared.clock().start());
            }
            running.ensure_call_timer(shared, *this.deadline, now, cx.waker());
            WaitFor::Here
        });
        match waits {
            WaitFor::Here => Poll::Pending,
            WaitFor::Elsewhere(start) => {
                let deadline = start.checked_add(Duration::from_nanos(*this.deadline));
                let Some(deadline) = deadline else { return Poll::Pending };
                let sleep = this.sleep.get_or_insert_with(|| Box::new(sleep_until(deadline)));
                if Pin::new(&mut **sleep).poll(cx).is_pending() { Poll::Pending } else { self.give_up() }
            }
            WaitFor::No => self.give_up(),
        }
    }

    #[cold]
    fn give_up(mut self: Pin<&mut Self>) -> Poll<Result<R, CallError>> {
        let this = self.as_mut().project();
        if let CallState::Open(call) = this.state
            && !call.close()
        {
            // The answer came meanwhile.
            return Poll::Ready(self.taken());
        }
        *this.state = CallState::Over;
        Poll::Ready(Err(CallError::Timeout))
    }

    /// What came, once the call is closed.
    #[inline]
    fn taken(self: Pin<&mut Self>) -> Result<R, CallError> {
        let this = self.project();
        *this.state = CallState::Over;
        // SAFETY: whoever asks has seen that the call is closed.
        #[expect(unsafe_code, reason = "see the proof")]
        match unsafe { this.slot.as_ref().get_ref().take() } {
            Settled::Reply(reply) => Ok(reply),
            Settled::Exit(reason) => Err(CallError::Exit(reason)),
            Settled::CallerExited => Err(CallError::NoProc),
        }
    }
}

impl<R: Send + 'static, F: FnOnce(Pid, ReplyTo<R>) -> Message> Future for CallFuture<R, F> {
    type Output = Result<R, CallError>;

    // The result is made where it is returned: carrying it from one arm to another cost a twelfth of the call.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let CallState::New(_) = self.state {
            match self.as_mut().begin(cx) {
                Ok(true) => {}
                // It is not sent yet, and its time has not begun.
                Ok(false) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
            // Filter the answer is there already the process has been woken, and looks again.
            if let CallState::Open(_) = self.state {
                return if self.timeout.is_any() { self.expire(cx) } else { Poll::Pending };
            }
        }
        match &self.state {
            &CallState::Open(call) => {
                if self.as_mut().poll_closed(call, cx).is_ready() {
                    return Poll::Ready(self.taken());
                }
            }
            CallState::Shared(waiting) => {
                if let Poll::Ready(answer) = waiting.poll_reply(cx) {
                    *self.as_mut().project().state = CallState::Over;
                    return Poll::Ready(answer);
                }
            }
            CallState::New(_) | CallState::Over => panic!("riot_actor: a call was polled after its end"),
        }
        if self.timeout.is_any() { self.expire(cx) } else { Poll::Pending }
    }
}
