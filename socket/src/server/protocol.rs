//! What a Connector runs.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use riot_actor::{Reason, monitor, process::Outcome};
use riot_supervisor::Supervisor;

use crate::connection::Connection;

/// What is done with a connection: a process body that receives it. Any closure from [`Connection`] to a future is one.
pub trait Protocol: Send + Sync + 'static {
    /// Serves one client, in the client's own Connector process. When it returns the connection is closed.
    fn serve(&self, connection: Connection) -> impl Future<Output = Reason> + Send + 'static;
}

impl<F, S> Protocol for F
where
    F: Fn(Connection) -> S + Send + Sync + 'static,
    S: Future<Output: Outcome> + Send + 'static,
{
    fn serve(&self, connection: Connection) -> impl Future<Output = Reason> + Send + 'static {
        Serving { serving: self(connection) }
    }
}

pin_project_lite::pin_project! {
    /// What a closure made of a connection. An `async` block around it would hold it twice, for as long as the
    /// connection lasts.
    struct Serving<S> {
        #[pin]
        serving: S,
    }
}

impl<S: Future<Output: Outcome>> Future for Serving<S> {
    type Output = Reason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        self.project().serving.poll(cx).map(Outcome::into_reason)
    }
}

/// A protocol whose type is forgotten, so that a running server can be given another.
pub(super) trait AnyProtocol: Send + Sync {
    fn serve(&self, connection: Connection) -> Pin<Box<dyn Future<Output = Reason> + Send>>;
}

impl<P: Protocol> AnyProtocol for P {
    fn serve(&self, connection: Connection) -> Pin<Box<dyn Future<Output = Reason> + Send>> {
        Box::pin(Protocol::serve(self, connection))
    }
}

pub(super) fn any(protocol: impl Protocol) -> Arc<dyn AnyProtocol> {
    Arc::new(protocol)
}

/// A protocol of several processes: every connection gets a supervisor of its own, below its Connector, with the
/// children `describe` gives it. One of them takes the connection. It ends with its supervisor, so let that end when
/// the connection is served: by [`significant`](riot_supervisor::ChildSpec::significant) children, or because one
/// ended too often. (Ranch: `connection_type` supervisor.)
///
/// ```
/// use std::{sync::Mutex, time::Duration};
/// use riot_socket::{Connection, Server, supervised};
/// use riot_supervisor::{AutoShutdown, Supervisor, process};
///
/// # riot_actor::run(async {
/// let server = Server::bind("127.0.0.1:0")?
///     .start_link(supervised(|connection: Connection| {
///         let connection = Mutex::new(Some(connection));
///         let talker = move || {
///             let connection = connection.lock().expect("nobody panics with it").take();
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
