//! Sending files: by the system where it can do so itself, else by reading and writing.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, IoSlice},
    os::unix::fs::FileExt,
    task::{Context, Poll},
};

use crate::transport::Transport;

/// What is sent at once at most: large enough that a system call is cheap for it, small enough that others get their
/// turn, since a worker waits while the system reads from a disk.
#[cfg(target_os = "linux")]
const PIECE_BYTES: usize = 256 * 1024;

/// What is read at once where the system does not send by itself; one record of TLS has a quarter of it.
const COPY_BYTES: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; COPY_BYTES].into_boxed_slice());
}

/// Reads and writes. What the transport does not take is read again: the system has it at hand then.
pub(crate) fn poll_copy<T: Transport + ?Sized>(
    transport: &T,
    cx: &mut Context<'_>,
    file: &File,
    offset: u64,
    length: usize,
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
        transport.poll_write(cx, &[IoSlice::new(&buffer[..read])])
    })
}

/// No file is as long as that, and the system would take it for a negative number.
fn is_beyond(offset: u64) -> bool {
    i64::try_from(offset).is_err()
}

/// Has the system send, by sendfile(2). (Other systems report what they have sent together with an error, which gets
/// lost on the way here; they copy.)
#[cfg(target_os = "linux")]
pub(crate) fn poll_send<S, T>(
    transport: &T,
    socket: &crate::io::source::Evented<S>,
    cx: &mut Context<'_>,
    file: &File,
    offset: u64,
    length: usize,
) -> Poll<io::Result<usize>>
where
    S: std::os::fd::AsRawFd + std::os::fd::AsFd,
    T: Transport,
{
    use crate::io::readiness::Interest;
    let (Ok(start), Some(piece)) =
        (usize::try_from(offset), std::num::NonZeroUsize::new(length.min(PIECE_BYTES)))
    else {
        return Poll::Ready(Ok(0));
    };
    if is_beyond(offset) {
        return Poll::Ready(Ok(0));
    }
    let send = |socket: &S| socket2::SockRef::from(socket).sendfile(file, start, Some(piece));
    // Fewer bytes than were asked for are no sign that there is no room: the file may have ended.
    match socket.poll(cx, Interest::Write, send, |_| false) {
        // Not every file can be sent so.
        Poll::Ready(Err(error)) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
            poll_copy(transport, cx, file, offset, length)
        }
        result => result,
    }
}
