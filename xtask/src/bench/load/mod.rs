//! A small load generator: one thread, one poll, non-blocking sockets.
//!
//! The generator is a program of its own so that it can be pinned to a core. A [`Spec`] comes as JSON on its
//! standard input, an [`Outcome`] goes as JSON to its standard output. Responses were compared byte by byte
//! before; here they are counted by their known length, and each must begin with status 200.

mod client;

pub(crate) use client::{Client, Until};

use std::{
    io::{Read, Write},
    process::Stdio,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{stats::percentile, system};

/// Load before counting starts; at most half of the time that is counted.
const WARM_UP: Duration = Duration::from_millis(150);

/// The requests to send, and the server to send them to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) address: String,
    /// The server, whose CPU time is measured.
    pub(crate) pid: u32,
    pub(crate) request: String,
    pub(crate) answer_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) active: usize,
    pub(crate) pipeline: usize,
    pub(crate) shape: LoadShape,
    pub(crate) seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum LoadShape {
    /// Each active connection sends its next request when its response has come.
    Closed,
    /// Like `Closed`, with a new connection for each request.
    Churn,
    /// Requests per second, independent of responses. Latency is counted from the time a request was due.
    Rate(f64),
}

/// The result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) server_cpu_nanos: u64,
    /// From a request to the end of its response; with pipelining from the first of a batch to the last.
    pub(crate) p50_micros: f64,
    pub(crate) p99_micros: f64,
    /// The part of the machine's CPU time that neither server nor client used, but other programs; if known.
    pub(crate) foreign_cpu: Option<f64>,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    pub(crate) fn cpu_micros(&self) -> f64 {
        self.server_cpu_nanos as f64 / 1_000.0 / self.requests as f64
    }
}

/// Runs the load generator as a program of its own, pinned to `core`.
pub(crate) fn run(spec: &Spec, core: Option<usize>) -> Result<Outcome, String> {
    let myself = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = system::pinned(core, &myself.to_string_lossy())
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the load generator does not start: {error}"))?;
    let spec = serde_json::to_vec(spec).expect("a spec is plain data");
    let written = child.stdin.take().expect("it is piped").write_all(&spec);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    written.map_err(|error| format!("the load generator does not read its input: {error}"))?;
    serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("the load generator failed: {}", output.status))
}

/// Runs the load generator: the task `load`.
pub(crate) fn main() -> Result<(), String> {
    system::raise_descriptors();
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| error.to_string())?;
    let spec: Spec = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let outcome = measure(&spec)?;
    println!("{}", serde_json::to_string(&outcome).expect("an outcome is plain data"));
    Ok(())
}

fn measure(spec: &Spec) -> Result<Outcome, String> {
    let mut client = Client::connect(spec)?;
    let time = Duration::from_secs_f64(spec.seconds);
    client.run(Until::Elapsed(WARM_UP.min(time / 2)))?;
    let clocks = Clocks::read(spec.pid);
    let mut counted = client.run(Until::Elapsed(time))?;
    let (server_cpu_nanos, foreign_cpu) = clocks.since(counted.elapsed);
    counted.nanos.sort_unstable();
    let micros = |part| f64::from(percentile(&counted.nanos, part)) / 1_000.0;
    Ok(Outcome {
        requests: counted.requests,
        seconds: counted.elapsed.as_secs_f64(),
        server_cpu_nanos,
        p50_micros: micros(0.5),
        p99_micros: micros(0.99),
        foreign_cpu: Some(foreign_cpu),
    })
}

/// CPU times read before and after a run, in nanoseconds.
struct Clocks {
    pid: u32,
    server: u64,
    client: u64,
    machine: u64,
}

impl Clocks {
    fn read(pid: u32) -> Self {
        let client = system::cpu_nanos(std::process::id());
        Self { pid, server: system::cpu_nanos(pid), client, machine: system::busy_nanos() }
    }

    /// Returns the CPU time of the server, and the part of the machine that other programs used.
    fn since(&self, elapsed: Duration) -> (u64, f64) {
        let now = Self::read(self.pid);
        let server = now.server - self.server;
        let foreign = (now.machine - self.machine).saturating_sub(server + now.client - self.client);
        let all = elapsed.as_nanos() as f64 * system::cores_in_all() as f64;
        (server, foreign as f64 / all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::BufRead, net::TcpListener};

    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    /// Starts a server that answers each request with `answer`, and closes if the request says so.
    fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut lines =
                        std::io::BufReader::new(stream.try_clone().expect("it can be cloned")).lines();
                    let mut close = false;
                    while let Some(Ok(line)) = lines.next() {
                        close |= line.starts_with("Connection: close");
                        if line.is_empty() && ((&stream).write_all(answer.as_bytes()).is_err() || close) {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn spec(address: String, shape: LoadShape) -> Spec {
        let close = if shape == LoadShape::Churn { "Connection: close\r\n" } else { "" };
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{close}\r\n");
        Spec {
            address,
            pid: std::process::id(),
            request,
            answer_bytes: ANSWER.len(),
            connections: 8,
            active: 4,
            pipeline: 1,
            shape,
            seconds: 0.05,
        }
    }

    #[test]
    fn every_load_shape_is_answered() {
        for shape in [LoadShape::Closed, LoadShape::Churn, LoadShape::Rate(1_000.0)] {
            let outcome = measure(&spec(server(ANSWER), shape)).expect("it is answered");
            assert!(
                outcome.requests > 0 && outcome.p99_micros >= outcome.p50_micros,
                "{shape:?}: {outcome:?}"
            );
        }
    }

    #[test]
    fn requests_are_counted_in_whole_batches() {
        let spec = Spec { pipeline: 16, ..spec(server(ANSWER), LoadShape::Closed) };
        let mut client = Client::connect(&spec).expect("it connects");
        assert_eq!(client.run(Until::Requests(1_000)).expect("it is answered").requests, 1_008);
        assert_eq!(client.run(Until::Requests(64)).expect("again").requests, 64);
    }

    #[test]
    fn a_status_other_than_200_is_an_error() {
        let answer = "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nok";
        let error = measure(&spec(server(answer), LoadShape::Closed)).expect_err("it is wrong");
        assert!(error.contains("500"), "{error}");
    }

    #[test]
    fn a_response_that_is_too_long_is_an_error() {
        let spec = Spec { answer_bytes: ANSWER.len() - 1, ..spec(server(ANSWER), LoadShape::Closed) };
        assert!(measure(&spec).expect_err("it is longer").contains("longer"));
    }
}
