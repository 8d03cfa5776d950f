//! Protocols without I/O, after [http/af]: a [`Flow`] is asked what to read and write, and told what became
//! of it.
//!
//! ```text
//!              bytes received             events
//!   socket ──► inbound ──► read ──►┐   ┌──────────────► application
//!                                 Flow
//!   socket ◄── outbound ◄── Write ◄┘   └◄────────────── application
//!                                         responses
//! ```
//!
//! A flow can be driven by the processes of a `riot-socket` server (`FlowServer`), by two plain threads
//! (`blocking`), or by calls, as in a test. Here is a complete flow, and a conversation with it:
//!
//! ```
//! use std::{task::Waker, time::Instant};
//! use riot_flow::{Flow, FlowError, ManualDriver, Output, WakerSlot};
//! use riot_flow::{ReadOperation, WriteOperation, WriteResult};
//!
//! /// Sends every byte back in capitals.
//! #[derive(Default)]
//! struct Shout {
//!     output: Output,
//!     writer: WakerSlot,
//!     closing: bool,
//! }
//!
//! impl Flow for Shout {
//!     fn next_read_operation(&mut self) -> ReadOperation {
//!         if self.closing { ReadOperation::Close } else { ReadOperation::Read }
//!     }
//!     fn read(&mut self, bytes: &[u8], _: Instant) -> usize {
//!         self.output.write(&bytes.to_ascii_uppercase());
//!         self.writer.wake_waiting();
//!         bytes.len()
//!     }
//!     fn read_eof(&mut self, bytes: &[u8], now: Instant) -> usize {
//!         let consumed = self.read(bytes, now);
//!         self.shutdown();
//!         consumed
//!     }
//!     fn yield_reader(&mut self, _: &Waker) {
//!         unreachable!("this flow never yields its reader");
//!     }
//!     fn next_write_operation(&mut self, _: Instant) -> WriteOperation<'_> {
//!         match (self.output.is_empty(), self.closing) {
//!             (false, _) => WriteOperation::Write(self.output.slices()),
//!             (true, false) => WriteOperation::Yield,
//!             (true, true) => WriteOperation::Close(0),
//!         }
//!     }
//!     fn report_write_result(&mut self, result: WriteResult, _: Instant) {
//!         self.output.report(result);
//!     }
//!     fn yield_writer(&mut self, waker: &Waker) {
//!         self.writer.register(waker);
//!     }
//!     fn report_error(&mut self, _: FlowError) {
//!         self.shutdown();
//!     }
//!     fn shutdown_gracefully(&mut self, _deadline: Option<Instant>, _now: Instant) {
//!         self.shutdown();
//!     }
//!     fn shutdown(&mut self) {
//!         self.closing = true;
//!         self.writer.wake();
//!     }
//!     fn is_closed(&self) -> bool {
//!         self.closing && self.output.is_empty()
//!     }
//! }
//!
//! let mut peer = ManualDriver::new(Shout::default());
//! peer.push(b"hello ");
//! peer.push_cut(b"world", &[1, 2]); // pieces of one byte and of two bytes, in turn
//! assert_eq!(peer.collect(), b"HELLO WORLD");
//! peer.end_input();
//! assert!(peer.read_is_closed() && peer.write_is_closed() == Some(0));
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `driver` (default) | `drive`, and `FlowServer` for the servers of `riot-socket` |
//! | `blocking` | a driver of two plain threads |
//!
//! # Glossary
//!
//! **Flow**: a protocol without I/O. **Driver**: what moves bytes and instants to and from a flow. **Reader
//! side**, **writer side**: the two directions, each driven by a loop. **Leftover**: bytes read and not
//! consumed, which are presented again. **Yield**: a loop waits until the flow wakes it. **Back-pressure**: a
//! flow yields its reader while too much waits to be handled. **Wake flag**: a reason to run that is recorded
//! while the process runs anyway. **Deadline**: the instant at which a flow wants to be told the time.
//! **Upgrade**: another protocol takes over the transport.
//!
//! The rules that flows and drivers follow are in [`contract`], prices in [`costs`].
//!
//! [http/af]: https://github.com/inhabitedtype/httpaf
#![forbid(unsafe_code)]

#[doc = include_str!("../COSTS.md")]
pub mod costs {}

#[doc = include_str!("../CONTRACT.md")]
pub mod contract {}

mod core;
mod drive;
#[cfg(feature = "driver")]
mod driver;
#[cfg(test)]
mod tests;

pub mod prelude {
    //! The items that most flows use, to be imported together, also with the preludes of the other crates.
    //!
    //! ```
    //! use riot_flow::prelude::*;
    //!
    //! fn is_done(flow: &mut impl Flow) -> bool {
    //!     flow.next_read_operation() == ReadOperation::Close && flow.is_closed()
    //! }
    //! ```

    #[cfg(feature = "driver")]
    pub use crate::FlowServer;
    pub use crate::{
        Flow, FlowError, ManualDriver, Output, ReadOperation, Slices, WakerSlot, WriteOperation, WriteResult,
    };
}

pub use self::core::{
    Activity, Ending, FilePart, Flow, FlowError, MAX_COPY_BYTES, MAX_SLICES, Output, ReadOperation, Slices,
    WakerSlot, WriteOperation, WriteResult,
};
#[doc(hidden)]
pub use self::core::{Deferral, defer};
#[cfg(feature = "blocking")]
pub use drive::blocking;
pub use drive::{ManualDriver, join};
#[cfg(feature = "driver")]
pub use driver::{FlowServer, Flowing, drive, drive_to_completion};
