//! A driver of two plain blocking threads, on two pages.
//!
//! The reading thread sleeps in `read`. The writing thread sends and keeps the time. When the flow has ended
//! it wakes the reading thread by shutting its side down.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use crate::{Flow, FlowError, ReadOperation, WriteOperation, WriteResult};

/// The size of one read, in bytes; 16 KiB.
const READ_BYTES: usize = 16 * 1024;

/// Bounds what is copied out of the flow for one write, in bytes; 64 KiB. A copy is sent, so that a peer that
/// accepts nothing does not keep the flow locked.
const WRITE_BYTES: usize = 64 * 1024;

/// The stack of the writing thread, in bytes; 128 KiB.
const WRITER_STACK_BYTES: usize = 128 * 1024;

/// How a flow ended.
#[derive(Debug)]
pub enum Served {
    /// Both sides are shut down.
    Closed,
    /// Another protocol goes on: neither side is shut down, and these bytes were read but not consumed. (Rule
    /// F12 in [`contract`](crate::contract).)
    Upgraded(TcpStream, Vec<u8>),
}

/// Drives `flow` over `stream`, on this thread and one more, until both directions have ended.
///
/// The lock is held only for the flow's own work, never while a thread sleeps, so the application may run on
/// any thread.
///
/// # Errors
/// If the second thread cannot be started or the stream cannot be set up. Later failures are reported to the
/// flow.
pub fn serve<F: Flow + Send + 'static>(flow: Arc<Mutex<F>>, stream: TcpStream) -> io::Result<Served> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(None)?;
    let writer = Writer { flow: flow.clone(), stream: stream.try_clone()? };
    let writer = thread::Builder::new().stack_size(WRITER_STACK_BYTES).spawn(move || writer.run())?;
    let unread = Reader { flow: flow.clone(), stream: &stream, buffer: Vec::new(), filled: 0 }.run();
    // The writing thread may be waiting for the flow to end.
    writer.thread().unpark();
    if writer.join().is_err() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    if lock(&flow).is_upgraded() { Ok(Served::Upgraded(stream, unread)) } else { Ok(Served::Closed) }
}

struct Reader<'a, F> {
    flow: Arc<Mutex<F>>,
    stream: &'a TcpStream,
    /// Invariant: the first `filled` bytes are received and not consumed.
    buffer: Vec<u8>,
    filled: usize,
}

impl<F: Flow> Reader<'_, F> {
    /// Returns the leftover.
    fn run(mut self) -> Vec<u8> {
        let waker = unparking(thread::current());
        let (mut ended, mut again) = (false, false);
        loop {
            let mut flow = lock(&self.flow);
            match flow.next_read_operation() {
                ReadOperation::Read => {
                    drop(flow);
                    // A flow that was woken has room for its leftover, which may be all that the peer will
                    // ever send.
                    if !(ended || (again && self.filled > 0)) {
                        ended = self.receive();
                    }
                    again = false;
                    self.present(ended);
                }
                ReadOperation::Yield => {
                    flow.yield_reader(&waker);
                    drop(flow);
                    thread::park();
                    again = true;
                }
                ReadOperation::Close => {
                    if !flow.is_upgraded() {
                        let _ = self.stream.shutdown(Shutdown::Read);
                    }
                    self.buffer.truncate(self.filled);
                    return self.buffer;
                }
            }
        }
    }

    /// Receives once; returns whether the input has ended.
    fn receive(&mut self) -> bool {
        if self.buffer.len() - self.filled < READ_BYTES {
            self.buffer.resize(self.filled + READ_BYTES, 0);
        }
        loop {
            match (&mut self.stream).read(&mut self.buffer[self.filled..]) {
                Ok(received) => {
                    self.filled += received;
                    return received == 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    lock(&self.flow).report_error(FlowError::Transport(error));
                    return true;
                }
            }
        }
    }

    fn present(&mut self, ended: bool) {
        let (mut flow, bytes) = (lock(&self.flow), &self.buffer[..self.filled]);
        if flow.next_read_operation() != ReadOperation::Read {
            return;
        }
        let consumed =
            if ended { flow.read_eof(bytes, Instant::now()) } else { flow.read(bytes, Instant::now()) };
        drop(flow);
        self.buffer.copy_within(consumed..self.filled, 0);
        self.filled -= consumed;
    }
}

struct Writer<F> {
    flow: Arc<Mutex<F>>,
    stream: TcpStream,
}

impl<F: Flow> Writer<F> {
    fn run(mut self) {
        let waker = unparking(thread::current());
        loop {
            let mut flow = lock(&self.flow);
            let now = Instant::now();
            match flow.next_write_operation(now) {
                WriteOperation::Write(slices) => {
                    let mut bytes = Vec::with_capacity(slices.total().min(WRITE_BYTES));
                    for slice in slices.iter() {
                        let room = WRITE_BYTES - bytes.len();
                        bytes.extend_from_slice(&slice[..slice.len().min(room)]);
                    }
                    let patience =
                        flow.next_deadline().map(|deadline| deadline.saturating_duration_since(now));
                    drop(flow);
                    let result = self.send(&bytes, patience);
                    self.report(result);
                }
                WriteOperation::File(part) => {
                    let part = part.clone();
                    let patience =
                        flow.next_deadline().map(|deadline| deadline.saturating_duration_since(now));
                    drop(flow);
                    let mut bytes = vec![0; part.length().min(WRITE_BYTES)];
                    let result = part.read(&mut bytes).and_then(|read| self.send(&bytes[..read], patience));
                    self.report(result);
                }
                WriteOperation::Yield => {
                    flow.yield_writer(&waker);
                    sleep(flow, &waker);
                }
                WriteOperation::Close(_) => {
                    if !flow.is_upgraded() {
                        let _ = self.stream.shutdown(Shutdown::Write);
                    }
                    break;
                }
            }
        }
        // The reader may go on for a while, and no other thread keeps the time.
        loop {
            let flow = lock(&self.flow);
            if flow.is_closed() {
                break;
            }
            sleep(flow, &waker);
        }
        if !lock(&self.flow).is_upgraded() {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }

    fn send(&mut self, bytes: &[u8], patience: Option<Duration>) -> io::Result<usize> {
        // The system does not accept a timeout of zero.
        self.stream.set_write_timeout(patience.map(|patience| patience.max(Duration::from_millis(1))))?;
        self.stream.write(bytes)
    }

    fn report(&self, result: io::Result<usize>) {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        let (mut flow, now) = (lock(&self.flow), Instant::now());
        match result {
            Ok(sent) => flow.report_write_result(WriteResult::Written(sent), now),
            Err(error) if matches!(error.kind(), Interrupted | TimedOut | WouldBlock) => {
                flow.report_write_result(WriteResult::Written(0), now);
            }
            Err(_) => flow.report_write_result(WriteResult::Closed, now),
        }
        if flow.next_deadline().is_some_and(|deadline| deadline <= now) {
            flow.handle_deadline(now);
        }
    }
}

/// Sleeps until woken, or until a deadline, of which the flow is then told.
fn sleep<F: Flow>(mut flow: MutexGuard<'_, F>, waker: &Waker) {
    let now = Instant::now();
    let deadline = flow.next_deadline();
    flow.watch_deadline(waker, deadline);
    match deadline {
        Some(deadline) if deadline <= now => flow.handle_deadline(now),
        Some(deadline) => {
            drop(flow);
            thread::park_timeout(deadline - now);
        }
        None => {
            drop(flow);
            thread::park();
        }
    }
}

/// Locks the flow, even after a panic: the flow itself says how it ends.
fn lock<F>(flow: &Mutex<F>) -> MutexGuard<'_, F> {
    flow.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

fn unparking(thread: Thread) -> Waker {
    Waker::from(Arc::new(Unpark(thread)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::tests::Lines;

    /// Returns a client's end, and the thread that serves the other end.
    fn serving(lines: Lines) -> (TcpStream, thread::JoinHandle<io::Result<Served>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        (client, thread::spawn(move || serve(Arc::new(Mutex::new(lines)), stream)))
    }

    #[test]
    fn f08_what_came_before_the_end_is_answered() {
        let (mut client, server) = serving(Lines::default());
        client.write_all(b"one\ntwo\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ONE\nTWO\n");
        assert!(matches!(server.join().unwrap(), Ok(Served::Closed)));
    }

    #[test]
    fn f05_a_reader_that_yielded_goes_on_with_what_it_left() {
        let (mut client, server) = serving(Lines::with_mark(8));
        let input: String = (0..10_000).map(|number| format!("line {number}\n")).collect();
        let (mut sender, sent) = (client.try_clone().unwrap(), input.clone());
        let sending = thread::spawn(move || {
            sender.write_all(sent.as_bytes()).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
        });
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        sending.join().unwrap();
        assert_eq!(answer, input.to_uppercase());
        assert!(server.join().unwrap().is_ok());
    }

    #[test]
    fn f15_a_peer_that_goes_away_ends_it() {
        let (client, server) = serving(Lines::default());
        drop(client);
        assert!(matches!(server.join().unwrap(), Ok(Served::Closed)));
    }
}
