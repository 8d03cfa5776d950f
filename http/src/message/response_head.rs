//! The head of a response.

use http::{HeaderName, HeaderValue, StatusCode, header};

/// A view of the status and the fields of a response.
#[derive(Clone, Copy)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) status: StatusCode,
    /// Kept apart from the others, because most responses have this field alone.
    pub(crate) content_type: Option<&'a HeaderValue>,
    pub(crate) others: &'a [(HeaderName, HeaderValue)],
}

impl<'a> ResponseHead<'a> {
    /// Returns the fields in the order in which they are sent.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> + use<'a> {
        let content_type = self.content_type.map(|value| (&header::CONTENT_TYPE, value));
        content_type.into_iter().chain(self.others.iter().map(|(name, value)| (name, value)))
    }

    /// Returns whether the body is a stream of events (HTML Living Standard §9.2).
    pub(crate) fn is_event_stream(&self) -> bool {
        let content_type = self.headers().find(|(name, _)| *name == header::CONTENT_TYPE);
        content_type.is_some_and(|(_, value)| {
            let media_type = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
            media_type.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
        })
    }

    /// Returns the content type, if there is one, provided that there is no other field.
    #[inline]
    #[expect(clippy::option_option, reason = "another field, no field, or a content type alone")]
    pub(crate) fn simple_fields(&self) -> Option<Option<&'a HeaderValue>> {
        self.others.is_empty().then_some(self.content_type)
    }
}
