//! The report of a request whose handler failed: one line of the log.

use std::{
    error::Error,
    fmt::{self, Write as _},
    io,
    net::SocketAddr,
};

use crate::{
    BodyError, HandlerError, RespondError, UpgradeError, WriteError,
    contain::contain,
    h1::{Failure, RequestNote},
};

/// Emits an event. A subscriber that panics is contained.
#[cfg(not(feature = "driver"))]
macro_rules! log_event {
    ($level:ident, $($event:tt)+) => {
        let _ = contain(|| tracing::event!(target: "riot::http", tracing::Level::$level, $($event)+));
    };
}

/// Bounds the levels of an error's cause that are reported; 16.
const MAX_CAUSES: usize = 16;

/// Bounds the text of an error that is reported, in bytes; 8 KiB, so that no error fills the log.
const MAX_TEXT_BYTES: usize = 8 * 1024;

/// A request whose handler failed.
pub(super) struct FailedRequest {
    pub(super) peer: Option<SocketAddr>,
    pub(super) note: RequestNote,
    /// The connection has gone on in another protocol.
    pub(super) has_switched: bool,
    /// The levels of the log.
    #[cfg(feature = "driver")]
    pub(super) levels: riot_socket::LogLevels,
}

impl FailedRequest {
    /// Reports the error that the handler returned: as a warning, unless it only says that the client has
    /// left or sent a body that is none, and the connection had no fault to find with the handler.
    ///
    /// The error is dropped here, where a destructor that panics is contained: the connection goes on.
    ///
    /// Returns whether the handler is at fault.
    pub(super) fn report_error(&self, error: HandlerError, failure: Option<Failure>) -> bool {
        let is_at_fault = self.describe_error(&*error, failure);
        if contain(move || drop(error)).is_none() {
            self.log(false, "the destructor of the error panicked");
        }
        is_at_fault
    }

    /// Logs the error; returns whether the handler is at fault.
    fn describe_error(&self, error: &(dyn Error + Send + Sync + 'static), failure: Option<Failure>) -> bool {
        let mut text = Line::default();
        // Formatting an error is code of its author.
        let chain = contain(|| {
            let is_about_client = failure.is_none() && causes(error).any(|cause| self.is_about_client(cause));
            write_chain(&mut text, error);
            is_about_client
        });
        if chain.is_none() {
            text = Line::default();
            let _ = text.write_str("(the text of the error panicked)");
        }
        let is_about_client = chain.unwrap_or(false);
        self.log(is_about_client, &text.finish());
        !is_about_client
    }

    /// Reports what the connection knows, where the handler returned no error.
    pub(super) fn report_failure(&self, failure: Failure) {
        self.log(false, &failure.to_string());
    }

    /// Returns whether the error says only that the client has left, or what it sent is wrong.
    fn is_about_client(&self, cause: &(dyn Error + 'static)) -> bool {
        let is_lost = |error: &io::Error| {
            use io::ErrorKind::{
                BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut, UnexpectedEof,
            };
            let kinds =
                [BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut, UnexpectedEof];
            kinds.contains(&error.kind())
        };
        cause.downcast_ref() == Some(&RespondError::Closed)
            || cause.downcast_ref() == Some(&WriteError::Closed)
            || cause.downcast_ref() == Some(&UpgradeError::Closed)
            || matches!(cause.downcast_ref(), Some(BodyError::Closed | BodyError::Request(_)))
            // The transport is in the handler's own hands then.
            || (self.has_switched && cause.downcast_ref().is_some_and(is_lost))
    }

    fn log(&self, is_about_client: bool, reason: &str) {
        let (method, path) = self.note.method_and_path();
        let peer = self.peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        let text = if is_about_client { "a handler ended" } else { "a handler failed" };
        #[cfg(feature = "driver")]
        {
            let Self { levels, .. } = self;
            let level = if is_about_client { levels.of_clients_gone() } else { levels.of_handler_errors() };
            riot_actor::log_event_at!(level, "riot::http", %peer, %method, %path, "{text}: {reason}");
        }
        #[cfg(not(feature = "driver"))]
        if is_about_client {
            log_event!(DEBUG, %peer, %method, %path, "{text}: {reason}");
        } else {
            log_event!(WARN, %peer, %method, %path, "{text}: {reason}");
        }
    }
}

/// Returns the error and its causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source()).take(MAX_CAUSES)
}

/// Writes the error and its causes, joined by `: `. A cause whose text is part of the one before is left out.
fn write_chain(line: &mut Line, error: &(dyn Error + 'static)) {
    let mut before = String::new();
    for cause in causes(error) {
        let text = cause.to_string();
        if before.is_empty() {
            let _ = write!(line, "{text}");
        } else if !before.contains(&text) {
            let _ = write!(line, ": {text}");
        }
        before = text;
    }
}

/// A text of one line: control characters are escaped, and what is too long is cut.
#[derive(Default)]
struct Line {
    text: String,
    left_out: usize,
}

impl Line {
    fn finish(mut self) -> String {
        if self.left_out > 0 {
            let _ = write!(self.text, "… ({} bytes more)", self.left_out);
        }
        self.text
    }
}

/// Returns whether the character could end a line, move the cursor of a terminal, or turn the direction of
/// text.
fn is_unprintable(letter: char) -> bool {
    const OTHERS: &[std::ops::RangeInclusive<char>] =
        &['\u{200e}'..='\u{200f}', '\u{2028}'..='\u{2029}', '\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    letter.is_control() || OTHERS.iter().any(|range| range.contains(&letter))
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            if self.left_out > 0 || self.text.len() >= MAX_TEXT_BYTES {
                self.left_out += letter.len_utf8();
            } else if is_unprintable(letter) {
                self.text.extend(letter.escape_default());
            } else {
                self.text.push(letter);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_characters_and_an_end() {
        let mut line = Line::default();
        line.write_str("a\n\r\0\u{1b}[31m\u{2028}\u{202e}é").unwrap();
        assert_eq!(line.finish(), r"a\n\r\u{0}\u{1b}[31m\u{2028}\u{202e}é");
        let mut line = Line::default();
        write!(line, "{}", "x".repeat(MAX_TEXT_BYTES + 5)).unwrap();
        assert!(line.finish().ends_with("xx… (5 bytes more)"));
    }

    #[test]
    fn causes_are_said_once() {
        let mut line = Line::default();
        write_chain(&mut line, &BodyError::Request(crate::RequestError::Truncated));
        let text = "the request body is invalid or incomplete: the request ended too early";
        assert_eq!(line.finish(), text);
        let mut line = Line::default();
        write_chain(&mut line, &io::Error::other(WriteError::TooLong));
        assert_eq!(line.finish(), WriteError::TooLong.to_string(), "the wrapper's text is its cause's");
    }
}
