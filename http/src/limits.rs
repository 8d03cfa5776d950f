//! Every bound of a connection: what it limits, its default, and why.
//!
//! All are on unless said otherwise. A bound that is passed is answered with the status named beside it.

/// The bounds of one connection.
///
/// ```
/// let limits = riot_http::Limits::new().headers_max(64).head_bytes_max(16 * 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(crate) line_bytes_max: usize,
    pub(crate) headers_max: usize,
    pub(crate) header_bytes_max: usize,
    pub(crate) head_bytes_max: usize,
    pub(crate) chunk_extra_bytes_max: usize,
    pub(crate) body_bytes_max: Option<u64>,
    pub(crate) drain_bytes_max: u64,
    pub(crate) pipeline_max: usize,
    pub(crate) window_bytes: usize,
    pub(crate) output_bytes_high: usize,
    pub(crate) linger_bytes_max: usize,
    pub(crate) requests_max: Option<u64>,
}

impl Limits {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            line_bytes_max: 8000,
            headers_max: 100,
            header_bytes_max: 8 * 1024,
            head_bytes_max: 64 * 1024,
            chunk_extra_bytes_max: 16 * 1024,
            body_bytes_max: None,
            drain_bytes_max: 1024 * 1024,
            pipeline_max: 16,
            window_bytes: 64 * 1024,
            output_bytes_high: 64 * 1024,
            linger_bytes_max: 64 * 1024,
            requests_max: None,
        }
    }

    /// The request line, in bytes; 8000 by default, as RFC 9112 §3 recommends. Above: 414, or 400 for a method
    /// that long.
    #[must_use]
    pub fn line_bytes_max(mut self, bytes: usize) -> Self {
        self.line_bytes_max = bytes;
        self
    }

    /// Fields in a head; 100 by default. Above: 431.
    #[must_use]
    pub fn headers_max(mut self, fields: usize) -> Self {
        self.headers_max = fields;
        self
    }

    /// One field line, in bytes; 8 KiB by default. Above: 431.
    #[must_use]
    pub fn header_bytes_max(mut self, bytes: usize) -> Self {
        self.header_bytes_max = bytes;
        self
    }

    /// A whole head, in bytes; 64 KiB by default. Above: 431. The driver's buffer must hold as much, for an
    /// incomplete head stays there.
    #[must_use]
    pub fn head_bytes_max(mut self, bytes: usize) -> Self {
        self.head_bytes_max = bytes.min(u32::MAX as usize);
        self
    }

    /// All chunk extensions and trailers of one body, in bytes; 16 KiB by default (RFC 9112 §7.1.1 asks for a
    /// bound). Above: 400 for extensions, 431 for trailers.
    #[must_use]
    pub fn chunk_extra_bytes_max(mut self, bytes: usize) -> Self {
        self.chunk_extra_bytes_max = bytes;
        self
    }

    /// A request's body, in bytes; none by default, since a streamed body costs no memory and
    /// [`Body::bytes`](crate::Body::bytes) asks for its own bound. Above: 413.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.body_bytes_max = bytes.into();
        self
    }

    /// How much of a body nobody read is received and dropped to keep the connection, in bytes; 1 MiB by default.
    /// Above, a new connection is cheaper.
    #[must_use]
    pub fn drain_bytes_max(mut self, bytes: u64) -> Self {
        self.drain_bytes_max = bytes;
        self
    }

    /// Requests read ahead of their answers, at least 1; 16 by default. At the bound reading pauses.
    #[must_use]
    pub fn pipeline_max(mut self, requests: usize) -> Self {
        self.pipeline_max = requests.max(1);
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
    pub fn output_bytes_high(mut self, bytes: usize) -> Self {
        self.output_bytes_high = bytes.max(1);
        self
    }

    /// What is received and dropped after the last answer so that the peer can still read it, in bytes; 64 KiB by
    /// default (RFC 9112 §9.6).
    #[must_use]
    pub fn linger_bytes_max(mut self, bytes: usize) -> Self {
        self.linger_bytes_max = bytes;
        self
    }

    /// Requests served on one connection; any number by default. The last answer says `Connection: close`.
    #[must_use]
    pub fn requests_max(mut self, requests: impl Into<Option<u64>>) -> Self {
        self.requests_max = requests.into();
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
