//! The content of messages: heads and their fields.
//!
//! **Invariants:** nothing here knows how a version of HTTP writes messages, nor that a connection exists.
//! The protocol (`h1`) and what handlers use (`exchange`) are built on this room.

mod head;
pub(crate) mod head_pool;
mod headers;
mod response_head;

pub use head::Head;
pub(crate) use head::{HeadData, RequestLine};
pub use headers::{Headers, Iter};
pub(crate) use headers::{ShownValue, is_secret, list_elements};
pub(crate) use response_head::ResponseHead;

/// A range of positions in a head.
pub(crate) type Range = std::ops::Range<u32>;
