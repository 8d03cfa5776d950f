//! Sockets of the operating system, and the machinery that tells when they are ready.
//!
//! A socket is an [`Evented`](source::Evented). It remembers its readiness, and joins the poller of a worker when a
//! process first has to wait for it. The transports are built on this room; it knows none of the others.

pub(crate) mod poller;
pub(crate) mod readiness;
pub(crate) mod send_file;
pub(crate) mod source;
