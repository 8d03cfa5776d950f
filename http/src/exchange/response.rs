//! A response: a status, fields, and perhaps a body.

use std::{borrow::Cow, fmt, pin::Pin};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use riot_flow::FilePart;

use super::BodyWriter;
use crate::{
    HttpConfig, InvalidHeader, RequestError,
    config::ErrorResponse,
    message::{ResponseHead, ShownValue, is_secret},
};

/// The future that writes a body in pieces.
pub(crate) type BodyFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
type Streaming = Box<dyn FnOnce(BodyWriter) -> BodyFuture + Send>;

/// The feature `json` of this crate is off. A call says so by a missing argument.
#[cfg(not(feature = "json"))]
#[doc(hidden)]
pub enum NeedsTheFeatureJson {}

/// A response.
///
/// The library frames and dates it: `Transfer-Encoding`, `Connection`, `Keep-Alive` and, unless a body is
/// streamed or absent, `Content-Length` follow from the body, and `Date` is added where it is missing. A
/// field `Connection: close` ends the connection after this response; other options of that field are not
/// sent.
///
/// ```
/// use riot_http::{Response, http::{HeaderValue, StatusCode, header}};
/// let made = Response::new(StatusCode::CREATED).header(header::LOCATION, HeaderValue::from_static("/1"));
/// let page = Response::html("<p>hello");
/// # let _ = (made, page);
/// ```
pub struct Response {
    status: StatusCode,
    /// Kept apart from the others: most responses have this field alone, and then need no memory for fields.
    content_type: Option<Cow<'static, HeaderValue>>,
    /// Boxed: most responses have none, and then there is nothing to look through and nothing to drop.
    others: Option<Box<OtherFields>>,
    pub(super) body: ResponseBody,
}

#[derive(Default)]
struct OtherFields(Vec<(HeaderName, HeaderValue)>);

/// The body of a [`Response`].
#[derive(Default)]
pub(crate) enum ResponseBody {
    #[default]
    Empty,
    Bytes(Bytes),
    /// Boxed: few bodies are of this kind, and every response passes through several hands.
    Deferred(Box<DeferredBody>),
}

/// A body that is read or written when it is sent.
pub(crate) enum DeferredBody {
    File(FilePart),
    Streaming(Streaming),
}

impl ResponseBody {
    fn of(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Bytes(bytes) }
    }

    /// Returns the body if it is in memory as a whole.
    pub(crate) fn into_bytes(self) -> Option<Bytes> {
        match self {
            Self::Empty => Some(Bytes::new()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Deferred(_) => None,
        }
    }
}

impl Response {
    /// Creates a response with this status, and nothing else.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, content_type: None, others: None, body: ResponseBody::Empty }
    }

    /// Creates a response `200 OK` without a body.
    #[must_use]
    pub fn ok() -> Self {
        Self::new(StatusCode::OK)
    }

    /// Creates a response `404 Not Found` without a body.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND)
    }

    /// Creates a response `200 OK` with a text.
    #[must_use]
    #[inline]
    pub fn text(text: impl Into<Bytes>) -> Self {
        static TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
        Self::typed(Cow::Borrowed(&TYPE), text.into())
    }

    /// Creates a response `200 OK` with an HTML page.
    #[must_use]
    #[inline]
    pub fn html(page: impl Into<Bytes>) -> Self {
        static TYPE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
        Self::typed(Cow::Borrowed(&TYPE), page.into())
    }

    /// Creates a response `200 OK` with bytes of this media type.
    ///
    /// # Panics
    /// Panics if the media type contains an octet that is not allowed in a field value.
    #[must_use]
    #[inline]
    pub fn bytes(media_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self::typed(Cow::Owned(HeaderValue::from_static(media_type)), bytes.into())
    }

    #[inline]
    fn typed(content_type: Cow<'static, HeaderValue>, bytes: Bytes) -> Self {
        let (content_type, body) = (Some(content_type), ResponseBody::of(bytes));
        Self { status: StatusCode::OK, content_type, others: None, body }
    }

    /// Creates a response `200 OK` whose body is written in pieces. With a field `Content-Length` the body is
    /// held to that length; without one it is sent in chunks. A body that ends without [`BodyWriter::close`]
    /// is cut off.
    ///
    /// ```
    /// # use riot_http::Response;
    /// let numbers = Response::streaming(|mut body| async move {
    ///     for number in 0..1000 {
    ///         if body.write(format!("{number}\n")).await.is_err() {
    ///             return;
    ///         }
    ///     }
    ///     let _ = body.close();
    /// });
    /// # let _ = numbers;
    /// ```
    #[must_use]
    pub fn streaming<F, Fut>(write: F) -> Self
    where
        F: FnOnce(BodyWriter) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::ok().stream(write)
    }

    /// Replaces the body with one that is written in pieces.
    pub(crate) fn stream<F, Fut>(mut self, write: F) -> Self
    where
        F: FnOnce(BodyWriter) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let write: Streaming = Box::new(move |writer| Box::pin(write(writer)));
        self.body = ResponseBody::Deferred(Box::new(DeferredBody::Streaming(write)));
        self
    }

    /// Creates a response `200 OK` with a value as JSON.
    ///
    /// # Errors
    /// If the value cannot be represented as JSON: a map whose keys are not strings, or an error of its
    /// `Serialize`.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        static TYPE: HeaderValue = HeaderValue::from_static("application/json");
        serde_json::to_vec(value).map(|json| Self::typed(Cow::Borrowed(&TYPE), json.into()))
    }

    #[doc(hidden)]
    #[cfg(not(feature = "json"))]
    pub fn json<T: ?Sized>(_: &T, off: NeedsTheFeatureJson) -> Self {
        match off {}
    }

    /// Creates a response that redirects the client: 303 after a form, 307 for a temporary and 308 for a
    /// permanent move.
    ///
    /// ```
    /// use riot_http::{Response, http::StatusCode};
    /// let done = Response::redirect(StatusCode::SEE_OTHER, "/orders/7")?;
    /// # Ok::<(), riot_http::InvalidHeader>(())
    /// ```
    ///
    /// # Errors
    /// If the location has octets that have no place in a field value.
    pub fn redirect(status: StatusCode, location: &str) -> Result<Self, InvalidHeader> {
        let location = HeaderValue::from_str(location).map_err(|_| InvalidHeader)?;
        Ok(Self::new(status).header(header::LOCATION, location))
    }

    /// Replaces the status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a field. A second `Content-Type` replaces the first; other fields add up.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if name == header::CONTENT_TYPE {
            self.content_type = Some(Cow::Owned(value));
        } else {
            self.others.get_or_insert_default().0.push((name, value));
        }
        self
    }

    /// Adds a field given as text.
    ///
    /// # Errors
    /// If name or value contain an octet that is not allowed there, so that no second field can be smuggled
    /// in.
    pub fn try_header(self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| InvalidHeader)?;
        let value = HeaderValue::from_bytes(value.as_ref()).map_err(|_| InvalidHeader)?;
        Ok(self.header(name, value))
    }

    /// Replaces the body with these bytes.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = ResponseBody::of(bytes.into());
        self
    }

    /// Replaces the body with a part of a file; see
    /// [`Reqd::respond_with_file`](crate::Reqd::respond_with_file).
    #[must_use]
    pub fn body_file(mut self, part: FilePart) -> Self {
        self.body = ResponseBody::Deferred(Box::new(DeferredBody::File(part)));
        self
    }

    /// Returns a view of the status and the fields.
    #[inline]
    pub(super) fn head(&self) -> ResponseHead<'_> {
        ResponseHead {
            status: self.status,
            content_type: self.content_type.as_deref(),
            others: self.others.as_deref().map_or(&[], |fields| &fields.0),
        }
    }

    /// Returns the status.
    #[must_use]
    pub fn status_code(&self) -> StatusCode {
        self.status
    }

    /// Returns the fields in the order in which they are sent.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.head().headers()
    }
}

/// Shows status, fields and the length of the body, with `***` in place of credentials.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = match &self.body {
            ResponseBody::Empty => "none".to_owned(),
            ResponseBody::Bytes(bytes) => format!("{} bytes", bytes.len()),
            ResponseBody::Deferred(later) => match &**later {
                DeferredBody::File(part) => format!("{} bytes of a file", part.length()),
                DeferredBody::Streaming(_) => "streaming".to_owned(),
            },
        };
        let headers: Vec<_> = self
            .headers()
            .map(|(name, value)| {
                let is_secret = value.is_sensitive() || is_secret(name.as_str());
                (name, ShownValue { value: value.as_bytes(), is_secret })
            })
            .collect();
        let mut debug = f.debug_struct("Response");
        debug.field("status", &self.status).field("headers", &headers).field("body", &body).finish()
    }
}

impl HttpConfig {
    /// Sets what renders the response for errors the connection answers itself: malformed requests, timeouts,
    /// failed handlers.
    ///
    /// Fields and body are those of the returned response; the status is the [error's](RequestError::status).
    /// By default the body is a line of text. (http/af: `error_handler`.)
    ///
    /// `page` runs while the connection waits, so it must neither block nor use the connection. If it panics,
    /// or returns a body that is not known as a whole, the line of text is sent.
    ///
    /// ```
    /// use riot_http::{HttpConfig, RequestError, Response};
    /// let config = HttpConfig::new()
    ///     .error_page(|error: &RequestError| Response::html(format!("<h1>{}</h1>", error.status())));
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn error_page(mut self, page: impl Fn(&RequestError) -> Response + Send + Sync + 'static) -> Self {
        self.error_page = Some(Box::new(move |error| {
            let Response { content_type, others, body, .. } = page(error);
            Some(ErrorResponse {
                status: error.status(),
                content_type: content_type.map(Cow::into_owned),
                others: others.map(|fields| fields.0).unwrap_or_default(),
                body: body.into_bytes()?,
            })
        }));
        self
    }
}

/// Types that a service may return.
///
/// ```
/// use riot_http::{IntoResponse, Response};
///
/// struct Greeting(&'static str);
///
/// impl IntoResponse for Greeting {
///     fn into_response(self) -> Response {
///         Response::html(format!("<p>hello {}", self.0))
///     }
/// }
/// # let _ = Greeting("world").into_response();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a response",
    label = "a service returns this",
    note = "a service returns a `Response`, a `StatusCode`, text or bytes",
    note = "other types implement `IntoResponse`, also the error of a `Result`",
    note = "a handler may return any error, which is logged and answered with 500: use `Server::handler`"
)]
pub trait IntoResponse {
    /// Converts into a response.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        Response::new(self)
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::ok()
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

impl IntoResponse for Bytes {
    fn into_response(self) -> Response {
        Response::bytes("application/octet-stream", self)
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        Response::bytes("application/octet-stream", self)
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h10_no_field_can_be_smuggled_into_another() {
        for value in ["a\r\nB: c", "a\nb", "a\rb", "a\0b"] {
            assert_eq!(Response::ok().try_header("a", value).unwrap_err(), InvalidHeader, "{value:?}");
        }
        for name in ["a b", "a:", "a\r\n", ""] {
            assert_eq!(Response::ok().try_header(name, "v").unwrap_err(), InvalidHeader, "{name:?}");
        }
    }

    #[test]
    fn a_second_content_type_replaces_the_first() {
        let response = Response::text("a").header(header::CONTENT_TYPE, HeaderValue::from_static("text/css"));
        let headers: Vec<_> = response.headers().collect();
        assert_eq!(headers, [(&header::CONTENT_TYPE, &HeaderValue::from_static("text/css"))]);
    }
}
