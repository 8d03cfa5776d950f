//! The command line of all servers, `--addr HOST:PORT --workers N`, and the bodies that they send.

use std::net::SocketAddr;

/// The body of `/plaintext`.
pub const HELLO: &str = "Hello, World!";

/// The body of `/big`.
pub static BIG: [u8; 65_536] = [b'x'; 65_536];

/// The largest body that `/echo` accepts.
#[allow(dead_code, reason = "some frameworks have no such limit")]
pub const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

/// Returns the address and the number of workers that the command line asks for.
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
