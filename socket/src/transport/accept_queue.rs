//! The queue of clients that a listener has not accepted yet, when the listener is about to close.

use socket2::SockRef;

/// The state of a listener's queue after [`Listen::close_queue`](super::Listen::close_queue).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptQueue {
    /// No client enters the queue any more. Those in it can still be accepted.
    Closed,
    /// A client may still enter the queue: one whose connection was being set up, or any client if the queue
    /// cannot be closed.
    Open,
    /// Another process accepts from the queue too, and will accept the clients in it.
    Shared,
}

/// Lets a listening TCP socket ignore new clients. A client that has begun to connect can finish. An ignored
/// client tries again after a second, when another socket has the address or none.
///
/// A filter of the kernel drops segments that have SYN set and ACK clear. Where there are no such filters
/// this does nothing, and the queue stays open.
pub(super) fn ignore_new_clients(listener: SockRef<'_>) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use socket2::SockFilter;

        /// Classic BPF (linux/filter.h): load a byte; mask it; jump if equal; return.
        const LOAD_BYTE: u16 = 0x30;
        const AND: u16 = 0x54;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        /// The position of the flags in a TCP header (RFC 9293 §3.1).
        const FLAGS: u32 = 13;
        const SYN: u32 = 0x02;
        const ACK: u32 = 0x10;
        let program = [
            SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
            SockFilter::new(AND, 0, 0, SYN | ACK),
            SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
            SockFilter::new(RETURN, 0, 0, 0),
            SockFilter::new(RETURN, 0, 0, u32::MAX),
        ];
        if let Err(error) = listener.attach_filter(&program) {
            riot_actor::log_event!(DEBUG, "riot::socket", "the accept queue stays open: {error}");
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = listener;
}
