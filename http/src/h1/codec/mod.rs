//! The grammar of HTTP/1.1: heads, framing, the chunked coding; in both directions.
//!
//! **Invariant:** pure functions of bytes and limits. Nothing here knows a connection.

pub(crate) mod chunked;
pub(crate) mod framing;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod table;
