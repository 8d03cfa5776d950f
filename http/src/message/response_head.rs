//! The head of a response.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode, header};

/// The status and the fields of a response.
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    /// Kept apart from the others: most responses have this field alone, and then need no memory for fields.
    content_type: Option<Cow<'static, HeaderValue>>,
    /// Boxed: most responses have none, and then there is nothing to look through and nothing to drop.
    others: Option<Box<OtherFields>>,
}

#[derive(Default)]
struct OtherFields(Vec<(HeaderName, HeaderValue)>);

impl ResponseHead {
    #[inline]
    pub(crate) fn new(status: StatusCode) -> Self {
        Self { status, content_type: None, others: None }
    }

    #[inline]
    pub(crate) fn typed(content_type: Cow<'static, HeaderValue>) -> Self {
        Self { status: StatusCode::OK, content_type: Some(content_type), others: None }
    }

    /// Adds a field. A second `Content-Type` replaces the first; others add up.
    pub(crate) fn add(&mut self, name: HeaderName, value: HeaderValue) {
        if name == header::CONTENT_TYPE {
            self.content_type = Some(Cow::Owned(value));
        } else {
            self.others.get_or_insert_default().0.push((name, value));
        }
    }

    /// Returns the fields in the order in which they are sent.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let content_type = self.content_type.iter().map(|value| (&header::CONTENT_TYPE, &**value));
        content_type.chain(self.others.iter().flat_map(|fields| &fields.0).map(|(name, value)| (name, value)))
    }

    /// Returns the content type, if there is one, provided that there is no other field.
    #[inline]
    #[expect(clippy::option_option, reason = "another field, no field, or a content type alone")]
    pub(crate) fn simple_fields(&self) -> Option<Option<&HeaderValue>> {
        self.others.is_none().then_some(self.content_type.as_deref())
    }
}
