//! Ordinary disconnects: the errors by which a transport reports that its peer is gone.

use std::{
    io::{self, ErrorKind},
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};

use riot_actor::Reason;

/// The kinds of errors that mean that the peer is gone.
const KINDS: [ErrorKind; 6] = [
    ErrorKind::ConnectionReset,
    ErrorKind::ConnectionAborted,
    ErrorKind::BrokenPipe,
    ErrorKind::UnexpectedEof,
    ErrorKind::NotConnected,
    ErrorKind::TimedOut,
];

/// The detail in the exit reason of a Connector whose peer has gone, which is
/// [`Reason::ShutdownWith`](riot_actor::Reason::ShutdownWith).
///
/// A protocol that ends with an [`io::Error`] of the kind that its own transport has reported last, one of
/// `ConnectionReset`, `ConnectionAborted`, `BrokenPipe`, `UnexpectedEof`, `NotConnected` and `TimedOut`, has
/// not crashed: a peer may leave at any time. An error of another socket, such as that of a database, is a
/// crash.
///
/// ```
/// use riot_actor::Reason;
/// use riot_socket::Disconnected;
///
/// fn is_ordinary(reason: &Reason) -> bool {
///     match reason {
///         Reason::ShutdownWith(detail) => detail.downcast_ref::<Disconnected>().is_some(),
///         reason => reason.is_clean(),
///     }
/// }
/// let reset = std::io::ErrorKind::ConnectionReset;
/// assert!(is_ordinary(&Reason::shutdown_with(Disconnected(reset))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected(
    /// The kind of the error.
    pub ErrorKind,
);

impl Disconnected {
    /// Returns whether the Connector with this exit reason lost its peer.
    pub(crate) fn is_detail_of(reason: &Reason) -> bool {
        matches!(reason, Reason::ShutdownWith(detail) if detail.downcast_ref::<Self>().is_some())
    }
}

/// Returns whether an error of this kind means that the peer is gone.
pub(super) fn is_of_peer_gone(kind: ErrorKind) -> bool {
    KINDS.contains(&kind)
}

/// The last error of a transport, as far as it means that the peer is gone: its position in [`KINDS`], plus
/// one. Zero: there is none.
#[derive(Debug, Default)]
pub(super) struct LastError(AtomicU8);

impl LastError {
    #[cold]
    pub(super) fn set(&self, kind: ErrorKind) {
        let position = KINDS.iter().position(|&known| known == kind);
        self.0.store(position.map_or(0, |position| position as u8 + 1), Relaxed);
    }

    /// Returns the disconnect that a protocol has ended with, if it has.
    #[cold]
    pub(super) fn disconnect_in(&self, reason: &Reason) -> Option<Disconnected> {
        let Reason::Error(error) = reason else { return None };
        let kind = error.downcast_ref::<io::Error>()?.kind();
        let last = KINDS.get(usize::from(self.0.load(Relaxed)).checked_sub(1)?)?;
        (*last == kind).then_some(Disconnected(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b08_only_the_last_error_of_the_transport_is_a_disconnect() {
        let last = LastError::default();
        let ended = |kind: ErrorKind| last.disconnect_in(&io::Error::from(kind).into());
        for kind in KINDS {
            assert_eq!(ended(kind), None, "the transport had no such error");
        }
        for kind in KINDS {
            last.set(kind);
            assert_eq!(KINDS.map(ended).into_iter().flatten().collect::<Vec<_>>(), [Disconnected(kind)]);
            assert_eq!(last.disconnect_in(&Reason::Normal), None);
            assert_eq!(last.disconnect_in(&std::fmt::Error.into()), None);
        }
        last.set(ErrorKind::PermissionDenied);
        assert_eq!(ended(ErrorKind::TimedOut), None, "a later error is another one");
        assert_eq!(ended(ErrorKind::PermissionDenied), None);
    }
}
