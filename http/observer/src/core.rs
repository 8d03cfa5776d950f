//! The answers of an observer, wherever it is mounted.

use std::net::SocketAddr;

use riot_http::{Head, http::StatusCode};

use crate::{
    api,
    health::Health,
    message::{Reply, refuse_writes},
    metrics::Metrics,
    safety::{Access, ControlToken},
};

/// The path of metrics.
pub(crate) const METRICS: &str = "/metrics";

/// The parts of an observer: the data that it shows, and the rules of access to them.
#[derive(Debug, Default)]
pub(crate) struct Core {
    pub(crate) access: Access,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) controls: Option<ControlToken>,
}

impl Core {
    /// Returns whether a path of the root is answered there where the observer is at the root.
    pub(crate) fn is_at_root(&self, path: &str) -> bool {
        path == METRICS || self.health.answers(path)
    }

    /// Answers a request. `path` is what follows the prefix: empty, or `/` and more.
    pub(crate) async fn answer(&self, head: &Head, path: &str, peer: Option<SocketAddr>) -> Reply {
        if self.health.answers(path) {
            let is_trusted = self.access.trusts(head, peer);
            return self.health.answer(head, path, is_trusted).await;
        }
        if let Err(refusal) = self.access.check(head, peer) {
            return refusal;
        }
        match path {
            METRICS => self.metrics.answer(head).await,
            "" | "/" => refuse_writes(head).unwrap_or_else(|| self.overview()),
            _ => match path.strip_prefix(api::PREFIX) {
                Some(view) => api::answer(&self.health, &self.metrics, head, view).await,
                None => Reply::not_found(),
            },
        }
    }

    /// Answers with the state of the program and the paths that there are.
    fn overview(&self) -> Reply {
        let controls = if self.controls.is_some() { "on" } else { "off" };
        let state = self.health.state();
        let text = format!(
            "state: {state}\ncontrols: {controls}\n\nmetrics\nlivez?verbose\nreadyz?verbose\n\
             api/1/home\napi/1/tree\napi/1/processes\napi/1/servers\napi/1/connections\napi/1/names\n\
             api/1/groups\napi/1/alarms\n"
        );
        Reply::text(StatusCode::OK, text)
    }
}
