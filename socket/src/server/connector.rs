//! Connector: the process that owns one connection.

use std::{
    hint::cold_path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use riot_actor::{Reason, now, receive, telemetry::set_crash_level};

use super::{
    overflow::{self, ConnectionOverflow},
    protocol::DynProtocol,
    state::Shared,
};
use crate::connection::{
    Connection,
    record::{ConnectionRecord, Stage},
};

/// Tells a Connector that it is recorded as the owner of its connection, and may begin.
pub(super) struct Begin;

/// The future of a protocol that serves one connection.
type ServingFuture = Pin<Box<dyn Future<Output = Reason> + Send>>;

pin_project_lite::pin_project! {
    /// The body of a Connector. An `async` block would keep the room of its first part for as long as the
    /// connection lasts, beside that of the protocol's future.
    #[project = ConnectorProjected]
    enum Connector<B> {
        Beginning { #[pin] begin: B },
        Serving { serving: ServingFuture, served: Served },
    }
}

/// The connection that a Connector serves, and its server.
struct Served {
    record: Arc<ConnectionRecord>,
    shared: Arc<Shared>,
    /// The protocol has returned.
    is_over: bool,
}

/// Describes the client in the crash report of a Connector that ends while its protocol runs: by a panic, or
/// by an exit signal.
impl Drop for Served {
    fn drop(&mut self) {
        if !self.is_over {
            cold_path();
            describe_crash(&self.record, &self.shared);
        }
    }
}

/// Describes the client in the crash report of its Connector if a panic unwinds.
struct DescribeOnPanic<'a>(&'a ConnectionRecord, &'a Shared);

impl Drop for DescribeOnPanic<'_> {
    fn drop(&mut self) {
        let Self(record, shared) = self;
        if std::thread::panicking() {
            describe_crash(record, shared);
        }
    }
}

fn poll_serving(
    serving: &mut ServingFuture,
    Served { record, shared, is_over }: &mut Served,
    cx: &mut Context<'_>,
) -> Poll<Reason> {
    let reason = ready!(serving.as_mut().poll(cx));
    *is_over = true;
    if reason.is_clean() {
        return Poll::Ready(reason);
    }
    cold_path();
    Poll::Ready(end_abnormally(reason, record, shared))
}

/// Prepares the crash report of the running Connector.
fn describe_crash(record: &ConnectionRecord, shared: &Shared) {
    set_crash_level(shared.log_levels.crash);
    record.describe_crash(shared.name().as_deref());
}

/// Returns the exit reason of a Connector whose protocol has ended with an error: a disconnect if its own
/// transport has reported that.
fn end_abnormally(reason: Reason, record: &ConnectionRecord, shared: &Shared) -> Reason {
    let Some(disconnected) = record.disconnect_in(&reason) else {
        describe_crash(record, shared);
        return reason;
    };
    let level = shared.log_levels.client_gone;
    riot_actor::log_event_at!(level, "riot::socket", "{} disconnected: {reason}", record.peer());
    Reason::shutdown_with(disconnected)
}

impl<B: Future<Output = Result<(ServingFuture, Served), Reason>>> Future for Connector<B> {
    type Output = Reason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        loop {
            let begun = match self.as_mut().project() {
                ConnectorProjected::Serving { serving, served } => return poll_serving(serving, served, cx),
                ConnectorProjected::Beginning { begin } => ready!(begin.poll(cx)),
            };
            match begun {
                Ok((serving, served)) => self.set(Self::Serving { serving, served }),
                Err(reason) => return Poll::Ready(reason),
            }
        }
    }
}

/// Returns the body of a Connector. It owns the connection from the start, but uses it only after [`Begin`].
pub(super) fn body(
    shared: Arc<Shared>,
    protocol: Arc<dyn DynProtocol>,
    connection: Box<Connection>,
) -> impl Future<Output = Reason> {
    Connector::Beginning { begin: begin(shared, protocol, connection) }
}

async fn begin(
    shared: Arc<Shared>,
    protocol: Arc<dyn DynProtocol>,
    mut connection: Box<Connection>,
) -> Result<(ServingFuture, Served), Reason> {
    let Begin = receive().await;
    let record = connection.record().clone();
    if !shared.handshakes.is_empty() {
        if !record.is_refused() {
            record.set_stage(Stage::Handshake);
        }
        let since = now();
        let handshakes = shared.handshakes.run(*connection, shared.handshake_timeout());
        let describe = DescribeOnPanic(&record, &shared);
        let shaken = Box::pin(handshakes).await;
        drop(describe);
        shared.emit_handshake(since, &record, &shaken);
        connection = match shaken {
            Ok(connection) => Box::new(connection),
            Err(failed) => return Err(shared.fail_handshake(failed, &record)),
        };
    }
    let serving = serve(&shared, &*protocol, &record, connection);
    Ok((serving, Served { record, shared, is_over: false }))
}

/// Gives the connection to its protocol, or to the answer for refused clients.
#[expect(clippy::boxed_local, reason = "the box is freed after this, not after the connection")]
fn serve(
    shared: &Shared,
    protocol: &dyn DynProtocol,
    record: &ConnectionRecord,
    connection: Box<Connection>,
) -> ServingFuture {
    match &shared.overflow {
        ConnectionOverflow::Answer(answer) if record.is_refused() => {
            Box::pin(overflow::answer(*connection, answer.clone()))
        }
        _ => {
            record.set_stage(Stage::Serving);
            protocol.serve(*connection)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use riot_actor::{monitor, send, simulation::Simulation, sleep, spawn, this};

    use super::*;
    use crate::{
        server::{builder::Config, protocol},
        transport::{Address, memory},
    };

    #[test]
    fn a_connector_waits_for_its_begin() {
        Simulation::sweep(0..20, || async {
            let watcher = this();
            let protocol = protocol::erase(move |_: Connection| async move { send(watcher, "serving") });
            let (_client, server) = memory::pair();
            let bind = Box::new(memory::Listener::new());
            let shared = Arc::new(Shared::new(bind, Config::new(), protocol.clone()));
            let connection = Box::new(Connection::new(server, Address::Memory(1)));
            let connector = spawn(body(shared, protocol, connection));
            sleep(Duration::from_secs(1)).await;
            assert_eq!(
                riot_actor::process::info(this()).expect("the process runs").mailbox,
                0,
                "nothing is served before Begin"
            );
            send(connector, Begin);
            monitor(connector).down().await;
            assert_eq!(receive::<&str>().await, "serving");
        });
    }
}
