//! Servers and their connections.

use riot_actor::runtime::Handle;
use riot_socket::{ConnectionInfo, ServerInfo, ServerState};
use serde_json::{Value, json};

use super::{Page, millis};

/// The keys that connections can be sorted by. Those that are not known yet leave the order as it is.
pub(crate) const CONNECTION_KEYS: [&str; 8] =
    ["age", "requests", "received_bytes", "sent_bytes", "queued_bytes", "peer", "server", "state"];

/// Returns the servers.
pub(crate) fn servers(_: &Handle) -> Value {
    let servers: Vec<Value> = riot_socket::servers().iter().map(|server| view(&server.info())).collect();
    json!({"servers": servers})
}

fn view(info: &ServerInfo) -> Value {
    let (ended, errors) = (&info.ended, &info.accept_errors);
    let state = match info.state {
        ServerState::Running => "running",
        ServerState::Suspended => "suspended",
        ServerState::LameDuck => "lame duck",
        ServerState::Draining => "draining",
        ServerState::Down => "down",
    };
    json!({
        "name": info.name,
        "address": info.address.as_ref().map(ToString::to_string),
        "state": state,
        "connections": info.active,
        "connections_all": info.all,
        "connections_max": info.max_connections,
        "accepted": info.accepted,
        "refused": info.refused,
        "reaped": info.reaped,
        "ended": {
            "normal": ended.normal,
            "shutdown": ended.shutdown,
            "disconnected": ended.disconnected,
            "crashed": ended.crashed,
            "killed": ended.killed,
        },
        "accept_errors": {
            "connection": errors.connection,
            "exhausted": errors.exhausted,
            "listener": errors.listener,
        },
        "handshake_errors": info.handshake_errors,
        "protocol_errors": info.protocol_errors,
        "timeouts": info.timeouts,
        "limits": info.limits,
        "received_bytes": info.bytes_received,
        "sent_bytes": info.bytes_sent,
        "undelivered_bytes": info.bytes_undelivered,
    })
}

/// Returns a page of the connections of all servers, or of those of one name, sorted by one of
/// [`CONNECTION_KEYS`].
pub(crate) fn connections(_: &Handle, of: Option<&str>, by: &str, page: Page) -> Value {
    let mut list: Vec<(String, ConnectionInfo)> = Vec::new();
    for server in riot_socket::servers() {
        let name = server.name();
        if of.is_none_or(|of| of == name) {
            list.extend(server.connections().into_iter().map(|connection| (name.clone(), connection)));
        }
    }
    list.sort_by_key(|(_, connection)| connection.pid);
    let row = |(server, connection): &(String, ConnectionInfo)| {
        json!({
            "pid": connection.pid.to_string(),
            "server": server,
            "peer": connection.peer.to_string(),
            "protocol": null,
            "tls": null,
            "state": connection.state,
            "age_ms": millis(connection.age),
            "requests": connection.requests,
            "received_bytes": connection.bytes_received,
            "sent_bytes": connection.bytes_sent,
            "queued_bytes": null,
        })
    };
    match by {
        "age" => page.of(list, |(_, connection)| connection.age, row),
        "requests" => page.of(list, |(_, connection)| connection.requests, row),
        "received_bytes" => page.of(list, |(_, connection)| connection.bytes_received, row),
        "sent_bytes" => page.of(list, |(_, connection)| connection.bytes_sent, row),
        "peer" => page.of(list, |(_, connection)| connection.peer.to_string(), row),
        "server" => page.of(list, |(server, _)| server.clone(), row),
        "state" => page.of(list, |(_, connection)| connection.state, row),
        _ => page.of(list, |_| (), row),
    }
}
