//! Every bound of a connection: what it limits, its default, and why.
//!
//! All are on unless said otherwise. A bound that is passed is answered with the status named beside it.

/// The bounds of one connection.
///
/// ```
/// let limits = riot_http::Limits::new().max_headers(64).max_head_bytes(16 * 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(crate) max_line_bytes: usize,
    pub(crate) max_headers: usize,
    pub(crate) max_header_bytes: usize,
    pub(crate) max_head_bytes: usize,
    pub(crate) max_chunk_extra_bytes: usize,
    pub(crate) max_body_bytes: Option<u64>,
    pub(crate) max_drain_bytes: u64,
    pub(crate) max_pipeline: usize,
    pub(crate) window_bytes: usize,
    pub(crate) output_high_water_bytes: usize,
    pub(crate) max_linger_bytes: usize,
    pub(crate) max_requests: Option<u64>,
}

impl Limits {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            max_line_bytes: 8000,
            max_headers: 100,
            max_header_bytes: 8 * 1024,
            max_head_bytes: 64 * 1024,
            max_chunk_extra_bytes: 16 * 1024,
            max_body_bytes: None,
            max_drain_bytes: 1024 * 1024,
            max_pipeline: 16,
            window_bytes: 64 * 1024,
            output_high_water_bytes: 64 * 1024,
            max_linger_bytes: 64 * 1024,
            max_requests: None,
        }
    }

    /// The request line, in bytes; 8000 by default, as RFC 9112 §3 recommends. Above: 414, or 400 for a method
    /// that long.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.max_line_bytes = bytes;
        self
    }

    /// Fields in a head; 100 by default. Above: 431.
    #[must_use]
    pub fn max_headers(mut self, fields: usize) -> Self {
        self.max_headers = fields;
        self
    }

    /// One field line, in bytes; 8 KiB by default. Above: 431.
    #[must_use]
    pub fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.max_header_bytes = bytes;
        self
    }

    /// A whole head, in bytes; 64 KiB by default. Above: 431. The driver's buffer must hold as much, for an
    /// incomplete head stays there.
    #[must_use]
    pub fn max_head_bytes(mut self, bytes: usize) -> Self {
        self.max_head_bytes = bytes.min(u32::MAX as usize);
        self
    }

    /// All chunk extensions and trailers of one body, in bytes; 16 KiB by default (RFC 9112 §7.1.1 asks for a
    /// bound). Above: 400 for extensions, 431 for trailers.
    #[must_use]
    pub fn max_chunk_extra_bytes(mut self, bytes: usize) -> Self {
        self.max_chunk_extra_bytes = bytes;
        self
    }

    /// A request's body, in bytes; none by default, since a streamed body costs no memory and
    /// [`Body::bytes`](crate::Body::bytes) asks for its own bound. Above: 413.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.max_body_bytes = bytes.into();
        self
    }

    /// How much of a body nobody read is received and dropped to keep the connection, in bytes; 1 MiB by default.
    /// Above, a new connection is cheaper.
    #[must_use]
    pub fn max_drain_bytes(mut self, bytes: u64) -> Self {
        self.max_drain_bytes = bytes;
        self
    }

    /// Requests read ahead of their answers, at least 1; 16 by default. At the bound reading pauses.
    #[must_use]
    pub fn max_pipeline(mut self, requests: usize) -> Self {
        self.max_pipeline = requests.max(1);
        self
    }

    /// Bytes received that no handler has taken yet, at least 1; 64 KiB by default. At the bound reading pauses;
    /// the read that reaches it may go beyond, as far as its bytes need no copy: by 256 KiB at most, and only where a worker
    /// has such memory left.
    #[must_use]
    pub fn window_bytes(mut self, bytes: usize) -> Self {
        self.window_bytes = bytes.max(1);
        self
    }

    /// Bytes waiting to be sent above which a handler that writes more has to wait, at least 1; 64 KiB by default.
    #[must_use]
    pub fn output_high_water_bytes(mut self, bytes: usize) -> Self {
        self.output_high_water_bytes = bytes.max(1);
        self
    }

    /// What is received and dropped after the last answer so that the peer can still read it, in bytes; 64 KiB by
    /// default (RFC 9112 §9.6).
    #[must_use]
    pub fn max_linger_bytes(mut self, bytes: usize) -> Self {
        self.max_linger_bytes = bytes;
        self
    }

    /// Requests served on one connection; any number by default. The last answer says `Connection: close`.
    #[must_use]
    pub fn max_requests(mut self, requests: impl Into<Option<u64>>) -> Self {
        self.max_requests = requests.into();
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
