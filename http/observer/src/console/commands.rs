//! The commands of the console: what a line asks for.

use std::{future::Future, pin::Pin, time::Duration};

use riot_actor::{
    Pid, Reason,
    call::CallError,
    log::printable,
    log_event,
    process::{self, By, ProcessGrowth, ProcessSummary},
    runtime::Handle,
    table::TableInfo,
    telemetry::{CrashEntry, FollowedBy},
    time::TimerInfo,
    timeout,
};
use riot_socket::{ServerHandle, servers};
use riot_supervisor::{ChildState, SupervisorNode, supervision_tree};
use serde_json::{Value, json};

use super::text;
use crate::data::{self, Page, ProcessFilter};

/// The time that a command waits for a process; 2 s.
pub(super) const PROCESS_TIMEOUT: Duration = Duration::from_secs(2);

/// Bounds the window of `top`; 1 min.
const MAX_WINDOW: Duration = Duration::from_secs(60);

/// Bounds the rows of a list; 1 000.
const MAX_ROWS: usize = 1_000;

const HELP: [(&str, &str); 21] = [
    ("help", "this list"),
    ("version", "the version of the observer, and the uptime"),
    ("tree [DEPTH]", "all processes below those that spawned them"),
    ("supervisors", "all supervisors with their children"),
    ("top mailbox|busy|slices|received|future_bytes|age [N] [WINDOW]", "the processes with most of it"),
    ("find TEXT", "the processes with this text in pid, label or name"),
    ("info PID", "one process"),
    ("inspect PID", "the messages in its mailbox by type; the process answers"),
    ("names", "registered names"),
    ("groups", "process groups"),
    ("timers", "timers, those due soonest first"),
    ("tables", "tables with their owners"),
    ("crashes [N]", "the last crashes"),
    ("servers", "servers"),
    ("connections [SERVER] [by KEY] [N]", "connections"),
    ("close PID", "a connection finishes (control)"),
    ("exit PID [REASON]", "an exit signal (control)"),
    ("kill PID", "a process is killed (control)"),
    ("suspend SERVER / resume SERVER", "a server listens no more, or again (control)"),
    ("set SERVER max_connections N", "the bound of its connections (control)"),
    ("drain TIME / shutdown", "all servers stop in order, or the program does (control)"),
];

/// The answer of a console to one command.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsoleReply(Value);

impl ConsoleReply {
    /// Returns the answer as `json` before the command gives it.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// Returns the answer as lines, without the `OK` behind them.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        text::lines(&self.0)
    }
}

/// A command under way; see [`Console::execute`](super::Console::execute).
pub struct Execution(Step);

enum Step {
    Done(Result<Value, String>),
    /// The rest is done by a process, within this time.
    Asks(Asking, Duration),
}

type Asking = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_done() { "Execution(done)" } else { "Execution(asks)" })
    }
}

impl Execution {
    /// Returns whether the command is done, without a process.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.0, Step::Done(_))
    }

    /// Waits for processes, two seconds at most and the window that a command names, and returns the answer.
    ///
    /// # Errors
    /// What is wrong with the command, or has failed: the text behind `ERR`.
    pub async fn finish(self) -> Result<ConsoleReply, String> {
        let result = match self.0 {
            Step::Done(result) => result,
            Step::Asks(asks, bound) => {
                timeout(bound, asks).await.unwrap_or_else(|_| Err(format!("no answer within {bound:?}")))
            }
        };
        result.map(ConsoleReply)
    }

    /// Returns the answer if it is there, or else the command with the time that it has.
    pub(super) fn now(self) -> Result<Result<ConsoleReply, String>, (Self, Duration)> {
        match self.0 {
            Step::Done(result) => Ok(result.map(ConsoleReply)),
            Step::Asks(asks, bound) => Err((Self(Step::Asks(asks, bound)), bound)),
        }
    }
}

/// Reads commands for one runtime.
#[derive(Clone)]
pub(super) struct Interpreter {
    pub(super) handle: Handle,
    has_controls: bool,
}

impl Interpreter {
    pub(super) fn new(handle: Handle, has_controls: bool) -> Self {
        Self { handle, has_controls }
    }

    /// Executes a command, `json` before it left out. Those that only read are done when this returns.
    pub(super) fn execute(&self, line: &str) -> Execution {
        let words: Vec<&str> = line.split_whitespace().collect();
        let words = words.strip_prefix(&["json"]).unwrap_or(&words);
        let step = match words {
            ["close" | "exit" | "kill" | "suspend" | "resume" | "set" | "drain" | "shutdown", ..] => {
                self.control(words)
            }
            ["inspect", pid] => inspect(pid),
            ["top", by, n, window] => top_window(by, n, window),
            _ => Ok(Step::Done(self.handle.enter(|| self.read(words)))),
        };
        Execution(step.unwrap_or_else(|wrong| Step::Done(Err(wrong))))
    }

    fn read(&self, words: &[&str]) -> Result<Value, String> {
        let handle = &self.handle;
        Ok(match words {
            [] => return Err("no command; try help".to_owned()),
            ["help"] => {
                let rows = HELP.map(|(command, what)| json!({"command": command, "what": what}));
                json!({"rows": rows})
            }
            ["version"] => {
                let uptime = data::millis(handle.scheduler_stats().age);
                json!({"version": env!("CARGO_PKG_VERSION"), "uptime_ms": uptime})
            }
            ["tree"] => data::tree(handle, None),
            ["tree", depth] => data::tree(handle, Some(number(depth)?)),
            ["supervisors"] => json!({"rows": supervisors()}),
            ["top", by] => self.top(by, 20)?,
            ["top", by, n] => self.top(by, number(n)?)?,
            ["find", text @ ..] if !text.is_empty() => {
                let filter = ProcessFilter { text: text.join(" "), state: None };
                data::processes(handle, "pid", page(200), &filter)
            }
            ["info", pid] => {
                // Its mailbox is shown by `inspect`, for which the process is asked.
                let unasked = Err(CallError::Timeout);
                data::process(handle, pid_of(pid)?, unasked).ok_or("no such process")?
            }
            ["names"] => data::names(handle),
            ["groups"] => data::groups(handle),
            ["timers"] => json!({"rows": self.timers()}),
            ["tables"] => {
                let row = |table: &TableInfo| {
                    let (name, owner) = (table.name.to_string(), table.owner.to_string());
                    json!({"name": name, "owner": owner, "entries": table.entries})
                };
                json!({"rows": handle.tables().iter().take(MAX_ROWS).map(row).collect::<Vec<_>>()})
            }
            ["crashes"] => json!({"rows": self.crashes(20)}),
            ["crashes", n] => json!({"rows": self.crashes(number(n)?)}),
            ["servers"] => data::servers(handle),
            ["connections", rest @ ..] => self.connections(rest)?,
            _ => return Err("unknown command; try help".to_owned()),
        })
    }

    fn top(&self, by: &str, n: usize) -> Result<Value, String> {
        let top = self.handle.top(key_of(by)?, n.clamp(1, MAX_ROWS));
        Ok(json!({"rows": top.iter().map(process_row).collect::<Vec<_>>()}))
    }

    fn timers(&self) -> Vec<Value> {
        let mut timers = self.handle.timers();
        timers.sort_by_key(|timer| timer.due);
        let row = |timer: &TimerInfo| {
            json!({
                "due_ms": data::millis(timer.due),
                "to": timer.to.map(|pid| pid.to_string()),
                "what": printable(format_args!("{:?}", timer.effect)),
            })
        };
        timers.iter().take(MAX_ROWS).map(row).collect()
    }

    fn crashes(&self, n: usize) -> Vec<Value> {
        let entry = |crash: &CrashEntry| {
            let followed = match crash.followed_by {
                FollowedBy::Restarted { pid, after } => format!("restarted as {pid} after {after:.1?}"),
                FollowedBy::NotRestarted => "not restarted".to_owned(),
                _ => "-".to_owned(),
            };
            json!({
                "id": crash.id,
                "count": crash.count,
                "pid": crash.pid.to_string(),
                "path": crash.path,
                "uptime_s": crash.uptime.as_secs(),
                "reason": crash.reason.join(": "),
                "followed_by": followed,
            })
        };
        self.handle.crashes().iter().rev().take(n.min(MAX_ROWS)).map(entry).collect()
    }

    fn connections(&self, words: &[&str]) -> Result<Value, String> {
        let (rest, n) = match words {
            [rest @ .., n] if n.parse::<usize>().is_ok() => (rest, number(n)?),
            rest => (rest, 50),
        };
        let (rest, key) = match rest {
            [rest @ .., "by", key] => (rest, *key),
            rest => (rest, "age"),
        };
        let key = data::CONNECTION_KEYS.iter().find(|known| **known == key).ok_or("no such key")?;
        let server = match rest {
            [] => None,
            [server] => Some(*server),
            _ => return Err("connections [SERVER] [by KEY] [N]".to_owned()),
        };
        Ok(data::connections(&self.handle, server, key, page(n)))
    }

    /// Returns what a command does that changes the program, and logs it.
    fn control(&self, words: &[&str]) -> Result<Step, String> {
        if !self.has_controls {
            return Err("commands that change the program are off".to_owned());
        }
        let handle = self.handle.clone();
        let done = || Ok(json!({"ok": true}));
        let asks: Asking = match words {
            ["close", pid] => {
                let pid = pid_of(pid)?;
                Box::pin(async move {
                    let has = |server: &&ServerHandle| server.connections().iter().any(|one| one.pid == pid);
                    servers().iter().find(has).ok_or("no such connection")?.close(pid);
                    done()
                })
            }
            ["exit", pid, reason @ ..] => {
                let (pid, reason) = (pid_of(pid)?, reason.join(" "));
                if handle.info(pid).is_none() {
                    return Err("no such process".to_owned());
                }
                let reason = match reason.as_str() {
                    "" | "shutdown" => Reason::Shutdown,
                    "normal" => Reason::Normal,
                    _ => Reason::other(reason),
                };
                handle.exit(pid, reason);
                Box::pin(async move { done() })
            }
            ["kill", pid] => {
                let pid = pid_of(pid)?;
                if handle.info(pid).is_none() {
                    return Err("no such process".to_owned());
                }
                handle.exit(pid, Reason::Kill);
                Box::pin(async move { done() })
            }
            ["suspend", name] => {
                let name = (*name).to_owned();
                Box::pin(async move {
                    server(&name)?.suspend().await;
                    done()
                })
            }
            ["resume", name] => {
                let name = (*name).to_owned();
                Box::pin(async move {
                    server(&name)?.resume().await.map_err(printable)?;
                    done()
                })
            }
            ["set", name, "max_connections", n] => {
                let (name, n) = ((*name).to_owned(), number(n)?);
                Box::pin(async move {
                    server(&name)?.set_max_connections(n);
                    done()
                })
            }
            ["drain", time] => {
                let time = duration(time)?;
                Box::pin(async move {
                    for server in servers() {
                        riot_actor::spawn(async move { drop(server.stop(time).await) });
                    }
                    done()
                })
            }
            ["shutdown"] => {
                handle.shutdown(Reason::Shutdown);
                Box::pin(async move { done() })
            }
            _ => return Err("bad arguments; try help".to_owned()),
        };
        log_event!(INFO, "riot::observer", "console: {}", printable(words.join(" ")));
        Ok(match words {
            // They are done, and need no process.
            ["exit" | "kill" | "shutdown", ..] => Step::Done(done()),
            _ => Step::Asks(asks, PROCESS_TIMEOUT),
        })
    }
}

fn key_of(by: &str) -> Result<By, String> {
    Ok(match by {
        "mailbox" => By::Mailbox,
        "busy" => By::Busy,
        "slices" => By::Slices,
        "received" => By::Received,
        "future_bytes" => By::FutureBytes,
        "age" => By::Age,
        _ => return Err(format!("no such key: {}", printable(by))),
    })
}

fn process_row(summary: &ProcessSummary) -> Value {
    json!({
        "pid": summary.pid.to_string(),
        "label": summary.label,
        "state": summary.state.to_string(),
        "mailbox": summary.mailbox,
        "slices": summary.slices,
        "received": summary.received,
        "busy_ms": summary.busy.map(data::millis),
        "waiting_for": summary.waiting_for.as_ref().map(printable),
    })
}

/// Looks twice, with a window between.
fn top_window(by: &str, n: &str, window: &str) -> Result<Step, String> {
    let (by, n) = (key_of(by)?, number(n)?.clamp(1, MAX_ROWS));
    let window = duration(window)?.min(MAX_WINDOW);
    let asks: Asking = Box::pin(async move {
        let top = process::top_window(by, n, window).await;
        let row = |grown: &ProcessGrowth| {
            let mut row = process_row(&grown.summary);
            row["growth"] = json!(grown.growth);
            row
        };
        Ok(json!({"rows": top.iter().map(row).collect::<Vec<_>>()}))
    });
    Ok(Step::Asks(asks, PROCESS_TIMEOUT + window))
}

fn inspect(pid: &str) -> Result<Step, String> {
    let pid = pid_of(pid)?;
    let asks: Asking = Box::pin(async move {
        let inspection = process::inspect(pid, PROCESS_TIMEOUT).await.map_err(|error| error.to_string())?;
        let types = inspection.types.iter().map(|one| json!({"type": one.message, "count": one.count}));
        Ok(json!({
            "messages": inspection.messages,
            "inline_bytes": inspection.inline_bytes,
            "boxed_bytes": inspection.boxed_bytes,
            "types": types.collect::<Vec<_>>(),
        }))
    });
    Ok(Step::Asks(asks, PROCESS_TIMEOUT + Duration::from_millis(50)))
}

fn supervisors() -> Vec<Value> {
    let row = |node: &SupervisorNode| {
        let path: Vec<String> = node.path.iter().map(ToString::to_string).collect();
        let runs = node.children.iter().filter(|child| matches!(child.state, ChildState::Running(_))).count();
        json!({
            "pid": node.pid.to_string(),
            "path": path.join("/"),
            "label": node.label,
            "strategy": node.strategy,
            "children": node.child_count,
            "running": runs,
            "restarts": format!("{} of {} in {:?}", node.restarts_used, node.max_restarts, node.period),
        })
    };
    supervision_tree().iter().take(MAX_ROWS).map(row).collect()
}

fn page(size: usize) -> Page {
    Page { size, ..Page::default() }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("no number: {}", printable(text)))
}

fn pid_of(text: &str) -> Result<Pid, String> {
    text.parse().map_err(|_| format!("no pid: {}", printable(text)))
}

/// Reads a duration such as `500ms`, `10s` or `2m`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let wrong = || format!("no duration: {}", printable(text));
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match &text[digits.len()..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" | "" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(wrong()),
    }
}

/// Returns the one server of a name.
fn server(name: &str) -> Result<ServerHandle, String> {
    let mut named = servers().into_iter().filter(|server| server.name() == name);
    match (named.next(), named.next()) {
        (Some(server), None) => Ok(server),
        (None, _) => Err("no such server".to_owned()),
        (Some(_), Some(_)) => Err("several servers have this name".to_owned()),
    }
}
