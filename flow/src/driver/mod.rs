//! The processes that drive a flow over a connection of `riot-socket`.
//!
//! ```text
//! Connector   one a client: owns the connection, reads, runs the application, writes and keeps the time
//! ├── Reader  linked; reads while the Connector is busy, and finishes the receiving side
//! └── Writer  linked; writes while the transport is full, and finishes the sending side
//! ```
//!
//! The way of a request is one function, `poll_slice` in [`connector`]: `inbound` moves bytes from the
//! socket to the flow, `application` runs the user's code, `outbound` moves bytes from the flow to the
//! socket. All three work on a [`Link`], whose lock they take in turn. Reader and Writer call the same two
//! functions when they take over.
//!
//! A Connector that is ended by a signal leaves what its flow still has to say to a fourth process,
//! `LastWord`.
//!
//! **Invariants:** the user's code runs in the Connector alone, and never under the link's lock. A wake-up
//! that arrives while the Connector runs is recorded in [`WakeFlags`], so the Connector never wakes another
//! process, nor itself, for work that it will do in the same poll slice.

mod application;
mod buffers;
mod connector;
mod deadline;
mod inbound;
mod last_word;
mod link;
mod outbound;
mod reader;
mod server;
mod wake_flags;
mod writer;

pub use connector::{drive, drive_to_completion};
use link::{Link, Side};
pub use server::{FlowServer, Flowing};
use wake_flags::WakeFlags;
