//! Sending files: by sendfile(2) where the system has it, else by reading and writing.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, IoSlice},
    os::unix::fs::FileExt,
    task::Poll,
};
#[cfg(target_os = "linux")]
use std::{os::fd::AsRawFd, task::Context};

#[cfg(target_os = "linux")]
use super::{
    readiness::Direction,
    source::{ByteSocket, IoSource},
};

/// Bounds the bytes of one sendfile(2): 256 KiB. Large enough that a system call is cheap for it, and small
/// enough that other processes get their turn, since a worker waits while the system reads from a disk.
#[cfg(target_os = "linux")]
const PIECE_BYTES: usize = 256 * 1024;

/// Bounds the bytes of one read where the system does not send by itself: 64 KiB, four records of TLS.
const COPY_BYTES: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; COPY_BYTES].into_boxed_slice());
}

/// Reads from a file, and sends by `write`. Bytes that `write` does not take are read again, from the
/// system's cache.
pub(crate) fn poll_copy(
    file: &File,
    offset: u64,
    length: usize,
    write: impl FnOnce(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    if is_beyond(offset) {
        return Poll::Ready(Ok(0));
    }
    BUFFER.with_borrow_mut(|buffer| {
        let room = length.min(COPY_BYTES);
        let read = loop {
            match file.read_at(&mut buffer[..room], offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if read == 0 {
            return Poll::Ready(Ok(0));
        }
        write(&[IoSlice::new(&buffer[..read])])
    })
}

/// Returns whether no file reaches this offset. The system would take it for a negative number.
fn is_beyond(offset: u64) -> bool {
    i64::try_from(offset).is_err()
}

/// Sends a part of a file by sendfile(2). Only on Linux: other systems report an error together with the
/// bytes sent before it, which would be lost here, so they copy.
#[cfg(target_os = "linux")]
pub(crate) fn poll_send<S>(
    socket: &IoSource<S>,
    cx: &mut Context<'_>,
    file: &File,
    offset: u64,
    length: usize,
) -> Poll<io::Result<usize>>
where
    S: ByteSocket + AsRawFd,
{
    let (Ok(start), Some(piece)) =
        (usize::try_from(offset), std::num::NonZeroUsize::new(length.min(PIECE_BYTES)))
    else {
        return Poll::Ready(Ok(0));
    };
    if is_beyond(offset) {
        return Poll::Ready(Ok(0));
    }
    let send = |socket: &S| socket2::SockRef::from(socket).sendfile(file, start, Some(piece));
    // A short result is no sign of a full buffer: the file may have ended.
    match socket.poll(cx, Direction::Write, send, |_| false) {
        // The system cannot send every file so.
        Poll::Ready(Err(error)) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
            poll_copy(file, offset, length, |slices| socket.poll_send(cx, slices))
        }
        result => result,
    }
}
