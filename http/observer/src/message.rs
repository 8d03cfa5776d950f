//! The answer to a request: a response with the fields that every one of them has.

use bytes::Bytes;
use riot_http::{
    Body, BodyError, Head, Response,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
};

/// The fields of every response: nothing is kept by a cache, and no address is passed on.
const FIELDS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The policy of responses other than the page: scripts, styles and frames are forbidden.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// A response with its whole body.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    content_type: &'static str,
    policy: &'static str,
    fields: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, policy: POLICY, fields: Vec::new(), body: body.into() }
    }

    pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text)
    }

    pub(crate) fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "not found\n")
    }

    /// Sets the policy of a response that has a style and a script of its own.
    pub(crate) fn with_policy(mut self, policy: &'static str) -> Self {
        self.policy = policy;
        self
    }

    /// Adds a field.
    pub(crate) fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Returns all fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let content_type = (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let policy = (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(self.policy));
        FIELDS.into_iter().chain([policy, content_type]).chain(self.fields.iter().cloned())
    }
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        let response = reply
            .fields()
            .fold(Self::new(reply.status), |response, (name, value)| response.header(name, value));
        response.body(reply.body)
    }
}

/// Returns the refusal of a method that only reads are served with; none for `GET` and `HEAD`.
pub(crate) fn refuse_writes(head: &Head) -> Option<Reply> {
    let reads = [Method::GET, Method::HEAD].contains(head.method());
    let refusal = || {
        let reply = Reply::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here\n");
        reply.with(header::ALLOW, HeaderValue::from_static("GET, HEAD"))
    };
    (!reads).then(refusal)
}

/// Returns the names and values of a query, as they came; a name alone has an empty value.
pub(crate) fn query(head: &Head) -> impl Iterator<Item = (&str, &str)> {
    let pairs = head.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The body of a request, which is read only if it is needed.
pub(crate) trait ReadBody: Send {
    /// Reads the whole body, unless it is larger than `max_bytes`.
    ///
    /// # Errors
    /// The status that says what is wrong with it.
    fn read(self, max_bytes: usize) -> impl Future<Output = Result<Bytes, StatusCode>> + Send;
}

impl ReadBody for &mut Body {
    async fn read(self, max_bytes: usize) -> Result<Bytes, StatusCode> {
        self.bytes(max_bytes).await.map_err(|error| match error {
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        })
    }
}
