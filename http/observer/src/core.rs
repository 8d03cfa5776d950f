//! The answers of an observer, wherever it is mounted.

use std::net::SocketAddr;

use riot_http::{
    Head,
    http::{HeaderValue, StatusCode, header},
};

use crate::{
    api::{self, Sources},
    health::Health,
    history::History,
    message::{ReadBody, Reply, refuse_writes},
    metrics::Metrics,
    page,
    safety::{Access, ControlToken, Refused},
};

/// The path of metrics.
pub(crate) const METRICS: &str = "/metrics";

/// The path at which the token for changes is read. A page of another origin can make a browser ask for it,
/// and cannot read the answer.
const TOKEN: &str = "/api/1/token";

/// The parts of an observer: the data that it shows, and the rules of access to them.
#[derive(Debug, Default)]
pub(crate) struct Core {
    pub(crate) access: Access,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) history: History,
    pub(crate) controls: Option<ControlToken>,
}

impl Core {
    /// Begins to count and keep events, in the runtime of the running process.
    pub(crate) fn attach(&self) {
        self.metrics.counts.attach();
        self.history.crashes.attach();
    }

    /// Returns whether a path of the root is answered there where the observer is at the root.
    pub(crate) fn is_at_root(&self, path: &str) -> bool {
        path == METRICS || self.health.answers(path)
    }

    /// Answers a request. `path` is what follows the prefix: empty, or `/` and more.
    pub(crate) async fn answer(
        &self,
        head: &Head,
        path: &str,
        peer: Option<SocketAddr>,
        body: impl ReadBody,
    ) -> Reply {
        if self.health.answers(path) {
            let is_trusted = self.access.trusts(head, peer);
            return self.health.answer(head, path, is_trusted).await;
        }
        if let Err(refusal) = self.access.check(head, peer) {
            return refusal;
        }
        match path {
            api::CONTROL => self.control(head, peer, body).await,
            METRICS => self.metrics.answer(head).await,
            "" | "/" => refuse_writes(head).unwrap_or_else(|| self.front(head)),
            TOKEN => refuse_writes(head).unwrap_or_else(|| self.token()),
            _ => match path.strip_prefix(api::PREFIX) {
                Some(view) => {
                    let sources = Sources {
                        health: &self.health,
                        metrics: &self.metrics,
                        history: &self.history,
                        has_controls: self.controls.is_some(),
                    };
                    api::answer(sources, head, view).await
                }
                None => Reply::not_found(),
            },
        }
    }

    /// Answers with the token that a request for a change has to carry.
    fn token(&self) -> Reply {
        match &self.controls {
            Some(token) => Reply::text(StatusCode::OK, token.text().to_owned()),
            None => api::error(StatusCode::FORBIDDEN, "controls are off"),
        }
    }

    /// Answers a request that would change the program.
    async fn control(&self, head: &Head, peer: Option<SocketAddr>, body: impl ReadBody) -> Reply {
        let Some(token) = &self.controls else {
            return api::error(StatusCode::FORBIDDEN, "controls are off");
        };
        if let Err(refused) = token.check(head) {
            let reply = api::error(refused.status(), &refused.to_string());
            return match refused {
                Refused::Method => reply.with(header::ALLOW, HeaderValue::from_static("POST")),
                Refused::Token | Refused::Origin => reply,
            };
        }
        match body.read(api::MAX_BODY_BYTES).await {
            Ok(body) => api::answer_control(&body, peer).await,
            Err(status) => api::error(status, "the body cannot be read, or has more than 4 KiB"),
        }
    }

    /// Answers browsers with the page, and others with the state of the program and the paths that there are.
    fn front(&self, head: &Head) -> Reply {
        if page::is_wanted(head) {
            return page::answer();
        }
        let controls = if self.controls.is_some() { "on" } else { "off" };
        let state = self.health.state();
        let text = format!(
            "state: {state}\ncontrols: {controls}\n\nmetrics\nlivez?verbose\nreadyz?verbose\n\
             api/1/home\napi/1/tree\napi/1/processes\napi/1/servers\napi/1/connections\napi/1/names\n\
             api/1/groups\napi/1/timers\napi/1/http\napi/1/crashes\napi/1/alarms\n"
        );
        Reply::text(StatusCode::OK, text)
    }
}
