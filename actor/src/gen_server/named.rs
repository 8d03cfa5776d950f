//! Servers by name: a reference that is resolved at each use, and so outlives restarts.

use std::{fmt, future::Future, marker::PhantomData, time::Duration};

use super::{
    Call, Cast, GenServer, GenServerRef, GenServerStopError, PendingReply, ServerStatistics, ServerStatus,
};
use crate::{
    call::{CALL_TIMEOUT, CallError},
    names::{name::Name, server_type::ServerType},
    process::reason::Reason,
    runtime::{context, handle::Handle, shared::Shared},
};

/// A reference to whatever server of type `S` holds a name, with the methods of a [`GenServerRef`]. Each use
/// looks the name up, so the reference goes on to work when the server was restarted.
///
/// While no process holds the name a call gives [`CallError::NoProc`], and a cast is dropped. A name that was
/// given to a server of another type when that was started is refused, with [`CallError::WrongServer`].
///
/// ```
/// use riot_actor::{
///     call::CallError,
///     gen_server::{Call, GenServer, GenServerOptions, GenServerRef, Stop},
///     run,
/// };
///
/// struct Db;
/// struct Get;
/// impl GenServer for Db {
///     type Args = ();
///     async fn init((): ()) -> Result<Self, Stop> { Ok(Db) }
/// }
/// impl Call<Get> for Db {
///     type Reply = u32;
///     async fn call(&mut self, _: Get) -> u32 { 7 }
/// }
///
/// run(async {
///     let db = GenServerRef::<Db>::named("db");
///     assert_eq!(db.call(Get).await, Err(CallError::NoProc));
///     GenServerOptions::new().name("db").start_link::<Db>(()).await?;
///     assert_eq!(db.call(Get).await, Ok(7));
///     Ok::<(), riot_actor::Reason>(())
/// });
/// ```
pub struct NamedRef<S> {
    name: Name,
    _server: PhantomData<fn(S)>,
}

impl<S> Clone for NamedRef<S> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), _server: PhantomData }
    }
}
impl<S> PartialEq for NamedRef<S> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl<S> Eq for NamedRef<S> {}
impl<S> fmt::Debug for NamedRef<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamedRef({})", self.name)
    }
}
impl<S> fmt::Display for NamedRef<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl<S: GenServer> GenServerRef<S> {
    /// Refers to the server that holds `name`, whichever that is at each use. See [`NamedRef`] for an
    /// example.
    pub fn named(name: impl Into<Name>) -> NamedRef<S> {
        NamedRef { name: name.into(), _server: PhantomData }
    }
}

/// A server to be called or cast to by a [`Handle`]: a [`GenServerRef`], or a [`NamedRef`] by reference.
pub trait ServerTarget<S>: sealed::Target<S> {}
impl<S: GenServer> ServerTarget<S> for GenServerRef<S> {}
impl<S: GenServer> ServerTarget<S> for &NamedRef<S> {}

mod sealed {
    use super::{CallError, GenServer, GenServerRef, Handle, NamedRef, resolve};

    pub trait Target<S> {
        fn find(self, handle: &Handle) -> Result<GenServerRef<S>, CallError>;
    }

    impl<S: GenServer> Target<S> for GenServerRef<S> {
        fn find(self, _: &Handle) -> Result<GenServerRef<S>, CallError> {
            Ok(self)
        }
    }

    impl<S: GenServer> Target<S> for &NamedRef<S> {
        fn find(self, handle: &Handle) -> Result<GenServerRef<S>, CallError> {
            resolve(&handle.shared, &self.name)
        }
    }
}

/// Finds the server of type `S` that holds a name.
fn resolve<S: GenServer>(shared: &Shared, name: &Name) -> Result<GenServerRef<S>, CallError> {
    let expected = ServerType::of::<S>();
    match shared.registry.server(name, expected) {
        Ok(Some(pid)) => Ok(GenServerRef::new(pid)),
        Ok(None) => Err(CallError::NoProc),
        Err(found) => Err(CallError::WrongServer { expected: expected.name(), found: found.name() }),
    }
}

impl<S: GenServer> NamedRef<S> {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the server that holds the name now.
    ///
    /// # Errors
    /// [`CallError::NoProc`] if the name is free, [`CallError::WrongServer`] if its holder is a server of
    /// another type.
    ///
    /// # Panics
    /// Panics outside a process, as all methods of a reference.
    pub fn server(&self) -> Result<GenServerRef<S>, CallError> {
        context::with_shared("NamedRef::server", |shared| resolve(shared, &self.name))
    }

    /// Calls the server, as [`GenServerRef::call`] does. The name is looked up when the future is first
    /// polled.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the request stays sent, and the reply is discarded.
    pub fn call<Q: Send + 'static>(
        &self,
        query: Q,
    ) -> impl Future<Output = Result<S::Reply, CallError>> + Send + use<S, Q>
    where
        S: Call<Q>,
    {
        self.call_timeout(query, Some(CALL_TIMEOUT))
    }

    /// Calls the server, as [`GenServerRef::call_timeout`] does.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the request stays sent, and the reply is discarded.
    pub fn call_timeout<Q: Send + 'static>(
        &self,
        query: Q,
        timeout: Option<Duration>,
    ) -> impl Future<Output = Result<S::Reply, CallError>> + Send + use<S, Q>
    where
        S: Call<Q>,
    {
        let name = self.clone();
        async move { name.server()?.call_timeout(query, timeout).await }
    }

    /// Sends a call whose reply can be waited for later, as [`GenServerRef::send_request`] does.
    ///
    /// # Errors
    /// As those of [`server`](Self::server) and [`GenServerRef::send_request`].
    pub fn send_request<Q: Send + 'static>(&self, query: Q) -> Result<PendingReply<S::Reply>, CallError>
    where
        S: Call<Q>,
    {
        self.server()?.send_request(query)
    }

    /// Sends a one-way message, as [`GenServerRef::cast`] does. If no server of this type holds the name, the
    /// message is dropped.
    pub fn cast<M: Send + 'static>(&self, message: M)
    where
        S: Cast<M>,
    {
        if let Ok(server) = self.server() {
            server.cast(message);
        }
    }

    /// Stops the server, as [`GenServerRef::stop`] does.
    ///
    /// # Errors
    /// See [`GenServerStopError`], which is `NoProc` too if the holder of the name is a server of another
    /// type.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the request stays sent.
    pub async fn stop(&self, reason: Reason, timeout: Option<Duration>) -> Result<(), GenServerStopError> {
        let server = self.server().map_err(|_| GenServerStopError::NoProc)?;
        server.stop(reason, timeout).await
    }

    /// Suspends the server, as [`GenServerRef::suspend`] does.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn suspend(&self) -> Result<(), CallError> {
        self.server()?.suspend().await
    }

    /// Ends [`suspend`](Self::suspend).
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn resume(&self) -> Result<(), CallError> {
        self.server()?.resume().await
    }

    /// Shows `read` the state, as [`GenServerRef::get_state`] does.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get_state<R: Send + 'static>(
        &self,
        read: impl FnOnce(&S) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.server()?.get_state(read).await
    }

    /// Has `replace` change the state, as [`GenServerRef::replace_state`] does.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn replace_state<R: Send + 'static>(
        &self,
        replace: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.server()?.replace_state(replace).await
    }

    /// Returns the status, as [`GenServerRef::get_status`] does.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get_status(&self) -> Result<ServerStatus, CallError> {
        self.server()?.get_status().await
    }

    /// Returns how much the server has done, as [`GenServerRef::statistics`] does.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn statistics(&self) -> Result<ServerStatistics, CallError> {
        self.server()?.statistics().await
    }
}
