//! A request and its one reply, outside the mailbox: what comes late is never seen by anybody.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;

use crate::{
    context, coop,
    exit::Reason,
    message::Message,
    pid::Pid,
    place::{CallId, Came, Ender, Place, Replier},
    process::{Process, Slot, relations::Callbacks},
    receive::timeout,
    runtime::Shared,
    short_lock::ShortLock,
    signal::Ended,
    timer::{Sleep, sleep_until},
    trace::Traced,
};

/// How long a call waits by default. (OTP: `gen_server:call/2`.)
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A request as it stands in the mailbox of whoever serves it.
pub struct Request<Q, R> {
    /// What is asked.
    pub query: Q,
    /// Who asks.
    pub from: Pid,
    /// Where the answer goes.
    pub reply: ReplyTo<R>,
}

impl<Q: fmt::Debug, R> fmt::Debug for Request<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("query", &self.query)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// Answers one request, once, from any process. Dropped, it answers nothing: the caller waits for its time to pass, or
/// for the end of whom it asked.
pub struct ReplyTo<R>(Way<R>);

/// How an answer gets to whoever waits.
enum Way<R> {
    /// Into the future that waits for it.
    Place(Replier<R>),
    /// To where both have a share of it.
    Between(Arc<Answer<R>>),
}

impl<R: Send> ReplyTo<R> {
    /// [`send`](Self::send) for whoever only borrows the right.
    pub(crate) fn settle(&self, reply: R) {
        match &self.0 {
            Way::Place(place) => place.settle(reply),
            Way::Between(answer) => drop(answer.settle(Ok(reply))),
        }
    }

    /// Answers. If the caller has given up nobody sees it.
    pub fn send(self, reply: R) {
        self.settle(reply);
    }
}

impl<R> fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyTo")
    }
}

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq)]
pub enum CallError {
    /// There is no such process.
    NoProc,
    /// No reply came in time. The request may still be served.
    Timeout,
    /// It ended before replying. Whether it acted is unknown: repeat only what may be repeated.
    Exit(Reason),
    /// A process that calls itself would wait for ever.
    CallingSelf,
    /// Its mailbox is full, and the request was not sent: it has more to do than it can.
    Full,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProc => f.write_str("no such process"),
            Self::Timeout => f.write_str("no reply in time"),
            Self::Exit(reason) => write!(f, "the process ended before replying: {reason}"),
            Self::CallingSelf => f.write_str("a process cannot call itself"),
            Self::Full => f.write_str("the mailbox of the process is full"),
        }
    }
}
impl std::error::Error for CallError {}

/// Sends [`Request`] to `to` and waits for the reply; `None` waits for ever.
///
/// ```
/// use riot_actor::{CALL_TIMEOUT, Request, call, receive, run, spawn};
/// run(async {
///     let doubler = spawn(async {
///         let request = receive::<Request<u32, u32>>().await;
///         request.reply.send(request.query * 2);
///     });
///     assert_eq!(call::<u32, u32>(doubler, 21, Some(CALL_TIMEOUT)).await, Ok(42));
/// });
/// ```
///
/// # Errors
/// See [`CallError`]. The caller is never ended by it.
///
/// # Cancel safety
/// Dropped before it is ready, the request stays sent, and the reply is discarded.
///
/// # Panics
/// Outside a process.
pub fn call<Q, R>(
    to: Pid,
    query: Q,
    limit: Option<Duration>,
) -> impl Future<Output = Result<R, CallError>> + Send
where
    Q: Send + 'static,
    R: Send + 'static,
{
    Calling::new(to, limit, move |from, reply| Message::build(|| Request { query, from, reply }))
}

pin_project! {
    /// A call: sent when it is first polled, given up when it is dropped.
    ///
    /// It is made on the stack and then carried to where it waits. What is written in one piece and read in another before
    /// the processor has put it away costs as much as twenty instructions, so there is little of it, and no gaps.
    #[repr(C)]
    pub(crate) struct Calling<R: Send, F> {
        stage: Stage<R, F>,
        limit: Limit,
        // When its time is up, in nanoseconds of the clock; 0 before it is known.
        deadline: u64,
        sleep: Option<Box<Sleep>>,
        // The end of who called, where another process waits.
        end: Option<Box<Wait>>,
        #[pin]
        place: Place<R>,
        to: Pid,
    }

    impl<R: Send, F> PinnedDrop for Calling<R, F> {
        fn drop(this: Pin<&mut Self>) {
            if let Stage::Open(call) = this.stage {
                call.close();
            }
        }
    }
}

/// How long a call waits, in nanoseconds; so many that nobody lives to see it: for ever.
#[derive(Clone, Copy)]
struct Limit(u64);

impl Limit {
    #[inline]
    fn new(limit: Option<Duration>) -> Self {
        Self(limit.map_or(u64::MAX, |limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)))
    }

    #[inline]
    fn is_any(self) -> bool {
        self.0 != u64::MAX
    }
}

/// How a call goes on whose answer is not there.
enum Waits {
    /// Its time is up.
    No,
    /// It is the process that will be woken.
    Here,
    /// It is somebody else; this is when the clock began to count.
    Elsewhere(Instant),
}

enum Stage<R: Send, F> {
    /// It makes the message out of who asks and where the reply goes.
    New(F),
    /// The answer comes into the future itself.
    Open(CallId),
    /// The process has another call open already, or it is not the process itself that waits.
    Between(Box<Waiting<R>>),
    Over,
}

impl<R: Send + 'static, F: FnOnce(Pid, ReplyTo<R>) -> Message> Calling<R, F> {
    #[inline]
    pub(crate) fn new(to: Pid, limit: Option<Duration>, make: F) -> Self {
        let (stage, place) = (Stage::New(make), Place::new());
        Self { stage, limit: Limit::new(limit), deadline: 0, sleep: None, end: None, place, to }
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
        let Stage::New(make) = std::mem::replace(this.stage, Stage::Over) else { unreachable!("it is new") };
        let Some(call) = call else {
            *this.stage = Stage::Between(Box::new(send_query(to, |reply| make(caller, reply))?));
            return Ok(true);
        };
        *this.stage = Stage::Open(call);
        let place = this.place.as_ref().get_ref();
        let sent = context::with_shared("call", |shared| {
            if caller == to {
                return Err(CallError::CallingSelf);
            }
            // SAFETY: the place is pinned, as we are, and whatever becomes of us, the call is closed before it goes: by
            // `drop`, if by nobody else.
            #[expect(unsafe_code, reason = "see the proof")]
            let (replier, ender) = unsafe { (place.replier(call), place.ender(call)) };
            shared.send_call(to, make(caller, ReplyTo(Way::Place(replier))), ender)
        });
        if sent.is_err() {
            call.close();
            *this.stage = Stage::Over;
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
        let place = self.as_ref().project_ref().place.get_ref();
        if !call.wake_also(place, cx.waker()) {
            return Poll::Ready(());
        }
        if context::current().is_some_and(|pid| call.is_of(pid)) {
            return Poll::Pending;
        }
        // If the caller ends nobody answers.
        let this = self.as_mut().project();
        if this.end.is_none() {
            *this.end = call.end_of_caller().map(Box::new);
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
        let limit = this.limit.0;
        let waits = context::with_running("call", |shared, _, running| {
            let now = shared.clock().now_nanos();
            if *this.deadline == 0 {
                *this.deadline = now.saturating_add(limit);
            }
            if *this.deadline <= now {
                return Waits::No;
            }
            if !running.is_waker(cx.waker()) {
                return Waits::Elsewhere(shared.clock().start());
            }
            running.wake_by(shared, *this.deadline, now, cx.waker());
            Waits::Here
        });
        match waits {
            Waits::Here => Poll::Pending,
            Waits::Elsewhere(start) => {
                let deadline = start.checked_add(Duration::from_nanos(*this.deadline));
                let Some(deadline) = deadline else { return Poll::Pending };
                let sleep = this.sleep.get_or_insert_with(|| Box::new(sleep_until(deadline)));
                if Pin::new(&mut **sleep).poll(cx).is_pending() { Poll::Pending } else { self.give_up() }
            }
            Waits::No => self.give_up(),
        }
    }

    #[cold]
    fn give_up(mut self: Pin<&mut Self>) -> Poll<Result<R, CallError>> {
        let this = self.as_mut().project();
        if let Stage::Open(call) = this.stage
            && !call.close()
        {
            // The answer came meanwhile.
            return Poll::Ready(self.taken());
        }
        *this.stage = Stage::Over;
        Poll::Ready(Err(CallError::Timeout))
    }

    /// What came, once the call is closed.
    #[inline]
    fn taken(self: Pin<&mut Self>) -> Result<R, CallError> {
        let this = self.project();
        *this.stage = Stage::Over;
        // SAFETY: whoever asks has seen that the call is closed.
        #[expect(unsafe_code, reason = "see the proof")]
        match unsafe { this.place.as_ref().get_ref().take() } {
            Came::Reply(reply) => Ok(reply),
            Came::End(reason) => Err(CallError::Exit(reason)),
            Came::Nobody => Err(CallError::NoProc),
        }
    }
}

impl<R: Send + 'static, F: FnOnce(Pid, ReplyTo<R>) -> Message> Future for Calling<R, F> {
    type Output = Result<R, CallError>;

    // The result is made where it is returned: carrying it from one arm to another cost a twelfth of the call.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::New(_) = self.stage {
            match self.as_mut().begin(cx) {
                Ok(true) => {}
                // It is not sent yet, and its time has not begun.
                Ok(false) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
            // If the answer is there already the process has been woken, and looks again.
            if let Stage::Open(_) = self.stage {
                return if self.limit.is_any() { self.expire(cx) } else { Poll::Pending };
            }
        }
        match &self.stage {
            &Stage::Open(call) => {
                if self.as_mut().poll_closed(call, cx).is_ready() {
                    return Poll::Ready(self.taken());
                }
            }
            Stage::Between(waiting) => {
                if let Poll::Ready(answer) = waiting.poll_reply(cx) {
                    *self.as_mut().project().stage = Stage::Over;
                    return Poll::Ready(answer);
                }
            }
            Stage::New(_) | Stage::Over => panic!("riot_actor: a call was polled after its end"),
        }
        if self.limit.is_any() { self.expire(cx) } else { Poll::Pending }
    }
}

/// Sends what `make` makes of the place for the reply.
pub(crate) fn send_query<R: Send + 'static>(
    to: Pid,
    make: impl FnOnce(ReplyTo<R>) -> Message,
) -> Result<Waiting<R>, CallError> {
    if crate::this() == to {
        return Err(CallError::CallingSelf);
    }
    let answer = Arc::new(Answer::new());
    let message = make(ReplyTo(Way::Between(answer.clone())));
    let callback = answer.clone();
    context::with_shared("call", |shared| {
        shared.deliver_call(to, message, |callbacks| callbacks.push(shared, callback))
    })?;
    Ok(Waiting::new(answer))
}

/// The two ends of one answer that is not asked for by a message; the process `of` settles it by its end, too.
pub(crate) fn answer_of<R: Send + 'static>(of: impl FnOnce(ReplyTo<R>) -> Pid) -> (Pid, Waiting<R>) {
    let answer = Arc::new(Answer::new());
    let pid = of(ReplyTo(Way::Between(answer.clone())));
    if !context::with_shared("start", |shared| shared.call_back(pid, answer.clone())) {
        // It has ended already; if it did not answer before, it never will.
        drop(answer.settle(Err(CallError::NoProc)));
    }
    (pid, Waiting::new(answer))
}

/// Waits until every one of `pids` has been released; at once for those that were. The mailbox and monitors of the
/// caller are left as they are.
///
/// # Panics
/// Outside a process.
pub async fn join(pids: &[Pid]) {
    for &pid in pids {
        wait(pid).await;
    }
}

/// Waits until `pid` has been released, and says why it ended; [`Reason::NoProc`] if that was before the call. Like a
/// monitor, but outside the mailbox: however many messages are queued there, it costs the same.
///
/// ```
/// # use riot_actor::{exit, run, spawn, wait, Reason};
/// # run(async {
/// let pid = spawn(std::future::pending::<()>());
/// let end = wait(pid);
/// exit(pid, Reason::Kill);
/// assert_eq!(end.await, Reason::Killed);
/// # });
/// ```
///
/// # Cancel safety
/// Dropped before it is ready, nothing is left of it.
///
/// # Panics
/// Outside a process.
pub fn wait(pid: Pid) -> Wait {
    context::with_shared("wait", |shared| end_of(shared, pid))
}

/// [`wait`] in any thread.
pub(crate) fn end_of(shared: &Shared, pid: Pid) -> Wait {
    let answer = Arc::new(Answer::<Infallible>::new());
    let watched = shared.call_back(pid, answer.clone());
    Wait(watched.then(|| Waiting::new(answer)))
}

/// The future of [`wait`].
#[must_use = "it has to be awaited to wait"]
pub struct Wait(Option<Waiting<Infallible>>);

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wait")
    }
}

impl Future for Wait {
    type Output = Reason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        let Some(waiting) = &self.0 else { return coop::poll_proceed(cx).map(|()| Reason::NoProc) };
        waiting.poll_reply(cx).map(|answer| match answer {
            Err(CallError::Exit(reason)) => reason,
            Err(_) => unreachable!("nobody but the end of the process settles it"),
            Ok(never) => match never {},
        })
    }
}

/// A place for one answer.
struct Answer<R>(ShortLock<State<R>>);

enum State<R> {
    Open(Option<Waker>),
    Settled(Result<R, CallError>),
    /// Taken, or nobody waits any more.
    Closed,
}

impl<R: Send> Answer<R> {
    fn new() -> Self {
        Self(ShortLock::new(State::Open(None)))
    }

    /// The first to settle it decides; what comes later, or too late, is given back.
    fn settle(&self, answer: Result<R, CallError>) -> Result<(), Result<R, CallError>> {
        let mut state = self.0.lock();
        let State::Open(waker) = &mut *state else { return Err(answer) };
        let waker = waker.take();
        *state = State::Settled(answer);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// The answer, if it is there; else `waker` is put in its place, if there is one. Gives back the one that was.
    fn take(&self, waker: &mut Option<Waker>) -> Option<Result<R, CallError>> {
        let mut state = self.0.lock();
        match &mut *state {
            State::Open(before) => {
                if waker.is_some() {
                    std::mem::swap(before, waker);
                }
                None
            }
            State::Settled(_) => match std::mem::replace(&mut *state, State::Closed) {
                State::Settled(answer) => Some(answer),
                State::Open(_) | State::Closed => unreachable!("it was just looked at"),
            },
            State::Closed => Some(Err(CallError::NoProc)),
        }
    }

    /// Whether whoever waits here waits with this waker.
    fn knows(&self, waker: &Waker) -> bool {
        matches!(&*self.0.lock(), State::Open(Some(known)) if known.will_wake(waker))
    }
}

impl<R: Send> Ended for Answer<R> {
    fn ended(&self, reason: &Reason) {
        let refused = self.settle(Err(CallError::Exit(reason.clone())));
        drop(refused);
    }

    fn is_over(&self) -> bool {
        matches!(*self.0.lock(), State::Closed)
    }
}

/// Someone who waits for an answer; dropped, nobody does.
pub(crate) struct Waiting<R: Send> {
    answer: Arc<Answer<R>>,
    /// Whether a waker was left there, as far as we are.
    asked: AtomicBool,
    /// Whether the answer was taken: there is nothing left to give up.
    taken: AtomicBool,
}

impl<R: Send> Waiting<R> {
    fn new(answer: Arc<Answer<R>>) -> Self {
        Self { answer, asked: AtomicBool::new(false), taken: AtomicBool::new(false) }
    }

    /// Waits for the answer, no longer than `limit`; what has been there at the last moment counts.
    pub(crate) async fn wait(&self, limit: Option<Duration>) -> Result<R, CallError> {
        match limit {
            Some(limit) => timeout(limit, self.reply()).await.unwrap_or(Err(CallError::Timeout)),
            None => self.reply().await,
        }
    }

    fn reply(&self) -> impl Future<Output = Result<R, CallError>> + '_ {
        poll_fn(|cx| self.poll_reply(cx))
    }

    fn poll_reply(&self, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        // A waker is somebody else's code, so it is cloned, and dropped, outside the lock. The first look leaves one; at
        // the next the answer is there as a rule.
        let first = !self.asked.load(Ordering::Relaxed);
        self.asked.store(true, Ordering::Relaxed);
        let mut waker = first.then(|| cx.waker().clone());
        let mut answer = self.answer.take(&mut waker);
        if answer.is_none() && !first && !self.answer.knows(cx.waker()) {
            waker = Some(cx.waker().clone());
            answer = self.answer.take(&mut waker);
        }
        match answer {
            Some(answer) => {
                self.taken.store(true, Ordering::Relaxed);
                Poll::Ready(answer)
            }
            None => Poll::Pending,
        }
    }
}

impl<R: Send> Drop for Waiting<R> {
    fn drop(&mut self) {
        if !*self.taken.get_mut() {
            let late = std::mem::replace(&mut *self.answer.0.lock(), State::Closed);
            drop(late);
        }
    }
}

impl Shared {
    #[inline(never)]
    fn send_call(&self, to: Pid, message: Message, ender: Ender) -> Result<(), CallError> {
        self.deliver_call(to, message, |callbacks| callbacks.push_call(self, ender))
    }

    /// Puts a request into a mailbox, and whoever waits for its answer on the list of those that hear of the end.
    #[inline(always)]
    fn deliver_call(
        &self,
        to: Pid,
        message: Message,
        add: impl FnOnce(&mut Callbacks),
    ) -> Result<(), CallError> {
        if self.tracer.is_on(Traced::SENDS) {
            self.trace_sent(to, &message);
        }
        let Some(slot) = self.table.of(to) else { return Err(CallError::NoProc) };
        let readied = {
            let Some(mut core) = slot.lock_for(to) else { return Err(CallError::NoProc) };
            if !core.is_live() {
                // Condemned, and not released yet: it refuses the request, and tells its reason when it is released.
                add(&mut core.relations().callbacks);
                drop(core);
                drop(message);
                return Ok(());
            }
            if !core.admits(&message) {
                drop(core);
                drop(message);
                return Err(CallError::Full);
            }
            add(&mut core.relations().callbacks);
            slot.accept(&mut core, message)
        };
        self.ready(readied);
        Ok(())
    }
}
