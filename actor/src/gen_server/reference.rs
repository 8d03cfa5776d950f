//! The typed reference to a server: it accepts what the server handles, checked by the compiler.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Call, Cast, GenServer, ServerStatistics, ServerStatus, ServerTarget,
    events::{ServerEvent, System},
};
use crate::{
    call::{CALL_TIMEOUT, CallError, CallFuture, Receiver, RemoteReply, ReplyTo, send_query, wait},
    messages::message::Message,
    process::{pid::Pid, reason::Reason},
    runtime::{context, handle::Handle},
    time::timeout::timeout as with_timeout,
};

/// A reference to a server of type `S`. `Copy`, like a pid. See the [module](super) for an example.
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
    /// Wraps a pid without checking that it is a server of type `S`. Another server gets what it is sent in
    /// [`handle_info`](GenServer::handle_info), where a call is [dropped](CallError::Dropped) as a rule. For
    /// a server with a name there is [`named`](Self::named).
    #[must_use]
    pub fn new(pid: Pid) -> Self {
        Self { pid, _server: PhantomData }
    }

    /// Returns the pid of the server.
    #[must_use]
    pub fn pid(self) -> Pid {
        self.pid
    }

    /// Calls the server and waits for the reply for at most [`CALL_TIMEOUT`], 5 seconds.
    ///
    /// # Errors
    /// See [`CallError`]. An error never ends the caller.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the request stays sent, and the reply is discarded.
    pub fn call<Q: Send + 'static>(self, query: Q) -> impl Future<Output = Result<S::Reply, CallError>> + Send
    where
        S: Call<Q>,
    {
        self.call_timeout(query, Some(CALL_TIMEOUT))
    }

    /// Calls the server and waits for the reply for at most `timeout`; `None` waits forever.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the request stays sent, and the reply is discarded.
    pub fn call_timeout<Q: Send + 'static>(
        self,
        query: Q,
        timeout: Option<Duration>,
    ) -> impl Future<Output = Result<S::Reply, CallError>> + Send
    where
        S: Call<Q>,
    {
        CallFuture::<Q, _, _>::new(self.pid, timeout, move |_, reply| ServerEvent::<S>::call(query, reply))
    }

    /// Sends a call whose reply can be waited for later, or never.
    ///
    /// ```
    /// # use riot_actor::{gen_server::{Call, GenServer, Stop}, run};
    /// # struct Till;
    /// # impl GenServer for Till { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Till) } }
    /// # impl Call<u32> for Till { type Reply = u32; async fn call(&mut self, n: u32) -> u32 { n + 1 } }
    /// # run(async {
    /// let till = Till::start(()).await?;
    /// let (mut first, mut second) = (till.send_request(1)?, till.send_request(2)?);
    /// assert_eq!((second.wait(None).await, first.wait(None).await), (Ok(3), Ok(2)));
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// If there is no such process, its mailbox is full, or it is the caller.
    pub fn send_request<Q: Send + 'static>(self, query: Q) -> Result<PendingReply<S::Reply>, CallError>
    where
        S: Call<Q>,
    {
        send_query(self.pid, |reply| ServerEvent::<S>::call(query, reply)).map(PendingReply)
    }

    /// Sends a one-way message. Never waits and never fails, see [`send`](crate::send()).
    pub fn cast<M: Send + 'static>(self, message: M)
    where
        S: Cast<M>,
    {
        context::with_shared("cast", |shared| shared.deliver(self.pid, ServerEvent::<S>::cast(message)));
    }

    /// Has the server end with `reason` after what is in its mailbox, and waits until it is released, for at
    /// most `timeout`; `None` waits forever.
    ///
    /// ```
    /// # use riot_actor::{gen_server::{GenServer, Stop}, process::is_alive, run, Reason};
    /// # struct Till;
    /// # impl GenServer for Till { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Till) } }
    /// # run(async {
    /// let till = Till::start(()).await?;
    /// till.stop(Reason::Normal, None).await?;
    /// assert!(!is_alive(till.pid()));
    /// # Ok::<(), Reason>(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// See [`GenServerStopError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the request stays sent.
    pub async fn stop(self, reason: Reason, timeout: Option<Duration>) -> Result<(), GenServerStopError> {
        let end = wait(self.pid);
        let stop = Message::system(System::<S>::Stop(reason.clone()));
        if context::with_shared("stop", |shared| shared.try_deliver(self.pid, stop)).is_err()
            && !context::with_shared("stop", |shared| shared.is_present(self.pid))
        {
            return Err(GenServerStopError::NoProc);
        }
        let ended = match timeout {
            Some(duration) => with_timeout(duration, end).await.map_err(|_| GenServerStopError::Timeout)?,
            None => end.await,
        };
        if ended == reason { Ok(()) } else { Err(GenServerStopError::Exit(ended)) }
    }

    /// Suspends the server: calls, casts and messages wait until it is [resumed](Self::resume). It still
    /// obeys its parent.
    ///
    /// ```
    /// # use riot_actor::{gen_server::{GenServer, Stop}, run};
    /// # struct Till;
    /// # impl GenServer for Till { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Till) } }
    /// # run(async {
    /// let till = Till::start(()).await?;
    /// till.suspend().await?;
    /// assert!(till.get_state(|_| true).await?); // still answered
    /// till.resume().await?;
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the request stays sent.
    pub async fn suspend(self) -> Result<(), CallError> {
        self.system(System::Suspend).await
    }

    /// Ends [`suspend`](Self::suspend).
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the request stays sent.
    pub async fn resume(self) -> Result<(), CallError> {
        self.system(System::Resume).await
    }

    /// Shows `read` the state, whether the server is suspended or not, and returns the result. (OTP:
    /// `sys:get_state`.)
    ///
    /// ```
    /// # use riot_actor::{gen_server::{GenServer, Stop}, run};
    /// # struct Till(u32);
    /// # impl GenServer for Till {
    /// #     type Args = u32;
    /// #     async fn init(n: u32) -> Result<Self, Stop> { Ok(Till(n)) }
    /// # }
    /// # run(async {
    /// let till = Till::start(7).await?;
    /// assert_eq!(till.get_state(|till| till.0).await, Ok(7));
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the request stays sent.
    pub async fn get_state<R: Send + 'static>(
        self,
        read: impl FnOnce(&S) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.system(|reply| System::GetState(Box::new(move |state| reply.send(read(state))))).await
    }

    /// Has `replace` change the state, whether the server is suspended or not, and returns the result. A
    /// panic in `replace` ends the server. (OTP: `sys:replace_state`.)
    ///
    /// ```
    /// # use riot_actor::{gen_server::{GenServer, Stop}, run};
    /// # struct Till(u32);
    /// # impl GenServer for Till {
    /// #     type Args = u32;
    /// #     async fn init(n: u32) -> Result<Self, Stop> { Ok(Till(n)) }
    /// # }
    /// # run(async {
    /// let till = Till::start(7).await?;
    /// let before = till.replace_state(|till| std::mem::replace(&mut till.0, 8)).await?;
    /// assert_eq!((before, till.get_state(|till| till.0).await), (7, Ok(8)));
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the request stays sent.
    pub async fn replace_state<R: Send + 'static>(
        self,
        replace: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.system(|reply| System::ReplaceState(Box::new(move |state| reply.send(replace(state))))).await
    }

    /// Returns the status, with the state as text. See [`ServerStatus`] for an example.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the request stays sent.
    pub async fn get_status(self) -> Result<ServerStatus, CallError> {
        self.system(System::GetStatus).await
    }

    /// Returns how much the server has done. See [`ServerStatistics`] for an example.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the request stays sent.
    pub async fn statistics(self) -> Result<ServerStatistics, CallError> {
        self.system(System::Statistics).await
    }

    /// Sends a cast that carries the right to reply.
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
        let make = move |_, reply| Message::system(make(reply));
        CallFuture::<System<S>, _, _>::new(self.pid, Some(CALL_TIMEOUT), make).await
    }
}

/// A reply that can be waited for, made by [`GenServerRef::send_request`]. If it is dropped the reply is
/// discarded.
///
/// See [`GenServerRef::send_request`] for an example.
#[must_use = "it has to be waited for"]
pub struct PendingReply<R: Send>(Receiver<R>);

impl<R: Send> PendingReply<R> {
    /// Waits for the reply for at most `timeout`; `None` waits forever. After a timeout it can be waited for
    /// again.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the reply can still be waited for.
    pub async fn wait(&mut self, timeout: Option<Duration>) -> Result<R, CallError> {
        self.0.wait(timeout).await
    }

    /// Looks for the reply without spending a reduction.
    pub(super) fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        self.0.poll_settled(cx)
    }
}

impl<R: Send> fmt::Debug for PendingReply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingReply")
    }
}

/// Why a server was not stopped as requested.
///
/// ```
/// # use riot_actor::{gen_server::{GenServer, GenServerRef, GenServerStopError, Stop}, process::wait};
/// # use riot_actor::{run, spawn, Reason};
/// # struct Till;
/// # impl GenServer for Till { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Till) } }
/// # run(async {
/// let gone = spawn(async {});
/// wait(gone).await;
/// let stopped = GenServerRef::<Till>::new(gone).stop(Reason::Normal, None).await;
/// assert_eq!(stopped, Err(GenServerStopError::NoProc));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum GenServerStopError {
    /// There is no such process.
    NoProc,
    /// The server has not exited yet, but will.
    Timeout,
    /// The server exited for another reason.
    Exit(Reason),
}

impl fmt::Display for GenServerStopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProc => f.write_str("no such process"),
            Self::Timeout => f.write_str("the server has not exited yet"),
            Self::Exit(reason) => write!(f, "the server exited for another reason: {reason}"),
        }
    }
}
impl std::error::Error for GenServerStopError {}

impl Handle {
    /// Calls a server, as [`GenServerRef::call`] does, from a plain thread or another executor, for at most
    /// [`CALL_TIMEOUT`], 5 seconds. The server is given by a reference, or by name: a
    /// [`NamedRef`](super::NamedRef).
    ///
    /// ```
    /// use riot_actor::{gen_server::{Call, GenServer, Stop}, receive, run, runtime::Handle, this};
    /// # struct Till;
    /// # impl GenServer for Till { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Till) } }
    /// # impl Call<u32> for Till { type Reply = u32; async fn call(&mut self, n: u32) -> u32 { n + 1 } }
    /// # run(async {
    /// let till = Till::start(()).await?;
    /// let (handle, main) = (Handle::current(), this());
    /// std::thread::spawn(move || {
    ///     let reply = handle.call_server(till, 1).wait();
    ///     handle.send(main, reply);
    /// });
    /// assert_eq!(receive::<Result<u32, riot_actor::call::CallError>>().await, Ok(2));
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// ```
    pub fn call_server<S, Q>(&self, server: impl ServerTarget<S>, query: Q) -> RemoteReply<S::Reply>
    where
        S: Call<Q>,
        Q: Send + 'static,
    {
        match server.find(self) {
            Ok(server) => {
                let event = |reply| ServerEvent::<S>::call(query, reply);
                self.send_query(server.pid(), Some(CALL_TIMEOUT), event)
            }
            Err(error) => RemoteReply::failed(error),
        }
    }

    /// Sends a one-way message to a server, as [`GenServerRef::cast`] does, from a plain thread. Never waits.
    /// The server is given by a reference or by name.
    pub fn cast<S: Cast<M>, M: Send + 'static>(&self, server: impl ServerTarget<S>, message: M) {
        if let Ok(server) = server.find(self) {
            self.shared.deliver(server.pid(), ServerEvent::<S>::cast(message));
        }
    }
}
