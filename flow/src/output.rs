//! Bytes to send, oldest first; survives partial writes.
//!
//! Small pieces are copied together so that a pipeline of answers leaves in one piece; large ones stay where they
//! are and are sent from there.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::{Slices, WriteResult};

/// A piece up to this size is copied behind the one before it: below, the copy is cheaper than a slice of its own.
const COPY_MAX: usize = 4 * 1024;

/// A tail that has been sent keeps its room up to this size; above, it is given back.
const KEEP_MAX: usize = 16 * 1024;

/// A queue of bytes to send.
#[derive(Debug, Default)]
pub struct Output {
    /// Finished pieces, sent before `tail`. Invariant: none is empty.
    chunks: VecDeque<Bytes>,
    /// Where small pieces are collected.
    tail: BytesMut,
    /// Invariant: the bytes in `chunks` and `tail`.
    pending: usize,
    /// Bytes sent or dropped since the beginning; a position in the stream.
    passed: u64,
}

impl Output {
    /// An empty queue; it owns no memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a copy.
    pub fn write(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.pending += bytes.len();
    }

    /// Appends without copying, unless copying is cheaper.
    pub fn write_bytes(&mut self, bytes: Bytes) {
        if bytes.len() <= COPY_MAX {
            return self.write(&bytes);
        }
        self.seal();
        self.pending += bytes.len();
        self.chunks.push_back(bytes);
    }

    /// Bytes not sent yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Nothing is left to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// Where the next byte appended will stand in the stream: it has left once [`passed`](Self::passed) is greater.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.passed + self.pending as u64
    }

    /// How much of the stream has left.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// The oldest bytes, as far as one write takes them.
    #[must_use]
    pub fn slices(&self) -> Slices<'_> {
        let mut slices = Slices::new();
        let all = self.chunks.iter().all(|chunk| slices.push(chunk));
        if all {
            slices.push(&self.tail);
        }
        slices
    }

    /// Takes `sent` bytes off the front.
    ///
    /// # Panics
    /// If that is more than was pending.
    pub fn advance(&mut self, mut sent: usize) {
        assert!(sent <= self.pending, "{sent} bytes reported as sent, {} were pending", self.pending);
        self.pending -= sent;
        self.passed += sent as u64;
        while let Some(chunk) = self.chunks.front_mut() {
            if sent < chunk.len() {
                chunk.advance(sent);
                return;
            }
            sent -= chunk.len();
            self.chunks.pop_front();
        }
        if sent < self.tail.len() {
            self.tail.advance(sent);
        } else if self.tail.capacity() <= KEEP_MAX {
            self.tail.clear();
        } else {
            self.tail = BytesMut::new();
        }
    }

    /// Acts on what the transport reported; a closed peer empties the queue. Returns how many bytes were lost.
    pub fn report(&mut self, result: WriteResult) -> usize {
        match result {
            WriteResult::Written(sent) => {
                self.advance(sent);
                0
            }
            WriteResult::Closed => self.clear(),
        }
    }

    /// Drops everything not sent, and says how much that was. Gives its memory back.
    pub fn clear(&mut self) -> usize {
        let lost = std::mem::take(&mut self.pending);
        self.passed += lost as u64;
        self.chunks.clear();
        self.tail = BytesMut::new();
        lost
    }

    /// Gives the memory of an empty queue back; for a connection that goes idle.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.chunks = VecDeque::new();
            self.tail = BytesMut::new();
        }
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_pieces_leave_together() {
        let mut output = Output::new();
        (0..100).for_each(|_| output.write_bytes(Bytes::from_static(b"answer")));
        assert_eq!(output.slices().as_io_slices().len(), 1);
        assert_eq!(output.pending(), 600);
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let large = Bytes::from(vec![7; COPY_MAX + 1]);
        let mut output = Output::new();
        output.write(b"head");
        output.write_bytes(large.clone());
        let slices = output.slices();
        assert_eq!(slices.as_io_slices()[1].as_ptr(), large.as_ptr());
    }

    #[test]
    #[should_panic(expected = "reported as sent")]
    fn more_sent_than_pending_is_a_defect_of_the_driver() {
        let mut output = Output::new();
        output.write(b"four");
        output.advance(5);
    }

    proptest! {
        #[test]
        fn bytes_leave_in_order_however_writes_are_cut(
            pieces in prop::collection::vec((0usize..3 * COPY_MAX, any::<bool>()), 1..20),
            cuts in prop::collection::vec(0usize..2 * COPY_MAX, 1..60),
        ) {
            let mut output = Output::new();
            let (mut model, mut sent) = (Vec::new(), Vec::new());
            let mut cuts = cuts.into_iter().cycle();
            for (number, (length, shared)) in pieces.into_iter().enumerate() {
                let piece: Vec<u8> = (0..length).map(|at| (at + number) as u8).collect();
                model.extend_from_slice(&piece);
                if shared { output.write_bytes(piece.into()) } else { output.write(&piece) }
                let offered = output.slices().to_vec();
                let taken = cuts.next().unwrap().min(offered.len());
                sent.extend_from_slice(&offered[..taken]);
                output.advance(taken);
                prop_assert_eq!(output.passed() as usize, sent.len());
                prop_assert_eq!(output.position() as usize, model.len());
            }
            while !output.is_empty() {
                let offered = output.slices().to_vec();
                prop_assert!(!offered.is_empty());
                sent.extend_from_slice(&offered);
                output.advance(offered.len());
            }
            prop_assert_eq!(sent, model);
        }
    }
}
