//! The moves of responding: responses and bodies become bytes.

use std::hint::cold_path;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use riot_flow::{FilePart, MAX_COPY_BYTES, Output};

use super::{
    cache::response_heads,
    codec::{
        framing,
        response::{self, Added, ConnectionLine, LengthLine},
    },
    queue::{Exchange, ResponseState},
    request_body::RequestBody,
    state::{Reading, State},
};
use crate::{
    HttpConfig, RequestError, RespondError,
    message::{ResponseHead, list_elements},
    observe::CutReason,
};

/// The body of a response that is known as a whole.
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

    /// Returns the body if it is copied behind its head.
    fn copied_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Borrowed(bytes) => Some(bytes),
            Self::Shared(bytes) => Some(&bytes[..]).filter(|bytes| bytes.len() <= MAX_COPY_BYTES),
            Self::File(_) => None,
        }
    }

    /// Appends the body. Bytes that are copied stay here, and are dropped by the caller, who holds no lock.
    fn write(&mut self, output: &mut Output) {
        match self {
            Self::Borrowed(bytes) => output.write(bytes),
            Self::Shared(bytes) => write_bytes(output, bytes),
            Self::File(_) => {
                if let Self::File(part) = std::mem::replace(self, Self::Borrowed(&[])) {
                    output.write_file(part);
                }
            }
        }
    }
}

/// Appends bytes to the output, unless copying them is cheaper. Bytes that are copied stay with the caller,
/// who drops them when no lock is held: they may own a value of a user.
pub(crate) fn write_bytes(output: &mut Output, bytes: &mut Bytes) {
    if bytes.len() <= MAX_COPY_BYTES {
        output.write(bytes);
    } else {
        output.write_bytes(std::mem::take(bytes));
    }
}

/// The fields of a response that matter for its framing.
pub(super) struct ResponseFields {
    pub(super) length: Option<u64>,
    pub(super) close: bool,
}

pub(super) fn declared(head: &ResponseHead<'_>) -> Result<ResponseFields, RespondError> {
    let mut declared = ResponseFields { length: None, close: false };
    if head.simple_fields().is_some() {
        return Ok(declared);
    }
    for (name, value) in head.headers() {
        if name == header::CONTENT_LENGTH {
            let length = framing::content_length(value.as_bytes()).map_err(|_| RespondError::Length)?;
            if declared.length.replace(length).is_some_and(|other| other != length) {
                return Err(RespondError::Length);
            }
        } else if name == header::CONNECTION {
            declared.close |=
                list_elements(value.as_bytes()).any(|option| option.eq_ignore_ascii_case(b"close"));
        }
    }
    Ok(declared)
}

/// Returns whether a response with this status has no body: 204 and 304 end with their head (RFC 9112 §6.3),
/// 205 has an empty body (RFC 9110 §15.3.6).
fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

impl State {
    /// Returns the exchange, if it waits for its final response and this status can be one.
    pub(super) fn unanswered(&mut self, id: u64, status: StatusCode) -> Result<&mut Exchange, RespondError> {
        let exchange = self.active(id).ok_or(RespondError::Closed)?;
        match exchange.response {
            ResponseState::Waiting if status.is_informational() => Err(RespondError::Informational),
            ResponseState::Waiting if exchange.request.traits.is_connect && status.is_success() => {
                Err(RespondError::Upgrade)
            }
            ResponseState::Waiting => Ok(exchange),
            _ => Err(RespondError::Closed),
        }
    }

    /// Responds with a body known as a whole.
    #[inline]
    pub(crate) fn respond(
        &mut self,
        id: u64,
        head: &ResponseHead<'_>,
        payload: &mut Payload<'_>,
    ) -> Result<(), RespondError> {
        if self.is_simple(id)
            && head.status == StatusCode::OK
            && let Some(content_type) = head.simple_fields()
            && let Some(body) = payload.copied_bytes()
        {
            self.respond_fast(content_type, body);
            return Ok(());
        }
        self.respond_slow(id, head, payload)
    }

    /// Returns whether the request waits for its response, and nothing about it or its connection affects the
    /// framing.
    #[inline]
    fn is_simple(&self, id: u64) -> bool {
        let waits = |front: &Exchange| front.id == id && front.response == ResponseState::Waiting;
        self.exchanges.front().is_some_and(|front| waits(front) && front.request.traits.is_simple)
            // Otherwise the connection may end with this response.
            && self.reading == Reading::Head
    }

    /// Responds as [`respond_slow`](Self::respond_slow) does, where none of its rules applies. Most responses
    /// are of this kind.
    #[inline]
    fn respond_fast(&mut self, content_type: Option<&HeaderValue>, body: &[u8]) {
        self.config.counters.count(StatusCode::OK);
        self.emit_head(|output, config, second| {
            response_heads::simple_response(output, content_type, config.server_line.as_ref(), second, body);
        });
        self.exchanges.pop_answered();
        self.advance();
        self.finish_call_fast();
    }

    #[inline(never)]
    fn respond_slow(
        &mut self,
        id: u64,
        head: &ResponseHead<'_>,
        payload: &mut Payload<'_>,
    ) -> Result<(), RespondError> {
        let (line, with_body, close) =
            self.frame(id, head, payload.len()).map_err(|error| self.refuse(id, error))?;
        let close = self.write_head(head, line, close);
        if with_body {
            self.trace_body(payload.len());
            self.emit(|output| payload.write(output));
        }
        self.finish_response(close);
        self.finish_call_fast();
        Ok(())
    }

    /// Returns how the head of a response with a body of `bytes` bytes frames it, whether the body is sent,
    /// and whether the response is the last.
    fn frame(
        &mut self,
        id: u64,
        head: &ResponseHead<'_>,
        bytes: u64,
    ) -> Result<(LengthLine, bool, bool), RespondError> {
        let status = head.status;
        let exchange = self.unanswered(id, status)?;
        let ResponseFields { length, close } = declared(head)?;
        let bodyless = exchange.request.traits.is_head || has_no_body(status);
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
        let missing = |incoming: &RequestBody| incoming.missing() > drain_max;
        let unread = self.exchanges.active_mut().request.body.as_deref().is_some_and(missing);
        Ok((line, !bodyless, close || unread))
    }

    /// Writes the head of the first exchange's response; returns whether the connection ends with it.
    pub(super) fn write_head(&mut self, head: &ResponseHead<'_>, length: LengthLine, close: bool) -> bool {
        let exchange = self.exchanges.front().expect("a request is under way");
        // A peer that never got 100 may or may not send its body; only the end of the connection tells the
        // two apart.
        let traits = exchange.request.traits;
        let unsure = traits.continue_due && !exchange.body_is_complete();
        let close = close
            || unsure
            || !traits.keep_alive
            || (self.exchanges.len() == 1 && self.reads_no_further_request());
        let connection = match (close, traits.minor) {
            (true, _) => ConnectionLine::Close,
            (false, 0) => ConnectionLine::KeepAlive,
            (false, _) => ConnectionLine::None,
        };
        self.emit_response(head, length, connection);
        if self.last_next {
            cold_path();
            self.count_served();
        }
        close
    }

    /// Returns whether no request is read behind those in the queue.
    fn reads_no_further_request(&self) -> bool {
        let reads = self.reading.is_head() || self.reading == Reading::Body;
        self.no_more_requests || self.last_next || !reads
    }

    /// Counts a request that is answered while the connection ends in order.
    #[cold]
    fn count_served(&mut self) {
        if let Some(drain) = self.cold_mut().drain.as_mut() {
            drain.served += 1;
        }
    }

    pub(super) fn emit_response(
        &mut self,
        head: &ResponseHead<'_>,
        length: LengthLine,
        connection: ConnectionLine,
    ) {
        let status = head.status;
        self.config.counters.count(status);
        if self.cold.is_some() {
            self.trace_answer(status);
        }
        self.emit_head(|output, config, second| {
            let added = Added { length, connection, server: config.server_line.as_ref(), unix_secs: second };
            match head.simple_fields() {
                Some(content_type) => response_heads::head(output, status, content_type, added),
                None => response::head(output, status, head.headers(), added, config.latest_date(second)),
            }
        });
    }

    /// Queues a head, and what `write` puts behind it. `write` gets the Unix seconds for `Date`.
    #[inline]
    fn emit_head(&mut self, write: impl FnOnce(&mut Output, &HttpConfig, u64)) {
        let second = if self.date_secs > 0 { u64::from(self.date_secs) } else { self.config.unix_secs() };
        let wakes = self.emit_with(|output, config| write(output, config, second));
        if wakes {
            self.date_secs = u32::try_from(second).unwrap_or(0);
        }
    }

    /// Queues bytes for the writer.
    pub(super) fn emit(&mut self, write: impl FnOnce(&mut Output)) {
        self.emit_with(|output, _| write(output));
    }

    /// Queues bytes; returns whether the writer waited for them and was woken.
    #[inline]
    fn emit_with(&mut self, write: impl FnOnce(&mut Output, &HttpConfig)) -> bool {
        let before = self.output.pending();
        write(&mut self.output, &self.config);
        self.bytes_queued += (self.output.pending() - before) as u64;
        self.writer.wake_waiting()
    }

    /// Sends an informational response ahead of the final one. HTTP/1.0 has none (RFC 9110 §15.2).
    pub(crate) fn respond_early_hints<'a>(
        &mut self,
        id: u64,
        fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    ) -> Result<(), RespondError> {
        let exchange = self.active(id).ok_or(RespondError::Closed)?;
        if exchange.response != ResponseState::Waiting {
            return Err(RespondError::Closed);
        }
        if exchange.request.traits.minor > 0 {
            self.emit(|output| response::interim(output, StatusCode::EARLY_HINTS, fields));
        }
        Ok(())
    }

    /// Responds in place of the handler of the first exchange, and ends the connection.
    #[cold]
    pub(crate) fn respond_error_and_close(&mut self, error: RequestError) {
        self.respond_error(error, true);
    }

    pub(super) fn respond_error(&mut self, error: RequestError, close: bool) {
        match error {
            RequestError::HandlerTooSlow => self.cut(CutReason::TimedOut("handler")),
            RequestError::Stopped => self.cut(CutReason::Drained),
            RequestError::HandlerFailed if close => self.cut(CutReason::Panicked),
            _ => {}
        }
        let response = self.config.error_response(error);
        let length = LengthLine::Length(response.body.len() as u64);
        let close = self.write_head(&response.head(), length, close);
        if !self.exchanges.active_mut().request.traits.is_head {
            self.trace_body(response.body.len() as u64);
            self.emit(|output| output.write_bytes(response.body));
        }
        let is_about_handler = matches!(
            error,
            RequestError::HandlerFailed
                | RequestError::HandlerTooSlow
                | RequestError::Stopped
                | RequestError::Upgrade
        );
        if is_about_handler {
            self.finish_response(close);
        } else {
            // A rejected request has had no handler.
            if let Some(front) = self.exchanges.front_mut()
                && front.response == ResponseState::Waiting
            {
                front.move_response(ResponseState::Complete);
            }
            self.end();
        }
    }

    /// Handles a handler that failed or took too long.
    pub(crate) fn fail_handler(&mut self, error: RequestError) {
        match self.exchanges.front().map(|front| front.response) {
            Some(ResponseState::Waiting) => self.respond_error_and_close(error),
            Some(ResponseState::Streaming(_)) => {
                match error {
                    RequestError::HandlerTooSlow => self.cut(CutReason::TimedOut("handler")),
                    RequestError::Stopped => self.cut(CutReason::Drained),
                    _ => self.cut(CutReason::Panicked),
                }
                self.end();
            }
            _ => {}
        }
    }

    /// Sends 100 to a peer that waits for it before it sends its body.
    pub(crate) fn invite_body(&mut self, id: u64) {
        let Some(exchange) = self.active(id) else { return };
        if exchange.request.traits.continue_due && exchange.response == ResponseState::Waiting {
            exchange.request.traits.continue_due = false;
            self.emit(|output| response::interim(output, StatusCode::CONTINUE, [].into_iter()));
        }
    }

    /// Records that the response to the first request is queued as a whole. The rest of its body is dropped.
    pub(super) fn finish_response(&mut self, close: bool) {
        let drain_max = self.config.limits.max_drain_bytes;
        let Some(front) = self.exchanges.front_mut() else { return };
        front.move_response(ResponseState::Complete);
        self.trace_whole();
        let Some(front) = self.exchanges.front_mut() else { return };
        if front.body_is_complete() {
            if close {
                // A peer that asked for the end has nothing more to send.
                self.linger = !front.request.traits.peer_closes
                    || !matches!(self.reading, Reading::Discard { seen: false, .. });
                return self.end();
            }
            return self.pop();
        }
        let Some(incoming) = front.request.body.as_mut() else { return };
        self.read_ahead -= incoming.buffered();
        incoming.discard_rest();
        if close || incoming.missing() > drain_max || incoming.dropped() > drain_max {
            return self.end();
        }
        self.wake_body();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant, time::UNIX_EPOCH};

    use proptest::{collection::vec, prelude::*};

    use super::{super::shared::Shared, *};
    use crate::{Limits, observe::Peer};

    type Way = fn(&mut State, u64, &ResponseHead<'_>, &mut Payload<'_>) -> Result<(), RespondError>;

    const REQUESTS: [&str; 6] = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /b HTTP/1.1\r\nHost: a\r\nAccept: c\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ];

    const NONE: &[(HeaderName, HeaderValue)] = &[];
    static TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
    static HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
    static CLOSE: [(HeaderName, HeaderValue); 1] = [(header::CONNECTION, HeaderValue::from_static("close"))];
    static LENGTH: [(HeaderName, HeaderValue); 1] = [(header::CONTENT_LENGTH, HeaderValue::from_static("3"))];

    fn response(number: usize) -> ResponseHead<'static> {
        let head = |status, content_type, others| ResponseHead { status, content_type, others };
        match number {
            0 => head(StatusCode::OK, Some(&TEXT), NONE),
            1 => head(StatusCode::OK, Some(&HTML), NONE),
            2 => head(StatusCode::OK, None, NONE),
            3 => head(StatusCode::NOT_FOUND, None, NONE),
            4 => head(StatusCode::NO_CONTENT, None, NONE),
            5 => head(StatusCode::CONTINUE, None, NONE),
            6 => head(StatusCode::OK, None, &CLOSE),
            _ => head(StatusCode::OK, None, &LENGTH),
        }
    }

    /// Returns what becomes of a connection whose requests are answered with `way`.
    fn conversation(
        config: &Arc<HttpConfig>,
        requests: &[(usize, usize, usize)],
        drained_at: usize,
        way: Way,
    ) -> String {
        let shared = Shared::new(config.clone(), Peer::default());
        let mut state = shared.lock();
        let input: String = requests.iter().map(|&(request, ..)| REQUESTS[request]).collect();
        let (mut read, now, mut results) = (0, Instant::now(), Vec::new());
        for (place, &(_, number, bytes)) in requests.iter().enumerate() {
            if place == drained_at {
                state.drain(None);
            }
            read += state.read(&input.as_bytes()[read..], now);
            let Some((id, _head)) = state.hand_over() else { break };
            let body = vec![b'x'; bytes];
            // Every other request is answered with bytes that could stay where they are.
            let mut payload =
                if id % 2 == 0 { Payload::Borrowed(&body) } else { Payload::Shared(body.clone().into()) };
            results.push(way(&mut state, id, &response(number), &mut payload));
        }
        let State {
            reading,
            writing,
            no_more_requests,
            linger,
            requests,
            read_ahead,
            bytes_queued: queued,
            ..
        } = &*state;
        format!(
            "{results:?} {reading:?} {writing:?} {no_more_requests} {linger} {requests} {read_ahead} \
             {queued} {} {}",
            state.exchanges.len(),
            String::from_utf8_lossy(&state.output.slices().to_vec()),
        )
    }

    /// Lengths of bodies, some of them at the bound of what is copied.
    fn lengths() -> impl Strategy<Value = usize> {
        prop_oneof![0..9_usize, Just(MAX_COPY_BYTES), Just(MAX_COPY_BYTES + 1)]
    }

    proptest! {
        #[test]
        fn an_answer_given_plainly_is_the_one_that_the_rules_give(
            requests in vec((0..REQUESTS.len(), 0..8_usize, lengths()), 1..40),
            drained_at in 0..60_usize,
            named in any::<bool>(),
            last in prop_oneof![Just(None), (1..10_u64).prop_map(Some)],
        ) {
            let name = named.then(|| HeaderValue::from_static("a name"));
            let limits = last.map_or_else(Limits::new, |last| Limits::new().max_requests(last));
            let config = HttpConfig::new().clock(|| UNIX_EPOCH).server_name(name).limits(limits);
            let config = Arc::new(config);
            let plainly = conversation(&config, &requests, drained_at, State::respond);
            let by_rules = conversation(&config, &requests, drained_at, State::respond_slow);
            prop_assert_eq!(plainly, by_rules);
        }
    }

    #[test]
    fn most_answers_are_given_plainly() {
        let shared = Shared::new(Arc::new(HttpConfig::new()), Peer::default());
        let mut state = shared.lock();
        for (request, is_plain) in REQUESTS.iter().zip([true, true, false, false, false]) {
            state.read(request.as_bytes(), Instant::now());
            let (id, _head) = state.hand_over().expect("it is a request");
            assert_eq!(state.is_simple(id), is_plain, "{request}");
            state.respond(id, &response(0), &mut Payload::Borrowed(b"x")).expect("it can be answered");
        }
    }
}
