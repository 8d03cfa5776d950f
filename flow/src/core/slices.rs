//! The bytes of one write.

use std::{collections::VecDeque, fmt, hint::cold_path, io::IoSlice};

use super::output::Chunk;

/// Bounds the slices that one write passes to the system; 8. It is far below every system's `IOV_MAX`; more
/// slices are worth a second system call.
pub const MAX_SLICES: usize = 8;

/// The bytes of one write, oldest first: at least one slice, none of them empty, at most [`MAX_SLICES`].
#[derive(Clone, Copy)]
pub struct Slices<'a> {
    /// The chunks up to the first file.
    chunks: &'a VecDeque<Chunk>,
    /// The bytes behind the chunks.
    tail: &'a [u8],
}

/// The bytes may be confidential, so the lengths alone are shown.
impl fmt::Debug for Slices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slices").field(&self.iter().map(<[u8]>::len).collect::<Vec<_>>()).finish()
    }
}

impl<'a> Slices<'a> {
    /// Wraps chunks and the bytes after them.
    #[inline]
    pub(super) fn new(chunks: &'a VecDeque<Chunk>, tail: &'a [u8]) -> Self {
        Self { chunks, tail }
    }

    /// Wraps one slice, which must not be empty.
    #[must_use]
    pub fn one(bytes: &'a [u8]) -> Self {
        static NONE: VecDeque<Chunk> = VecDeque::new();
        Self { chunks: &NONE, tail: bytes }
    }

    /// Returns the slices.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = |chunk: &'a Chunk| match chunk {
            Chunk::Bytes(bytes) => Some(&bytes[..]),
            Chunk::File(_) => None,
        };
        let tail = Some(self.tail).filter(|tail| !tail.is_empty());
        self.chunks.iter().map_while(bytes).chain(tail).take(MAX_SLICES)
    }

    /// Calls `write` with the slices, ready for a vectored write.
    #[inline]
    pub fn with_io_slices<R>(&self, write: impl FnOnce(&[IoSlice<'a>]) -> R) -> R {
        if self.chunks.is_empty() {
            return write(&[IoSlice::new(self.tail)]);
        }
        cold_path();
        self.with_io_slices_slow(write)
    }

    #[inline(never)]
    fn with_io_slices_slow<R>(&self, write: impl FnOnce(&[IoSlice<'a>]) -> R) -> R {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let used =
            slices.iter_mut().zip(self.iter()).map(|(slice, piece)| *slice = IoSlice::new(piece)).count();
        write(&slices[..used])
    }

    /// Returns the number of bytes in all slices.
    #[must_use]
    pub fn total(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    /// Copies all slices into one, for tests and small programs.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.total());
        self.iter().for_each(|piece| all.extend_from_slice(piece));
        all
    }
}
