//! Each worker has one poller, however many sockets it serves. A program of its own: it looks at all its descriptors.
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{Read, Write},
    time::Duration,
};

use common::echo;
use riot_actor::{
    Reason,
    runtime::{Config, blocking},
};
use riot_socket::Server;

/// What mio's pollers wake up by: each has one.
fn alarms() -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy() == "anon_inode:[eventfd]").count()
}

#[test]
fn one_poller_a_worker_however_many_sockets() {
    for workers in [1, 3] {
        let before = alarms();
        Config::new()
            .workers(workers)
            .run(async move {
                let server = Server::bind("127.0.0.1:0")?.start_link(echo).await?;
                let address = server.local_addr();
                let clients = move || {
                    let clients = (0..100).map(|_| std::net::TcpStream::connect(address));
                    let mut clients = clients.collect::<std::io::Result<Vec<_>>>()?;
                    for client in &mut clients {
                        client.write_all(b"hello")?;
                        let mut back = [0; 5];
                        client.read_exact(&mut back)?;
                        assert_eq!(&back, b"hello");
                    }
                    std::io::Result::Ok(clients)
                };
                let clients = blocking(clients).await?;
                let pollers = alarms() - before;
                assert!((1..=workers).contains(&pollers), "{pollers} pollers for {workers} workers");
                drop(clients);
                server.stop(Duration::ZERO).await;
                Ok::<(), Reason>(())
            })
            .unwrap();
    }
}
