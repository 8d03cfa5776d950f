//! Errors of accept: to go on after, to wait out, or to end on.

use std::io;

/// What an acceptor does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was one client's misfortune; the next may be well.
    Skip,
    /// The machine has run out of something: pause, say so, try again.
    Exhausted,
    /// The listener is no more.
    End,
}

/// Sorts an error of accept(2).
pub(crate) fn verdict(error: &io::Error) -> Verdict {
    #[cfg(unix)]
    if let Some(code) = error.raw_os_error() {
        return by_code(code);
    }
    match error.kind() {
        io::ErrorKind::OutOfMemory | io::ErrorKind::StorageFull => Verdict::Exhausted,
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::Interrupted
        | io::ErrorKind::WouldBlock
        | io::ErrorKind::TimedOut
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => Verdict::Skip,
        _ => Verdict::End,
    }
}

/// Linux passes errors of the new connection on through accept; its manual page lists those. The rest say something
/// of the process or the machine (wait), or of the listener itself (end).
#[cfg(unix)]
fn by_code(code: i32) -> Verdict {
    match code {
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM => Verdict::Exhausted,
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
        | libc::ETIMEDOUT => Verdict::Skip,
        #[cfg(target_os = "linux")]
        libc::ENONET => Verdict::Skip,
        _ => Verdict::End,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn of(code: i32) -> Verdict {
        verdict(&io::Error::from_raw_os_error(code))
    }

    #[test]
    fn one_clients_misfortune_is_skipped() {
        for code in [libc::ECONNABORTED, libc::EPROTO, libc::EPERM, libc::ENETDOWN, libc::EHOSTUNREACH] {
            assert_eq!(of(code), Verdict::Skip, "{}", io::Error::from_raw_os_error(code));
        }
    }

    #[test]
    fn a_machine_that_has_run_out_is_waited_for() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert_eq!(of(code), Verdict::Exhausted, "{}", io::Error::from_raw_os_error(code));
        }
    }

    #[test]
    fn a_listener_that_is_no_more_ends_the_acceptor() {
        for code in [libc::EBADF, libc::EINVAL, libc::ENOTSOCK] {
            assert_eq!(of(code), Verdict::End, "{}", io::Error::from_raw_os_error(code));
        }
    }
}
