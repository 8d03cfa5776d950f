//! An example that runs as a program of its own.
#![allow(unreachable_pub, dead_code, reason = "shared by several crates, each of which uses its own part")]

use std::{
    fmt::Display,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

/// A running example; it is killed when this is dropped.
pub struct Example {
    pub child: Child,
    pub output: BufReader<ChildStdout>,
    /// The address on which it listens.
    pub address: String,
    /// The output up to the line that names the address.
    pub greeting: String,
}

impl Example {
    /// Starts an example, and waits until it says where it listens, in a line that ends in `on ADDRESS`.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_logging_to(Stdio::piped(), name, arguments)
    }

    /// Starts an example, as [`start`](Self::start) does, with this standard error.
    pub fn start_logging_to(log: Stdio, name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(path(name))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("`cargo test` builds the examples beside the tests");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut greeting = String::new();
        let address = loop {
            let mut line = String::new();
            let read = output.read_line(&mut line).expect("it says something");
            assert_ne!(read, 0, "{name} ended early: {greeting}");
            greeting += &line;
            if let Some((_, address)) = line.trim().rsplit_once(" on ") {
                break address.trim_start_matches("http://").replace("0.0.0.0", "127.0.0.1");
            }
        };
        Self { child, output, address, greeting }
    }

    /// Sends a request on a connection of its own, and returns the response to the end.
    pub fn get(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        self.converse(&request, false)
    }

    /// Sends a text on a connection of its own, ends the input, and returns all that comes back.
    pub fn say(&self, text: &str) -> String {
        self.converse(text, true)
    }

    fn converse(&self, text: &str, was_all: bool) -> String {
        let mut client = TcpStream::connect(&self.address).expect("it accepts");
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        client.write_all(text.as_bytes()).expect("it reads");
        if was_all {
            client.shutdown(std::net::Shutdown::Write).expect("it is connected");
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// Sends a signal, such as `-TERM`.
    pub fn signal(&self, signal: &str) {
        assert!(send_signal(self.child.id(), signal));
    }

    /// Waits for the end of the program; returns the exit code, the rest of its output, and its log.
    pub fn end(mut self) -> (Option<i32>, String, String) {
        let (mut printed, mut logged) = (String::new(), String::new());
        self.output.read_to_string(&mut printed).expect("text");
        self.child.stderr.take().expect("it is piped").read_to_string(&mut logged).expect("text");
        (self.child.wait().expect("it ends").code(), printed, logged)
    }

    /// Waits for the end of the program without reading its log, checks that it took less than a minute, and
    /// returns the exit code.
    pub fn end_unread(mut self) -> Option<i32> {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        let mut printed = String::new();
        // The output ends with the program.
        self.output.read_to_string(&mut printed).expect("text");
        let code = self.child.wait().expect("it ends").code();
        assert!(std::time::Instant::now() < deadline, "it took more than a minute to end");
        code
    }

    /// Stops the program with SIGTERM, and returns its exit code.
    pub fn stop(self) -> Option<i32> {
        self.signal("-TERM");
        self.end().0
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a process a signal, such as `-TERM`; returns whether there is such a process.
pub fn send_signal(pid: impl Display, signal: &str) -> bool {
    Command::new("kill").args([signal, &pid.to_string()]).output().expect("kill is there").status.success()
}

/// Returns the path of an example; `cargo test` builds the examples beside the tests.
pub fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test is a program");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("it stands in target/PROFILE/deps");
    profile.join("examples").join(name)
}
