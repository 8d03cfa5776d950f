//! Taking messages: by type, by guard, with a timeout, and the [`receive!`](crate::receive!) macro.

use std::{
    any::type_name,
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use crate::{
    messages::{mailbox::Mailbox, message::Message},
    observe::trace::{TraceEvent, TraceFlags},
    process::pid::Pid,
    runtime::{context, coop, kernel::record::Process, shared::Shared},
    testing::mutation::{Mutation, is_active},
    time::api::{Sleep, sleep},
};

/// Takes the oldest message of type `T`; the others keep their places.
///
/// ```
/// # use riot_actor::{receive, run, send, this};
/// # run(async {
/// send(this(), 1_u8);
/// send(this(), "two");
/// assert_eq!(receive::<&str>().await, "two");
/// assert_eq!(receive::<u8>().await, 1);
/// # });
/// ```
///
/// # Cancel safety
/// Dropped before it is ready, it has taken nothing.
///
/// # Panics
/// When awaited outside a process.
pub fn receive<T: Send + 'static>() -> Receive<T, ByType> {
    Receive { wanted: ByType, from: 0, _type: PhantomData }
}

/// Takes the oldest message of type `T` that `wanted` accepts; the others keep their places. Each message is shown to
/// `wanted` once, however often the process is woken.
///
/// # Cancel safety
/// Dropped before it is ready, it has taken nothing.
///
/// # Panics
/// When awaited outside a process. A panic in `wanted` ends the process.
pub fn receive_if<T: Send + 'static, F: FnMut(&T) -> bool>(wanted: F) -> Receive<T, Filter<F>> {
    Receive { wanted: Filter(wanted), from: 0, _type: PhantomData }
}

/// A place in the mailbox of one process: what comes behind it was accepted after [`mark`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    owner: Pid,
    end: u64,
}

/// The end of the mailbox as it is now. A receive [`since`](Receive::since) here looks only at what comes later, and costs
/// nothing for what is there, however much that is: for the answer to something that is sent after the mark.
///
/// ```
/// # use riot_actor::{mailbox::mark, receive, run, send, this};
/// # run(async {
/// send(this(), "before");
/// let now = mark();
/// send(this(), "after");
/// assert_eq!(receive::<&str>().since(now).await, "after");
/// assert_eq!(receive::<&str>().await, "before");
/// # });
/// ```
///
/// # Panics
/// Outside a process.
#[must_use]
pub fn mark() -> Mark {
    context::with_running("mark", |_, slot, running| {
        if slot.has_arrivals() {
            slot.lock_and_drain_arrivals(&mut running.mailbox);
        }
        Mark { owner: running.pid, end: running.mailbox.end() }
    })
}

impl Mark {
    /// Where the receive of its owner begins to look.
    #[track_caller]
    fn start(self) -> u64 {
        let this = crate::this();
        assert!(
            self.owner == this,
            "riot_actor: a mark of {} means nothing in the mailbox of {this}; call `mark` in the process that receives",
            self.owner
        );
        self.end
    }
}

/// How a [`Receive`] chooses among messages of its type.
pub trait Wanted<T>: private::Sealed {
    /// Whether it takes this one.
    #[doc(hidden)]
    fn wants(&mut self, value: &T) -> bool;
    /// Whether asking runs code of a user.
    #[doc(hidden)]
    const FOREIGN: bool;
}

/// Takes every one.
#[derive(Clone, Copy, Debug)]
pub struct ByType;

/// Asks a guard.
#[derive(Clone, Copy, Debug)]
pub struct Filter<F>(F);

impl<T> Wanted<T> for ByType {
    fn wants(&mut self, _: &T) -> bool {
        true
    }
    const FOREIGN: bool = false;
}

impl<T, F: FnMut(&T) -> bool> Wanted<T> for Filter<F> {
    fn wants(&mut self, value: &T) -> bool {
        (self.0)(value)
    }
    const FOREIGN: bool = true;
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::ByType {}
    impl<F> Sealed for super::Filter<F> {}
}

/// Takes the oldest message of type `T`, if one is there or comes within `duration`. A `duration` of zero looks at the whole
/// mailbox and waits for nothing. Messages of other types do not lengthen the wait.
///
/// # Errors
/// [`TimedOut`] if none came in time; the mailbox is as it was.
///
/// # Cancel safety
/// Dropped before it is ready, it has taken nothing.
///
/// # Panics
/// When awaited outside a process.
pub fn receive_timeout<T: Send + 'static>(duration: Duration) -> TimeoutFuture<Receive<T, ByType>> {
    timeout(duration, receive::<T>())
}

/// Takes the oldest message, whatever it is.
///
/// # Cancel safety
/// Dropped before it is ready, it has taken nothing.
///
/// # Panics
/// When awaited outside a process.
pub fn receive_any() -> Select<fn(&Message) -> bool> {
    select_here(|_| true)
}

/// Awaits `future`, but no longer than `duration`. Filter both are over at the same look, the future wins.
///
/// # Errors
/// [`TimedOut`]; the future was dropped.
pub fn timeout<F: Future>(duration: Duration, future: F) -> TimeoutFuture<F> {
    TimeoutFuture { future, duration, sleep: None }
}

pin_project! {
    /// The future of [`timeout`] and [`receive_timeout`]. (A type with a name: of an `async fn` the compiler cannot
    /// always see that it is `Send`.)
    #[must_use = "nothing happens before it is awaited"]
    pub struct TimeoutFuture<F> {
        #[pin]
        future: F,
        duration: Duration,
        sleep: Option<Sleep>,
    }
}

impl<F> fmt::Debug for TimeoutFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutFuture").field("duration", &self.duration).finish_non_exhaustive()
    }
}

impl<F: Future> Future for TimeoutFuture<F> {
    type Output = Result<F::Output, TimedOut>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(value) = this.future.poll(cx) {
            return Poll::Ready(Ok(value));
        }
        // Time starts with the first look.
        let duration = *this.duration;
        let sleep = this.sleep.get_or_insert_with(|| sleep(duration));
        Pin::new(sleep).poll(cx).map(|()| Err(TimedOut))
    }
}

/// It did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it did not come in time")
    }
}
impl std::error::Error for TimedOut {}

/// Takes the oldest message `wanted` accepts, whatever its type. What [`receive!`](crate::receive!) is made of.
///
/// # Cancel safety
/// Dropped before it is ready, it has taken nothing.
///
/// # Panics
/// When awaited outside a process.
pub fn select<F: FnMut(&Message) -> bool>(wanted: F) -> Select<F> {
    Select { wanted, from: 0, foreign: true }
}

/// [`select`] by a test that calls nothing of this crate, such as a comparison of types.
#[doc(hidden)]
pub fn select_here<F: FnMut(&Message) -> bool>(wanted: F) -> Select<F> {
    Select { wanted, from: 0, foreign: false }
}

/// The future of [`receive`] and [`receive_if`].
#[must_use = "nothing is received before it is awaited"]
pub struct Receive<T, F> {
    wanted: F,
    /// The number of the first message it has not mailbox_scanned at.
    from: u64,
    _type: PhantomData<fn() -> T>,
}

impl<T, F> fmt::Debug for Receive<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receive<{}>", type_name::<T>())
    }
}

impl<T, F> Receive<T, F> {
    /// Looks only at messages accepted after `mark`.
    ///
    /// # Panics
    /// Filter the mark is another process's.
    #[track_caller]
    pub fn since(mut self, mark: Mark) -> Self {
        self.from = mark.start();
        self
    }
}

impl<T, F> Unpin for Receive<T, F> {}

impl<T: Send + 'static, W: Wanted<T>> Future for Receive<T, W> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self { wanted, from, .. } = self.get_mut();
        let wants = |message: &Message| message.downcast_ref::<T>().is_some_and(|value| wanted.wants(value));
        if W::FOREIGN {
            poll_take(cx, from, wants).map(Message::take)
        } else {
            poll_take_here(cx, from, wants, Message::take)
        }
    }
}

/// The future of [`select`] and [`receive_any`].
#[must_use = "nothing is received before it is awaited"]
pub struct Select<F> {
    wanted: F,
    /// The number of the first message it has not mailbox_scanned at.
    from: u64,
    /// Whether the test is a user's code.
    foreign: bool,
}

impl<F> fmt::Debug for Select<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Select")
    }
}

impl<F> Select<F> {
    /// Looks only at messages accepted after `mark`.
    ///
    /// # Panics
    /// Filter the mark is another process's.
    #[track_caller]
    pub fn since(mut self, mark: Mark) -> Self {
        self.from = mark.start();
        self
    }
}

impl<F> Unpin for Select<F> {}

impl<F: FnMut(&Message) -> bool> Future for Select<F> {
    type Output = Message;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Message> {
        let Self { wanted, from, foreign } = self.get_mut();
        if *foreign {
            poll_take(cx, from, wanted)
        } else {
            poll_take_here(cx, from, wanted, |message| message)
        }
    }
}

/// [`poll_take`] for a test that is our own and so may run where the mailbox is; `unwrap` is our own as well. (To unwrap only
/// what is sure to be received takes five instructions less, and a tenth more time: 105 ns for a ping-pong, and not 95.)
#[inline]
fn poll_take_here<R>(
    cx: &mut Context<'_>,
    from: &mut u64,
    wanted: impl FnMut(&Message) -> bool,
    unwrap: impl FnOnce(Message) -> R,
) -> Poll<R> {
    let (mut condemned, mut watched) = (false, None);
    let taken = context::with_running("receive", |shared, slot, running| {
        if coop::proceed(slot, running, cx).is_pending() {
            return None;
        }
        let message = slot.take(running, from, wanted)?;
        condemned = slot.is_condemned();
        if is_watched(shared, running) {
            watched = Some(Taken::of(&message));
        }
        Some(unwrap(message))
    });
    match taken {
        // Condemned while it mailbox_scanned: it receives nothing more.
        Some(message) if !condemned => {
            if let Some(taken) = watched {
                took(taken);
            }
            Poll::Ready(message)
        }
        _ => Poll::Pending,
    }
}

/// Looks at every message not `from` yet; takes one that is wanted, or remembers how far it mailbox_scanned.
///
/// The guard is somebody else's code, which may call anything: the mailbox is set aside while it looks, and put back
/// even if it panics.
fn poll_take(cx: &mut Context<'_>, from: &mut u64, wanted: impl FnMut(&Message) -> bool) -> Poll<Message> {
    let start = *from;
    let aside = context::with_running("receive", |shared, slot, running| {
        if coop::proceed(slot, running, cx).is_pending() {
            return None;
        }
        if slot.has_arrivals() {
            slot.drain_arrivals(&mut slot.lock(), &mut running.mailbox);
        }
        running.mailbox_scanned = true;
        *from = running.mailbox.end();
        if running.mailbox.end_seen(start) {
            // Whatever comes from here on wakes the process, or keeps it from parking.
            running.wants_messages = true;
            return None;
        }
        let watched = is_watched(shared, running);
        Some((PutBack { mailbox: running.mailbox.set_aside(), waits: true }, watched))
    });
    let Some((mut aside, watched)) = aside else { return Poll::Pending };
    match aside.mailbox.take(start, wanted) {
        Some(message) => {
            aside.waits = false;
            drop(aside);
            // A signal may have come while it mailbox_scanned; one that is condemned receives nothing more.
            if is_active(Mutation::CondemnedSeenOnlyBefore) || coop::poll_live().is_ready() {
                if watched {
                    took(Taken::of(&message));
                }
                return Poll::Ready(message);
            }
            Poll::Pending
        }
        None => Poll::Pending,
    }
}

/// Whether anybody is to hear that this process takes a message: see [`took`].
#[inline]
fn is_watched(shared: &Shared, process: &Process) -> bool {
    process.bounded || shared.tracer.is_on(TraceFlags::RECEIVE)
}

/// What is left to say of a message that was taken.
struct Taken {
    counts: bool,
    type_name: &'static str,
}

impl Taken {
    #[cold]
    fn of(message: &Message) -> Self {
        Self { counts: message.counts(), type_name: message.type_name() }
    }
}

/// A message was taken: there is room for another one, and who traces hears of it. It may wake who waits for room, so not
/// while the process is mailbox_scanned at.
#[cold]
fn took(taken: Taken) {
    let (pid, capacity) =
        context::with_running("receive", |_, slot, running| (running.pid, slot.lock().capacity().cloned()));
    if let Some(capacity) = capacity.filter(|_| taken.counts) {
        capacity.release();
    }
    let message = taken.type_name;
    context::with_shared("receive", |shared| {
        shared.trace(TraceFlags::RECEIVE, || TraceEvent::Received { pid, message });
    });
}

struct PutBack {
    mailbox: Mailbox,
    waits: bool,
}

impl Drop for PutBack {
    fn drop(&mut self) {
        let mailbox = std::mem::take(&mut self.mailbox);
        context::with_running("receive", |_, _, running| {
            running.mailbox.restore(mailbox);
            running.wants_messages |= self.waits;
        });
    }
}

/// Removes a message that may be in the mailbox.
pub(crate) fn flush<T: Send + 'static>(unwanted: impl Fn(&T) -> bool) {
    let unwanted = |message: &Message| message.downcast_ref().is_some_and(&unwanted);
    let removed: Vec<Message> = context::with_running("receive", |_, slot, running| {
        slot.lock_and_drain_arrivals(&mut running.mailbox);
        running.mailbox_scanned = true;
        std::iter::from_fn(|| running.mailbox.take(0, unwanted)).collect()
    });
    removed.iter().map(Taken::of).for_each(took);
}

/// Takes the oldest message that one of several patterns accepts, and runs what stands behind that pattern.
///
/// A pattern is one of a type: `Tick`, `Handshake { socket }`, `Add(n)`, or a name with a type, `down: Down`; a guard
/// sees the value by reference. (Before a guard the type is a plain path: Rust's macros allow no more there.) `after` gives a limit, and what to do when it has passed. Messages no pattern accepts
/// keep their places.
///
/// ```
/// use std::time::Duration;
/// use riot_actor::{process::spawn_monitor, receive, run, send, this, Down};
///
/// struct Tick;
/// struct Add(u32);
///
/// run(async {
///     let (worker, _) = spawn_monitor(async {});
///     send(this(), Add(2));
///     send(this(), Tick);
///     let mut sum = 0;
///     loop {
///         receive! {
///             Add(n) if *n > 100 => panic!("too much: {n}"),
///             Add(n) => sum += n,
///             Tick => {},
///             down: Down if down.pid == Some(worker) => break,
///             after Duration::from_secs(5) => panic!("nobody came"),
///         }
///     }
///     assert_eq!(sum, 2);
/// });
/// ```
#[macro_export]
macro_rules! receive {
    ($($arms:tt)+) => { $crate::__receive!(@arms select_here [] $($arms)+) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __receive {
    // One arm after the other is turned into `(pattern) (type or _) (guard) (body)`. The first word says how to look:
    // without a guard, no code of a user runs while the mailbox is mailbox_scanned at.
    (@arms $how:ident [$($done:tt)*]) => { $crate::__receive!(@run $how [$($done)*] []) };
    (@arms $how:ident [$($done:tt)*] after $limit:expr => $late:expr $(,)?) => {
        $crate::__receive!(@run $how [$($done)*] [($limit) ($late)])
    };
    (@arms $how:ident [$($done:tt)*] $name:ident : $head:ident $(:: $tail:ident)* if $guard:expr => $($rest:tt)+) => {
        $crate::__receive!(@body select [$($done)*] [($name) ($head $(:: $tail)*) ($guard)] $($rest)+)
    };
    (@arms $how:ident [$($done:tt)*] $name:ident : $type:ty => $($rest:tt)+) => {
        $crate::__receive!(@body $how [$($done)*] [($name) ($type) (true)] $($rest)+)
    };
    (@arms $how:ident [$($done:tt)*] $pattern:pat => $($rest:tt)+) => {
        $crate::__receive!(@body $how [$($done)*] [($pattern) (_) (true)] $($rest)+)
    };
    (@arms $how:ident [$($done:tt)*] $pattern:pat if $guard:expr => $($rest:tt)+) => {
        $crate::__receive!(@body select [$($done)*] [($pattern) (_) ($guard)] $($rest)+)
    };
    (@body $how:ident [$($done:tt)*] [$($arm:tt)*] $body:block , $($rest:tt)*) => {
        $crate::__receive!(@arms $how [$($done)* [$($arm)* ($body)]] $($rest)*)
    };
    (@body $how:ident [$($done:tt)*] [$($arm:tt)*] $body:block $($rest:tt)*) => {
        $crate::__receive!(@arms $how [$($done)* [$($arm)* ($body)]] $($rest)*)
    };
    (@body $how:ident [$($done:tt)*] [$($arm:tt)*] $body:expr , $($rest:tt)*) => {
        $crate::__receive!(@arms $how [$($done)* [$($arm)* ($body)]] $($rest)*)
    };
    (@body $how:ident [$($done:tt)*] [$($arm:tt)*] $body:expr) => {
        $crate::__receive!(@arms $how [$($done)* [$($arm)* ($body)]])
    };
    (@run $how:ident [$([($pattern:pat) ($type:ty) ($guard:expr) ($body:expr)])*] [$(($limit:expr) ($late:expr))?]) => {{
        #[allow(unused_mut, unused_assignments)]
        let mut chosen = 0usize;
        let received = {
            let wanted = |message: &$crate::Message| {
                #[allow(unused_mut)]
                let mut arm = 0usize;
                $(
                    arm += 1;
                    #[allow(unused_variables, unreachable_patterns)]
                    if $crate::__private::accepts(message, |value: &$type| match value {
                        $pattern if $guard => true,
                        _ => false,
                    }) {
                        chosen = arm;
                        return true;
                    }
                )*
                let _ = arm;
                false
            };
            $crate::__receive!(@wait $crate::__private::$how(wanted) $(, $limit)?)
        };
        $crate::__receive!(@dispatch chosen received [$([($pattern) ($type) ($body)])*] [$($late)?])
    }};
    (@wait $future:expr) => { ::std::result::Result::<_, $crate::time::TimedOut>::Ok($future.await) };
    (@wait $future:expr, $limit:expr) => { $crate::timeout($limit, $future).await };
    // Nothing of ours may stand around a body that `break` or `continue` could mean.
    (@dispatch $chosen:ident $received:ident [$($arms:tt)*] [$($late:expr)?]) => {
        match $received {
            ::std::result::Result::Ok(message) => $crate::__receive!(@arm $chosen message (1usize) $($arms)*),
            #[allow(unreachable_patterns)]
            ::std::result::Result::Err(_) => $crate::__receive!(@late $($late)?),
        }
    };
    (@arm $chosen:ident $message:ident ($number:expr)) => { unreachable!("one arm is chosen") };
    (@arm $chosen:ident $message:ident ($number:expr) [($pattern:pat) ($type:ty) ($body:expr)] $($rest:tt)*) => {
        if $chosen == $number {
            #[allow(unreachable_patterns)]
            match $crate::__private::take::<$type>($message) {
                $pattern => $body,
                _ => unreachable!("the pattern accepted it a moment ago"),
            }
        } else {
            $crate::__receive!(@arm $chosen $message ($number + 1usize) $($rest)*)
        }
    };
    (@late) => { unreachable!("without a limit nothing times out") };
    (@late $late:expr) => { $late };
}

#[doc(hidden)]
pub mod __private {
    pub use super::{select, select_here};
    use crate::Message;

    pub fn accepts<T: 'static>(message: &Message, test: impl FnOnce(&T) -> bool) -> bool {
        message.downcast_ref::<T>().is_some_and(test)
    }

    pub fn take<T: 'static>(message: Message) -> T {
        message.take()
    }
}
