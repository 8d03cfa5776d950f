//! Bytes to send, oldest first, across partial writes.
//!
//! Small pieces are copied together, so that a pipeline of responses leaves in one piece; large ones stay
//! where they are and are sent from there.

use std::{cell::RefCell, collections::VecDeque, fmt, hint::cold_path};

use bytes::{Buf, Bytes};

use super::{FilePart, Slices, WriteOperation, WriteResult, retired::retire};

/// Bounds the pieces that are copied behind the one before them, in bytes; 4 KiB. Below it the copy is
/// cheaper than a slice of its own.
pub const MAX_COPY_BYTES: usize = 4 * 1024;

/// Bounds the buffer of a tail that is kept for the next queue of this thread, in bytes; 16 KiB. A larger one
/// is freed.
const MAX_POOLED_BYTES: usize = 16 * 1024;

/// Bounds the buffers kept by a thread; 16.
const MAX_POOLED: usize = 16;

thread_local! {
    /// Buffers for tails. The last one used is on top, because it is still in the processor's cache; an empty
    /// queue owns none.
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Makes room for this many more bytes in a tail.
#[inline(never)]
fn reserve(tail: &mut Vec<u8>, bytes: usize) {
    // The pool is gone when the thread is about to end.
    if tail.capacity() == 0
        && let Some(room) = POOL.try_with(|spare| spare.borrow_mut().pop()).ok().flatten()
    {
        *tail = room;
    }
    tail.reserve(bytes);
}

/// Keeps the buffer of a tail for the next one.
fn recycle(mut room: Vec<u8>) {
    room.clear();
    if (1..=MAX_POOLED_BYTES).contains(&room.capacity()) {
        let _ = POOL.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MAX_POOLED {
                spare.push(room);
            }
        });
    }
}

/// A queue of bytes to send. An empty queue owns no memory.
///
/// ```
/// use riot_flow::Output;
///
/// let mut output = Output::new();
/// output.write(b"hello ");
/// output.write(b"world");
/// output.advance(4); // the transport accepted four bytes
/// assert_eq!(output.slices().to_vec(), b"o world");
/// ```
#[derive(Default)]
pub struct Output {
    /// Finished pieces, sent before `tail`. Invariant: none is empty.
    chunks: VecDeque<Chunk>,
    /// The buffer in which small pieces are collected.
    tail: Vec<u8>,
    /// The bytes of `tail` already sent. Invariant: fewer than all of them, or none.
    tail_sent: usize,
    /// Invariant: the bytes in `chunks` and `tail` that have not been sent.
    pending: usize,
    /// Bytes sent or dropped since the beginning; a position in the stream.
    passed: u64,
}

/// The bytes may be confidential, so their number alone is shown.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pending, passed, .. } = self;
        f.debug_struct("Output").field("pending", pending).field("passed", passed).finish_non_exhaustive()
    }
}

pub(super) enum Chunk {
    Bytes(Bytes),
    File(FilePart),
}

impl Chunk {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(part) => part.length(),
        }
    }

    fn advance(&mut self, sent: usize) {
        match self {
            Self::Bytes(bytes) => bytes.advance(sent),
            Self::File(part) => part.advance(sent),
        }
    }
}

impl Output {
    /// Creates an empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a copy of `bytes`.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) {
        self.write_pair(bytes, &[]);
    }

    /// Appends copies of both slices, one behind the other, at the cost of one.
    #[inline]
    pub fn write_pair(&mut self, first: &[u8], second: &[u8]) {
        let bytes = first.len() + second.len();
        if self.tail.capacity() - self.tail.len() < bytes {
            reserve(&mut self.tail, bytes);
        }
        self.tail.extend_from_slice(first);
        self.tail.extend_from_slice(second);
        self.pending += bytes;
    }

    /// Appends bytes without copying them, unless copying is cheaper; see [`MAX_COPY_BYTES`].
    pub fn write_bytes(&mut self, bytes: Bytes) {
        if bytes.len() <= MAX_COPY_BYTES {
            return self.write(&bytes);
        }
        self.seal();
        self.pending += bytes.len();
        self.chunks.push_back(Chunk::Bytes(bytes));
    }

    /// Appends a part of a file, which is read when it is sent. [`operation`](Self::operation) returns it as
    /// [`WriteOperation::File`].
    pub fn write_file(&mut self, part: FilePart) {
        if part.length() > 0 {
            self.seal();
            self.pending += part.length();
            self.chunks.push_back(Chunk::File(part));
        }
    }

    /// Returns the number of bytes not sent yet.
    #[inline]
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Returns whether nothing is left to send.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// Returns the position in the stream of the next byte appended. That byte has been sent once
    /// [`sent_position`](Self::sent_position) is greater.
    #[must_use]
    pub fn end_position(&self) -> u64 {
        self.passed + self.pending as u64
    }

    /// Returns the position in the stream up to which bytes have been sent or dropped.
    #[must_use]
    pub fn sent_position(&self) -> u64 {
        self.passed
    }

    /// Returns what to send next, if there is anything.
    #[inline]
    #[must_use]
    pub fn operation(&self) -> Option<WriteOperation<'_>> {
        if self.is_empty() {
            return None;
        }
        if self.chunks.is_empty() {
            return Some(WriteOperation::Write(Slices::new(&self.chunks, self.unsent_tail())));
        }
        cold_path();
        Some(self.operation_slow())
    }

    #[inline(never)]
    fn operation_slow(&self) -> WriteOperation<'_> {
        match self.chunks.front() {
            Some(Chunk::File(part)) => WriteOperation::File(part),
            _ => WriteOperation::Write(self.slices()),
        }
    }

    /// Returns the oldest bytes, as far as one write takes them; none if a file comes first.
    #[must_use]
    pub fn slices(&self) -> Slices<'_> {
        let is_file = |chunk: &Chunk| matches!(chunk, Chunk::File(_));
        let tail = if self.chunks.iter().any(is_file) { &[] } else { self.unsent_tail() };
        Slices::new(&self.chunks, tail)
    }

    fn unsent_tail(&self) -> &[u8] {
        &self.tail[self.tail_sent..]
    }

    /// Removes `sent` bytes from the front.
    ///
    /// # Panics
    /// Panics if fewer bytes are pending.
    pub fn advance(&mut self, mut sent: usize) {
        assert!(sent <= self.pending, "{sent} bytes reported as sent, {} were pending", self.pending);
        self.pending -= sent;
        self.passed += sent as u64;
        if !self.chunks.is_empty() {
            cold_path();
            sent = self.advance_slow(sent);
        }
        self.tail_sent += sent;
        if self.tail_sent < self.tail.len() || !self.chunks.is_empty() {
            cold_path();
            return self.drop_sent();
        }
        self.tail_sent = 0;
        recycle(std::mem::take(&mut self.tail));
    }

    /// Removes bytes from the chunks; returns how many are left for the tail.
    #[inline(never)]
    fn advance_slow(&mut self, mut sent: usize) -> usize {
        while let Some(chunk) = self.chunks.front_mut() {
            if sent < chunk.len() {
                chunk.advance(sent);
                return 0;
            }
            sent -= chunk.len();
            self.chunks.pop_front().into_iter().for_each(retire);
        }
        self.chunks = VecDeque::new();
        sent
    }

    /// Applies what the transport reported; a closed peer empties the queue. Returns how many bytes were
    /// lost.
    pub fn report(&mut self, result: WriteResult) -> usize {
        match result {
            WriteResult::Written(sent) => {
                self.advance(sent);
                0
            }
            WriteResult::Closed => self.clear(),
        }
    }

    /// Drops everything not sent, and returns how many bytes that was.
    pub fn clear(&mut self) -> usize {
        let lost = std::mem::take(&mut self.pending);
        self.passed += lost as u64;
        std::mem::take(&mut self.chunks).into_iter().for_each(retire);
        (self.tail, self.tail_sent) = (Vec::new(), 0);
        lost
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let tail = Bytes::from(std::mem::take(&mut self.tail));
            self.chunks.push_back(Chunk::Bytes(tail.slice(std::mem::take(&mut self.tail_sent)..)));
        }
    }

    /// Removes the sent part of a tail that is never empty, so that it does not fill the memory.
    #[inline(never)]
    fn drop_sent(&mut self) {
        if self.tail_sent > self.tail.len() / 2 {
            self.tail.drain(..std::mem::take(&mut self.tail_sent));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use std::io::IoSlice;

    use super::{super::MAX_SLICES, *};
    use proptest::prelude::*;

    /// Creates a file that is removed when it is closed.
    fn file(contents: &[u8]) -> File {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("riot-output-{}-{number}", std::process::id()));
        std::fs::write(&path, contents).expect("there is room");
        let file = File::open(&path).expect("it is there");
        std::fs::remove_file(path).expect("it is ours");
        file
    }

    /// Returns what the next write may send.
    fn offered(output: &Output) -> Vec<u8> {
        match output.operation() {
            Some(WriteOperation::Write(slices)) => slices.to_vec(),
            Some(WriteOperation::File(part)) => part.to_vec().expect("it is all there"),
            None => Vec::new(),
            Some(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_comes_between_the_bytes_around_it() {
        let mut output = Output::new();
        output.write(b"head ");
        output.write_file(FilePart::whole(file(b"contents")).expect("it has a length"));
        output.write_file(FilePart::new(file(b"nothing"), 7, 0));
        output.write(b" tail");
        assert_eq!(output.pending(), 18);
        let mut sent = Vec::new();
        while !output.is_empty() {
            let next = offered(&output)[..3.min(offered(&output).len())].to_vec();
            output.advance(next.len());
            sent.extend(next);
        }
        assert_eq!(sent, b"head contents tail");
    }

    #[test]
    fn a_file_that_has_become_shorter_is_an_error() {
        let part = FilePart::new(file(b"short"), 2, 4);
        assert_eq!(part.read(&mut [0; 10]).expect("three are there"), 3);
        let end = part.to_vec().expect_err("four are not");
        assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn small_pieces_leave_together() {
        let mut output = Output::new();
        (0..100).for_each(|_| output.write_bytes(Bytes::from_static(b"answer")));
        assert_eq!(output.slices().iter().count(), 1);
        assert_eq!(output.pending(), 600);
    }

    #[test]
    fn a_write_has_at_most_max_pieces() {
        let mut output = Output::new();
        (0..10).for_each(|_| output.write_bytes(Bytes::from(vec![7; MAX_COPY_BYTES + 1])));
        output.write(b"tail");
        let slices = output.slices();
        assert_eq!((slices.iter().count(), slices.total()), (MAX_SLICES, MAX_SLICES * (MAX_COPY_BYTES + 1)));
        assert_eq!(slices.with_io_slices(<[IoSlice<'_>]>::len), MAX_SLICES);
        assert_eq!(Slices::one(b"piece").to_vec(), b"piece");
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let large = Bytes::from(vec![7; MAX_COPY_BYTES + 1]);
        let mut output = Output::new();
        output.write(b"head");
        output.write_bytes(large.clone());
        let pieces: Vec<_> = output.slices().iter().collect();
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
        output.slices().with_io_slices(|slices| {
            assert!(slices.iter().map(|slice| &**slice).eq(pieces.iter().copied()));
        });
    }

    #[test]
    fn room_is_left_to_the_next_one() {
        let (mut one, mut other) = (Output::new(), Output::new());
        one.write(b"answer");
        let place = |output: &Output| output.slices().iter().next().map(<[u8]>::as_ptr);
        let room = place(&one);
        one.advance(6);
        assert_eq!((one.tail.capacity(), one.chunks.capacity()), (0, 0));
        other.write(b"answer");
        assert_eq!(place(&other), room);
        other.write(&[0; MAX_POOLED_BYTES]);
        other.advance(MAX_POOLED_BYTES + 6);
        one.write(b"answer");
        assert!(one.tail.capacity() < MAX_POOLED_BYTES, "large room is given back");
    }

    #[test]
    fn what_was_sent_of_a_tail_that_is_never_empty_takes_no_room() {
        let mut output = Output::new();
        output.write(&[0; 500]);
        for _ in 0..10_000 {
            output.write(&[0; 100]);
            output.advance(100);
        }
        assert_eq!((output.pending(), output.sent_position()), (500, 1_000_000));
        assert!(output.tail.capacity() <= 4096, "{}", output.tail.capacity());
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
            pieces in prop::collection::vec((0usize..3 * MAX_COPY_BYTES, 0..4), 1..20),
            cuts in prop::collection::vec(0usize..2 * MAX_COPY_BYTES, 1..60),
        ) {
            let mut output = Output::new();
            let (mut model, mut sent) = (Vec::new(), Vec::new());
            let mut cuts = cuts.into_iter().cycle();
            let all: Vec<u8> = (0..3 * MAX_COPY_BYTES + 20).map(|at| (at % 251) as u8).collect();
            let file = Arc::new(file(&all));
            for (number, (length, kind)) in pieces.into_iter().enumerate() {
                let piece = &all[number..number + length];
                model.extend_from_slice(piece);
                match kind {
                    0 => output.write(piece),
                    3 => output.write_pair(&piece[..length / 3], &piece[length / 3..]),
                    1 => output.write_bytes(Bytes::copy_from_slice(piece)),
                    _ => output.write_file(FilePart::new(file.clone(), number as u64, length)),
                }
                let offered = offered(&output);
                let taken = cuts.next().unwrap().min(offered.len());
                sent.extend_from_slice(&offered[..taken]);
                output.advance(taken);
                prop_assert_eq!(output.sent_position() as usize, sent.len());
                prop_assert_eq!(output.end_position() as usize, model.len());
            }
            while !output.is_empty() {
                let offered = offered(&output);
                prop_assert!(!offered.is_empty());
                sent.extend_from_slice(&offered);
                output.advance(offered.len());
            }
            prop_assert_eq!(sent, model);
        }
    }
}
