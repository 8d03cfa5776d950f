//! The future of a call, into which the reply is written.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;

use super::{
    CallError, ReplyPath, ReplyTo,
    oneshot::{Receiver, Wait, send_query},
    reply_slot::{ReplySlot, Settled, exit_of_caller},
};
use crate::{
    messages::message::Message,
    process::pid::Pid,
    runtime::{
        context,
        coop::{self, Proceed},
        kernel::{
            in_place::{CloseWait, WaitId},
            observed::{RequestType, WaitKind, note_wait, noted_wait},
            process::Process,
            record::Slot,
        },
    },
    time::{
        api::{Sleep, sleep_until},
        clock::deadline_after,
    },
};

pin_project! {
    /// A call. The request is sent at the first poll, and the call is given up when the future is dropped.
    ///
    /// The future is made on the stack and then moved to where it waits. A value that is written in one piece
    /// and read in another before the processor has stored it costs as much as twenty instructions, so the
    /// future is small and has no gaps.
    pub(crate) struct CallFuture<Q, R: Send, F> {
        state: CallState<R, F>,
        timeout: CallTimeout,
        // When the timeout passes, in nanoseconds of the clock; 0 before it is known. Without a timeout, when
        // the request was sent.
        deadline: u64,
        sleep: Option<Box<Sleep>>,
        // The exit of the caller, where another process polls this future.
        caller_exit: Option<Box<Wait>>,
        #[pin]
        slot: ReplySlot<R>,
        // The type that observers see.
        request: PhantomData<fn() -> Q>,
    }

    impl<Q, R: Send, F> PinnedDrop for CallFuture<Q, R, F> {
        fn drop(this: Pin<&mut Self>) {
            if let CallState::Open(wait) = this.state {
                let _closed = wait.close();
                // The process does not wait for this call any more, whatever it awaits next.
                if noted_wait() == WaitKind::Call {
                    note_wait(WaitKind::Foreign);
                }
            }
        }
    }
}

/// The timeout of a call in nanoseconds; the maximum is no timeout.
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

/// The waker of a call whose reply is not there when its timeout passes.
enum TimeoutWakes {
    /// The timeout has passed.
    Nothing,
    /// The process, by its wake timer.
    Process,
    /// Another task. Deadlines count from this start of the clock.
    OtherTask(Instant),
}

enum CallState<R: Send, F> {
    /// Makes the request from the caller's pid and the right to reply.
    New(F),
    /// The reply is written into this future.
    Open(WaitId),
    /// The reply comes through a oneshot: the process has another wait open, or another task polls this
    /// future.
    Shared(Box<Receiver<R>>),
    Done,
}

/// The result of [`CallFuture::begin`].
#[must_use]
enum Begun {
    Sent,
    /// The poll slice has no reductions left, or the caller is condemned. The request is not sent yet.
    NotYet,
}

impl<Q, R: Send + 'static, F: FnOnce(Pid, ReplyTo<R>) -> Message> CallFuture<Q, R, F> {
    #[inline]
    pub(crate) fn new(to: Pid, timeout: Option<Duration>, make: F) -> Self {
        let (state, slot) = (CallState::New(make), ReplySlot::new(to));
        let timeout = CallTimeout::new(timeout);
        let (sleep, caller_exit, request) = (None, None, PhantomData);
        Self { state, timeout, deadline: 0, sleep, caller_exit, slot, request }
    }

    /// Sends the request.
    #[inline]
    fn begin(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<Begun, CallError> {
        let this = self.project();
        let to = this.slot.exit().awaited();
        let mut proceed = Proceed::Go;
        let begun = context::with_running("call", |shared, slot, running| {
            proceed = coop::spend(slot, running);
            if proceed != Proceed::Go {
                return None;
            }
            let now = shared.clock().now_coarse_nanos();
            if !this.timeout.is_any() {
                *this.deadline = now;
            }
            slot.observed.note_call(to, RequestType::of::<Q>(), now);
            let wait = if running.is_waker(cx.waker()) { WaitId::open(slot, running.pid) } else { None };
            Some((running.pid, wait))
        });
        let Some((caller, wait)) = begun else {
            proceed.wake_if_exhausted(cx);
            return Ok(Begun::NotYet);
        };
        let CallState::New(make) = std::mem::replace(this.state, CallState::Done) else {
            unreachable!("it is new")
        };
        let Some(wait) = wait else {
            let receiver = send_query(to, |reply| make(caller, reply));
            let receiver = receiver.inspect_err(|_| note_wait(WaitKind::Foreign))?;
            *this.state = CallState::Shared(Box::new(receiver));
            return Ok(Begun::Sent);
        };
        *this.state = CallState::Open(wait);
        let slot = this.slot.as_ref().get_ref();
        let sent = context::with_shared("call", |shared| {
            if caller == to {
                return Err(CallError::CallingSelf);
            }
            // SAFETY:
            // 1. The slot is structurally pinned, so it stays where it is until it is dropped.
            // 2. The wait is closed before that: by a writer, below, or by `PinnedDrop` while the state is
            //    `Open`.
            #[expect(unsafe_code, reason = "see the proof")]
            let (handle, exit_writer) = unsafe { (slot.handle(wait), slot.exit_writer(wait)) };
            let room = shared.send_call(to, make(caller, ReplyTo(ReplyPath::Slot(handle))), exit_writer)?;
            shared.sweep_exit_hooks(to, room);
            Ok(())
        });
        if sent.is_err() {
            note_wait(WaitKind::Foreign);
            let _closed = wait.close();
            *this.state = CallState::Done;
        }
        sent.map(|()| Begun::Sent)
    }

    /// Returns when the request was sent, in nanoseconds of the clock.
    fn since(&self) -> u64 {
        if self.timeout.is_any() { self.deadline.saturating_sub(self.timeout.0) } else { self.deadline }
    }

    /// Notes again that the process waits for this call: another await may have been noted meanwhile.
    #[cold]
    fn note_again(&self) {
        let (to, since) = (self.slot.exit().awaited(), self.since());
        context::with_local(|local| {
            local?.with_running(|slot, _| slot.observed.note_call(to, RequestType::of::<Q>(), since))
        });
    }

    /// Is ready when the wait is closed.
    #[inline]
    fn poll_closed(self: Pin<&mut Self>, wait: WaitId, cx: &mut Context<'_>) -> Poll<()> {
        let mut proceed = Proceed::Go;
        let poll = |slot: &Slot, running: &mut Process| {
            proceed = coop::spend(slot, running);
            if proceed != Proceed::Go {
                return Some(Poll::Pending);
            }
            if !wait.is_of(running.pid) || !running.is_waker(cx.waker()) {
                return None;
            }
            Some(if wait.is_open(slot) { Poll::Pending } else { Poll::Ready(()) })
        };
        match context::with_local(|local| local?.with_running(poll).flatten()) {
            Some(Poll::Ready(())) => Poll::Ready(()),
            Some(Poll::Pending) => {
                proceed.wake_if_exhausted(cx);
                self.note_again();
                Poll::Pending
            }
            None => self.poll_elsewhere(wait, cx),
        }
    }

    /// Polls where not the process alone waits: in a future that holds several, or in another process.
    #[cold]
    fn poll_elsewhere(mut self: Pin<&mut Self>, wait: WaitId, cx: &mut Context<'_>) -> Poll<()> {
        let slot = self.as_ref().project_ref().slot.get_ref();
        if !wait.also_wake(slot.exit(), cx.waker()) {
            return Poll::Ready(());
        }
        if context::current().is_some_and(|pid| wait.is_of(pid)) {
            self.note_again();
            return Poll::Pending;
        }
        // If the caller exits no reply is written.
        let this = self.as_mut().project();
        if this.caller_exit.is_none() {
            *this.caller_exit = exit_of_caller(wait).map(Box::new);
        }
        match this.caller_exit {
            Some(exit) => Pin::new(&mut **exit).poll(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    /// Gives the call up if its timeout has passed, and has it polled again when it will.
    #[inline]
    fn poll_timeout(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        let this = self.as_mut().project();
        let timeout = this.timeout.0;
        let wakes = context::with_running("call", |shared, _, running| {
            let now = shared.clock().now_nanos();
            if *this.deadline == 0 {
                *this.deadline = now.saturating_add(timeout);
            }
            if *this.deadline <= now {
                return TimeoutWakes::Nothing;
            }
            if !running.is_waker(cx.waker()) {
                return TimeoutWakes::OtherTask(shared.clock().start());
            }
            running.ensure_call_timer(shared, *this.deadline, now, cx.waker());
            TimeoutWakes::Process
        });
        match wakes {
            TimeoutWakes::Process => Poll::Pending,
            TimeoutWakes::OtherTask(start) => {
                let deadline = deadline_after(start, Duration::from_nanos(*this.deadline));
                let Some(deadline) = deadline else { return Poll::Pending };
                let sleep = this.sleep.get_or_insert_with(|| Box::new(sleep_until(deadline)));
                if sleep.poll_unnoted(cx).is_pending() { Poll::Pending } else { self.give_up() }
            }
            TimeoutWakes::Nothing => self.give_up(),
        }
    }

    #[cold]
    fn give_up(mut self: Pin<&mut Self>) -> Poll<Result<R, CallError>> {
        let this = self.as_mut().project();
        if let CallState::Open(wait) = this.state
            && let CloseWait::ClosedBefore = wait.close()
        {
            // The reply came meanwhile.
            return Poll::Ready(self.settled());
        }
        *this.state = CallState::Done;
        // This poll has noted the wait. An await that follows and notes nothing must not be taken for it.
        note_wait(WaitKind::Foreign);
        Poll::Ready(Err(CallError::Timeout))
    }

    /// Takes the result of a closed wait.
    #[inline]
    fn settled(self: Pin<&mut Self>) -> Result<R, CallError> {
        let this = self.project();
        *this.state = CallState::Done;
        // SAFETY: every caller has seen that the wait is closed.
        #[expect(unsafe_code, reason = "see the proof")]
        match unsafe { this.slot.as_ref().get_ref().take() } {
            Settled::Reply(reply) => Ok(reply),
            Settled::Exit(reason) => Err(CallError::Exit(reason)),
            Settled::Dropped => Err(CallError::Dropped),
            Settled::CallerExited => Err(CallError::NoProc),
        }
    }
}

impl<Q, R: Send + 'static, F: FnOnce(Pid, ReplyTo<R>) -> Message> Future for CallFuture<Q, R, F> {
    type Output = Result<R, CallError>;

    // The result is made where it is returned: moving it from one match arm to another cost a twelfth of the
    // call.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let CallState::New(_) = self.state {
            match self.as_mut().begin(cx) {
                Ok(Begun::Sent) => {}
                // The timeout begins when the request is sent.
                Ok(Begun::NotYet) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
            // If the reply is there already the process has been woken, and is polled again.
            if let CallState::Open(_) = self.state {
                return if self.timeout.is_any() { self.poll_timeout(cx) } else { Poll::Pending };
            }
        }
        match &self.state {
            &CallState::Open(wait) => {
                if self.as_mut().poll_closed(wait, cx).is_ready() {
                    return Poll::Ready(self.settled());
                }
            }
            CallState::Shared(receiver) => {
                if let Poll::Ready(reply) = receiver.poll_reply(cx) {
                    *self.as_mut().project().state = CallState::Done;
                    return Poll::Ready(reply);
                }
                self.note_again();
            }
            CallState::New(_) | CallState::Done => panic!("riot_actor: a call was polled after its end"),
        }
        if self.timeout.is_any() { self.poll_timeout(cx) } else { Poll::Pending }
    }
}
