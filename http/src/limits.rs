//! The bounds of a connection: what each limits, its default, and what happens beyond it.

/// The bounds of what one client may make the server hold or do. All are on unless their documentation says
/// otherwise. A request that exceeds a bound is answered with the status named there.
///
/// The most memory that one connection can hold is a formula of these bounds, rule H19 of the
/// [contract](crate::contract): 786 KiB with the default limits and small responses.
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
    /// Returns the defaults.
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

    /// Bounds the request line, in bytes; 8000 by default, as RFC 9112 §3 recommends. Beyond it: 414, or 400
    /// if the method alone is that long.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.max_line_bytes = bytes;
        self
    }

    /// Bounds the number of fields in a head; 100 by default. Beyond it: 431.
    #[must_use]
    pub fn max_headers(mut self, fields: usize) -> Self {
        self.max_headers = fields;
        self
    }

    /// Bounds one field line, in bytes; 8 KiB by default. Beyond it: 431.
    #[must_use]
    pub fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.max_header_bytes = bytes;
        self
    }

    /// Bounds a whole head, in bytes; 64 KiB by default. Beyond it: 431. The driver's buffer must hold as
    /// much, because an incomplete head stays there.
    #[must_use]
    pub fn max_head_bytes(mut self, bytes: usize) -> Self {
        self.max_head_bytes = bytes.min(u32::MAX as usize);
        self
    }

    /// Bounds all chunk extensions and trailers of one body, in bytes; 16 KiB by default (RFC 9112 §7.1.1
    /// asks for a bound). Beyond it: 400 for extensions, 431 for trailers.
    #[must_use]
    pub fn max_chunk_extra_bytes(mut self, bytes: usize) -> Self {
        self.max_chunk_extra_bytes = bytes;
        self
    }

    /// Bounds the body of a request, in bytes; unlimited by default, since a streamed body costs no memory
    /// and [`Body::bytes`](crate::Body::bytes) asks for a bound of its own. Beyond it: 413.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: u64) -> Self {
        self.max_body_bytes = Some(bytes);
        self
    }

    /// Bounds how much of an unread body is received and dropped to keep the connection, in bytes; 1 MiB by
    /// default. Beyond it the connection closes, since a new connection is cheaper.
    #[must_use]
    pub fn max_drain_bytes(mut self, bytes: u64) -> Self {
        self.max_drain_bytes = bytes;
        self
    }

    /// Bounds the requests read ahead of their responses; 16 by default. At the bound reading pauses.
    ///
    /// # Panics
    /// Panics if `requests` is zero.
    #[must_use]
    pub fn max_pipeline(mut self, requests: usize) -> Self {
        assert!(requests > 0, "riot_http: max_pipeline must be greater than zero");
        self.max_pipeline = requests;
        self
    }

    /// Bounds the body bytes buffered before reading pauses; 64 KiB by default. One read that needs no copy
    /// may exceed it by up to 256 KiB.
    ///
    /// # Panics
    /// Panics if `bytes` is zero.
    #[must_use]
    pub fn window_bytes(mut self, bytes: usize) -> Self {
        assert!(bytes > 0, "riot_http: window_bytes must be greater than zero");
        self.window_bytes = bytes;
        self
    }

    /// Bounds the bytes waiting to be sent, above which a handler that writes more has to wait; 64 KiB by
    /// default.
    ///
    /// # Panics
    /// Panics if `bytes` is zero.
    #[must_use]
    pub fn output_high_water_bytes(mut self, bytes: usize) -> Self {
        assert!(bytes > 0, "riot_http: output_high_water_bytes must be greater than zero");
        self.output_high_water_bytes = bytes;
        self
    }

    /// Bounds what is received and dropped after the last response, so that the peer can still read it, in
    /// bytes; 64 KiB by default (RFC 9112 §9.6).
    #[must_use]
    pub fn max_linger_bytes(mut self, bytes: usize) -> Self {
        self.max_linger_bytes = bytes;
        self
    }

    /// Bounds the requests served on one connection; unlimited by default. The last response carries
    /// `Connection: close`.
    ///
    /// # Panics
    /// Panics if `requests` is zero.
    #[must_use]
    pub fn max_requests(mut self, requests: u64) -> Self {
        assert!(requests > 0, "riot_http: max_requests must be greater than zero");
        self.max_requests = Some(requests);
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
