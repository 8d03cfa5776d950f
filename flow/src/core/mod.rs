//! The protocol side: the [`Flow`] trait and what a flow is built from.
//!
//! Bytes and instants come in, bytes and deadlines go out.
//!
//! **Invariant:** this room uses no socket, no thread and no clock, and of files only [`FilePart`], which a
//! driver reads. Everything else in this crate may use it; it uses nothing else of this crate.

mod error;
mod file_part;
mod flow;
mod output;
mod retired;
mod slices;
mod waker_slot;

pub use error::FlowError;
pub use file_part::FilePart;
pub use flow::{Activity, Ending, Flow, ReadOperation, WriteOperation, WriteResult};
pub use output::{MAX_COPY_BYTES, Output};
pub use retired::{Deferral, defer};
pub use slices::{MAX_SLICES, Slices};
pub use waker_slot::WakerSlot;
