//! The types of children, and the references to them.

use std::fmt;

use riot_actor::{
    Pid,
    gen_server::{GenServer, GenServerOptions, GenServerRef},
    mailbox::Addr,
    name::Name,
};

use crate::{SupervisorRef, child_spec::ChildSpec};

/// A reference to a child, which can be made of its pid.
///
/// ```
/// # use riot_actor::Pid;
/// use riot_supervisor::ChildRef;
///
/// /// The pid of a pool.
/// struct PoolRef(Pid);
/// impl ChildRef for PoolRef {
///     fn from_pid(pid: Pid) -> Self {
///         PoolRef(pid)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no reference to a child",
    note = "use the child's `Pid`, or a reference such as `GenServerRef` or `SupervisorRef`"
)]
pub trait ChildRef: Send + 'static {
    /// Makes the reference.
    fn from_pid(pid: Pid) -> Self;
}

impl ChildRef for Pid {
    fn from_pid(pid: Pid) -> Self {
        pid
    }
}
impl<S: GenServer> ChildRef for GenServerRef<S> {
    fn from_pid(pid: Pid) -> Self {
        Self::new(pid)
    }
}
impl ChildRef for SupervisorRef {
    fn from_pid(pid: Pid) -> Self {
        Self::new(pid)
    }
}
impl<T: Send + 'static> ChildRef for Addr<T> {
    fn from_pid(pid: Pid) -> Self {
        Self::new(pid)
    }
}

/// The type of a child in its [`ChildSpec`]: a [`ChildRef`], or a kind of child whose spec has more options.
pub trait ChildType: 'static {
    /// The reference that [`start_child`](crate::SupervisorRef::start_child) returns.
    type Ref: ChildRef;
}

impl<R: ChildRef> ChildType for R {
    type Ref = R;
}

/// The type of a child that is a generic server, see [`ServerSpec`].
pub struct ServerChild<S>(std::convert::Infallible, std::marker::PhantomData<fn() -> S>);

impl<S: GenServer> ChildType for ServerChild<S> {
    type Ref = GenServerRef<S>;
}

impl<S> fmt::Debug for ServerChild<S> {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

/// The spec of a generic server, made by [`server`](crate::server).
///
/// ```
/// # use riot_actor::{gen_server::{Call, GenServer, GenServerRef, Stop}, run, Reason};
/// use riot_supervisor::{Supervisor, server};
///
/// # struct Db;
/// # struct Get;
/// # impl GenServer for Db {
/// #     type Args = ();
/// #     async fn init((): ()) -> Result<Self, Stop> { Ok(Db) }
/// # }
/// # impl Call<Get> for Db {
/// #     type Reply = u64;
/// #     async fn call(&mut self, _: Get) -> u64 { 7 }
/// # }
/// # let reason = run(async {
/// let sup = Supervisor::one_for_one().child(server::<Db>("db", || ()).named()).start_link().await?;
/// assert_eq!(GenServerRef::<Db>::named("db").call(Get).await?, 7);
/// let extra: GenServerRef<Db> = sup.start_child(server::<Db>("extra", || ()).transient()).await?;
/// assert_eq!(extra.call(Get).await?, 7);
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
pub type ServerSpec<S> = ChildSpec<ServerChild<S>>;

impl<S: GenServer> ChildSpec<ServerChild<S>> {
    /// Registers the id of the child as the name of the server.
    pub fn named(self) -> Self {
        let name = self.id.to_string();
        self.name(name)
    }

    /// Registers a name for the server, which it holds before its `init` runs.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        let options = self.options.server.take().map_or_else(GenServerOptions::new, |options| *options);
        self.options.server = Some(Box::new(options.name(name)));
        self
    }

    /// Starts the server with `options`: a name, a bounded mailbox, a time for its `init`. They replace those
    /// set before.
    pub fn options(mut self, options: GenServerOptions) -> Self {
        self.options.server = Some(Box::new(options));
        self
    }
}
