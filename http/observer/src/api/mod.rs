//! The views as JSON over HTTP: `/api/1/…`.
//!
//! Errors are `{"error": text}`. Fields are only ever added within `/1/`.

mod arguments;
mod control;

use std::{net::SocketAddr, time::Duration};

use riot_actor::{
    Pid,
    process::{INSPECT_TIMEOUT, ProcessState, inspect},
};
use riot_http::{
    Head,
    http::{HeaderValue, Method, StatusCode, header},
};
use serde_json::{Value, json};

pub(crate) use control::MAX_BODY_BYTES;

use crate::{
    data::{self, CONNECTION_KEYS, PROCESS_KEYS, Page, ProcessFilter, Program},
    health::Health,
    history::History,
    message::Reply,
    metrics::Metrics,
};
use arguments::{Arguments, decoded};

/// The beginning of the paths of the API.
pub(crate) const PREFIX: &str = "/api/1/";

/// The path of requests that change the program.
pub(crate) const CONTROL: &str = "/api/1/control";

/// The parts of the observer that views are made of.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) health: &'a Health,
    pub(crate) metrics: &'a Metrics,
    pub(crate) history: &'a History,
    /// Whether requests may change the program.
    pub(crate) has_controls: bool,
}

/// The time of which crashes are counted on the first view; 1 h.
const RECENT: Duration = Duration::from_secs(3600);

/// An answer, or a status and what is wrong.
type Answered = Result<Value, (StatusCode, String)>;

/// Answers a request for the API. `view` is the path behind [`PREFIX`].
pub(crate) async fn answer(sources: Sources<'_>, head: &Head, view: &str) -> Reply {
    if ![Method::GET, Method::HEAD].contains(head.method()) {
        let refusal = error(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here");
        return refusal.with(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    match read(sources, &Arguments::of(head), view).await {
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

async fn read(sources: Sources<'_>, arguments: &Arguments, view: &str) -> Answered {
    let Sources { health, metrics, history, has_controls } = sources;
    match view {
        "home" => {
            let (stats, busy) = metrics.workers();
            let is_simulated = stats.workers.is_empty();
            let crashes = history.crashes.count_within(RECENT, stats.age);
            let program = Program { state: health.state(), stats, busy, is_simulated, has_controls, crashes };
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
        "timers" => Ok(data::read(data::timers).await),
        "http" => {
            history.requests.keep();
            let (server, log) = (arguments.given("server"), history.requests.clone());
            let found = data::read(move |handle| data::http(handle, server.as_deref(), &log)).await;
            found.ok_or_else(|| not_found("server"))
        }
        "crashes" => {
            let after = arguments.number("after")?.unwrap_or_default();
            Ok(data::crashes(&history.crashes, after as u64))
        }
        "alarms" => Ok(json!({"alarms": null})),
        _ => match view.strip_prefix("process/") {
            Some(pid) => process(&decoded(pid)).await,
            None => Err(not_found("path")),
        },
    }
}

async fn process(pid: &str) -> Answered {
    let pid: Pid = pid.parse().map_err(|_| (StatusCode::UNPROCESSABLE_ENTITY, "no pid".to_owned()))?;
    let mailbox = inspect(pid, INSPECT_TIMEOUT).await;
    data::read(move |handle| data::process(handle, pid, mailbox)).await.ok_or_else(|| not_found("process"))
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
