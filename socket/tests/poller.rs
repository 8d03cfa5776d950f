//! Each worker has one poller for any number of sockets. The test is alone in its program, since it counts
//! all open descriptors.
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

/// Returns the number of event descriptors, by which mio's pollers are woken: each has one.
fn wake_descriptors() -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy() == "anon_inode:[eventfd]").count()
}

#[test]
fn one_poller_a_worker_however_many_sockets() {
    for workers in [1, 3] {
        let before = wake_descriptors();
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
                let pollers = wake_descriptors() - before;
                assert!((1..=workers).contains(&pollers), "{pollers} pollers for {workers} workers");
                drop(clients);
                server.stop(Duration::ZERO).await;
                Ok::<(), Reason>(())
            })
            .unwrap();
    }
}
