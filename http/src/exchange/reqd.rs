//! One request and its one response.

use std::{hint::cold_path, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use riot_flow::FilePart;

use super::{
    Body, BodyWriter, DrainSignal, Request, Responded, Responder, Response, Upgrade, handle::ExchangeHandle,
};
use crate::{Head, RespondError, Route, h1::Follows};

/// A request to be answered once, after http/af's request descriptor.
///
/// A response is given by move: each of the `respond_*` methods consumes the `Reqd`. A `Reqd` that is dropped
/// is answered with 500; while a panic unwinds, that ends the connection as well.
///
/// ```
/// use riot_http::{Reqd, RespondError, Responded, Response};
///
/// async fn hello(reqd: Reqd) -> Result<Responded, RespondError> {
///     reqd.respond_with_string(Response::ok(), "Hello, World!")
/// }
/// ```
#[derive(Debug)]
pub struct Reqd {
    head: Head,
    body: Body,
    responder: Responder,
}

impl Reqd {
    #[inline]
    pub(super) fn new(handle: ExchangeHandle, head: Head, follows: Follows) -> Self {
        let mut body = Body::none();
        if follows == Follows::Body {
            cold_path();
            body = Body::new(handle.clone());
        }
        Self { head, body, responder: Responder::new(handle, follows) }
    }

    /// Returns whether the request offers another protocol with `Upgrade`, and has no body.
    #[cfg(feature = "hyper-upgrade")]
    pub(crate) fn offers_switch(&self) -> bool {
        self.responder.offers_switch()
    }

    /// Ends HTTP before the request is answered; see [`Responder::leave_unanswered`].
    #[cfg(feature = "hyper-upgrade")]
    pub(crate) fn leave_unanswered(self) -> Option<(Head, Upgrade, crate::h1::Unanswered)> {
        let Self { head, responder, .. } = self;
        responder.leave_unanswered().map(|(upgrade, unanswered)| (head, upgrade, unanswered))
    }

    /// Returns the head of the request.
    #[must_use]
    pub fn request(&self) -> &Head {
        &self.head
    }

    /// Returns the address at the other end of the connection, if it is known and an internet address.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.responder.peer()
    }

    /// Returns the body of the request, to be read.
    ///
    /// ```
    /// use riot_http::{Reqd, Response};
    ///
    /// async fn count(mut reqd: Reqd) {
    ///     let mut bytes = 0;
    ///     while let Ok(Some(piece)) = reqd.body().chunk().await {
    ///         bytes += piece.len();
    ///     }
    ///     let _ = reqd.respond_with_string(Response::ok(), bytes.to_string());
    /// }
    /// ```
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Splits into the request and the right to answer it, so that one process reads while another writes.
    ///
    /// ```
    /// use riot_http::{Reqd, Response};
    ///
    /// async fn echo(reqd: Reqd) {
    ///     let (mut request, responder) = reqd.into_parts();
    ///     let Ok(mut writer) = responder.respond_with_streaming(Response::ok()) else { return };
    ///     while let Ok(Some(piece)) = request.body().chunk().await {
    ///         if writer.write(piece).await.is_err() {
    ///             return;
    ///         }
    ///     }
    ///     let _ = writer.close();
    /// }
    /// ```
    #[must_use]
    #[inline]
    pub fn into_parts(self) -> (Request, Responder) {
        (Request::new(self.head, self.body, self.responder.handle().clone()), self.responder)
    }

    /// Responds with a text. See [`Responder::respond_with_string`].
    ///
    /// # Errors
    /// See [`RespondError`].
    #[inline]
    pub fn respond_with_string(
        self,
        response: Response,
        text: impl AsRef<str>,
    ) -> Result<Responded, RespondError> {
        self.responder.respond_with_string(response, text)
    }

    /// Responds with bytes. See [`Responder::respond_with_bytes`].
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn respond_with_bytes(
        self,
        response: Response,
        bytes: impl Into<Bytes>,
    ) -> Result<Responded, RespondError> {
        self.responder.respond_with_bytes(response, bytes)
    }

    /// Responds with a part of a file. See [`Responder::respond_with_file`].
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn respond_with_file(self, response: Response, part: FilePart) -> Result<Responded, RespondError> {
        self.responder.respond_with_file(response, part)
    }

    /// Begins a response whose body is written in pieces. See [`Responder::respond_with_streaming`].
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn respond_with_streaming(self, response: Response) -> Result<BodyWriter, RespondError> {
        self.responder.respond_with_streaming(response)
    }

    /// Responds by switching to another protocol. See [`Responder::respond_with_upgrade`].
    ///
    /// # Errors
    /// Returns the `Reqd` and the reason if the switch is not possible, so that another response can
    /// be given.
    pub fn respond_with_upgrade(self, response: Response) -> Result<Upgrade, (Self, RespondError)> {
        let Self { head, body, responder } = self;
        responder
            .respond_with_upgrade(response)
            .map_err(|(responder, error)| (Self { head, body, responder }, error))
    }

    /// Responds with the body that the response carries, and waits until it has been written. See
    /// [`Responder::respond`].
    ///
    /// # Errors
    /// See [`RespondError`].
    pub async fn respond(self, response: Response) -> Result<Responded, RespondError> {
        self.responder.respond(response).await
    }

    /// Names the route that the request matched; see [`Responder::set_route`].
    pub fn set_route(&self, route: Route) {
        self.responder.set_route(route);
    }

    /// Lets the handler of this request run to its end even if the client disconnects. It learns of the
    /// disconnection from its response, or from the next piece of a body. For all requests:
    /// [`Server::keep_handlers`](crate::Server::keep_handlers).
    pub fn keep_handler(&self) {
        self.responder.keep_handler();
    }

    /// Returns a future that is ready once the connection drains, so that a long poll can answer early.
    pub fn drain_signal(&self) -> DrainSignal {
        self.responder.drain_signal()
    }

    /// Sends fields ahead of the response. See [`Responder::early_hints`].
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn early_hints(&mut self, fields: &[(HeaderName, HeaderValue)]) -> Result<(), RespondError> {
        self.responder.early_hints(fields)
    }
}
