//! A connection as the system and its client see it.
#![allow(unreachable_pub, reason = "several crates of tests use it")]

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Returns the states and send queues of the server's sockets that are connected with the client, as
/// `/proc/net/tcp` shows them.
pub fn in_the_system(server: SocketAddr, client: SocketAddr) -> Vec<String> {
    let (server, client) = (format!(":{:04X}", server.port()), format!(":{:04X}", client.port()));
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields
        .filter(|fields| fields.len() > 4 && fields[1].ends_with(&server) && fields[2].ends_with(&client))
        .map(|fields| format!("state {} queues {}", fields[3], fields[4]))
        .collect()
}

/// Returns whether the client's connection ends with a reset, behind what it had received.
pub fn is_reset(client: &mut TcpStream) -> bool {
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("more than zero");
    let mut buffer = vec![0; 1 << 20];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}
