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

pub mod blocking;
#[cfg(feature = "driver")]
mod driver;
mod error;
mod file_part;
mod flow;
mod output;
mod pair;
#[cfg(test)]
mod tests;
mod wake;

#[cfg(feature = "driver")]
pub use driver::{FlowServer, Flowing, connect, connect_to_the_end};
pub use error::FlowError;
pub use file_part::FilePart;
pub use flow::{Activity, Flow, ReadOperation, WriteOperation, WriteResult};
pub use output::{COPY_MAX, Output, SLICES_MAX, Slices};
pub use pair::{ByHand, join};
pub use wake::Wake;
