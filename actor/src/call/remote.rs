//! Calls and waits from plain threads and from other executors.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use super::{CALL_TIMEOUT, CallError, CallRequest, Receiver, Wait, oneshot};
use crate::{
    messages::message::Message,
    names::name::AsName,
    process::{pid::Pid, reason::Reason, spawn::ReasonOf},
    runtime::{
        context,
        handle::Handle,
        kernel::{inspection::Inspection, observed::TypedBody},
    },
    time::{Sleep, clock::deadline_after, sleep_until},
};

/// The reply to a call from a plain thread or another executor: a future that any executor may poll, with
/// [`wait`](Self::wait) for a thread that may block. Dropped, the reply is discarded.
///
/// ```
/// use riot_actor::{call::CallRequest, receive, run, runtime::Handle, spawn, this};
///
/// run(async {
///     let (handle, main) = (Handle::current(), this());
///     std::thread::spawn(move || {
///         let reply = handle.call::<u32, u32>(main, 20, None);
///         assert_eq!(reply.wait(), Ok(21));
///         handle.send(main, "done");
///     });
///     let CallRequest { query, reply, .. } = receive::<CallRequest<u32, u32>>().await;
///     reply.send(query + 1);
///     assert_eq!(receive::<&str>().await, "done");
/// });
/// ```
#[must_use = "the reply has to be awaited, or waited for"]
pub struct RemoteReply<R: Send> {
    awaited: Awaited<R>,
    /// The time until which it is waited for, and the runtime whose clock and timers tell.
    timeout: Option<(Instant, Option<Sleep>, Handle)>,
}

enum Awaited<R: Send> {
    Reply(Receiver<R>),
    Exit(Wait, fn(Reason) -> R),
    Failed(CallError),
}

impl<R: Send> RemoteReply<R> {
    pub(crate) fn failed(error: CallError) -> Self {
        Self { awaited: Awaited::Failed(error), timeout: None }
    }

    /// Blocks this thread until the reply is there.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Panics
    /// Panics inside a process: a process awaits the reply.
    pub fn wait(mut self) -> Result<R, CallError> {
        assert!(
            context::current().is_none(),
            "riot_actor: `RemoteReply::wait` blocks; a process awaits it instead"
        );
        // The time that is left by the clock of the runtime passes in real time here.
        let left = |(deadline, _, handle): (Instant, _, Handle)| {
            deadline_after(Instant::now(), deadline.saturating_duration_since(handle.shared.now()))
        };
        let deadline = self.timeout.take().and_then(left);
        let waker = Waker::from(Arc::new(Unparks(thread::current())));
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(reply) = self.awaited.poll(&mut cx) {
                return reply;
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return Err(CallError::Timeout),
                Some(left) => thread::park_timeout(left),
            }
        }
    }
}

/// Ends the sleep of a thread that waits.
struct Unparks(Thread);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

impl<R: Send> Awaited<R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        match self {
            Self::Reply(receiver) => receiver.poll_reply(cx),
            Self::Exit(wait, as_reply) => Pin::new(wait).poll(cx).map(|reason| Ok(as_reply(reason))),
            Self::Failed(error) => Poll::Ready(Err(error.clone())),
        }
    }
}

impl<R: Send> Future for RemoteReply<R> {
    type Output = Result<R, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        let Self { awaited, timeout } = &mut *self;
        if let Poll::Ready(reply) = awaited.poll(cx) {
            return Poll::Ready(reply);
        }
        let Some((deadline, sleep, handle)) = timeout else { return Poll::Pending };
        let sleep = sleep.get_or_insert_with(|| sleep_until(*deadline));
        match handle.enter(|| Pin::new(sleep).poll(cx)) {
            Poll::Ready(()) => Poll::Ready(Err(CallError::Timeout)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<R: Send> fmt::Debug for RemoteReply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteReply")
    }
}

impl Handle {
    /// Calls `pid`, as [`call`](crate::call()) does, from a plain thread or another executor. The sender is
    /// the runtime itself. `None` waits forever.
    ///
    /// See [`RemoteReply`] for an example.
    pub fn call<Q, R>(&self, pid: Pid, query: Q, timeout: Option<Duration>) -> RemoteReply<R>
    where
        Q: Send + 'static,
        R: Send + 'static,
    {
        let from = self.shared.system();
        self.send_query(pid, timeout, |reply| Message::build(|| CallRequest { query, from, reply }))
    }

    /// Sends the request that `make` makes of the right to reply.
    pub(crate) fn send_query<R: Send + 'static>(
        &self,
        to: Pid,
        timeout: Option<Duration>,
        make: impl FnOnce(super::ReplyTo<R>) -> Message,
    ) -> RemoteReply<R> {
        if self.shared.is_over() {
            return RemoteReply::failed(CallError::NoProc);
        }
        let awaited = match oneshot::send_query_from(&self.shared, to, make) {
            Ok(receiver) => Awaited::Reply(receiver.end_with(&self.shared)),
            Err(error) => Awaited::Failed(error),
        };
        let deadline = timeout.and_then(|timeout| deadline_after(self.shared.now(), timeout));
        RemoteReply { awaited, timeout: deadline.map(|deadline| (deadline, None, self.clone())) }
    }

    /// Asks a process about its mailbox, as [`inspect`](crate::process::inspect) does, from a plain thread or
    /// another executor.
    ///
    /// ```
    /// use std::time::Duration;
    /// use riot_actor::{run, runtime::Handle, send, spawn};
    ///
    /// run(async {
    ///     let clerk = spawn(std::future::pending::<()>());
    ///     send(clerk, 1_u8);
    ///     let mailbox = Handle::current().inspect(clerk, Duration::from_secs(1)).await?;
    ///     assert_eq!(mailbox.messages, 1);
    ///     riot_actor::ok()
    /// });
    /// ```
    pub fn inspect(&self, pid: Pid, timeout: Duration) -> RemoteReply<Inspection> {
        if self.shared.is_over() {
            return RemoteReply::failed(CallError::NoProc);
        }
        let awaited = match oneshot::inspection_of(&self.shared, pid) {
            Ok(receiver) => Awaited::Reply(receiver.end_with(&self.shared)),
            Err(error) => Awaited::Failed(error),
        };
        let deadline = deadline_after(self.shared.now(), timeout);
        RemoteReply { awaited, timeout: deadline.map(|deadline| (deadline, None, self.clone())) }
    }

    /// Waits until `pid` has been released, as [`wait`](crate::process::wait) does, from a plain thread or
    /// another executor: [`Reason::NoProc`] if it was released before.
    ///
    /// ```
    /// use riot_actor::{Reason, exit, run, runtime::Handle, sleep, spawn};
    ///
    /// run(async {
    ///     let clerk = spawn(std::future::pending::<()>());
    ///     let end = Handle::current().wait(clerk);
    ///     exit(clerk, Reason::Kill);
    ///     assert_eq!(end.await, Ok(Reason::Killed));
    /// });
    /// ```
    pub fn wait(&self, pid: Pid) -> RemoteReply<Reason> {
        let wait = oneshot::exit_of(&self.shared, pid).end_with(&self.shared);
        RemoteReply { awaited: Awaited::Exit(wait, |reason| reason), timeout: None }
    }

    /// Runs a future as a process without a parent, and gives its result: everything that a process can do,
    /// from a thread. A process that ends otherwise gives [`CallError::Exit`].
    ///
    /// ```
    /// use riot_actor::{register, runtime::{Config, Handle}, this, whereis};
    ///
    /// let running = Config::new().start(async {
    ///     register("main", this()).unwrap();
    ///     std::future::pending::<()>().await
    /// })?;
    /// let found = running.handle().run(async {
    ///     riot_actor::name::wait_for_name("main", None).await.unwrap();
    ///     whereis("main")
    /// });
    /// assert!(found.wait().unwrap().is_some());
    /// running.handle().shutdown(riot_actor::Reason::Normal);
    /// running.wait()?;
    /// # Ok::<(), riot_actor::runtime::RunError>(())
    /// ```
    #[track_caller]
    pub fn run<F>(&self, future: F) -> RemoteReply<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        if self.shared.is_over() {
            return RemoteReply::failed(CallError::NoProc);
        }
        let receiver = oneshot::run(&self.shared, Location::caller(), |reply| {
            let body = Box::pin(ReasonOf { body: async move { reply.send(future.await) } });
            TypedBody::made_of::<F>(body)
        });
        RemoteReply { awaited: Awaited::Reply(receiver), timeout: None }
    }

    /// Calls the process with this name, as [`call`](Self::call) does, for at most [`CALL_TIMEOUT`], 5
    /// seconds. The name is resolved now; without a holder the error is [`CallError::NoProc`].
    pub fn call_named<Q, R>(&self, name: &(impl AsName + ?Sized), query: Q) -> RemoteReply<R>
    where
        Q: Send + 'static,
        R: Send + 'static,
    {
        match self.whereis(name) {
            Some(pid) => self.call(pid, query, Some(CALL_TIMEOUT)),
            None => RemoteReply::failed(CallError::NoProc),
        }
    }
}
