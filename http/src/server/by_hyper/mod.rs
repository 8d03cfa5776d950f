//! Requests that ask for an upgrade, served by hyper.
//!
//! hyper alone can make `hyper::upgrade::OnUpgrade`, which axum's `WebSocketUpgrade` and others need. So for
//! such a request HTTP of this crate ends before the answer, and the Connector gives hyper the transport with
//! the head (`head`) and what was read behind it, to serve the same router (`answer`). `stream` is the
//! transport in the hands of hyper and then of the upgraded protocol, `shared` what it shares with the
//! Connector.
//!
//! **Invariant:** the Connector stays until the stream is dropped, and shuts the transport down if it ends
//! before.

mod answer;
mod clock;
mod head;
mod shared;
mod stream;

use std::{future::poll_fn, net::SocketAddr, pin::Pin, sync::Arc, task::Poll, time::Duration};

use ::axum::Router;
use ::hyper::server::conn::http1;
use http::{HeaderValue, Uri};
use riot_socket::{Connection, Control};

use self::{
    answer::RouterService,
    clock::ProcessClock,
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
#[derive(Clone)]
struct Settings {
    hyper: http1::Builder,
    server_name: Option<HeaderValue>,
    half_closed_timeout: Option<Duration>,
    max_requests: Option<u64>,
}

impl Settings {
    fn new(config: &HttpConfig) -> Self {
        let HttpConfig { limits, timeouts, .. } = config;
        let mut hyper = http1::Builder::new();
        // The time for a head includes the wait for it, which the transport bounds by itself.
        let head =
            timeouts.head_timeout.zip(timeouts.idle_timeout).and_then(|(head, idle)| head.checked_add(idle));
        hyper.timer(ProcessClock).header_read_timeout(head);
        hyper.max_headers(limits.max_headers).max_buf_size(limits.max_head_bytes.max(MIN_BUFFER_BYTES));
        let name = config.server_line.as_deref().and_then(|line| line.strip_prefix(b"server: "));
        let name = name.and_then(|name| HeaderValue::from_bytes(name.trim_ascii_end()).ok());
        Self {
            hyper,
            server_name: name,
            half_closed_timeout: timeouts.half_closed_timeout,
            max_requests: limits.max_requests,
        }
    }
}

/// The smallest buffer for a head that hyper takes, in bytes; 8 KiB.
const MIN_BUFFER_BYTES: usize = 8192;

impl UpgradesByHyper {
    pub(super) fn new(service: AxumService, config: &HttpConfig) -> Self {
        let router = service.0.clone();
        Self { usual: TowerHandler::new(service), router, settings: Settings::new(config) }
    }

    /// Serves the connection by hyper, from this request on, until its stream is dropped.
    async fn serve(&self, reqd: Reqd) -> Result<(), HandlerError> {
        let peer = reqd.peer();
        let Some((head, upgrade, unanswered)) = reqd.leave_unanswered() else {
            return Err(UpgradeError::Closed.into());
        };
        let bytes = head::canonical(&head);
        drop(head);
        let mut connection = upgrade.connection().await?;
        connection.put_back(&bytes);
        let shared = HyperConnection::new(connection.transport().clone(), unanswered, &self.settings);
        let served = self.drive(connection, shared.clone(), peer).await;
        if let Some(panic) = shared.take_panic() {
            // It was answered with 500. The process ends with it.
            std::panic::resume_unwind(Box::new(panic));
        }
        served
    }

    async fn drive(
        &self,
        connection: Connection,
        shared: Arc<HyperConnection>,
        peer: Option<SocketAddr>,
    ) -> Result<(), HandlerError> {
        // A hook is called also if the drain began before, a control only if nothing has been told.
        let hooked = shared.clone();
        connection.on_drain(move || hooked.drain(None));
        let control: Arc<dyn Control> = shared.clone();
        connection.controlled_by(Arc::downgrade(&control));
        let _owner = Owner(shared.clone());
        let service =
            RouterService::new(self.router.clone(), shared.clone(), peer, self.settings.server_name.clone());
        let stream = HyperStream::new(connection, shared.clone());
        let http = self.settings.hyper.serve_connection(stream, service).with_upgrades();
        let mut http = Box::pin(http);
        let mut drain = DrainSignal::of_flag(shared.drain_flag());
        let mut is_told = false;
        let served = poll_fn(|cx| {
            loop {
                let is_draining = Pin::new(&mut drain).poll(cx).is_ready();
                if let Poll::Ready(served) = http.as_mut().poll(cx) {
                    return Poll::Ready(served);
                }
                // A request that waits gets a response that says it is the last; a switch goes on.
                if !is_draining || is_told || shared.owes_response() {
                    return Poll::Pending;
                }
                is_told = true;
                http.as_mut().graceful_shutdown();
            }
        })
        .await;
        drop(http);
        shared.http_ended();
        poll_fn(|cx| {
            if Pin::new(&mut drain).poll(cx).is_ready() {
                shared.end_input();
            }
            shared.poll_gone(cx)
        })
        .await;
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
}

/// Returns whether the request, which offers a switch, offers one to a protocol other than h2c, and its
/// target can be read by hyper.
fn asks_for_upgrade(reqd: &Reqd) -> bool {
    let head = reqd.request();
    head::protocols(head).next().is_some() && Uri::try_from(head.target()).is_ok()
}
