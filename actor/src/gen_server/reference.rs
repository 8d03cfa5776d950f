//! The typed name of a server: it accepts what the server handles, checked by the compiler.

use std::{fmt, future::Future, marker::PhantomData, time::Duration};

use super::{
    Call, Cast, GenServer,
    events::{ServerEvent, System},
};
use crate::{
    call::{CALL_TIMEOUT, CallError, CallFuture, Receiver, ReplyTo, send_query, wait},
    messages::message::Message,
    process::{pid::Pid, reason::Reason},
    runtime::context,
};

/// A server of type `S`. `Copy`, like the pid it is made of.
pub struct GenServerRef<S> {
    pid: Pid,
    _server: PhantomData<fn(S)>,
}

impl<S> Clone for GenServerRef<S> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<S> Copy for GenServerRef<S> {}
impl<S> PartialEq for GenServerRef<S> {
    fn eq(&self, other: &Self) -> bool {
        self.pid == other.pid
    }
}
impl<S> Eq for GenServerRef<S> {}
impl<S> std::hash::Hash for GenServerRef<S> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.pid.hash(state);
    }
}
impl<S> From<GenServerRef<S>> for Pid {
    fn from(server: GenServerRef<S>) -> Self {
        server.pid
    }
}
impl<S> fmt::Debug for GenServerRef<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GenServerRef({})", self.pid)
    }
}

impl<S: GenServer> GenServerRef<S> {
    /// The server behind a pid, such as one found by name. Filter that is a server of another type it takes what it is
    /// sent for a message of nobody's.
    #[must_use]
    pub fn new(pid: Pid) -> Self {
        Self { pid, _server: PhantomData }
    }

    /// Its process.
    #[must_use]
    pub fn pid(self) -> Pid {
        self.pid
    }

    /// Asks, and waits for the answer for at most five seconds.
    ///
    /// # Errors
    /// See [`CallError`]. The caller is never ended by it.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the request stays sent, and the reply is discarded.
    pub fn call<Q: Send + 'static>(self, query: Q) -> impl Future<Output = Result<S::Reply, CallError>> + Send
    where
        S: Call<Q>,
    {
        self.call_timeout(query, Some(CALL_TIMEOUT))
    }

    /// Asks, and waits for the answer for at most `timeout`; `None` waits for ever.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call_timeout<Q: Send + 'static>(
        self,
        query: Q,
        timeout: Option<Duration>,
    ) -> impl Future<Output = Result<S::Reply, CallError>> + Send
    where
        S: Call<Q>,
    {
        CallFuture::new(self.pid, timeout, move |_, reply| ServerEvent::<S>::call(query, reply))
    }

    /// Asks, and gives back something to wait for the answer with, later or never.
    ///
    /// # Errors
    /// Filter there is no such process, or it is the caller.
    pub fn send_request<Q: Send + 'static>(self, query: Q) -> Result<PendingReply<S::Reply>, CallError>
    where
        S: Call<Q>,
    {
        send_query(self.pid, |reply| ServerEvent::<S>::call(query, reply)).map(PendingReply)
    }

    /// Tells. It never waits and never fails.
    pub fn cast<M: Send + 'static>(self, message: M)
    where
        S: Cast<M>,
    {
        context::with_shared("cast", |shared| shared.deliver(self.pid, ServerEvent::<S>::cast(message)));
    }

    /// Has the server end with `reason`, after what is in its mailbox, and waits until it is gone.
    ///
    /// # Errors
    /// See [`GenServerStopError`].
    pub async fn stop(self, reason: Reason, timeout: Option<Duration>) -> Result<(), GenServerStopError> {
        let end = wait(self.pid);
        let stop = Message::system(System::<S>::Stop(reason.clone()));
        if context::with_shared("stop", |shared| shared.try_deliver(self.pid, stop)).is_err()
            && !context::with_shared("stop", |shared| shared.is_present(self.pid))
        {
            return Err(GenServerStopError::NoProc);
        }
        let ended = match timeout {
            Some(duration) => {
                crate::time::timeout(duration, end).await.map_err(|_| GenServerStopError::Timeout)?
            }
            None => end.await,
        };
        if ended == reason { Ok(()) } else { Err(GenServerStopError::Exit(ended)) }
    }

    /// Has it handle nothing until it is resumed: calls, casts and messages wait. It still obeys its parent.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn suspend(self) -> Result<(), CallError> {
        self.system(System::Suspend).await
    }

    /// Ends [`suspend`](Self::suspend).
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn resume(self) -> Result<(), CallError> {
        self.system(System::Resume).await
    }

    /// Looks at the state, suspended or not.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get_state<R: Send + 'static>(
        self,
        read: impl FnOnce(&S) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.system(|reply| System::GetState(Box::new(move |state| reply.send(read(state))))).await
    }

    /// Asks by a cast that carries the right to answer.
    pub(crate) fn request<R: Send + 'static, M: Send + 'static>(
        self,
        make: impl FnOnce(ReplyTo<R>) -> M,
    ) -> Result<Receiver<R>, CallError>
    where
        S: Cast<M>,
    {
        send_query(self.pid, |reply| ServerEvent::<S>::cast(make(reply)))
    }

    async fn system<R: Send + 'static>(
        self,
        make: impl FnOnce(ReplyTo<R>) -> System<S>,
    ) -> Result<R, CallError> {
        CallFuture::new(self.pid, Some(CALL_TIMEOUT), move |_, reply| Message::system(make(reply))).await
    }
}

/// An answer on its way. Dropped, the answer is discarded when it comes.
#[must_use = "it has to be waited for"]
pub struct PendingReply<R: Send>(Receiver<R>);

impl<R: Send> PendingReply<R> {
    /// Waits for the answer for at most `timeout`; `None` waits for ever. After a timeout it may be waited for again.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn wait(&mut self, timeout: Option<Duration>) -> Result<R, CallError> {
        self.0.wait(timeout).await
    }
}

impl<R: Send> fmt::Debug for PendingReply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingReply")
    }
}

/// Why a server was not stopped as asked.
#[derive(Clone, Debug, PartialEq)]
pub enum GenServerStopError {
    /// There is no such process.
    NoProc,
    /// It has not ended yet, but will.
    Timeout,
    /// It ended for another reason.
    Exit(Reason),
}

impl fmt::Display for GenServerStopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProc => f.write_str("no such process"),
            Self::Timeout => f.write_str("it has not ended yet"),
            Self::Exit(reason) => write!(f, "it ended for another reason: {reason}"),
        }
    }
}
impl std::error::Error for GenServerStopError {}
