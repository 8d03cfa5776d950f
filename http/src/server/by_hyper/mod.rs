//! Requests that ask for an upgrade, served by hyper.
//!
//! hyper alone can make `hyper::upgrade::OnUpgrade`, which axum's `WebSocketUpgrade` and others need. So for
//! such a request HTTP of this crate ends before the answer, and the Connector gives hyper the transport with
//! the head (`head`), to serve the same router (`answer`). `stream` is the transport in the hands of hyper
//! and then of the upgraded protocol, `shared` what it shares with the Connector.
//!
//! hyper serves that one request and no other: a response that is no switch ends the connection. So every
//! request is checked against the limits of this server.
//!
//! **Invariant:** the Connector stays until the stream is dropped, and shuts the transport down if it ends
//! before.

mod answer;
mod head;
mod shared;
mod stream;

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use ::axum::Router;
use ::hyper::server::conn::http1;
use http::{HeaderValue, Uri};
use riot_actor::{now, time::sleep_until, timeout};
use riot_socket::{Connection, Control};

use self::{
    answer::RouterService,
    shared::{HyperConnection, Owner},
    stream::HyperStream,
};
use super::{AxumService, Handler, TowerHandler};
use crate::{HandlerError, HttpConfig, Reqd, UpgradeError, exchange::DrainSignal};

/// Answers requests with an axum router: those that ask for an upgrade by hyper, all others by
/// [`TowerHandler`].
pub(super) struct UpgradesByHyper {
    usual: TowerHandler<AxumService>,
    router: Router,
    settings: Settings,
}

/// The settings of the server that hyper follows.
struct Settings {
    server_name: Option<HeaderValue>,
    max_headers: usize,
    /// Bounds what hyper holds of a response, in bytes.
    max_output_bytes: usize,
    handler_timeout: Option<Duration>,
    half_closed_timeout: Option<Duration>,
    linger_timeout: Duration,
    max_linger_bytes: usize,
}

impl Settings {
    fn new(config: &HttpConfig) -> Self {
        let HttpConfig { limits, timeouts, .. } = config;
        let name = config.server_line.as_deref().and_then(|line| line.strip_prefix(b"server: "));
        let name = name.and_then(|name| HeaderValue::from_bytes(name.trim_ascii_end()).ok());
        Self {
            server_name: name,
            max_headers: limits.max_headers,
            max_output_bytes: limits.output_high_water_bytes,
            handler_timeout: timeouts.handler_timeout,
            half_closed_timeout: timeouts.half_closed_timeout,
            linger_timeout: timeouts.linger_timeout,
            max_linger_bytes: limits.max_linger_bytes,
        }
    }

    /// Returns hyper, for a head of this length. Its own timers are off: the head is there.
    fn hyper(&self, head_bytes: usize) -> http1::Builder {
        let mut hyper = http1::Builder::new();
        hyper.header_read_timeout(None).max_headers(self.max_headers);
        hyper.max_buf_size(head_bytes.max(self.max_output_bytes).max(MIN_BUFFER_BYTES));
        hyper
    }
}

impl Settings {
    /// Ends a connection behind its last response. The client may still be sending: what it sends is dropped,
    /// so that it is not reset before it has read the response.
    async fn end(&self, mut connection: Connection) {
        if connection.close().await.is_err() {
            return;
        }
        let (mut left, mut bytes) = (self.max_linger_bytes, [0; 4096]);
        let lingers = async {
            while left > 0
                && let Ok(read @ 1..) = connection.read(&mut bytes).await
            {
                left = left.saturating_sub(read);
            }
        };
        let _ = timeout(self.linger_timeout, lingers).await;
    }
}

/// The smallest buffer that hyper takes, in bytes; 8 KiB.
const MIN_BUFFER_BYTES: usize = 8192;

impl UpgradesByHyper {
    pub(super) fn new(service: AxumService, config: &HttpConfig) -> Self {
        let router = service.0.clone();
        Self { usual: TowerHandler::new(service), router, settings: Settings::new(config) }
    }

    /// Serves this request by hyper, and its upgraded protocol until the stream is dropped.
    async fn serve(&self, reqd: Reqd) -> Result<(), HandlerError> {
        let peer = reqd.peer();
        let Some((head, upgrade, unanswered)) = reqd.leave_unanswered() else {
            return Err(UpgradeError::Closed.into());
        };
        let deadline = self.settings.handler_timeout.and_then(|timeout| now().checked_add(timeout));
        let bytes = head::canonical(&head);
        drop(head);
        let connection = upgrade.connection().await?;
        let shared = HyperConnection::new(connection.transport().clone(), unanswered, &self.settings);
        let service = RouterService {
            router: self.router.clone(),
            shared: shared.clone(),
            peer,
            server_name: self.settings.server_name.clone(),
            deadline,
        };
        let served = self.drive(connection, bytes, service).await;
        if let Some(panic) = shared.take_panic() {
            // It was answered with 500. The process ends with it.
            std::panic::resume_unwind(Box::new(panic));
        }
        served
    }

    async fn drive(
        &self,
        connection: Connection,
        head: Vec<u8>,
        service: RouterService,
    ) -> Result<(), HandlerError> {
        let (shared, deadline) = (service.shared.clone(), service.deadline);
        // A hook is called also if the drain began before, a control only if nothing has been told.
        let hooked = shared.clone();
        connection.on_drain(move || hooked.drain(None));
        let control: Arc<dyn Control> = shared.clone();
        connection.controlled_by(Arc::downgrade(&control));
        let _owner = Owner(shared.clone());
        let hyper = self.settings.hyper(head.len());
        let stream = HyperStream::new(connection, head, shared.clone());
        let mut http = Box::pin(hyper.serve_connection(stream, service).with_upgrades());
        let (mut timer, mut is_cut) = (deadline.map(sleep_until), false);
        let served = poll_fn(|cx| {
            let served = http.as_mut().poll(cx);
            if served.is_pending()
                && let Some(running) = &mut timer
                && Pin::new(running).poll(cx).is_ready()
            {
                timer = None;
                // A response whose head has been sent is cut off; before, the service answers.
                if shared.is_answered() {
                    shared.handler_is_too_slow();
                    shared.reset();
                    is_cut = true;
                    return Poll::Ready(Ok(()));
                }
                cx.waker().wake_by_ref();
            }
            served
        })
        .await;
        let is_answered = shared.is_answered();
        drop(http);
        shared.http_ended();
        if let Some(connection) = shared.take_back() {
            if shared.is_too_slow() {
                connection.count_timeout("handler");
            }
            // One that was cut off does not end in order.
            if !is_cut && served.is_ok() {
                self.settings.end(connection).await;
            }
        } else if !is_answered {
            // A handler that kept the upgrade of a response that is no switch gets nothing.
            let mut drain = DrainSignal::of_flag(shared.drain_flag());
            poll_fn(|cx| {
                if Pin::new(&mut drain).poll(cx).is_ready() {
                    shared.end_input();
                }
                shared.poll_gone(cx)
            })
            .await;
        }
        match served {
            Ok(()) => Ok(()),
            // The client is at fault, or has left, and hyper has answered where that was possible.
            Err(error) if error.is_parse() || error.is_timeout() || error.is_incomplete_message() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Handler for UpgradesByHyper {
    async fn handle(&self, reqd: Reqd) -> Result<(), HandlerError> {
        if reqd.offers_switch() && asks_for_upgrade(&reqd) {
            return Box::pin(self.serve(reqd)).await;
        }
        self.usual.handle(reqd).await
    }

    fn on_listen(&self, address: &riot_socket::Address) -> std::io::Result<()> {
        self.usual.on_listen(address)
    }
}

/// Returns whether the request, which offers a switch, offers one to a protocol other than h2c, and its
/// target can be read by hyper.
fn asks_for_upgrade(reqd: &Reqd) -> bool {
    let head = reqd.request();
    head::protocols(head).next().is_some() && Uri::try_from(head.target()).is_ok()
}
