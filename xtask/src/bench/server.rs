//! A running server process, stopped when it is dropped.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    peers::{Launcher, Program},
    system,
};

/// The time in which a server must listen.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The time after SIGTERM after which a server is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(6);

/// A server process.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: String,
    child: Child,
}

impl Server {
    /// Starts a server on a free port, and waits until it listens.
    pub(crate) fn start(program: &Program, workers: usize, launcher: Launcher<'_>) -> Result<Self, String> {
        let port = free_port().map_err(|error| format!("no port is free: {error}"))?;
        let child = program
            .command(port, workers, launcher)?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", program.name))?;
        let mut server = Self { name: program.name, address: format!("127.0.0.1:{port}"), child };
        let start = Instant::now();
        while TcpStream::connect(&server.address).is_err() {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("{} exited before it listened: {status}", server.name));
            }
            if start.elapsed() > START_TIMEOUT {
                return Err(format!("{} does not listen in time", server.name));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the server is idle, two seconds at most. Closing connections is work as well.
    pub(crate) fn settle(&self) {
        const QUIET: Duration = Duration::from_millis(20);
        let start = Instant::now();
        let mut before = system::cpu_nanos(self.pid());
        while start.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(QUIET);
            let now = system::cpu_nanos(self.pid());
            if now - before < 1_000_000 {
                return;
            }
            before = now;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let asked = pid.map(|pid| kill_process(pid, Signal::TERM));
        let start = Instant::now();
        while asked.is_some() && start.elapsed() < STOP_TIMEOUT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
