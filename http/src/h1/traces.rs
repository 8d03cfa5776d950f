//! The traces of a connection's requests, while they are watched: noted here under the lock, and reported
//! behind it.
//!
//! A request is traced from its complete head on. Its trace ends when the last byte of its response is sent
//! or lost. Nothing of this costs a connection that is not watched more than the question in
//! [`State::push`](super::state::State): a traced request counts as not
//! [simple](super::codec::framing::RequestTraits::is_simple), and the rest hangs on [`State::cold`].

use std::{collections::VecDeque, time::Instant};

use http::{StatusCode, Version};

use super::{
    queue::{Exchange, ResponseState},
    state::State,
};
use crate::{
    Route,
    observe::{CutReason, RequestTrace, Switch, TraceStage},
};

/// The traces of a connection.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    /// Of the requests whose responses are not all sent, in their order. Those in front have a whole
    /// response, those at the end no handler yet.
    open: VecDeque<RequestTrace>,
    /// The traces to be reported, in order.
    reports: Vec<(TraceStage, RequestTrace)>,
}

/// Returns whether the request has a handler, and its response is not whole.
fn is_under_way(exchange: &Exchange) -> bool {
    matches!(exchange.response, ResponseState::Waiting | ResponseState::Streaming(_))
}

impl State {
    fn traces(&mut self) -> Option<&mut Traces> {
        self.cold.as_deref_mut().map(|cold| &mut cold.traces)
    }

    fn open_trace(&mut self, id: u64) -> Option<&mut RequestTrace> {
        self.traces()?.open.iter_mut().find(|trace| trace.number == id)
    }

    /// Begins to trace the request that was queued last.
    #[cold]
    #[inline(never)]
    pub(super) fn begin_trace(&mut self) {
        let head_at = self.config.watch.now();
        let (id, request) = (self.requests, self.exchanges.last_mut());
        request.traits.is_simple = false;
        let head = (!request.head.bytes().is_empty()).then_some(&request.head);
        let trace = RequestTrace {
            number: id,
            method: head.map(|head| head.method().clone()),
            path: head.map_or("", |head| head.path()).into(),
            version: head.map_or(Version::HTTP_11, |head| head.version()),
            route: None,
            head_at,
            handler_at: None,
            answered_at: None,
            first_byte_at: None,
            last_byte_at: None,
            status: None,
            body_received: 0,
            body_sent: 0,
            cut: None,
            switch: None,
            is_reported: false,
            begins: 0,
            ends: None,
        };
        self.cold_mut().traces.open.push_back(trace);
    }

    /// Notes that a handler has got the request, which has waited for it if it was not the first.
    pub(super) fn trace_handler(&mut self, id: u64) {
        let waited = self.traces().is_some_and(|traces| {
            traces.open.iter().any(|trace| trace.number < id && trace.handler_at.is_some())
        });
        let now = waited.then(|| self.config.watch.now());
        let Some(trace) = self.open_trace(id) else { return };
        trace.handler_at = Some(now.unwrap_or(trace.head_at));
        self.report_start(id);
    }

    /// Reports that the request has begun, unless that is reported already.
    fn report_start(&mut self, id: u64) {
        let Some(trace) = self.open_trace(id).filter(|trace| !trace.is_reported) else { return };
        trace.is_reported = true;
        let started = (TraceStage::Started, trace.clone());
        self.add_reports([started]);
    }

    fn add_reports(&mut self, reports: impl IntoIterator<Item = (TraceStage, RequestTrace)>) {
        let Some(traces) = self.traces() else { return };
        traces.reports.extend(reports);
        if !traces.reports.is_empty() {
            self.unreported = true;
        }
    }

    /// Notes that the head of the response to the first request is about to be queued.
    #[cold]
    pub(super) fn trace_answer(&mut self, status: StatusCode) {
        let Some(id) = self.exchanges.front().map(|front| front.id) else { return };
        let begins = self.bytes_queued;
        if self.open_trace(id).is_none() {
            return;
        }
        self.report_start(id);
        let now = self.config.watch.now();
        let Some(trace) = self.open_trace(id) else { return };
        (trace.answered_at, trace.status, trace.begins) = (Some(now), Some(status), begins);
        let answered = (TraceStage::Answered, trace.clone());
        self.add_reports([answered]);
    }

    /// Notes bytes of the body of the first request's response.
    #[inline]
    pub(super) fn trace_body(&mut self, bytes: u64) {
        if self.cold.is_some()
            && let Some(id) = self.exchanges.front().map(|front| front.id)
            && let Some(trace) = self.open_trace(id)
        {
            trace.body_sent += bytes;
        }
    }

    /// Names the route of a request.
    pub(crate) fn set_route(&mut self, id: u64, route: &mut Option<Route>) {
        if let Some(trace) = self.open_trace(id) {
            std::mem::swap(&mut trace.route, route);
        }
    }

    /// Notes that the protocol is switched for the first request.
    #[cold]
    pub(super) fn trace_switch(&mut self, switch: Switch) {
        let id = self.exchanges.front().map_or(0, |front| front.id);
        if let Some(trace) = self.open_trace(id) {
            trace.switch = Some(switch);
        }
        self.trace_whole();
        self.end_traces_slow();
    }

    /// Counts and notes that the first request is cut, unless its response is whole.
    #[cold]
    pub(super) fn cut(&mut self, reason: CutReason) {
        let Some(front) = self.exchanges.front().filter(|front| is_under_way(front)) else { return };
        let id = front.id;
        if self.cold_mut().cut.replace(id) == Some(id) {
            return;
        }
        self.config.counters.count_cut(reason);
        if let Some(trace) = self.open_trace(id) {
            trace.cut.get_or_insert(reason);
        }
    }

    /// Counts responses that were whole, and are lost with the transport, as one request that is cut.
    #[cold]
    pub(super) fn lose_responses(&mut self) {
        if !self.exchanges.front().is_some_and(is_under_way) {
            self.config.counters.count_cut(self.cut_reason());
        }
    }

    /// Notes that the response to the first request is queued as a whole.
    #[inline]
    pub(super) fn trace_whole(&mut self) {
        if self.cold.is_some() {
            self.trace_whole_slow();
        }
    }

    #[cold]
    #[inline(never)]
    fn trace_whole_slow(&mut self) {
        let Some(front) = self.exchanges.front() else { return };
        let received = front.request.body.as_ref().map_or(0, |body| body.received());
        let (id, ends) = (front.id, self.bytes_queued);
        if let Some(trace) = self.open_trace(id) {
            trace.body_received = received;
            trace.ends.get_or_insert(ends);
            self.settle_traces();
        }
    }

    /// Ends all traces: nothing more will be queued. The request under way is cut, those behind it have
    /// never begun.
    #[inline]
    pub(super) fn end_traces(&mut self) {
        if let Some(front) = self.exchanges.front()
            && is_under_way(front)
        {
            if front.response == ResponseState::Waiting {
                self.config.counters.count_unanswered();
            }
            self.cut(self.cut_reason());
        }
        if self.cold.is_some() {
            self.end_traces_slow();
        }
    }

    /// Returns why the request under way is cut, where nothing better is known.
    fn cut_reason(&self) -> CutReason {
        match self.cold.as_ref().and_then(|cold| cold.timed_out) {
            Some(timer) => CutReason::TimedOut(timer),
            None if self.lost_at.is_some() => CutReason::ClientGone,
            None => CutReason::Unfinished,
        }
    }

    #[cold]
    #[inline(never)]
    fn end_traces_slow(&mut self) {
        self.trace_whole_slow();
        let ends = self.bytes_queued;
        if let Some(traces) = self.traces() {
            traces.open.retain(|trace| trace.is_reported);
            for trace in &mut traces.open {
                trace.ends.get_or_insert(ends);
            }
        }
        self.settle_traces();
    }

    /// Drops the traces of requests that no handler will take.
    pub(super) fn truncate_traces(&mut self) {
        let first = self.exchanges.front().map_or(u64::MAX, |front| front.id);
        let kept = first.saturating_add(self.exchanges.len() as u64);
        if let Some(traces) = self.traces() {
            traces.open.retain(|trace| trace.is_reported || trace.number < kept);
        }
    }

    /// Reports the requests whose responses are sent or lost.
    #[cold]
    #[inline(never)]
    pub(super) fn settle_traces(&mut self) {
        let (sent, lost_at, reason) = (self.bytes_sent, self.lost_at, self.cut_reason());
        let told = self.timers.told_time();
        let now = |earliest: Instant| told.map_or(earliest, |told| told.max(earliest));
        let Some(traces) = self.traces() else { return };
        let mut ended = Vec::new();
        for trace in &mut traces.open {
            let answered_at = trace.answered_at.unwrap_or(trace.head_at);
            if trace.status.is_some() && trace.begins < lost_at.unwrap_or(sent).min(sent) {
                trace.first_byte_at.get_or_insert(now(answered_at));
            }
        }
        while let Some(trace) = traces.open.front()
            && let Some(ends) = trace.ends.filter(|ends| *ends <= sent)
            && let Some(mut trace) = traces.open.pop_front()
        {
            if lost_at.is_some_and(|lost_at| lost_at < ends) {
                trace.cut.get_or_insert(reason);
            } else if trace.status.is_some() {
                trace.last_byte_at = Some(now(trace.answered_at.unwrap_or(trace.head_at)));
            }
            ended.push((TraceStage::Ended, trace));
        }
        if !ended.is_empty() {
            self.add_reports(ended);
            self.wake_next();
            if let Some(waker) = &self.handler_waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Returns whether traces are open, so that bytes that are sent concern them.
    pub(super) fn has_traces(&self) -> bool {
        self.cold.as_ref().is_some_and(|cold| !cold.traces.open.is_empty())
    }

    /// Takes what is to be reported.
    #[cold]
    pub(crate) fn take_reports(&mut self) -> Vec<(TraceStage, RequestTrace)> {
        self.traces().map_or_else(Vec::new, |traces| std::mem::take(&mut traces.reports))
    }
}
