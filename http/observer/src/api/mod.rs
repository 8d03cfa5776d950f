//! The views as JSON over HTTP: `/api/1/…`.
//!
//! Errors are `{"error": text}`. Fields are only ever added within `/1/`.

mod arguments;
mod control;

use std::net::SocketAddr;

use riot_actor::{Pid, process::ProcessState};
use riot_http::{
    Head,
    http::{HeaderValue, Method, StatusCode, header},
};
use serde_json::{Value, json};

pub(crate) use control::MAX_BODY_BYTES;

use crate::{
    data::{self, CONNECTION_KEYS, PROCESS_KEYS, Page, ProcessFilter, Program},
    health::Health,
    message::Reply,
    metrics::Metrics,
};
use arguments::{Arguments, decoded};

/// The beginning of the paths of the API.
pub(crate) const PREFIX: &str = "/api/1/";

/// The path of requests that change the program.
pub(crate) const CONTROL: &str = "/api/1/control";

/// An answer, or a status and what is wrong.
type Answered = Result<Value, (StatusCode, String)>;

/// Answers a request for the API. `view` is the path behind [`PREFIX`].
pub(crate) async fn answer(health: &Health, metrics: &Metrics, head: &Head, view: &str) -> Reply {
    if ![Method::GET, Method::HEAD].contains(head.method()) {
        let refusal = error(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here");
        return refusal.with(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    match read(health, metrics, &Arguments::of(head), view).await {
        Ok(value) => json_reply(StatusCode::OK, &value),
        Err((status, text)) => error(status, &text),
    }
}

/// Answers a request that would change the program, and that may.
pub(crate) async fn answer_control(body: &[u8], peer: Option<SocketAddr>) -> Reply {
    match control::control(body, peer).await {
        Ok(value) => json_reply(StatusCode::OK, &value),
        Err((status, text)) => error(status, &text),
    }
}

fn json_reply(status: StatusCode, value: &Value) -> Reply {
    Reply::new(status, "application/json", value.to_string())
}

/// Returns an error.
pub(crate) fn error(status: StatusCode, text: &str) -> Reply {
    json_reply(status, &json!({"error": text}))
}

fn not_found(what: &str) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, format!("no such {what}"))
}

async fn read(health: &Health, metrics: &Metrics, arguments: &Arguments, view: &str) -> Answered {
    match view {
        "home" => {
            let (stats, busy) = metrics.workers();
            let is_simulated = stats.workers.is_empty();
            let program = Program { state: health.state(), stats, busy, is_simulated };
            Ok(data::read(|handle| data::home(handle, program)).await)
        }
        "tree" => {
            let depth = arguments.number("depth")?;
            Ok(data::read(move |handle| data::tree(handle, depth)).await)
        }
        "processes" => {
            let (by, page) = (arguments.key("by", &PROCESS_KEYS)?, arguments.page()?);
            let filter = ProcessFilter { text: arguments.text("filter"), state: state(arguments)? };
            Ok(data::read(move |handle| data::processes(handle, by, page, &filter)).await)
        }
        "servers" => Ok(data::read(data::servers).await),
        "connections" => {
            let (by, page) = (arguments.key("by", &CONNECTION_KEYS)?, arguments.page()?);
            let server = arguments.given("server");
            Ok(data::read(move |handle| data::connections(handle, server.as_deref(), by, page)).await)
        }
        "names" => Ok(data::read(data::names).await),
        "groups" => Ok(data::read(data::groups).await),
        "alarms" => Ok(json!({"alarms": null})),
        _ => match view.strip_prefix("process/") {
            Some(pid) => process(&decoded(pid)).await,
            None => Err(not_found("path")),
        },
    }
}

async fn process(pid: &str) -> Answered {
    let pid: Pid = pid.parse().map_err(|_| (StatusCode::UNPROCESSABLE_ENTITY, "no pid".to_owned()))?;
    data::read(move |handle| data::process(handle, pid)).await.ok_or_else(|| not_found("process"))
}

fn state(arguments: &Arguments) -> Result<Option<ProcessState>, (StatusCode, String)> {
    let states =
        [ProcessState::Running, ProcessState::Runnable, ProcessState::Waiting, ProcessState::Exiting];
    let given = arguments.text("state");
    if given.is_empty() {
        return Ok(None);
    }
    let known = states.into_iter().find(|state| state.to_string() == given);
    known.map(Some).ok_or_else(|| (StatusCode::UNPROCESSABLE_ENTITY, "unknown state".to_owned()))
}

impl Arguments {
    /// Returns the part of a list that is asked for.
    fn page(&self) -> Result<Page, (StatusCode, String)> {
        let usual = Page::default();
        Ok(Page {
            descends: self.number("desc")?.is_none_or(|number| number != 0),
            number: self.number("page")?.unwrap_or(usual.number),
            size: self.number("size")?.unwrap_or(usual.size),
        })
    }
}
