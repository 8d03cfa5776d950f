//! A small flow for the tests of this crate: it answers every line in capitals.

use std::{
    task::Waker,
    time::{Duration, Instant},
};

use crate::{Flow, FlowError, Output, ReadOperation, WakerSlot, WriteOperation, WriteResult};

#[derive(Debug, Default)]
pub(crate) struct Lines {
    output: Output,
    reader: WakerSlot,
    writer: WakerSlot,
    /// How many more lines it sends by itself when it receives one.
    talk: usize,
    line: &'static [u8],
    closing: bool,
    deadline: Option<Instant>,
    undelivered: usize,
    /// The number of waiting bytes at which it yields its reader.
    high: Option<usize>,
}

impl Lines {
    pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

    pub(crate) fn talking(line: &'static [u8], times: usize) -> Self {
        let mut lines = Self { talk: times, line, ..Self::default() };
        lines.say();
        lines
    }

    pub(crate) fn with_mark(high: usize) -> Self {
        Self { high: Some(high), ..Self::default() }
    }

    fn say(&mut self) {
        if self.talk > 0 {
            self.talk -= 1;
            self.output.write(self.line);
        }
    }
}

impl Flow for Lines {
    fn next_read_operation(&mut self) -> ReadOperation {
        match (self.closing, self.high) {
            (true, _) => ReadOperation::Close,
            (_, Some(high)) if self.output.pending() >= high => ReadOperation::Yield,
            _ => ReadOperation::Read,
        }
    }

    fn read(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.deadline = Some(now + Self::PATIENCE);
        let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return 0 };
        if self.line.is_empty() {
            self.output.write(&bytes[..=end].to_ascii_uppercase());
        } else {
            self.say();
        }
        self.writer.wake_waiting();
        end + 1
    }

    fn read_eof(&mut self, bytes: &[u8], now: Instant) -> usize {
        let consumed = self.read(bytes, now);
        if consumed == 0 {
            self.shutdown();
        }
        consumed
    }

    fn yield_reader(&mut self, waker: &Waker) {
        self.reader.register(waker);
        if self.next_read_operation() != ReadOperation::Yield {
            self.reader.wake_waiting();
        }
    }

    fn next_write_operation(&mut self, _now: Instant) -> WriteOperation<'_> {
        match (self.output.is_empty(), self.closing) {
            (false, _) => WriteOperation::Write(self.output.slices()),
            (true, true) => WriteOperation::Close(self.undelivered as u64),
            (true, false) => WriteOperation::Yield,
        }
    }

    fn report_write_result(&mut self, result: WriteResult, _now: Instant) {
        if result == WriteResult::Closed {
            self.shutdown();
        }
        // An error may have emptied the queue while the write was under way.
        if !self.output.is_empty() {
            self.undelivered += self.output.report(result);
        }
        self.reader.wake_waiting();
    }

    fn yield_writer(&mut self, waker: &Waker) {
        self.writer.register(waker);
        if self.closing || !self.output.is_empty() {
            self.writer.wake_waiting();
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.closing)
    }

    fn handle_deadline(&mut self, now: Instant) {
        if self.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.shutdown();
        }
    }

    fn report_error(&mut self, _error: FlowError) {
        self.undelivered += self.output.clear();
        self.shutdown();
    }

    fn shutdown_gracefully(&mut self, _: Option<Instant>, _: Instant) {
        self.shutdown();
    }

    fn shutdown(&mut self) {
        self.closing = true;
        self.reader.wake_waiting();
        self.writer.wake_waiting();
    }

    fn is_closed(&self) -> bool {
        self.closing && self.output.is_empty()
    }
}
