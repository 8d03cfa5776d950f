//! Ranch's own test scenarios, by their names, as far as they apply here. Those of its ssl, proxy_header and
//! sendfile suites stand in the test files of those features.
//!
//! Not here: `active_echo`, `active_n_echo` and `getopts_capability` (there are no read modes),
//! `bad_transport`, `bad_transport_options`, `opts_logger` and the bad arguments of `wait_for_connections`
//! (the compiler refuses them), `embedded_ranch_server_crash` and `server_recover_state` (there is no such
//! process), `multiple_ip_local_socket_opts` (an option has one value).

mod acceptor_suite;
#[path = "../common/mod.rs"]
mod common;
mod misc;
mod shutdown_suite;
mod supervisor;

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use common::{SEEDS, connect, echo, kill, never_ends, says_it_back, settle};
use riot_actor::{
    Pid, Reason,
    mailbox::receive_timeout,
    now,
    process::{is_alive, processes, tree},
    runtime::Config,
    send,
    simulation::Simulation,
    sleep, spawn, this, timeout,
};
use riot_socket::{
    Address, Alarm, AlarmEvent, Connection, Options, Server, ServerHandle, ServerStartError, ServerState,
    TcpStream, memory::Listener, supervised,
};
use riot_supervisor::{AutoShutdown, Supervisor, process};

/// Returns the active connections, all connections, and the clients in the backlog.
fn counts(server: &ServerHandle, listener: &Listener) -> (usize, usize, usize) {
    let info = server.info();
    (info.active, info.all, listener.waiting())
}

/// Sends a byte from every client, and closes and counts those that get an answer.
async fn served(clients: &mut Vec<Connection>) -> usize {
    let mut answered = Vec::new();
    for mut client in std::mem::take(clients) {
        client.write_all(b"?").await.expect("the client is connected");
        match timeout(Duration::from_millis(1), client.read(&mut [0])).await {
            Ok(read) => {
                assert_eq!(read.expect("the client is connected"), 1);
                answered.push(client);
            }
            Err(_) => clients.push(client),
        }
    }
    answered.len()
}

/// Returns every process of the tree except the connections.
fn supervisors() -> Vec<Pid> {
    ["Server.Sup", "Connections.Sup.Sup", "Connections.Sup", "Acceptor.Sup", "Acceptor.Worker"]
        .into_iter()
        .flat_map(|label| tree().labelled(label))
        .collect()
}
