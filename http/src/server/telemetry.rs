//! The events of requests.
//!
//! ```
//! use riot_actor::telemetry::attach;
//! use riot_http::telemetry::{RequestOutcome, RequestEnded};
//!
//! # let reason = riot_actor::run(async {
//! attach(|event: &RequestEnded| {
//!     if let RequestOutcome::Cut(reason) = event.outcome {
//!         println!("{} {} was cut: {}", event.method, event.path, reason.name());
//!     }
//! });
//! # });
//! # assert_eq!(reason, riot_actor::Reason::Normal);
//! ```
//!
//! Handlers are attached as [`riot_actor::telemetry`] says, and run in a process of the connection. Requests
//! are noted only [while somebody reads](Timings), so a request whose head came before has no event. Every
//! [`RequestStarted`] is followed by one [`RequestEnded`] with the same [`key`](RequestEnded::key). Bytes
//! that are no request, and that the connection answers itself, are a request with the method `_OTHER`.
//!
//! Requests that hyper serves, see `AxumServing::upgrade_by_hyper`, end for this server without a status when
//! hyper takes them.

use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, StatusCode, Version};
use riot_actor::{
    Pid, built_in_events, now,
    telemetry::{BuiltInEvent, Watched, emit},
};

use super::stats::Stats;
use crate::{
    CutReason, Route,
    observe::{Interest, Peer, Reporter, RequestTrace, TraceStage},
};

/// Names one request: the process of its connection, and its number there, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RequestKey {
    /// The Connector.
    pub connector: Option<Pid>,
    /// The number of the request on its connection.
    pub number: u64,
}

/// Writes `<1.2.0>:3`.
impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.connector {
            Some(pid) => write!(f, "{pid}:{}", self.number),
            None => write!(f, "-:{}", self.number),
        }
    }
}

/// A handler has got a request, or the connection is about to answer it itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestStarted {
    /// The name of the server.
    pub server: Arc<str>,
    /// Names the request.
    pub key: RequestKey,
    /// The method: one of RFC 9110, `PATCH`, or else `_OTHER`.
    pub method: &'static str,
    /// The path as received, without the query.
    pub path: Arc<str>,
    /// The version of HTTP.
    pub version: Version,
    /// The address of the client, if it is an internet address.
    pub peer: Option<SocketAddr>,
    /// The time when its head was complete.
    pub head_at: Instant,
}

/// The head of a response has been given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestAnswered {
    /// The name of the server.
    pub server: Arc<str>,
    /// Names the request.
    pub key: RequestKey,
    /// The status.
    pub status: StatusCode,
    /// The time that the handler took until then; zero if there was none.
    pub handler_time: Duration,
}

/// The last byte of a response has been sent, or is lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestEnded {
    /// The name of the server.
    pub server: Arc<str>,
    /// Names the request.
    pub key: RequestKey,
    /// The method: one of RFC 9110, `PATCH`, or else `_OTHER`.
    pub method: &'static str,
    /// The path as received, without the query.
    pub path: Arc<str>,
    /// The version of HTTP.
    pub version: Version,
    /// The route that it matched, if that is known.
    pub route: Option<Route>,
    /// The address of the client, if it is an internet address.
    pub peer: Option<SocketAddr>,
    /// The status of the response; none if there was none.
    pub status: Option<StatusCode>,
    /// Whether the response was sent as a whole.
    pub outcome: RequestOutcome,
    /// The time when its head was complete.
    pub head_at: Instant,
    /// The time from then until a handler got it; none if none did. Requests on one connection wait for each
    /// other.
    pub handler_after: Option<Duration>,
    /// The time from the head until the head of the response was given.
    pub answered_after: Option<Duration>,
    /// The time from the head until the first byte of the response was sent. Times of bytes are those of the
    /// poll slice, some 10 ms late at most.
    pub first_byte_after: Option<Duration>,
    /// The time from the head until the last byte was sent; none if it was lost.
    pub last_byte_after: Option<Duration>,
    /// Bytes of the body of the request that were received until the response was whole.
    pub body_received: u64,
    /// Bytes of the body of the response that were given to be sent, without those of the chunked coding.
    pub body_sent: u64,
}

impl RequestEnded {
    /// Returns the time that the request took: until its last byte, or as much of it as is known.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let known = [self.last_byte_after, self.first_byte_after, self.answered_after, self.handler_after];
        known.into_iter().flatten().max().unwrap_or_default()
    }
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// The response was sent as a whole.
    Complete,
    /// The response was not sent as a whole, or it was given in place of the handler, for this reason.
    Cut(CutReason),
}

/// A connection goes on in another protocol.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestUpgraded {
    /// The name of the server.
    pub server: Arc<str>,
    /// Names the request.
    pub key: RequestKey,
    /// The protocol as the response names it; none for `CONNECT`, and where hyper decides.
    pub protocol: Option<String>,
    /// The way of the switch: `101`, `CONNECT` or `hyper`.
    pub by: &'static str,
}

/// Says when requests are noted, for events and histograms, at the price of two readings of the clock and an
/// allocation a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timings {
    /// While an event of requests has a handler, and for ten minutes after the [statistics](super::stats())
    /// of the server were read.
    #[default]
    WhenRead,
    /// Always.
    Always,
    /// Never: there are no events of requests, and no histograms.
    Off,
}

built_in_events! {
    RequestStarted: "request.started", Interest::STARTED;
    RequestAnswered: "request.answered", Interest::ANSWERED;
    RequestEnded: "request.ended", Interest::ENDED;
    RequestUpgraded: "upgrade", Interest::UPGRADE;
}

/// Returns the name of a method that is the same for all methods beyond those of RFC 9110 and `PATCH`, so
/// that their number is bounded.
pub(super) fn method_name(method: Option<&Method>) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    let method = method.map_or("", |method| method.as_str());
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}

/// Makes events and histograms of what the connections of a server note.
pub(super) struct ServerReporter {
    pub(super) server: Arc<str>,
    pub(super) stats: Arc<Stats>,
    pub(super) watched: Watched,
}

impl ServerReporter {
    fn show<E: BuiltInEvent>(&self, event: impl FnOnce(Arc<str>) -> E) {
        if self.watched.includes::<E>() {
            emit(&event(self.server.clone()));
        }
    }
}

impl Reporter for ServerReporter {
    fn now(&self) -> Instant {
        now()
    }

    fn report(&self, stage: TraceStage, trace: &RequestTrace, about: &Peer) {
        let key = RequestKey { connector: about.connector, number: trace.number };
        let method = method_name(trace.method.as_ref());
        let after = |time: Option<Instant>| time.map(|time| time.saturating_duration_since(trace.head_at));
        match stage {
            TraceStage::Started => {
                self.stats.started(method);
                self.show(|server| RequestStarted {
                    server,
                    key,
                    method,
                    path: trace.path.clone(),
                    version: trace.version,
                    peer: about.address,
                    head_at: trace.head_at,
                });
            }
            TraceStage::Answered => self.show(|server| {
                let begun = trace.handler_at.or(trace.answered_at);
                let handler_time = trace.answered_at.zip(begun).map(|(end, begun)| end - begun);
                RequestAnswered {
                    server,
                    key,
                    status: trace.status.unwrap_or_default(),
                    handler_time: handler_time.unwrap_or_default(),
                }
            }),
            TraceStage::Ended => {
                if let Some(switch) = &trace.switch {
                    self.show(|server| RequestUpgraded {
                        server,
                        key,
                        protocol: switch.protocol.clone(),
                        by: switch.by,
                    });
                }
                let ended = RequestEnded {
                    server: self.server.clone(),
                    key,
                    method,
                    path: trace.path.clone(),
                    version: trace.version,
                    route: trace.route.clone(),
                    peer: about.address,
                    status: trace.status,
                    outcome: trace.cut.map_or(RequestOutcome::Complete, RequestOutcome::Cut),
                    head_at: trace.head_at,
                    handler_after: after(trace.handler_at),
                    answered_after: after(trace.answered_at),
                    first_byte_after: after(trace.first_byte_at),
                    last_byte_after: after(trace.last_byte_at),
                    body_received: trace.body_received,
                    body_sent: trace.body_sent,
                };
                self.stats.ended(&ended, now());
                if self.watched.includes::<RequestEnded>() {
                    emit(&ended);
                }
            }
        }
    }
}
