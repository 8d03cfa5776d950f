//! The transport that a TLS session makes of another one.

use std::{
    future::poll_fn,
    io::{self, IoSlice, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker, ready},
};

use super::{TlsInfo, invalid, refusal::Refusal};
use crate::{
    io::wake::wake_all,
    transport::{Address, Shutdown, Transport},
};

/// A TLS session over a transport.
pub(crate) struct TlsStream {
    transport: Arc<dyn Transport>,
    session: Mutex<Session>,
    wakers: Arc<WriteWakers>,
}

struct Session {
    tls: rustls::Connection,
    /// Bytes that were read from the transport before the session began.
    early: Vec<u8>,
    /// The handshake is complete.
    ready: bool,
    /// The receiving direction was shut down on this side.
    read_shutdown: bool,
    /// The end was announced by `close_notify`, or the session has failed.
    closing: bool,
}

/// The wakers of processes that wait until the transport takes more bytes. The reader may be one of them,
/// since records it reads may need an answer. The transport keeps one waker, so it is given one that wakes
/// both.
#[derive(Default)]
struct WriteWakers(Mutex<[Option<Waker>; 2]>);

#[derive(Clone, Copy)]
enum Waiter {
    Reader,
    Writer,
}

impl WriteWakers {
    fn set(&self, side: Waiter, waker: &Waker) {
        // A waker may be code of a user: it is cloned and dropped outside the lock.
        let waker = Some(waker.clone());
        let before = {
            let place = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner)[side as usize];
            std::mem::replace(place, waker)
        };
        drop(before);
    }
}

impl Wake for WriteWakers {
    fn wake(self: Arc<Self>) {
        let wakers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        wake_all(wakers.into_iter().flatten());
    }
}

impl TlsStream {
    /// Returns a session over a transport, of which `early` has been read before.
    pub(crate) fn new(transport: Arc<dyn Transport>, tls: rustls::Connection, early: Vec<u8>) -> Self {
        let session = Session { tls, early, ready: false, read_shutdown: false, closing: false };
        Self { transport, session: Mutex::new(session), wakers: Arc::default() }
    }

    /// Establishes the session with the peer.
    pub(crate) async fn establish(&self) -> io::Result<TlsInfo> {
        poll_fn(|cx| self.poll_handshake(cx)).await?;
        Ok(TlsInfo::of(&self.lock().tls))
    }

    fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the records that the session has to send.
    fn poll_send(&self, session: &mut Session, cx: &mut Context<'_>, side: Waiter) -> Poll<io::Result<()>> {
        if !session.tls.wants_write() {
            return Poll::Ready(Ok(()));
        }
        self.wakers.set(side, cx.waker());
        let waker = Waker::from(self.wakers.clone());
        let mut outgoing =
            TransportWriter { transport: &*self.transport, cx: &mut Context::from_waker(&waker) };
        while session.tls.wants_write() {
            match session.tls.write_tls(&mut outgoing) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => {
                    session.closing = true;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Receives bytes for the session, and processes its records; 0 at the end.
    fn poll_receive(&self, session: &mut Session, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Session { tls, early, .. } = session;
        let mut incoming = TransportReader { transport: &*self.transport, cx, early };
        let read = match tls.read_tls(&mut incoming) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            result => result?,
        };
        if let Err(error) = tls.process_new_packets() {
            return Poll::Ready(Err(self.refuse(session, error, cx)));
        }
        Poll::Ready(Ok(read))
    }

    /// Ends a session whose peer breaks the protocol. The alert for the peer is sent if the transport takes
    /// it at once.
    #[cold]
    fn refuse(&self, session: &mut Session, error: rustls::Error, cx: &mut Context<'_>) -> io::Error {
        session.closing = true;
        let mut records = Vec::new();
        while session.tls.wants_write() && session.tls.write_tls(&mut records).is_ok_and(|bytes| bytes > 0) {}
        let _ = self.transport.poll_write(cx, &[IoSlice::new(&records)]);
        if session.ready { invalid(error) } else { Refusal::new(error, &records).into() }
    }

    fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let session = &mut *self.lock();
        loop {
            ready!(self.poll_send(session, cx, Waiter::Reader))?;
            if !session.tls.is_handshaking() {
                session.ready = true;
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_receive(session, cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Announces the end of this direction by `close_notify`. Only the first call has an effect.
    fn announce_end(session: &mut Session) {
        if !std::mem::replace(&mut session.closing, true) {
            session.tls.send_close_notify();
        }
    }
}

impl Transport for TlsStream {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let session = &mut *self.lock();
        loop {
            if session.read_shutdown {
                return Poll::Ready(Ok(0));
            }
            match session.tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Decrypted bytes, or an end that the peer announced. An end that it did not announce is an
                // error.
                result => return Poll::Ready(result),
            }
            ready!(self.poll_receive(session, cx))?;
            // An answer that the transport does not take now is sent when it does.
            if let Poll::Ready(Err(error)) = self.poll_send(session, cx, Waiter::Reader) {
                return Poll::Ready(Err(error));
            }
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let session = &mut *self.lock();
        if session.closing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.poll_send(session, cx, Waiter::Writer))?;
        // The session's buffer, of 64 KiB, is empty, so it takes some bytes.
        let written = session.tls.writer().write_vectored(slices)?;
        match self.poll_send(session, cx, Waiter::Writer) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(written)),
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let session = &mut *self.lock();
        ready!(self.poll_send(session, cx, Waiter::Writer))?;
        self.transport.poll_flush(cx)
    }

    fn poll_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let session = &mut *self.lock();
        Self::announce_end(session);
        ready!(self.poll_send(session, cx, Waiter::Writer))?;
        self.transport.poll_close(cx)
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.transport.poll_closed(cx)
    }

    fn assume_ready(&self) {
        self.transport.assume_ready();
    }

    fn reset_on_close(&self) {
        self.transport.reset_on_close();
    }

    fn local_address(&self) -> io::Result<Address> {
        self.transport.local_address()
    }

    fn shutdown(&self, side: Shutdown) -> io::Result<()> {
        let session = &mut *self.lock();
        if side != Shutdown::Write {
            session.read_shutdown = true;
        }
        if side != Shutdown::Read {
            Self::announce_end(session);
            let _ = self.poll_send(session, &mut Context::from_waker(Waker::noop()), Waiter::Writer);
        }
        self.transport.shutdown(side)
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        let session = self.session.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A panic must not look like an intended end.
        if session.ready && !session.closing && !std::thread::panicking() {
            Self::announce_end(session);
            let waker = Waker::noop();
            let mut outgoing =
                TransportWriter { transport: &*self.transport, cx: &mut Context::from_waker(waker) };
            while session.tls.wants_write() && session.tls.write_tls(&mut outgoing).is_ok_and(|sent| sent > 0)
            {
            }
        }
    }
}

/// Reads from a transport for the session, after the bytes that were read before.
struct TransportReader<'a, 'c, 'w> {
    transport: &'a dyn Transport,
    cx: &'c mut Context<'w>,
    early: &'a mut Vec<u8>,
}

impl Read for TransportReader<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.early.is_empty() {
            let read = buffer.len().min(self.early.len());
            buffer[..read].copy_from_slice(&self.early[..read]);
            self.early.drain(..read);
            return Ok(read);
        }
        match self.transport.poll_read(self.cx, buffer) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// Writes to a transport for the session.
struct TransportWriter<'a, 'c, 'w> {
    transport: &'a dyn Transport,
    cx: &'c mut Context<'w>,
}

impl Write for TransportWriter<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.transport.poll_write(self.cx, slices) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
