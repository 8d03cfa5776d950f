//! SIGINT and SIGTERM, for processes to wait for.

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

/// A signal of the system that asks the program to end.
///
/// ```
/// assert_eq!(riot_socket::signals::Signal::Terminate.to_string(), "SIGTERM");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, which a terminal sends for control and C.
    Interrupt,
    /// SIGTERM, which service managers and `kill` send.
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

/// The handler of SIGINT and SIGTERM. Until it is dropped, the first signal does not end the program.
///
/// ```no_run
/// use std::time::Duration;
/// use riot_socket::{Connection, Server, signals::Signals};
///
/// # let reason = riot_actor::run(async {
/// let mut signals = Signals::new()?;
/// let server = Server::bind("127.0.0.1:7007")?
///     .start_link(|mut connection: Connection| async move { connection.write_all(b"hello").await })
///     .await?;
/// println!("{}: stopping", signals.next().await?);
/// server.stop(Duration::from_secs(15)).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # drop(reason);
/// ```
pub struct Signals {
    received: [(Signal, IoSource<mio::net::UnixStream>); 2],
    once: Arc<AtomicBool>,
    registered: Vec<SigId>,
}

impl Signals {
    /// Installs the handler. The second of the two signals ends the program at once, with the exit code that
    /// a shell reports: 130 after SIGINT, 143 after SIGTERM.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new() -> io::Result<Self> {
        let once = Arc::new(AtomicBool::new(false));
        let mut registered = Vec::new();
        let mut take = |signal, number, code| {
            // Handlers run in the order of registration: the first signal finds the flag unset, and sets it.
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
    /// Panics outside a process.
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

    /// Forgets a received signal: the next one counts as the first again, and does not end the program.
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
