//! The moves of answering: responses and bodies become bytes.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use riot_flow::{COPY_MAX, FilePart, Output};

use super::HttpConfig;
use super::exchange::{Answer, Asked, Exchange, Left};
use super::state::{Inner, Reading, Writing};
use crate::{
    RequestError, RespondError, Response, WriteError, chunked,
    encode::{self, Added, ConnectionLine, LengthLine},
    framing,
};

/// The body of an answer that is known as a whole.
#[derive(Debug)]
pub(crate) enum Payload<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
    File(FilePart),
}

impl Payload<'_> {
    fn len(&self) -> u64 {
        match self {
            Self::Borrowed(bytes) => bytes.len() as u64,
            Self::Shared(bytes) => bytes.len() as u64,
            Self::File(part) => part.length() as u64,
        }
    }

    /// The body, if it is copied behind its head.
    fn small(&self) -> Option<&[u8]> {
        match self {
            Self::Borrowed(bytes) => Some(bytes),
            Self::Shared(bytes) => Some(&bytes[..]).filter(|bytes| bytes.len() <= COPY_MAX),
            Self::File(_) => None,
        }
    }

    fn write(self, output: &mut Output) {
        match self {
            Self::Borrowed(bytes) => output.write(bytes),
            Self::Shared(bytes) => output.write_bytes(bytes),
            Self::File(part) => output.write_file(part),
        }
    }
}

/// What a response says about itself.
struct Declared {
    length: Option<u64>,
    close: bool,
}

fn declared(response: &Response) -> Result<Declared, RespondError> {
    let mut declared = Declared { length: None, close: false };
    if response.plain().is_some() {
        return Ok(declared);
    }
    for (name, value) in response.headers() {
        if name == header::CONTENT_LENGTH {
            let length = framing::content_length(value.as_bytes()).map_err(|_| RespondError::Length)?;
            if declared.length.replace(length).is_some_and(|other| other != length) {
                return Err(RespondError::Length);
            }
        } else if name == header::CONNECTION {
            declared.close |=
                framing::elements(value.as_bytes()).any(|option| option.eq_ignore_ascii_case(b"close"));
        }
    }
    Ok(declared)
}

/// 204 and 304 end with their head (RFC 9112 §6.3); 205 has an empty body (RFC 9110 §15.3.6).
fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

impl Inner {
    /// The request, if it waits for its final answer, and if this status can be one.
    fn waiting(&mut self, id: u64, status: StatusCode) -> Result<&mut Exchange, RespondError> {
        let exchange = self.active(id).ok_or(RespondError::Closed)?;
        match exchange.answer {
            Answer::Waiting if status.is_informational() => Err(RespondError::Informational),
            Answer::Waiting if exchange.asked.terms.is_connect && status.is_success() => {
                Err(RespondError::Upgrade)
            }
            Answer::Waiting => Ok(exchange),
            _ => Err(RespondError::Answered),
        }
    }

    /// Answers with a body known as a whole.
    pub(crate) fn respond(
        &mut self,
        id: u64,
        response: &Response,
        payload: Payload<'_>,
    ) -> Result<(), RespondError> {
        if self.is_plain(id)
            && response.status_code() == StatusCode::OK
            && let Some(content_type) = response.plain()
            && let Some(body) = payload.small()
        {
            self.respond_plainly(content_type, body);
            return Ok(());
        }
        self.respond_by_rules(id, response, payload)
    }

    /// This request waits for its answer, and nothing about it or its connection makes a difference to that.
    #[inline]
    fn is_plain(&self, id: u64) -> bool {
        let waits = |front: &Exchange| front.id == id && front.answer == Answer::Waiting;
        self.exchanges.front().is_some_and(|front| waits(front) && front.asked.terms.plain)
            // Otherwise the connection may end with this answer.
            && self.reading == Reading::Head
    }

    /// As [`respond_by_rules`](Self::respond_by_rules), where none of the rules changes anything. So most answers are.
    #[inline]
    fn respond_plainly(&mut self, content_type: Option<&HeaderValue>, body: &[u8]) {
        self.emit_head(|output, config, second| {
            encode::plain_answer(output, content_type, config.server_line.as_ref(), second, body);
        });
        self.exchanges.move_up();
        self.advance();
        self.leave_briefly();
    }

    #[inline(never)]
    fn respond_by_rules(
        &mut self,
        id: u64,
        response: &Response,
        payload: Payload<'_>,
    ) -> Result<(), RespondError> {
        let (line, with_body, close) = self.frame(id, response, payload.len())?;
        let close = self.write_head(response, line, close);
        if with_body {
            self.emit(|output| payload.write(output));
        }
        self.answered(close);
        self.leave_briefly();
        Ok(())
    }

    /// How the head of an answer with a body of so many bytes frames it, whether the body is sent, and whether the answer
    /// is the last.
    fn frame(
        &mut self,
        id: u64,
        response: &Response,
        bytes: u64,
    ) -> Result<(LengthLine, bool, bool), RespondError> {
        let status = response.status_code();
        let exchange = self.waiting(id, status)?;
        let Declared { length, close } = declared(response)?;
        let bodyless = exchange.asked.terms.is_head || has_no_body(status);
        if !bodyless && length.is_some_and(|length| length != bytes) {
            return Err(RespondError::Length);
        }
        let line = match status {
            StatusCode::NO_CONTENT => LengthLine::None,
            StatusCode::NOT_MODIFIED => length.map_or(LengthLine::None, LengthLine::Length),
            StatusCode::RESET_CONTENT => LengthLine::Length(0),
            _ => LengthLine::Length(length.unwrap_or(bytes)),
        };
        let drain_max = self.config.limits.max_drain_bytes;
        let missing = |incoming: &super::incoming::Incoming| incoming.missing() > drain_max;
        let unread = self.exchanges.under_way().asked.incoming.as_deref().is_some_and(missing);
        Ok((line, !bodyless, close || unread))
    }

    /// Begins an answer whose body is written bit by bit.
    pub(crate) fn respond_streaming(&mut self, id: u64, response: &Response) -> Result<Left, RespondError> {
        let status = response.status_code();
        let exchange = self.waiting(id, status)?;
        let Declared { length, mut close } = declared(response)?;
        let (line, left) = match length {
            _ if status == StatusCode::NO_CONTENT => (LengthLine::None, Left::Nothing),
            _ if status == StatusCode::RESET_CONTENT => (LengthLine::Length(0), Left::Nothing),
            length if exchange.asked.terms.is_head || status == StatusCode::NOT_MODIFIED => {
                (length.map_or(LengthLine::None, LengthLine::Length), Left::Nothing)
            }
            Some(length) => (LengthLine::Length(length), Left::Bytes(length)),
            None if exchange.asked.terms.minor > 0 => (LengthLine::Chunked, Left::Chunks),
            None => {
                close = true;
                (LengthLine::None, Left::UntilClose)
            }
        };
        let close = self.write_head(response, line, close);
        let exchange = self.exchanges.under_way();
        exchange.answer = Answer::Streaming(left);
        exchange.asked.terms.keep_alive &= !close;
        self.leave();
        Ok(left)
    }

    /// Writes the head of the first request's answer; says whether the connection ends with it.
    fn write_head(&mut self, response: &Response, length: LengthLine, close: bool) -> bool {
        let exchange = self.exchanges.front().expect("a request is under way");
        // A peer that never heard "continue" may send its body or not; only the end tells the two apart.
        let terms = exchange.asked.terms;
        let unsure = terms.continue_due && !exchange.body_is_complete();
        let over = self.heads_over || !matches!(self.reading, Reading::Head | Reading::Body);
        let close = close || unsure || !terms.keep_alive || (over && self.exchanges.len() == 1);
        let connection = match (close, terms.minor) {
            (true, _) => ConnectionLine::Close,
            (false, 0) => ConnectionLine::KeepAlive,
            (false, _) => ConnectionLine::None,
        };
        self.emit_response(response, length, connection);
        close
    }

    fn emit_response(&mut self, response: &Response, length: LengthLine, connection: ConnectionLine) {
        let status = response.status_code();
        self.emit_head(|output, config, second| {
            let added = Added { length, connection, server: config.server_line.as_ref(), second };
            match response.plain() {
                Some(content_type) => encode::plain(output, status, content_type, added),
                None => encode::head(output, status, response.headers(), added),
            }
        });
    }

    /// Queues a head, and maybe what is behind it; it is told the second for its `Date`.
    #[inline]
    fn emit_head(&mut self, write: impl FnOnce(&mut Output, &HttpConfig, u64)) {
        let second = if self.second > 0 { u64::from(self.second) } else { self.config.second() };
        let wakes = self.emit_with(|output, config| write(output, config, second));
        if wakes {
            self.second = u32::try_from(second).unwrap_or(0);
        }
    }

    /// Queues bytes for the writing loop.
    fn emit(&mut self, write: impl FnOnce(&mut Output)) {
        self.emit_with(|output, _| write(output));
    }

    /// Says whether the writing loop waited for it, and comes.
    #[inline]
    fn emit_with(&mut self, write: impl FnOnce(&mut Output, &HttpConfig)) -> bool {
        let before = self.output.pending();
        write(&mut self.output, &self.config);
        self.queued += (self.output.pending() - before) as u64;
        self.writer.wake_waiting()
    }

    /// Sends an informational answer ahead of the final one. HTTP/1.0 knows none (RFC 9110 §15.2).
    pub(crate) fn respond_early<'a>(
        &mut self,
        id: u64,
        fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    ) -> Result<(), RespondError> {
        let exchange = self.active(id).ok_or(RespondError::Closed)?;
        if exchange.answer != Answer::Waiting {
            return Err(RespondError::Answered);
        }
        if exchange.asked.terms.minor > 0 {
            self.emit(|output| encode::interim(output, StatusCode::EARLY_HINTS, fields));
        }
        Ok(())
    }

    /// Answers in place of the handler of the first request, and ends the connection.
    #[cold]
    pub(crate) fn refuse(&mut self, error: RequestError) {
        self.answer_error(error, true);
    }

    fn answer_error(&mut self, error: RequestError, close: bool) {
        let (response, body) = self.config.refusal(error);
        let close = self.write_head(&response, LengthLine::Length(body.len() as u64), close);
        if !self.exchanges.under_way().asked.terms.is_head {
            self.emit(|output| output.write_bytes(body));
        }
        if matches!(error, RequestError::HandlerFailed | RequestError::HandlerTooSlow) {
            self.answered(close);
        } else {
            self.end();
        }
    }

    /// The handler of this request ended without an answer (H2).
    pub(crate) fn abandon(&mut self, id: u64, close: bool) {
        if self.active(id).is_some_and(|exchange| exchange.answer == Answer::Waiting) {
            self.answer_error(RequestError::HandlerFailed, close);
            self.leave();
        }
    }

    /// The handler of the first request failed, or took too long.
    pub(crate) fn fail_handler(&mut self, error: RequestError) {
        match self.exchanges.front().map(|front| front.answer) {
            Some(Answer::Waiting) => self.refuse(error),
            Some(Answer::Streaming(_)) => self.end(),
            _ => {}
        }
    }

    /// Tells a peer that waits for it to send its body (H6).
    pub(crate) fn invite_body(&mut self, id: u64) {
        let Some(exchange) = self.active(id) else { return };
        if exchange.asked.terms.continue_due && exchange.answer == Answer::Waiting {
            exchange.asked.terms.continue_due = false;
            self.emit(|output| encode::interim(output, StatusCode::CONTINUE, [].into_iter()));
        }
    }

    /// Writes a piece of the body (H9).
    pub(crate) fn write(&mut self, id: u64, data: Bytes) -> Result<(), WriteError> {
        let exchange = self.active(id).ok_or(WriteError::Closed)?;
        let Answer::Streaming(left) = &mut exchange.answer else { return Err(WriteError::Closed) };
        match left {
            Left::Nothing => {}
            Left::Bytes(left) if data.len() as u64 > *left => return Err(WriteError::TooLong),
            Left::Bytes(left) => {
                *left -= data.len() as u64;
                self.emit(|output| output.write_bytes(data));
            }
            Left::Chunks => self.emit(|output| chunked::write_chunk(output, data)),
            Left::UntilClose => self.emit(|output| output.write_bytes(data)),
        }
        Ok(())
    }

    /// Ends the body. One that is shorter than declared is cut off with the connection.
    pub(crate) fn finish(
        &mut self,
        id: u64,
        trailers: &[(HeaderName, HeaderValue)],
    ) -> Result<(), WriteError> {
        let exchange = self.active(id).ok_or(WriteError::Closed)?;
        let Answer::Streaming(left) = exchange.answer else { return Err(WriteError::Closed) };
        let close = !exchange.asked.terms.keep_alive;
        match left {
            Left::Bytes(1..) => {
                self.end();
                self.leave();
                return Err(WriteError::TooShort);
            }
            Left::Chunks if trailers.is_empty() => {
                self.emit(chunked::write_end);
                self.answered(close);
            }
            Left::Chunks => {
                self.emit(|output| encode::trailers(output, trailers.iter()));
                self.answered(close);
            }
            _ => self.answered(close),
        }
        self.leave();
        Ok(())
    }

    /// Cuts a body off (H10).
    pub(crate) fn abort(&mut self, id: u64) {
        if self.active(id).is_some_and(|exchange| matches!(exchange.answer, Answer::Streaming(_))) {
            self.end();
            self.leave();
        }
    }

    /// Ready below the high-water mark, or when it makes no sense to wait.
    pub(crate) fn poll_room(&mut self, id: u64, context: &Context<'_>) -> Poll<()> {
        let high = self.config.limits.output_high_water_bytes as u64;
        if self.has_room() || self.active(id).is_none() {
            return Poll::Ready(());
        }
        // At half the mark, so that there is room for more than a byte.
        let target = self.queued - high / 2;
        self.rare().flush = Some((target, context.waker().clone()));
        Poll::Pending
    }

    /// The answer to the first request is queued as a whole. The rest of its body is dropped (H7).
    fn answered(&mut self, close: bool) {
        let drain_max = self.config.limits.max_drain_bytes;
        let Some(front) = self.exchanges.front_mut() else { return };
        front.answer = Answer::Complete;
        if front.body_is_complete() {
            if close {
                // The peer that asked for the end has nothing more to send.
                self.linger = !front.asked.terms.peer_closes
                    || !matches!(self.reading, Reading::Discard { seen: false, .. });
                return self.end();
            }
            return self.pop();
        }
        let Some(incoming) = front.asked.incoming.as_mut() else { return };
        self.read_ahead -= incoming.buffered();
        incoming.drop_rest();
        if close || incoming.missing() > drain_max || incoming.dropped() > drain_max {
            return self.end();
        }
        self.wake_body();
    }

    /// Answers with a switch of protocols (F12).
    pub(crate) fn respond_switch(&mut self, id: u64, response: &Response) -> Result<(), RespondError> {
        let exchange = self.active(id).ok_or(RespondError::Closed)?;
        if exchange.answer != Answer::Waiting {
            return Err(RespondError::Answered);
        }
        let status = response.status_code();
        let Asked { terms, incoming, .. } = &exchange.asked;
        let tunnel = terms.is_connect && status.is_success();
        let switch = !terms.is_connect && status == StatusCode::SWITCHING_PROTOCOLS && terms.minor > 0;
        let read = incoming.as_ref().is_none_or(|body| body.is_complete() && body.buffered() == 0);
        if !(terms.may_switch && read && (tunnel || switch)) {
            return Err(RespondError::Upgrade);
        }
        let connection = if tunnel { ConnectionLine::None } else { ConnectionLine::Upgrade };
        self.emit_response(response, LengthLine::None, connection);
        self.writing = Writing::Switching;
        if self.reading != Reading::Closed {
            self.reading = Reading::Switched;
        }
        self.exchanges.clear();
        self.read_ahead = 0;
        self.leave();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant, time::UNIX_EPOCH};

    use proptest::{collection::vec, prelude::*};

    use super::{super::state::Shared, *};
    use crate::Limits;

    type Way = fn(&mut Inner, u64, &Response, Payload<'_>) -> Result<(), RespondError>;

    const REQUESTS: [&str; 6] = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /b HTTP/1.1\r\nHost: a\r\nAccept: c\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ];

    fn response(number: usize) -> Response {
        match number {
            0 => Response::text(""),
            1 => Response::html(""),
            2 => Response::ok(),
            3 => Response::not_found(),
            4 => Response::new(StatusCode::NO_CONTENT),
            5 => Response::new(StatusCode::CONTINUE),
            6 => Response::ok().header(header::CONNECTION, HeaderValue::from_static("close")),
            _ => Response::ok().header(header::CONTENT_LENGTH, HeaderValue::from_static("3")),
        }
    }

    /// What becomes of a connection whose requests are answered in this way.
    fn conversation(
        config: &Arc<HttpConfig>,
        requests: &[(usize, usize, usize)],
        drained_at: usize,
        way: Way,
    ) -> String {
        let shared = Shared::new(config.clone());
        let mut inner = shared.lock();
        let input: String = requests.iter().map(|&(request, ..)| REQUESTS[request]).collect();
        let (mut read, now, mut results) = (0, Instant::now(), Vec::new());
        for (place, &(_, number, bytes)) in requests.iter().enumerate() {
            if place == drained_at {
                inner.drain();
            }
            read += inner.read(&input.as_bytes()[read..], now);
            let Some((id, _head)) = inner.hand_over() else { break };
            let body = vec![b'x'; bytes];
            // Every other request is answered with bytes that could stay where they are.
            let payload =
                if id % 2 == 0 { Payload::Borrowed(&body) } else { Payload::Shared(body.clone().into()) };
            results.push(way(&mut inner, id, &response(number), payload));
        }
        let Inner { reading, writing, heads_over, linger, requests, read_ahead, queued, .. } = &*inner;
        format!(
            "{results:?} {reading:?} {writing:?} {heads_over} {linger} {requests} {read_ahead} {queued} {} {}",
            inner.exchanges.len(),
            String::from_utf8_lossy(&inner.output.slices().to_vec()),
        )
    }

    proptest! {
        #[test]
        fn an_answer_given_plainly_is_the_one_that_the_rules_give(
            requests in vec((0..REQUESTS.len(), 0..8_usize, prop_oneof![0..9_usize, Just(COPY_MAX), Just(COPY_MAX + 1)]), 1..40),
            drained_at in 0..60_usize,
            named in any::<bool>(),
            last in prop_oneof![Just(None), (1..10_u64).prop_map(Some)],
        ) {
            let name = named.then(|| HeaderValue::from_static("a name"));
            let config = HttpConfig::new().clock(|| UNIX_EPOCH).server_name(name).limits(Limits::new().max_requests(last));
            let config = Arc::new(config);
            let plainly = conversation(&config, &requests, drained_at, Inner::respond);
            let by_rules = conversation(&config, &requests, drained_at, Inner::respond_by_rules);
            prop_assert_eq!(plainly, by_rules);
        }
    }

    #[test]
    fn most_answers_are_given_plainly() {
        let shared = Shared::new(Arc::new(HttpConfig::new()));
        let mut inner = shared.lock();
        for (request, is_plain) in REQUESTS.iter().zip([true, true, false, false, false]) {
            inner.read(request.as_bytes(), Instant::now());
            let (id, _head) = inner.hand_over().expect("it is a request");
            assert_eq!(inner.is_plain(id), is_plain, "{request}");
            inner.respond(id, &Response::text(""), Payload::Borrowed(b"x")).expect("it can be answered");
        }
    }
}
