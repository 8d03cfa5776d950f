//! `--addr HOST:PORT --workers N`, as our own server takes them, and what all servers answer.

use std::net::SocketAddr;

pub const HELLO: &str = "Hello, World!";

/// What `/big` answers.
pub static BIG: [u8; 65_536] = [b'x'; 65_536];

/// The largest body of `/echo`.
#[allow(dead_code, reason = "some frameworks have no such limit")]
pub const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

pub fn options() -> (SocketAddr, usize) {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).cloned()
    };
    let address = option("--addr").unwrap_or("127.0.0.1:8081".into()).parse().expect("an address");
    let workers = option("--workers").map_or(2, |workers| workers.parse().expect("a number"));
    (address, workers)
}
