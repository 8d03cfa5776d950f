//! Server-sent events: a body that a browser's `EventSource` reads (HTML Living Standard §9.2).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, header};

use super::{BodyWriter, Flushed, Response};
use crate::WriteError;

/// An event.
///
/// ```
/// use riot_http::Event;
/// let event = Event::new("two\nlines").event("greeting").id("7");
/// assert_eq!(event.to_string(), "event: greeting\nid: 7\ndata: two\ndata: lines\n\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    event: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
    data: String,
}

impl Event {
    /// Creates an event with this text, which may have several lines.
    #[must_use]
    pub fn new(data: impl Into<String>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// Sets the type, which is `message` by default. The type ends at the first line break, because it has
    /// one line.
    #[must_use]
    pub fn event(mut self, event: impl Into<String>) -> Self {
        self.event = Some(one_line(event.into()));
        self
    }

    /// Sets what a client that reconnects sends in `Last-Event-ID`. The id ends at the first line break or
    /// NUL.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(one_line(id.into()));
        self
    }

    /// Sets how long a client that lost the connection waits before it reconnects.
    #[must_use]
    pub fn retry(mut self, time: Duration) -> Self {
        self.retry = Some(time);
        self
    }
}

/// Cuts off what could begin another field.
fn one_line(mut text: String) -> String {
    if let Some(end) = text.find(['\r', '\n', '\0']) {
        text.truncate(end);
    }
    text
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(event) = &self.event {
            writeln!(f, "event: {event}")?;
        }
        if let Some(id) = &self.id {
            writeln!(f, "id: {id}")?;
        }
        if let Some(retry) = self.retry {
            writeln!(f, "retry: {}", retry.as_millis())?;
        }
        // CR LF, LF and CR all end a line for the reader.
        for line in self.data.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
        {
            writeln!(f, "data: {line}")?;
        }
        writeln!(f)
    }
}

/// Sends events; see [`Response::events`].
#[derive(Debug)]
pub struct EventWriter(BodyWriter);

impl EventWriter {
    /// Sends an event, once there is room.
    ///
    /// # Errors
    /// If the client is gone.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, nothing has been sent.
    pub async fn send(&mut self, event: Event) -> Result<(), WriteError> {
        self.0.write(event.to_string()).await
    }

    /// Sends a line that clients skip, so that intermediaries do not close the connection for being idle.
    ///
    /// # Errors
    /// If the client is gone.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, nothing has been sent.
    pub async fn keep_alive(&mut self) -> Result<(), WriteError> {
        self.0.write(Bytes::from_static(b":\n\n")).await
    }

    /// Lets the stream go on when the server drains, up to the deadline of the drain, which cuts it. By
    /// default a drain ends a stream of events in order, at a random moment in the first half of its time: a
    /// browser connects again by itself.
    pub fn keep_on_drain(&self) {
        self.0.keep_on_drain();
    }

    /// Waits until everything sent so far has left.
    ///
    /// # Cancel safety
    /// It may be dropped at any time.
    pub async fn flush(&mut self) -> Flushed {
        self.0.flush().await
    }

    /// Ends the stream. A browser reconnects unless its next request is answered with 204.
    ///
    /// # Errors
    /// If the client is gone.
    pub fn close(self) -> Result<(), WriteError> {
        self.0.close()
    }
}

impl Response {
    /// Creates a response `200 OK` with a stream of events.
    ///
    /// ```
    /// # use riot_http::{Event, Response};
    /// let counter = Response::events(|mut events| async move {
    ///     for number in 0.. {
    ///         if events.send(Event::new(number.to_string())).await.is_err() {
    ///             return; // the client has left
    ///         }
    ///     }
    /// });
    /// # let _ = counter;
    /// ```
    #[must_use]
    pub fn events<F, Fut>(write: F) -> Self
    where
        F: FnOnce(EventWriter) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::streaming(|body| write(EventWriter(body)))
            .header(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))
            .header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_break_is_one() {
        let text = Event::new("a\r\nb\rc\n\nd\n").to_string();
        assert_eq!(text, "data: a\ndata: b\ndata: c\ndata: \ndata: d\ndata: \n\n");
    }

    #[test]
    fn no_field_can_be_smuggled_into_another() {
        let text = Event::new("x").event("a\ndata: y").id("1\r\ndata: z").to_string();
        assert_eq!(text, "event: a\nid: 1\ndata: x\n\n");
    }

    #[test]
    fn a_time_is_said_in_milliseconds() {
        let text = Event::new("").retry(Duration::from_secs(2)).to_string();
        assert_eq!(text, "retry: 2000\ndata: \n\n");
    }
}
