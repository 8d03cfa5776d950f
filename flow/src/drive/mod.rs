//! Drivers without processes: [`ManualDriver`] for tests and experiments, [`blocking`] for two plain threads.
//!
//! **Invariant:** this room uses [`core`](crate::core) alone.

#[cfg(feature = "blocking")]
pub mod blocking;
mod manual;

pub use manual::{ManualDriver, join};
