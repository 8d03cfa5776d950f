//! Heads of requests that did not come through the server's own parser.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use riot_http::{Head, Http1, HttpConfig, Response, flow::Flow as _};

/// Parses the bytes of a whole head, strictly; none if the server would refuse it.
pub(crate) fn parse(bytes: &[u8]) -> Option<Head> {
    let (mut connection, mut requests) = Http1::new(Arc::new(HttpConfig::new()));
    connection.read(bytes, Instant::now());
    match requests.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(reqd)) => {
            let head = reqd.request().clone();
            // A request without a response would be logged.
            let _ = reqd.respond_with_string(Response::ok(), "");
            Some(head)
        }
        _ => None,
    }
}
