//! Requests that change the program.

use std::{net::SocketAddr, time::Duration};

use riot_actor::{Pid, Reason, exit, log::printable, log_event, process::info, spawn};
use riot_http::http::StatusCode;
use riot_socket::{ServerHandle, servers};
use serde_json::{Value, json};

use super::{Answered, not_found};

/// Bounds the body of a request that changes the program; 4 KiB.
pub(crate) const MAX_BODY_BYTES: usize = 4 * 1024;

/// Bounds the text of an exit reason.
const MAX_REASON_BYTES: usize = 256;

/// A change of the program.
#[derive(Clone, Debug, PartialEq)]
enum Action {
    Kill(Pid),
    Exit(Pid, String),
    Close(Pid),
    Suspend(String),
    Resume(String),
    SetMaxConnections(String, usize),
    Drain(String, Duration),
}

impl Action {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// What is wrong with it.
    fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let body: Value = serde_json::from_slice(body).map_err(|_| "the body is no JSON")?;
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let number = |name: &str| body.get(name).and_then(Value::as_u64);
        let pid = || text("pid").and_then(|pid| pid.parse().ok()).ok_or("`pid` is missing or no pid");
        let server = || text("server").map(str::to_owned).ok_or("`server` is missing");
        Ok(match text("action").ok_or("`action` is missing")? {
            "kill" => Self::Kill(pid()?),
            "exit" => {
                let reason = text("reason").ok_or("`reason` is missing")?;
                if reason.len() > MAX_REASON_BYTES {
                    return Err("`reason` is longer than 256 bytes");
                }
                Self::Exit(pid()?, reason.to_owned())
            }
            "close" => Self::Close(pid()?),
            "suspend" => Self::Suspend(server()?),
            "resume" => Self::Resume(server()?),
            "set_max_connections" => {
                let value = number("value").and_then(|value| usize::try_from(value).ok());
                Self::SetMaxConnections(server()?, value.ok_or("`value` is no number of connections")?)
            }
            "drain" => {
                let timeout = number("timeout_ms").ok_or("`timeout_ms` is no number of milliseconds")?;
                Self::Drain(server()?, Duration::from_millis(timeout))
            }
            _ => return Err("unknown action"),
        })
    }
}

/// Does what the body of a request asks for, and logs it with the peer.
pub(crate) async fn control(body: &[u8], peer: Option<SocketAddr>) -> Answered {
    let action = Action::parse(body).map_err(|wrong| (StatusCode::UNPROCESSABLE_ENTITY, wrong.to_owned()))?;
    let text = printable(format_args!("{action:?}"));
    log_event!(INFO, "riot::observer", peer = peer.map(display), "control: {text}");
    perform(action).await?;
    Ok(json!({"ok": true}))
}

async fn perform(action: Action) -> Result<(), (StatusCode, String)> {
    match action {
        Action::Kill(pid) => exit(living(pid)?, Reason::Kill),
        Action::Exit(pid, reason) => exit(living(pid)?, reason_of(&reason)),
        Action::Close(pid) => {
            let has =
                |server: &&ServerHandle| server.connections().iter().any(|connection| connection.pid == pid);
            let servers = servers();
            servers.iter().find(has).ok_or_else(|| not_found("connection"))?.close(pid);
        }
        Action::Suspend(name) => server(&name)?.suspend().await,
        Action::Resume(name) => {
            let resumed = server(&name)?.resume().await;
            resumed.map_err(|error| (StatusCode::CONFLICT, printable(error)))?;
        }
        Action::SetMaxConnections(name, value) => server(&name)?.set_max_connections(value),
        Action::Drain(name, timeout) => {
            let server = server(&name)?;
            // The server may be the one that answers this.
            spawn(async move { drop(server.stop(timeout).await) });
        }
    }
    Ok(())
}

/// Returns a pid whose process is not released.
fn living(pid: Pid) -> Result<Pid, (StatusCode, String)> {
    info(pid).map(|_| pid).ok_or_else(|| not_found("process"))
}

/// Returns the one server of a name.
fn server(name: &str) -> Result<ServerHandle, (StatusCode, String)> {
    let mut named = servers().into_iter().filter(|server| server.name() == name);
    match (named.next(), named.next()) {
        (Some(server), None) => Ok(server),
        (None, _) => Err(not_found("server")),
        (Some(_), Some(_)) => Err((StatusCode::CONFLICT, "several servers have this name".into())),
    }
}

/// Returns the exit reason that a text stands for: one of the words of the runtime, or any other text.
fn reason_of(text: &str) -> Reason {
    match text {
        "normal" => Reason::Normal,
        "shutdown" => Reason::Shutdown,
        "kill" => Reason::Kill,
        other => Reason::other(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob11_an_action_is_what_its_body_says() {
        let pid: Pid = "<1.2.0>".parse().expect("a pid");
        let parse = |body: Value| Action::parse(body.to_string().as_bytes());
        for (body, action) in [
            (json!({"action": "kill", "pid": "<1.2.0>"}), Action::Kill(pid)),
            (json!({"action": "exit", "pid": "1.2.0", "reason": "x"}), Action::Exit(pid, "x".into())),
            (json!({"action": "close", "pid": "<1.2.0>", "more": 1}), Action::Close(pid)),
            (json!({"action": "suspend", "server": "web"}), Action::Suspend("web".into())),
            (
                json!({"action": "set_max_connections", "server": "web", "value": 7}),
                Action::SetMaxConnections("web".into(), 7),
            ),
            (
                json!({"action": "drain", "server": "web", "timeout_ms": 1500}),
                Action::Drain("web".into(), Duration::from_millis(1500)),
            ),
        ] {
            assert_eq!(parse(body.clone()), Ok(action), "{body}");
        }
        for body in [
            json!([]),
            json!({}),
            json!({"action": 7}),
            json!({"action": "reboot"}),
            json!({"action": "kill"}),
            json!({"action": "kill", "pid": "me"}),
            json!({"action": "kill", "pid": 7}),
            json!({"action": "exit", "pid": "<1.2.0>"}),
            json!({"action": "exit", "pid": "<1.2.0>", "reason": "x".repeat(257)}),
            json!({"action": "suspend"}),
            json!({"action": "set_max_connections", "server": "web", "value": -1}),
            json!({"action": "set_max_connections", "server": "web", "value": "7"}),
            json!({"action": "drain", "server": "web"}),
        ] {
            assert!(parse(body.clone()).is_err(), "{body}");
        }
        assert!(Action::parse(b"action=kill").is_err() && Action::parse(b"").is_err());
    }
}
