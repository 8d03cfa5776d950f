//! The kinds of errors of accept(2): skip the client, pause, or end.

use std::io;

/// The kind of an error of accept(2), which decides what the acceptor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptErrorKind {
    /// The error concerns one connection. The acceptor goes on.
    Connection,
    /// The machine or the program has run out of a resource. The acceptor pauses, logs it, and tries again.
    Exhausted,
    /// The listener is gone. The acceptor ends.
    Listener,
}

impl AcceptErrorKind {
    /// Returns the name, as events and metrics have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Exhausted => "exhausted",
            Self::Listener => "listener",
        }
    }
}

/// Classifies an error of accept(2).
pub(crate) fn classify(error: &io::Error) -> AcceptErrorKind {
    #[cfg(unix)]
    if let Some(code) = error.raw_os_error() {
        return by_code(code);
    }
    match error.kind() {
        io::ErrorKind::OutOfMemory | io::ErrorKind::StorageFull => AcceptErrorKind::Exhausted,
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::Interrupted
        | io::ErrorKind::WouldBlock
        | io::ErrorKind::TimedOut
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => AcceptErrorKind::Connection,
        _ => AcceptErrorKind::Listener,
    }
}

/// Classifies an error of the system. On Linux accept(2) also reports errors of the new connection; its
/// manual page lists them. Other errors concern the process or the machine, or the listener itself.
#[cfg(unix)]
fn by_code(code: i32) -> AcceptErrorKind {
    match code {
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM => AcceptErrorKind::Exhausted,
        libc::ECONNABORTED
        | libc::ECONNRESET
        | libc::EHOSTDOWN
        | libc::EHOSTUNREACH
        | libc::EINTR
        | libc::EAGAIN
        | libc::ENETDOWN
        | libc::ENETUNREACH
        | libc::ENOPROTOOPT
        | libc::EOPNOTSUPP
        | libc::EPERM
        | libc::EPROTO
        | libc::ETIMEDOUT => AcceptErrorKind::Connection,
        #[cfg(target_os = "linux")]
        libc::ENONET => AcceptErrorKind::Connection,
        _ => AcceptErrorKind::Listener,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn of(code: i32) -> AcceptErrorKind {
        classify(&io::Error::from_raw_os_error(code))
    }

    #[test]
    fn an_error_of_one_connection_is_skipped() {
        for code in [libc::ECONNABORTED, libc::EPROTO, libc::EPERM, libc::ENETDOWN, libc::EHOSTUNREACH] {
            assert_eq!(of(code), AcceptErrorKind::Connection, "{}", io::Error::from_raw_os_error(code));
        }
    }

    #[test]
    fn an_exhausted_machine_is_waited_for() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert_eq!(of(code), AcceptErrorKind::Exhausted, "{}", io::Error::from_raw_os_error(code));
        }
    }

    #[test]
    fn a_closed_listener_ends_the_acceptor() {
        for code in [libc::EBADF, libc::EINVAL, libc::ENOTSOCK] {
            assert_eq!(of(code), AcceptErrorKind::Listener, "{}", io::Error::from_raw_os_error(code));
        }
    }
}
