//! Flows without a transport: one driven by calls, or two joined in memory. For tests and experiments.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Wake, Waker},
    time::{Duration, Instant},
};

use crate::{Flow, FlowError, ReadOperation, WriteOperation, WriteResult};

/// The size of one read of a file, in bytes; 64 KiB.
const FILE_BYTES: usize = 64 * 1024;

/// A driver that is moved by calls: bytes are pushed and collected, cut anywhere, and the clock is set.
///
/// Like any driver it keeps what the flow did not consume, and presents it again. The front page of this
/// crate shows one in use.
pub struct ManualDriver<F> {
    /// The flow.
    pub flow: F,
    now: Instant,
    /// Bytes pushed and not consumed.
    input: Vec<u8>,
    input_ended: bool,
    write_closed: Option<u64>,
    woken: Arc<Woken>,
}

/// The bytes pushed may be confidential, so their number alone is shown.
impl<F: fmt::Debug> fmt::Debug for ManualDriver<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualDriver")
            .field("flow", &self.flow)
            .field("unread", &self.input.len())
            .finish_non_exhaustive()
    }
}

/// Records that the reader was woken.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

impl<F: Flow> ManualDriver<F> {
    /// Starts to drive `flow`. The clock starts at some instant and stands still.
    #[must_use]
    pub fn new(flow: F) -> Self {
        let (input, now, woken) = (Vec::new(), Instant::now(), Arc::default());
        let mut hand = Self { flow, now, input, input_ended: false, write_closed: None, woken };
        // Both loops ask at once, which is how the flow first hears of the time.
        hand.collect_at_most(0);
        hand.pump();
        hand
    }

    /// Returns the time on the clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Receives bytes from the peer, in one piece.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.pump();
    }

    /// Receives bytes from the peer in pieces of these sizes, used in turn.
    ///
    /// # Panics
    /// Panics if there are no sizes, or only zeros.
    pub fn push_cut(&mut self, mut bytes: &[u8], sizes: &[usize]) {
        assert!(sizes.iter().any(|&size| size > 0), "pieces need a size");
        for &size in sizes.iter().cycle() {
            if bytes.is_empty() {
                return;
            }
            let (piece, rest) = bytes.split_at(size.min(bytes.len()));
            self.push(piece);
            bytes = rest;
        }
    }

    /// Receives the end of the peer's input.
    pub fn end_input(&mut self) {
        self.input_ended = true;
        self.pump();
    }

    /// Runs the reader as far as it gets: the leftover is presented again once the reader is woken.
    pub fn pump(&mut self) {
        loop {
            match self.flow.next_read_operation() {
                ReadOperation::Read if self.input.is_empty() && !self.input_ended => return,
                ReadOperation::Read => {
                    let consumed = match self.input_ended {
                        true => self.flow.read_eof(&self.input, self.now),
                        false => self.flow.read(&self.input, self.now),
                    };
                    self.input.drain(..consumed);
                    if consumed == 0 && self.flow.next_read_operation() == ReadOperation::Read {
                        return;
                    }
                }
                ReadOperation::Yield => {
                    self.flow.yield_reader(&Waker::from(self.woken.clone()));
                    if !self.woken.0.swap(false, Relaxed) {
                        return;
                    }
                }
                ReadOperation::Close => return,
            }
        }
    }

    /// Collects everything the flow has to send.
    pub fn collect(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let piece = self.collect_at_most(usize::MAX);
            if piece.is_empty() {
                return all;
            }
            all.extend_from_slice(&piece);
        }
    }

    /// Collects what one write of at most `bytes` bytes sends; nothing if there is nothing to send.
    pub fn collect_at_most(&mut self, bytes: usize) -> Vec<u8> {
        let mut piece = match self.flow.next_write_operation(self.now) {
            WriteOperation::Write(slices) => slices.to_vec(),
            WriteOperation::File(part) => {
                let mut piece = vec![0; part.length().min(bytes).min(FILE_BYTES)];
                let Ok(read) = part.read(&mut piece) else {
                    self.flow.report_write_result(WriteResult::Closed, self.now);
                    return Vec::new();
                };
                piece.truncate(read);
                piece
            }
            WriteOperation::Yield => return Vec::new(),
            WriteOperation::Close(undelivered) => {
                self.write_closed = Some(undelivered);
                return Vec::new();
            }
        };
        piece.truncate(bytes);
        self.flow.report_write_result(WriteResult::Written(piece.len()), self.now);
        self.pump();
        piece
    }

    /// Makes the next write fail, as if the peer accepted no more.
    pub fn refuse_output(&mut self) {
        if let WriteOperation::Write(_) | WriteOperation::File(_) = self.flow.next_write_operation(self.now) {
            self.flow.report_write_result(WriteResult::Closed, self.now);
        }
    }

    /// Makes the transport fail.
    pub fn reset(&mut self) {
        self.flow.report_error(FlowError::Transport(std::io::ErrorKind::ConnectionReset.into()));
    }

    /// Asks the flow to end in order, before `deadline` if there is one.
    pub fn shutdown_gracefully(&mut self, deadline: Option<Instant>) {
        self.flow.shutdown_gracefully(deadline, self.now);
        self.pump();
    }

    /// Moves the clock, stopping at every deadline on the way.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        let mut stops = 0;
        while let Some(deadline) = self.flow.next_deadline().filter(|&deadline| deadline <= end) {
            self.now = deadline.max(self.now);
            self.flow.handle_deadline(self.now);
            stops += 1;
            assert!(stops < 10_000, "a deadline that does not move is a defect of the flow");
        }
        self.now = end;
        self.pump();
    }

    /// Returns the bytes pushed and not consumed yet.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.input
    }

    /// Returns what the reader does next.
    pub fn read_operation(&mut self) -> ReadOperation {
        self.flow.next_read_operation()
    }

    /// Returns whether the flow reads no more.
    pub fn read_is_closed(&mut self) -> bool {
        self.flow.next_read_operation() == ReadOperation::Close
    }

    /// Returns the number of undelivered bytes once the flow writes no more.
    pub fn write_is_closed(&mut self) -> Option<u64> {
        if self.write_closed.is_none()
            && let WriteOperation::Close(undelivered) = self.flow.next_write_operation(self.now)
        {
            self.write_closed = Some(undelivered);
        }
        self.write_closed
    }
}

/// Joins two flows: each receives what the other sends, in pieces of at most `piece` bytes, until both are
/// quiet. Returns how many bytes went from the first to the second, and back.
pub fn join<A: Flow, B: Flow>(
    a: &mut ManualDriver<A>,
    b: &mut ManualDriver<B>,
    piece: usize,
) -> (usize, usize) {
    let (mut there, mut back) = (0, 0);
    loop {
        let (from_a, from_b) = (pass(a, b, piece), pass(b, a, piece));
        if from_a + from_b == 0 {
            return (there, back);
        }
        (there, back) = (there + from_a, back + from_b);
    }
}

fn pass<A: Flow, B: Flow>(from: &mut ManualDriver<A>, to: &mut ManualDriver<B>, piece: usize) -> usize {
    let bytes = from.collect_at_most(piece.max(1));
    if !bytes.is_empty() {
        to.push(&bytes);
    } else if from.write_is_closed().is_some() && !to.input_ended {
        to.end_input();
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Lines;

    #[test]
    fn f03_unconsumed_bytes_come_back() {
        let mut hand = ManualDriver::new(Lines::default());
        hand.push(b"hel");
        assert_eq!((hand.collect(), hand.unread()), (Vec::new(), &b"hel"[..]));
        hand.push(b"lo\nwor");
        assert_eq!((hand.collect(), hand.unread()), (b"HELLO\n".to_vec(), &b"wor"[..]));
    }

    #[test]
    fn f13_a_cut_anywhere_changes_nothing() {
        let input = b"a\nbcd\n\nefghi\n";
        for size in 1..input.len() {
            let (mut hand, mut output) = (ManualDriver::new(Lines::default()), Vec::new());
            hand.push_cut(input, &[size, 1]);
            loop {
                let piece = hand.collect_at_most(size);
                if piece.is_empty() {
                    break;
                }
                output.extend(piece);
            }
            assert_eq!(output, b"A\nBCD\n\nEFGHI\n");
        }
    }

    #[test]
    fn two_flows_talk_until_one_has_nothing_to_say() {
        let (mut a, mut b) =
            (ManualDriver::new(Lines::default()), ManualDriver::new(Lines::talking(b"ping\n", 3)));
        let (there, back) = join(&mut a, &mut b, 2);
        assert_eq!((there, back), (15, 15));
    }

    #[test]
    fn the_clock_stops_at_every_deadline() {
        let mut hand = ManualDriver::new(Lines::default());
        hand.push(b"x\n");
        hand.advance(Lines::PATIENCE - Duration::from_millis(1));
        assert!(!hand.read_is_closed());
        hand.advance(Duration::from_millis(1));
        assert!(hand.read_is_closed());
    }
}
