//! An example that runs as a program of its own.
#![allow(unreachable_pub, dead_code, reason = "shared by several crates, each of which uses its own part")]

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A running example; killed when dropped.
pub struct Example {
    child: Child,
    output: BufReader<ChildStdout>,
    /// Where it listens.
    pub address: String,
}

impl Example {
    /// Starts it, and waits until it says where it listens.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(path(name))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("`cargo test` builds the examples beside the tests");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says something");
        let address = line.trim().strip_prefix("listening on http://").expect("an address").to_owned();
        Self { child, output, address }
    }

    /// Asks it to end, and returns its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(killed.expect("kill is there").success());
        let mut rest = String::new();
        while self.output.read_line(&mut rest).is_ok_and(|read| read > 0) {}
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test is a program");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("it stands in target/PROFILE/deps");
    profile.join("examples").join(name)
}
