//! Protocols without I/O, after [http/af]: a [`Flow`] is asked what to read and write, and told what came of it.
//!
//! ```text
//!              bytes received             events
//!   socket ──► Reader ──► read ──►┐   ┌──────────────► application
//!                                 Flow
//!   socket ◄── Writer ◄── Write ◄─┘   └◄────────────── application
//!                                        answers
//! ```
//!
//! The core of this crate knows neither sockets, threads nor clocks, so a whole conversation can be held by hand:
//! [`ByHand`] does that, [`join`] lets two flows talk, and [`blocking`] drives one with two plain threads.
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

pub use self::core::{
    Activity, FilePart, Flow, FlowError, MAX_COPY_BYTES, MAX_SLICES, Output, ReadOperation, Slices,
    WakerSlot, WriteOperation, WriteResult,
};
#[cfg(feature = "blocking")]
pub use drive::blocking;
pub use drive::{ManualDriver, join};
#[cfg(feature = "driver")]
pub use driver::{FlowServer, Flowing, drive, drive_to_completion};
