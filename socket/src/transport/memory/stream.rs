//! The two ends of a connection in memory.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, IoSlice},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use riot_actor::coop;

use super::script::{Effect, Script, ScriptStep};
use crate::{
    io::wake::wake_all,
    transport::{Address, Shutdown, Transport},
};

/// Bounds the bytes that one direction holds before the sender waits, as the buffers of a system do: 64 KiB.
const CAPACITY: usize = 64 * 1024;

/// Returns the two ends of a connection.
///
/// ```
/// use riot_socket::{Address, Connection, memory};
///
/// # let reason = riot_actor::run(async {
/// let (here, there) = memory::pair();
/// let mut client = Connection::new(here, Address::Memory(1));
/// let mut server = Connection::new(there, Address::Memory(2));
/// client.write_all(b"hello").await?;
/// let mut buffer = [0; 5];
/// server.read_exact(&mut buffer).await?;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[must_use]
pub fn pair() -> (Arc<Stream>, Arc<Stream>) {
    let (here, there) = (Arc::new(Pipe::default()), Arc::new(Pipe::default()));
    let stream = |incoming: &Arc<Pipe>, outgoing: &Arc<Pipe>| {
        let (max_read, max_write) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(usize::MAX));
        let (incoming, outgoing) = (incoming.clone(), outgoing.clone());
        let (reads, writes) = (Mutex::default(), Mutex::default());
        Arc::new(Stream { incoming, outgoing, max_read, max_write, reads, writes })
    };
    (stream(&here, &there), stream(&there, &here))
}

/// An end of a connection in memory.
///
/// ```
/// use riot_socket::memory::{self, ScriptStep};
///
/// let (here, there) = memory::pair();
/// here.script_reads([ScriptStep::Short(1), ScriptStep::Reset]); // one byte, then the connection breaks
/// assert_eq!(there.readable(), 0);
/// ```
pub struct Stream {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    max_read: AtomicUsize,
    max_write: AtomicUsize,
    reads: Mutex<Script>,
    writes: Mutex<Script>,
}

impl Stream {
    /// Appends steps for the next reads of this end. Each applies to one read.
    pub fn script_reads(&self, steps: impl IntoIterator<Item = ScriptStep>) {
        lock(&self.reads).extend(steps);
    }

    /// Appends steps for the next writes of this end. Each applies to one write.
    pub fn script_writes(&self, steps: impl IntoIterator<Item = ScriptStep>) {
        lock(&self.writes).extend(steps);
    }

    /// Bounds the bytes of each read and each write of this end, from now on.
    ///
    /// # Panics
    /// Panics if `bytes` is zero.
    pub fn max_transfer(&self, bytes: usize) {
        assert!(bytes > 0, "a transfer of zero bytes");
        self.max_read.store(bytes, Ordering::Relaxed);
        self.max_write.store(bytes, Ordering::Relaxed);
    }

    /// Breaks the connection: both ends fail from now on, and bytes in flight are lost.
    pub fn reset(&self) {
        self.incoming.change(|state| state.reset = true);
        self.outgoing.change(|state| state.reset = true);
    }

    /// Returns the number of bytes that the other end has sent and this one has not read.
    #[must_use]
    pub fn readable(&self) -> usize {
        self.incoming.lock().bytes.len()
    }

    /// Replaces the scripts of both directions.
    pub(super) fn set_scripts(&self, reads: Script, writes: Script) {
        *lock(&self.reads) = reads;
        *lock(&self.writes) = writes;
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory::Stream")
    }
}

impl Transport for Stream {
    fn is_buffered(&self) -> bool {
        false
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let mut room = buffer.len().min(self.max_read.load(Ordering::Relaxed));
        match ready!(lock(&self.reads).poll(cx)) {
            Effect::Room(bytes) => room = room.min(bytes),
            Effect::Reset => self.reset(),
            Effect::End => self.incoming.change(|state| state.read_shutdown = true),
        }
        let mut writer = None;
        // A waker may be code of a user: it is cloned and dropped outside the lock.
        let mut waker = Some(cx.waker().clone());
        let mut state = self.incoming.lock();
        let result = if state.reset {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        } else if state.read_shutdown || (state.bytes.is_empty() && state.ended) {
            Poll::Ready(Ok(0))
        } else if state.bytes.is_empty() {
            std::mem::swap(&mut state.reader, &mut waker);
            Poll::Pending
        } else {
            let read = room.min(state.bytes.len());
            for (to, from) in buffer.iter_mut().zip(state.bytes.drain(..read)) {
                *to = from;
            }
            writer = state.writer.take();
            Poll::Ready(Ok(read))
        };
        drop(state);
        if let Some(writer) = writer {
            wake_all([writer]);
        }
        if result.is_ready() {
            lock(&self.reads).done();
        }
        result
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let mut limit = self.max_write.load(Ordering::Relaxed);
        match ready!(lock(&self.writes).poll(cx)) {
            Effect::Room(bytes) => limit = limit.min(bytes),
            Effect::Reset => self.reset(),
            Effect::End => self.outgoing.change(|state| state.ended = true),
        }
        let mut reader = None;
        let mut waker = Some(cx.waker().clone());
        let mut state = self.outgoing.lock();
        let room = CAPACITY.saturating_sub(state.bytes.len()).min(limit);
        let result = if state.reset {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        } else if state.ended || state.receiver_gone {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        } else if room == 0 {
            std::mem::swap(&mut state.writer, &mut waker);
            Poll::Pending
        } else {
            let before = state.bytes.len();
            let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
            state.bytes.extend(bytes.take(room));
            reader = state.reader.take();
            Poll::Ready(Ok(state.bytes.len() - before))
        };
        drop(state);
        if let Some(reader) = reader {
            wake_all([reader]);
        }
        if result.is_ready() {
            lock(&self.writes).done();
        }
        result
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        // The waker is set before the other direction is looked at: a peer that is dropped changes that
        // first.
        let mut waker = Some(cx.waker().clone());
        let mut state = self.incoming.lock();
        std::mem::swap(&mut state.reader, &mut waker);
        let is_reset = state.reset;
        drop(state);
        if is_reset || self.outgoing.lock().receiver_gone { Poll::Ready(()) } else { Poll::Pending }
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(Address::Memory(0))
    }

    fn shutdown(&self, side: Shutdown) -> io::Result<()> {
        if side != Shutdown::Write {
            self.incoming.change(|state| state.read_shutdown = true);
        }
        if side != Shutdown::Read {
            self.outgoing.change(|state| state.ended = true);
        }
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.incoming.change(|state| state.receiver_gone = true);
        self.outgoing.change(|state| state.ended = true);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A direction of a connection.
#[derive(Default)]
struct Pipe(Mutex<PipeState>);

#[derive(Default)]
struct PipeState {
    bytes: VecDeque<u8>,
    /// The sender has ended this direction.
    ended: bool,
    /// The receiver has shut this direction down: it reads nothing more, and sent bytes are dropped.
    read_shutdown: bool,
    /// The receiver has been dropped.
    receiver_gone: bool,
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut PipeState)) {
        let mut state = self.lock();
        change(&mut state);
        let woken = [state.reader.take(), state.writer.take()];
        drop(state);
        wake_all(woken.into_iter().flatten());
    }
}
