//! SIGINT and SIGTERM, as something a process waits for.

use std::{
    fmt,
    future::poll_fn,
    io::{self, Read},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{SigId, consts, flag, low_level};

use crate::{io::readiness::Direction, io::source::IoSource};

/// What a user of the program wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: somebody pressed control and C.
    Interrupt,
    /// SIGTERM: whoever runs the program wants it to end.
    Terminate,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// SIGINT and SIGTERM, taken over from the system's default of ending the program, until this is dropped.
pub struct Signals {
    received: [(Signal, IoSource<mio::net::UnixStream>); 2],
    once: Arc<AtomicBool>,
    registered: Vec<SigId>,
}

impl Signals {
    /// Takes the two signals over. The second one of them, whichever it is, ends the program at once with exit code 130
    /// or 143, as the shell would have it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new() -> io::Result<Self> {
        let once = Arc::new(AtomicBool::new(false));
        let mut registered = Vec::new();
        let mut take = |signal, number, code| {
            // Handlers run in the order they were registered: the first signal finds the flag down, and raises it.
            registered.push(flag::register_conditional_shutdown(number, code, once.clone())?);
            registered.push(flag::register(number, once.clone())?);
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            registered.push(low_level::pipe::register(number, write)?);
            io::Result::Ok((signal, IoSource::new(mio::net::UnixStream::from_std(read))))
        };
        let received =
            [take(Signal::Interrupt, consts::SIGINT, 130)?, take(Signal::Terminate, consts::SIGTERM, 143)?];
        Ok(Self { received, once, registered })
    }

    /// Waits for one of the signals.
    ///
    /// # Errors
    /// Those of the system.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn next(&mut self) -> io::Result<Signal> {
        poll_fn(|cx| {
            for (signal, socket) in &self.received {
                let read = |mut socket: &mio::net::UnixStream| socket.read(&mut [0; 64]);
                if let std::task::Poll::Ready(result) = socket.poll(cx, Direction::Read, read, |_| false) {
                    return std::task::Poll::Ready(result.map(|_| *signal));
                }
            }
            std::task::Poll::Pending
        })
        .await
    }

    /// Forgets a signal that came: the next one is a first one again, and does not end the program.
    pub fn forgive(&self) {
        self.once.store(false, Ordering::SeqCst);
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            low_level::unregister(id);
        }
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signals")
    }
}
