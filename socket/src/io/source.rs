//! A socket of the system together with its readiness.

use std::{
    future::poll_fn,
    hint::cold_path,
    io::{self, IoSlice},
    os::fd::{AsFd, AsRawFd},
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use riot_actor::coop;
use rustix::net::{RecvFlags, SendFlags};

use super::{
    poller::Registration,
    readiness::{Direction, NextOperation, Readiness, ReadyEvent, Tick},
    wake::wake_all,
};

/// The result of [`Transport::poll_read_hint`](crate::Transport::poll_read_hint).
///
/// ```
/// use std::{io, task::{Context, Poll}};
/// use riot_socket::{ReadOutcome, Transport};
///
/// /// Reads until nothing is left, without a read that only finds that out.
/// fn poll_all(transport: &dyn Transport, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<()>> {
///     loop {
///         match std::task::ready!(transport.poll_read_hint(cx, buffer))? {
///             ReadOutcome { bytes: 0, .. } => return Poll::Ready(Ok(())),
///             ReadOutcome { would_block_next: true, .. } => return Poll::Pending,
///             _ => {}
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOutcome {
    /// Bytes received; 0 at the end of what the peer sends.
    pub bytes: usize,
    /// Whether the next read is known to wait.
    pub would_block_next: bool,
}

/// A socket of bytes. System calls are made without the C library, whose calls are points where a thread can
/// be cancelled; here no call waits.
// perf: a keep-alive request without the C library and without a flush of TCP, 2 777 → 2 660 instructions
pub(crate) trait ByteSocket: AsFd {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (_, received) = rustix::net::recv(self, buffer, RecvFlags::empty())?;
        Ok(received)
    }

    /// Sends some of `slices`. A closed peer gives an error, not the signal SIGPIPE.
    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let sent = match slices {
            // One slice needs no vector; send(2) is the cheaper call.
            [slice] => rustix::net::send(self, slice, NO_SIGNAL),
            slices => rustix::io::writev(self, slices),
        };
        Ok(sent?)
    }
}

/// The flag against SIGPIPE. Apple's systems have none; there Rust's runtime ignores the signal.
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: SendFlags = SendFlags::empty();

impl ByteSocket for mio::net::TcpStream {}
impl ByteSocket for mio::net::UnixStream {}

/// A socket with its readiness. It joins the poller of the worker on which a process first has to wait for
/// it. A socket that is answered at once and closed never joins one.
pub(crate) struct IoSource<S> {
    /// Dropped before the socket. The lock is held while registering, since a socket is registered once.
    registration: Mutex<Option<Registration>>,
    socket: S,
    /// Whether there is a registration.
    registered: AtomicBool,
    readiness: Arc<Readiness>,
}

impl<S: AsRawFd> IoSource<S> {
    pub(crate) fn new(socket: S) -> Self {
        let readiness = Arc::new(Readiness::new());
        Self { registration: Mutex::new(None), socket, registered: AtomicBool::new(false), readiness }
    }

    pub(crate) fn get(&self) -> &S {
        &self.socket
    }

    /// Runs `operation` until its result is not `EWOULDBLOCK`, and waits for readiness in between.
    /// `is_drained` tells from the result that the next operation would block.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        operation: impl FnMut(&S) -> io::Result<T>,
        is_drained: impl Fn(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        let (value, tick) = ready!(self.poll_tick(cx, direction, operation))?;
        if is_drained(&value) {
            cold_path();
            self.readiness.clear_ready(direction, tick);
        }
        Poll::Ready(Ok(value))
    }

    fn poll_tick<T>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut(&S) -> io::Result<T>,
    ) -> Poll<io::Result<(T, Tick)>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        loop {
            let tick = match self.readiness.poll_ready(cx, direction) {
                Poll::Ready(tick) => tick?,
                Poll::Pending => {
                    // The first event reports a socket that is ready already, so a late registration misses
                    // nothing.
                    self.register()?;
                    return Poll::Pending;
                }
            };
            match operation(&self.socket) {
                Ok(value) => return Poll::Ready(Ok((value, tick))),
                Err(error) => {
                    cold_path();
                    match error.kind() {
                        io::ErrorKind::WouldBlock => self.readiness.clear_after_would_block(direction, tick),
                        io::ErrorKind::Interrupted => {}
                        _ => return Poll::Ready(Err(error)),
                    }
                }
            }
        }
    }

    /// Receives into `buffer`.
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>
    where
        S: ByteSocket,
    {
        let room = buffer.len();
        // Fewer bytes than the buffer has room for show that no more are there. At the end of the stream a
        // read returns zero at once, so zero shows nothing.
        self.poll(cx, Direction::Read, |socket| socket.receive(buffer), |&read| read > 0 && read < room)
    }

    /// Receives into `buffer`, and reports whether the next receive would block. If so, the waker is
    /// registered.
    pub(crate) fn poll_receive_hint(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<ReadOutcome>>
    where
        S: ByteSocket,
    {
        let room = buffer.len();
        let (read, tick) = ready!(self.poll_tick(cx, Direction::Read, |socket| socket.receive(buffer)))?;
        // If no poller takes the socket, the next receive returns the error.
        let would_block_next = read > 0
            && read < room
            && self.readiness.clear_and_wait(cx, Direction::Read, tick) == NextOperation::WouldBlock
            && self.register().is_ok();
        Poll::Ready(Ok(ReadOutcome { bytes: read, would_block_next }))
    }

    /// Sends some of `slices`.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>
    where
        S: ByteSocket,
    {
        let total = match slices {
            [slice] => slice.len(),
            slices => slices.iter().map(|slice| slice.len()).sum(),
        };
        self.poll(cx, Direction::Write, |socket| socket.send(slices), |&sent| sent < total)
    }

    /// Waits until the peer has reset the connection or closed both directions.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.readiness.poll_closed(cx).is_ready() {
            return Poll::Ready(());
        }
        // A socket that no poller takes cannot be used any more.
        if self.register().is_err() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Makes the next operation of each direction ask the system.
    pub(crate) fn assume_ready(&self) {
        let mut to_wake = Vec::new();
        self.readiness.set_ready([ReadyEvent::Ready; 2], &mut to_wake);
        wake_all(to_wake);
    }

    /// Waits until a connecting socket is connected.
    pub(crate) async fn connected<A>(&self, outcome: impl Fn(&S) -> io::Result<A>) -> io::Result<A> {
        // Nothing can be read from a peer that is not connected.
        self.readiness.clear_ready(Direction::Read, Tick::FIRST);
        let connected = |socket: &S| match outcome(socket) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            result => result,
        };
        poll_fn(|cx| self.poll(cx, Direction::Write, connected, |_| false)).await
    }

    /// Joins the poller of this worker, unless the socket has joined one. The waker is registered before.
    #[inline]
    fn register(&self) -> io::Result<()> {
        if self.registered.load(Acquire) { Ok(()) } else { self.register_slow() }
    }

    #[inline(never)]
    fn register_slow(&self) -> io::Result<()> {
        let mut registration = self.registration.lock();
        if registration.is_none() {
            *registration = Registration::new(self.socket.as_raw_fd(), &self.readiness)?;
            self.registered.store(registration.is_some(), Release);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::{
            fd::{BorrowedFd, RawFd},
            unix::net::UnixStream,
        },
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use riot_actor::{
        Reason,
        process::{join, yield_now},
        runtime::Config,
        spawn,
    };

    use super::*;

    fn run(body: impl Future<Output = Result<(), Reason>> + Send + 'static) {
        assert_eq!(riot_actor::run(body), Reason::Normal);
    }

    /// A socket that counts its operations.
    struct Counted {
        socket: UnixStream,
        reads: AtomicUsize,
        /// Writes that failed for want of room.
        refused: AtomicUsize,
    }

    impl AsRawFd for Counted {
        fn as_raw_fd(&self) -> RawFd {
            self.socket.as_raw_fd()
        }
    }

    impl AsFd for Counted {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.socket.as_fd()
        }
    }

    impl ByteSocket for Counted {
        fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
            let result = (&self.socket).read(buffer);
            self.reads.fetch_add(1, SeqCst);
            result
        }

        fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let result = (&self.socket).write_vectored(slices);
            if result.is_err() {
                self.refused.fetch_add(1, SeqCst);
            }
            result
        }
    }

    fn pair() -> (Arc<IoSource<Counted>>, UnixStream) {
        let (socket, peer) = UnixStream::pair().expect("two sockets");
        for side in [&socket, &peer] {
            side.set_nonblocking(true).expect("a socket can be non-blocking");
        }
        let (reads, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        (Arc::new(IoSource::new(Counted { socket, reads, refused })), peer)
    }

    #[test]
    fn a_read_of_less_than_there_was_room_for_costs_no_second_one() {
        run(async {
            let (socket, mut peer) = pair();
            let reader = spawn({
                let socket = socket.clone();
                async move {
                    let mut buffer = [0; 64];
                    for _ in 0..100 {
                        let read = poll_fn(|cx| socket.poll_receive(cx, &mut buffer)).await;
                        assert_eq!(&buffer[..read.expect("the read succeeds")], b"hello");
                    }
                }
            });
            for sent in 1..=100 {
                peer.write_all(b"hello")?;
                while socket.get().reads.load(SeqCst) < sent {
                    yield_now().await;
                }
            }
            join(&[reader]).await;
            assert_eq!(socket.get().reads.load(SeqCst), 100, "no read finds out that nothing is there");
            Ok::<(), Reason>(())
        });
    }

    #[test]
    fn bytes_are_found_before_their_event_is_seen() {
        run(async {
            let (socket, mut peer) = pair();
            let mut buffer = [0; 64];
            let nothing = poll_fn(|cx| Poll::Ready(socket.poll_receive(cx, &mut buffer).is_pending())).await;
            assert!(nothing, "the socket is registered");
            peer.write_all(b"hello")?;
            // No other process runs meanwhile, so no event is handled.
            let early = poll_fn(|cx| {
                socket.assume_ready();
                Poll::Ready(socket.poll_receive(cx, &mut buffer))
            });
            assert!(matches!(early.await, Poll::Ready(Ok(5))));
            Ok::<(), Reason>(())
        });
    }

    #[test]
    fn an_event_arrives_though_the_worker_never_sleeps() {
        let body = async {
            let (socket, mut peer) = pair();
            let reader = spawn({
                let socket = socket.clone();
                async move {
                    let mut buffer = [0; 64];
                    poll_fn(|cx| socket.poll_receive(cx, &mut buffer)).await.map(drop)
                }
            });
            while socket.get().reads.load(SeqCst) == 0 {
                yield_now().await; // The first read finds nothing.
            }
            peer.write_all(b"hello")?;
            while riot_actor::process::is_alive(reader) {
                yield_now().await;
            }
            assert_eq!(socket.get().reads.load(SeqCst), 2);
            Ok::<(), Reason>(())
        };
        assert_eq!(Config::new().workers(1).run(body).expect("the runtime starts"), Reason::Normal);
    }

    #[test]
    fn a_write_that_was_taken_in_part_is_tried_again_when_there_is_room() {
        run(async {
            let (socket, mut peer) = pair();
            let sent = vec![7; 8 * 1024 * 1024];
            let writer = spawn({
                let (socket, sent) = (socket.clone(), sent.clone());
                async move {
                    let mut rest = &sent[..];
                    while !rest.is_empty() {
                        let written = poll_fn(|cx| socket.poll_send(cx, &[IoSlice::new(rest)])).await;
                        rest = &rest[written.expect("the write succeeds")..];
                    }
                }
            });
            let (mut received, mut buffer) = (0, vec![0; 1024 * 1024]);
            while received < sent.len() {
                match peer.read(&mut buffer) {
                    Ok(read) => received += read,
                    Err(_) => yield_now().await,
                }
            }
            join(&[writer]).await;
            assert_eq!(socket.get().refused.load(SeqCst), 0, "no write is tried without room");
            Ok::<(), Reason>(())
        });
    }
}
