//! Bytes to send, oldest first; survives partial writes.
//!
//! Small pieces are copied together so that a pipeline of answers leaves in one piece; large ones stay where they
//! are and are sent from there.

use std::{cell::RefCell, collections::VecDeque, hint::cold_path, io::IoSlice};

use bytes::{Buf, Bytes};

use crate::{FilePart, WriteOperation, WriteResult};

/// A piece up to this size is copied behind the one before it: below, the copy is cheaper than a slice of its own.
pub const COPY_MAX: usize = 4 * 1024;

/// Room that has been sent is left to the next queue of this thread up to this size; above, it is given back.
const SPARE_BYTES_MAX: usize = 16 * 1024;

/// How much room is left to others at most.
const SPARE_MAX: usize = 16;

thread_local! {
    /// Room for tails, the last one used on top: it is still in the processor's cache, and a queue with nothing in it owns
    /// none.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Room for so many bytes more in a tail.
#[inline(never)]
fn give_room(tail: &mut Vec<u8>, bytes: usize) {
    // Nothing is found where the thread is about to end.
    if tail.capacity() == 0
        && let Some(room) = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten()
    {
        *tail = room;
    }
    tail.reserve(bytes);
}

/// Leaves room to the next tail.
fn leave(mut room: Vec<u8>) {
    room.clear();
    if (1..=SPARE_BYTES_MAX).contains(&room.capacity()) {
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(room);
            }
        });
    }
}

/// A queue of bytes to send. With nothing in it, it owns no memory.
#[derive(Debug, Default)]
pub struct Output {
    /// Finished pieces, sent before `tail`. Invariant: none is empty.
    chunks: VecDeque<Chunk>,
    /// Where small pieces are collected.
    tail: Vec<u8>,
    /// So much of it has been sent. Invariant: less than all of it, or nothing.
    tail_sent: usize,
    /// Invariant: the bytes in `chunks` and `tail` that have not been sent.
    pending: usize,
    /// Bytes sent or dropped since the beginning; a position in the stream.
    passed: u64,
}

#[derive(Debug)]
enum Chunk {
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
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a copy.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) {
        self.write_both(bytes, &[]);
    }

    /// Appends copies of both, the second behind the first, at the cost of one.
    #[inline]
    pub fn write_both(&mut self, first: &[u8], second: &[u8]) {
        let bytes = first.len() + second.len();
        if self.tail.capacity() - self.tail.len() < bytes {
            give_room(&mut self.tail, bytes);
        }
        self.tail.extend_from_slice(first);
        self.tail.extend_from_slice(second);
        self.pending += bytes;
    }

    /// Appends without copying, unless copying is cheaper.
    pub fn write_bytes(&mut self, bytes: Bytes) {
        if bytes.len() <= COPY_MAX {
            return self.write(&bytes);
        }
        self.seal();
        self.pending += bytes.len();
        self.chunks.push_back(Chunk::Bytes(bytes));
    }

    /// Appends a part of a file, which is read when it is sent. It comes as [`WriteOperation::File`] out of
    /// [`operation`](Self::operation).
    pub fn write_file(&mut self, part: FilePart) {
        if part.length() > 0 {
            self.seal();
            self.pending += part.length();
            self.chunks.push_back(Chunk::File(part));
        }
    }

    /// Bytes not sent yet.
    #[inline]
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Nothing is left to send.
    #[inline]
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

    /// What to send next; none if there is nothing.
    #[inline]
    #[must_use]
    pub fn operation(&self) -> Option<WriteOperation<'_>> {
        if self.is_empty() {
            return None;
        }
        if self.chunks.is_empty() {
            return Some(WriteOperation::Write(Slices { chunks: &self.chunks, tail: self.unsent_tail() }));
        }
        cold_path();
        Some(self.first_chunks())
    }

    #[inline(never)]
    fn first_chunks(&self) -> WriteOperation<'_> {
        match self.chunks.front() {
            Some(Chunk::File(part)) => WriteOperation::File(part),
            _ => WriteOperation::Write(self.slices()),
        }
    }

    /// The oldest bytes, as far as one write takes them; none if a file comes first.
    #[must_use]
    pub fn slices(&self) -> Slices<'_> {
        let is_file = |chunk: &Chunk| matches!(chunk, Chunk::File(_));
        let tail = if self.chunks.iter().any(is_file) { &[] } else { self.unsent_tail() };
        Slices { chunks: &self.chunks, tail }
    }

    fn unsent_tail(&self) -> &[u8] {
        &self.tail[self.tail_sent..]
    }

    /// Takes `sent` bytes off the front.
    ///
    /// # Panics
    /// If that is more than was pending.
    pub fn advance(&mut self, mut sent: usize) {
        assert!(sent <= self.pending, "{sent} bytes reported as sent, {} were pending", self.pending);
        self.pending -= sent;
        self.passed += sent as u64;
        if !self.chunks.is_empty() {
            cold_path();
            sent = self.advance_chunks(sent);
        }
        self.tail_sent += sent;
        if self.tail_sent < self.tail.len() || !self.chunks.is_empty() {
            cold_path();
            return self.drop_sent();
        }
        self.tail_sent = 0;
        leave(std::mem::take(&mut self.tail));
    }

    /// Says how many bytes are left for the tail.
    #[inline(never)]
    fn advance_chunks(&mut self, mut sent: usize) -> usize {
        while let Some(chunk) = self.chunks.front_mut() {
            if sent < chunk.len() {
                chunk.advance(sent);
                return 0;
            }
            sent -= chunk.len();
            self.chunks.pop_front();
        }
        self.chunks = VecDeque::new();
        sent
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

    /// Drops everything not sent, and says how much that was.
    pub fn clear(&mut self) -> usize {
        let lost = std::mem::take(&mut self.pending);
        self.passed += lost as u64;
        self.chunks = VecDeque::new();
        (self.tail, self.tail_sent) = (Vec::new(), 0);
        lost
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let tail = Bytes::from(std::mem::take(&mut self.tail));
            self.chunks.push_back(Chunk::Bytes(tail.slice(std::mem::take(&mut self.tail_sent)..)));
        }
    }

    /// What has been sent of a tail that is never empty must not fill the memory.
    #[inline(never)]
    fn drop_sent(&mut self) {
        if self.tail_sent > self.tail.len() / 2 {
            self.tail.drain(..std::mem::take(&mut self.tail_sent));
        }
    }
}

/// How many pieces one write hands to the system at most. Far below every system's `IOV_MAX`; more pieces than this
/// are worth a second system call.
pub const SLICES_MAX: usize = 8;

/// The bytes of one write, oldest first: at least one piece, none of them empty, at most [`SLICES_MAX`].
#[derive(Clone, Copy, Debug)]
pub struct Slices<'a> {
    /// Up to the first file.
    chunks: &'a VecDeque<Chunk>,
    /// What comes behind them.
    tail: &'a [u8],
}

impl<'a> Slices<'a> {
    /// Of one piece, which must not be empty.
    #[must_use]
    pub fn one(bytes: &'a [u8]) -> Self {
        static NONE: VecDeque<Chunk> = VecDeque::new();
        Self { chunks: &NONE, tail: bytes }
    }

    /// The pieces.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = |chunk: &'a Chunk| match chunk {
            Chunk::Bytes(bytes) => Some(&bytes[..]),
            Chunk::File(_) => None,
        };
        let tail = Some(self.tail).filter(|tail| !tail.is_empty());
        self.chunks.iter().map_while(bytes).chain(tail).take(SLICES_MAX)
    }

    /// Calls `write` with the pieces, ready for a vectored write.
    #[inline]
    pub fn with_io_slices<R>(&self, write: impl FnOnce(&[IoSlice<'a>]) -> R) -> R {
        if self.chunks.is_empty() {
            return write(&[IoSlice::new(self.tail)]);
        }
        cold_path();
        self.with_many(write)
    }

    #[inline(never)]
    fn with_many<R>(&self, write: impl FnOnce(&[IoSlice<'a>]) -> R) -> R {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let used =
            slices.iter_mut().zip(self.iter()).map(|(slice, piece)| *slice = IoSlice::new(piece)).count();
        write(&slices[..used])
    }

    /// The bytes in all pieces.
    #[must_use]
    pub fn total(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    /// All pieces copied into one, for tests and small programs.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.total());
        self.iter().for_each(|piece| all.extend_from_slice(piece));
        all
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

    use super::*;
    use proptest::prelude::*;

    /// A file that is gone when it is closed.
    fn file(contents: &[u8]) -> File {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("riot-output-{}-{number}", std::process::id()));
        std::fs::write(&path, contents).expect("there is room");
        let file = File::open(&path).expect("it is there");
        std::fs::remove_file(path).expect("it is ours");
        file
    }

    /// What the next write may send.
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
    fn a_write_has_so_many_pieces_and_no_more() {
        let mut output = Output::new();
        (0..10).for_each(|_| output.write_bytes(Bytes::from(vec![7; COPY_MAX + 1])));
        output.write(b"tail");
        let slices = output.slices();
        assert_eq!((slices.iter().count(), slices.total()), (SLICES_MAX, SLICES_MAX * (COPY_MAX + 1)));
        assert_eq!(slices.with_io_slices(<[IoSlice<'_>]>::len), SLICES_MAX);
        assert_eq!(Slices::one(b"piece").to_vec(), b"piece");
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let large = Bytes::from(vec![7; COPY_MAX + 1]);
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
        other.write(&[0; SPARE_BYTES_MAX]);
        other.advance(SPARE_BYTES_MAX + 6);
        one.write(b"answer");
        assert!(one.tail.capacity() < SPARE_BYTES_MAX, "large room is given back");
    }

    #[test]
    fn what_was_sent_of_a_tail_that_is_never_empty_takes_no_room() {
        let mut output = Output::new();
        output.write(&[0; 500]);
        for _ in 0..10_000 {
            output.write(&[0; 100]);
            output.advance(100);
        }
        assert_eq!((output.pending(), output.passed()), (500, 1_000_000));
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
            pieces in prop::collection::vec((0usize..3 * COPY_MAX, 0..4), 1..20),
            cuts in prop::collection::vec(0usize..2 * COPY_MAX, 1..60),
        ) {
            let mut output = Output::new();
            let (mut model, mut sent) = (Vec::new(), Vec::new());
            let mut cuts = cuts.into_iter().cycle();
            let all: Vec<u8> = (0..3 * COPY_MAX + 20).map(|at| (at % 251) as u8).collect();
            let file = Arc::new(file(&all));
            for (number, (length, kind)) in pieces.into_iter().enumerate() {
                let piece = &all[number..number + length];
                model.extend_from_slice(piece);
                match kind {
                    0 => output.write(piece),
                    3 => output.write_both(&piece[..length / 3], &piece[length / 3..]),
                    1 => output.write_bytes(Bytes::copy_from_slice(piece)),
                    _ => output.write_file(FilePart::new(file.clone(), number as u64, length)),
                }
                let offered = offered(&output);
                let taken = cuts.next().unwrap().min(offered.len());
                sent.extend_from_slice(&offered[..taken]);
                output.advance(taken);
                prop_assert_eq!(output.passed() as usize, sent.len());
                prop_assert_eq!(output.position() as usize, model.len());
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
