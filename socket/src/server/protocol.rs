//! The protocols that a Connector runs.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use riot_actor::{Reason, monitor, process::Outcome};
use riot_supervisor::Supervisor;

use crate::connection::Connection;

/// A protocol: a process body that is given a connection. Any closure from [`Connection`] to a future is one.
///
/// ```
/// use riot_actor::Reason;
/// use riot_socket::{Connection, Protocol};
///
/// struct Greeter(&'static str);
/// impl Protocol for Greeter {
///     fn serve(&self, mut connection: Connection) -> impl Future<Output = Reason> + Send + 'static {
///         let greeting = self.0;
///         async move {
///             match connection.write_all(greeting.as_bytes()).await {
///                 Ok(()) => Reason::Normal,
///                 Err(error) => error.into(),
///             }
///         }
///     }
/// }
/// # drop(riot_socket::Server::bind("127.0.0.1:0")?.child_spec("greeter", Greeter("hello")));
/// # Ok::<(), std::io::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no protocol",
    label = "this does not implement `Protocol`",
    note = "a protocol is a function such as `async fn serve(connection: Connection)`, a closure such as \
            `|connection: Connection| async move {{ .. }}`, or a type that implements `Protocol`"
)]
pub trait Protocol: Send + Sync + 'static {
    /// Serves one client, in the client's own Connector process. The connection is closed when the future is
    /// ready.
    fn serve(&self, connection: Connection) -> impl Future<Output = Reason> + Send + 'static;

    /// Returns the names by which ALPN knows what this protocol speaks (RFC 7301), the preferred one first;
    /// none by default. TLS offers them unless its own configuration names others. They are asked for once,
    /// when the server starts. The name that was agreed on is in `TlsInfo`.
    ///
    /// ```
    /// use riot_actor::Reason;
    /// use riot_socket::{Connection, Protocol};
    ///
    /// struct Chat;
    /// impl Protocol for Chat {
    ///     fn serve(&self, connection: Connection) -> impl Future<Output = Reason> + Send + 'static {
    ///         async move {
    ///             drop(connection);
    ///             Reason::Normal
    ///         }
    ///     }
    ///     fn alpn(&self) -> &'static [&'static str] {
    ///         &["chat/2", "chat/1"]
    ///     }
    /// }
    /// # assert_eq!(Chat.alpn().len(), 2);
    /// ```
    fn alpn(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns what the protocol keeps for all connections and shows to those that know its type, such as
    /// statistics; see [`ServerHandle::extension`](crate::ServerHandle::extension). By default nothing.
    fn extension(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }
}

/// Any future, as the output of a function that has to be `async`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a future: write `async fn`, or `async move {{ .. }}` in a closure",
    label = "this is not `async`: it returns `{Self}`"
)]
pub trait ProtocolFuture: Future {}

#[diagnostic::do_not_recommend]
impl<F: Future> ProtocolFuture for F {}

impl<F, S> Protocol for F
where
    F: Fn(Connection) -> S + Send + Sync + 'static,
    S: ProtocolFuture<Output: Outcome> + Send + 'static,
{
    fn serve(&self, connection: Connection) -> impl Future<Output = Reason> + Send + 'static {
        ServeFuture { serving: self(connection) }
    }
}

pin_project_lite::pin_project! {
    /// The future that a closure returned for a connection. An `async` block around it would hold it twice,
    /// for as long as the connection lasts.
    struct ServeFuture<S> {
        #[pin]
        serving: S,
    }
}

impl<S: Future<Output: Outcome>> Future for ServeFuture<S> {
    type Output = Reason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        self.project().serving.poll(cx).map(Outcome::into_reason)
    }
}

/// A protocol whose type is erased, so that a running server can be given another.
pub(super) trait DynProtocol: Send + Sync {
    fn serve(&self, connection: Connection) -> Pin<Box<dyn Future<Output = Reason> + Send>>;

    fn extension(&self) -> Option<Arc<dyn Any + Send + Sync>>;
}

impl<P: Protocol> DynProtocol for P {
    fn serve(&self, connection: Connection) -> Pin<Box<dyn Future<Output = Reason> + Send>> {
        Box::pin(Protocol::serve(self, connection))
    }

    fn extension(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        Protocol::extension(self)
    }
}

pub(super) fn erase(protocol: impl Protocol) -> Arc<dyn DynProtocol> {
    Arc::new(protocol)
}

/// Returns a protocol of several processes: every connection gets a supervisor of its own, below its
/// Connector, as `describe` describes it.
///
/// One child takes the connection. End the supervisor when it is served: by a
/// [`significant`](riot_supervisor::ChildSpec::significant) child or by intensity. (Ranch: `connection_type`
/// supervisor.)
///
/// ```
/// use std::{sync::Mutex, time::Duration};
/// use riot_socket::{Connection, Server, supervised};
/// use riot_supervisor::{AutoShutdown, Supervisor, process};
///
/// # let reason = riot_actor::run(async {
/// let server = Server::bind("127.0.0.1:0")?
///     .start_link(supervised(|connection: Connection| {
///         let connection = Mutex::new(Some(connection));
///         let talker = move || {
///             let connection = connection.lock().expect("no panic while locked").take();
///             async move {
///                 if let Some(mut connection) = connection {
///                     let _ = connection.write_all(b"hello").await;
///                 }
///             }
///         };
///         Supervisor::one_for_all()
///             .auto_shutdown(AutoShutdown::AnySignificant)
///             .child(process("helper", || std::future::pending::<()>()))
///             .child(process("talker", talker).temporary().significant())
///     }))
///     .await?;
/// # server.stop(Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
pub fn supervised(describe: impl Fn(Connection) -> Supervisor + Send + Sync + 'static) -> impl Protocol {
    move |connection: Connection| {
        let supervisor = describe(connection);
        async move {
            match supervisor.start_link().await {
                Ok(supervisor) => monitor(supervisor.pid()).down().await.reason,
                Err(error) => error.into(),
            }
        }
    }
}
