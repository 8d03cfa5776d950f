//! Sockets of the operating system, and the machinery that tells when they are ready.
//!
//! A socket is an [`IoSource`](source::IoSource). It remembers its [`readiness`], and joins the [`poller`] of
//! a worker when a process first has to wait for it. [`send_file`] sends files, [`wake`] wakes processes.
//!
//! Invariant: transports are built on this room; it knows no other room.

pub(crate) mod poller;
pub(crate) mod readiness;
pub(crate) mod send_file;
pub(crate) mod source;
pub(crate) mod wake;
