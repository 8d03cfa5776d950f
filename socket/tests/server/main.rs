//! The server over connections in memory, under many seeds. Each test is a whole program, its network
//! included.

mod accepting;
#[path = "../common/mod.rs"]
mod common;
mod limits;
mod observe;
mod restarts;
mod start;
mod stop;
mod suspend;

use std::{
    future::pending,
    io,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use common::{SEEDS, connect, echo, kill, never_ends, says_it_back, settle};
use riot_actor::{
    Pid, Reason, now,
    process::{is_alive, processes, tree, yield_now},
    receive, send,
    simulation::Simulation,
    sleep, spawn, this, timeout,
};
use riot_socket::{
    Alarm, Connection, ConnectionInfo, ConnectionOverflow, Server, ServerHandle, ServerStartError,
    ServerState, memory::Listener,
};
/// Starts an echo server, which accepts when this returns.
async fn started(listener: &Listener, server: Server) -> ServerHandle {
    let server = server.start_link(echo).await.expect("the server starts");
    assert!(listener.connect().is_ok(), "it is bound when start_link returns");
    server
}
