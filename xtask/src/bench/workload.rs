//! The requests of the HTTP benches, and the number of connections that send them.

use super::load::{LoadShape, Spec};

const HELLO: &[u8] = b"Hello, World!";

/// Active connections of most workloads.
const ACTIVE: usize = 64;

/// The text before the eight digits by which requests of [`RequestKind::Numbered`] differ.
pub(crate) const NUMBER: &str = "X-Request-Id: ";

/// Requests per second of the workload that measures latency.
const RATE: f64 = 5_000.0;

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) kind: RequestKind,
    /// Open connections, reduced to what descriptors allow.
    pub(crate) connections: usize,
    /// The number of them that send requests.
    active: usize,
    pub(crate) pipeline: usize,
    pub(crate) shape: LoadShape,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum RequestKind {
    Hello,
    /// `Hello`, with a [number](NUMBER) that differs in every request.
    Numbered,
    Big,
    Echo(usize),
}

const PLAIN: Workload = Workload {
    name: "a",
    title: "keep-alive, 64 connections",
    kind: RequestKind::Hello,
    connections: ACTIVE,
    active: ACTIVE,
    pipeline: 1,
    shape: LoadShape::Closed,
};

pub(crate) const WORKLOADS: &[Workload] = &[
    PLAIN,
    Workload { name: "n", title: "keep-alive, no two requests alike", kind: RequestKind::Numbered, ..PLAIN },
    Workload {
        name: "b",
        title: "16 pipelined, 256 connections",
        connections: 256,
        active: 256,
        pipeline: 16,
        ..PLAIN
    },
    Workload { name: "c1", title: "1 000 open, 64 active", connections: 1_000, ..PLAIN },
    Workload { name: "c10", title: "10 000 open, 64 active", connections: 10_000, ..PLAIN },
    Workload { name: "d", title: "a connection per request", shape: LoadShape::Churn, ..PLAIN },
    Workload { name: "e4", title: "echo of 4 KiB", kind: RequestKind::Echo(4 * 1024), ..PLAIN },
    Workload {
        name: "e1m",
        title: "echo of 1 MiB, 8 connections",
        kind: RequestKind::Echo(1024 * 1024),
        connections: 8,
        active: 8,
        ..PLAIN
    },
    Workload { name: "f", title: "responses of 64 KiB", kind: RequestKind::Big, ..PLAIN },
    Workload { name: "g", title: "5 000 per second, 64 connections", shape: LoadShape::Rate(RATE), ..PLAIN },
];

pub(crate) fn names() -> Vec<&'static str> {
    WORKLOADS.iter().map(|workload| workload.name).collect()
}

pub(crate) fn named(name: &str) -> &'static Workload {
    WORKLOADS.iter().find(|workload| workload.name == name).expect("names were checked")
}

impl Workload {
    /// Returns the bytes of one request.
    pub(crate) fn request(&self) -> Vec<u8> {
        let close = if self.shape == LoadShape::Churn { "Connection: close\r\n" } else { "" };
        let head = match self.kind {
            RequestKind::Hello => format!("GET /plaintext HTTP/1.1\r\nHost: localhost\r\n{close}\r\n"),
            RequestKind::Numbered => {
                format!("GET /plaintext HTTP/1.1\r\nHost: localhost\r\n{close}{NUMBER}00000000\r\n\r\n")
            }
            RequestKind::Big => format!("GET /big HTTP/1.1\r\nHost: localhost\r\n{close}\r\n"),
            RequestKind::Echo(length) => {
                format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{close}Content-Length: {length}\r\n\r\n")
            }
        };
        let mut request = head.into_bytes();
        if let RequestKind::Echo(_) = self.kind {
            request.extend(self.body());
        }
        request
    }

    /// Returns the body of the expected response.
    pub(crate) fn body(&self) -> Vec<u8> {
        match self.kind {
            RequestKind::Hello | RequestKind::Numbered => HELLO.to_vec(),
            RequestKind::Big => vec![b'x'; 65_536],
            // A period that divides no power of two, so that no two buffers in a row are equal.
            RequestKind::Echo(length) => (0..length).map(|at| b'a' + (at % 23) as u8).collect(),
        }
    }

    /// Returns the load for the server at `address`, whose responses have `answer_bytes`.
    pub(crate) fn spec(&self, address: String, pid: u32, answer_bytes: usize, seconds: f64) -> Spec {
        let connections = self.connections.min(super::system::max_connections());
        Spec {
            address,
            pid,
            request: String::from_utf8(self.request()).expect("it is text"),
            answer_bytes,
            connections,
            active: self.active.min(connections),
            pipeline: self.pipeline,
            shape: self.shape,
            seconds,
        }
    }
}

/// More active connections than can be served without waiting.
pub(crate) const OVERLOAD: Workload = Workload {
    name: "overload",
    title: "1 000 connections, all active",
    connections: 1_000,
    active: 1_000,
    ..PLAIN
};

/// Returns a workload with `connections` open, of which as many are active as in the first workload.
pub(crate) const fn open(connections: usize) -> Workload {
    Workload { name: "open", title: "open, 64 active", connections, ..PLAIN }
}
