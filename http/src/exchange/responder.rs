//! The right to answer a request.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use riot_flow::FilePart;

use super::{
    BodyWriter, DrainSignal, Response, Upgrade,
    handle::ExchangeHandle,
    response::{BodyFuture, DeferredBody, ResponseBody},
};
use crate::{
    RespondError, Route,
    h1::{BodyRemaining, Follows, Payload},
    message::ResponseHead,
};

/// The right to answer one request, once.
///
/// Dropped without a response it answers 500; while a panic unwinds, that ends the connection as well.
///
/// ```
/// use riot_http::{Reqd, Response};
///
/// async fn later(reqd: Reqd) {
///     let (_request, responder) = reqd.into_parts();
///     // A responder can be sent to another process or thread, and answered there.
///     std::thread::spawn(move || {
///         let _ = responder.respond_with_string(Response::ok(), "from elsewhere");
///     });
/// }
/// ```
#[derive(Debug)]
pub struct Responder {
    handle: ExchangeHandle,
    /// The final response is still owed.
    owes: bool,
    /// The request offers another protocol with `Upgrade`, and has no body.
    #[cfg(feature = "hyper-upgrade")]
    offers_switch: bool,
}

/// The proof that a response was given. A handler may return it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Responded(());

impl Responded {
    pub(super) const PROOF: Self = Self(());
}

impl Responder {
    #[inline]
    #[cfg_attr(not(feature = "hyper-upgrade"), expect(unused_variables, reason = "hyper alone asks"))]
    pub(super) fn new(handle: ExchangeHandle, follows: Follows) -> Self {
        Self {
            handle,
            owes: true,
            #[cfg(feature = "hyper-upgrade")]
            offers_switch: follows == Follows::Switch,
        }
    }

    #[cfg(feature = "hyper-upgrade")]
    pub(super) fn offers_switch(&self) -> bool {
        self.offers_switch
    }

    /// Ends HTTP before the request is answered, so that another server of HTTP goes on with the transport.
    /// A `100 Continue` that is due is sent. None if the client is gone.
    #[cfg(feature = "hyper-upgrade")]
    pub(super) fn leave_unanswered(mut self) -> Option<(Upgrade, crate::h1::Unanswered)> {
        let unanswered = self.handle.leave_unanswered()?;
        self.owes = false;
        Some((Upgrade::new(self.handle.clone()), unanswered))
    }

    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.handle.peer()
    }

    /// Responds with a text, whatever body `response` has. The text is copied behind the head.
    ///
    /// A request to `HEAD` gets the head alone, as do 204, 205 and 304.
    ///
    /// # Errors
    /// See [`RespondError`]. The client gets 500 if the response could not be sent.
    #[inline]
    pub fn respond_with_string(
        mut self,
        response: Response,
        text: impl AsRef<str>,
    ) -> Result<Responded, RespondError> {
        self.respond_with(&response.head(), Payload::Borrowed(text.as_ref().as_bytes()))
    }

    /// Responds with bytes, whatever body `response` has. Up to 4 KiB are copied behind the head; more are
    /// sent from where they are.
    ///
    /// # Errors
    /// See [`RespondError`]. The client gets 500 if the response could not be sent.
    pub fn respond_with_bytes(
        mut self,
        response: Response,
        bytes: impl Into<Bytes>,
    ) -> Result<Responded, RespondError> {
        self.respond_with(&response.head(), Payload::Shared(bytes.into()))
    }

    /// Responds with a part of a file, or the [whole](FilePart::whole), whatever body `response` has.
    ///
    /// Over TCP and Unix sockets the system sends it (sendfile(2), Linux); elsewhere it is read and written.
    /// If the file is shorter than the part when it is sent, the connection is closed before the response is
    /// complete.
    ///
    /// ```
    /// # use std::{fs::File, io};
    /// # use riot_http::{FilePart, Reqd, Response};
    /// async fn backup(reqd: Reqd) -> io::Result<()> {
    ///     let part = FilePart::whole(File::open("backup.tar")?)?;
    ///     let _ = reqd.respond_with_file(Response::ok(), part);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// See [`RespondError`]. The client gets 500 if the response could not be sent.
    pub fn respond_with_file(
        mut self,
        response: Response,
        part: FilePart,
    ) -> Result<Responded, RespondError> {
        self.respond_with(&response.head(), Payload::File(part))
    }

    /// Begins a response whose body is written in pieces. The body is held to a declared `Content-Length`;
    /// without one it is sent in chunks, or, to HTTP/1.0, ended by closing the connection.
    ///
    /// # Errors
    /// See [`RespondError`]. The client gets 500 if the response could not be sent.
    pub fn respond_with_streaming(mut self, response: Response) -> Result<BodyWriter, RespondError> {
        self.begin_streaming(&response.head()).map(|(writer, _)| writer)
    }

    /// Responds with the body that `response` carries, and waits until it has been written.
    ///
    /// # Errors
    /// See [`RespondError`]. The client gets 500 if the response could not be sent.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, a body that is written in pieces is cut off.
    pub async fn respond(mut self, response: Response) -> Result<Responded, RespondError> {
        if let Some(streaming) = self.begin(response)? {
            streaming.await;
        }
        Ok(Responded::PROOF)
    }

    /// Responds with the body that `response` carries. Returns the future that writes it if it is written in
    /// pieces.
    #[inline]
    pub(crate) fn begin(&mut self, mut response: Response) -> Result<Option<BodyFuture>, RespondError> {
        match std::mem::take(&mut response.body) {
            ResponseBody::Empty => self.respond_with(&response.head(), Payload::Borrowed(&[]))?,
            ResponseBody::Bytes(bytes) => self.respond_with(&response.head(), Payload::Shared(bytes))?,
            ResponseBody::Deferred(deferred) => return self.begin_deferred(&response.head(), *deferred),
        };
        Ok(None)
    }

    #[cold]
    fn begin_deferred(
        &mut self,
        head: &ResponseHead<'_>,
        deferred: DeferredBody,
    ) -> Result<Option<BodyFuture>, RespondError> {
        match deferred {
            DeferredBody::File(part) => self.respond_with(head, Payload::File(part)).map(|_| None),
            DeferredBody::Streaming(write) => {
                let (writer, remaining) = self.begin_streaming(head)?;
                if remaining != BodyRemaining::Nothing {
                    return Ok(Some(write(writer)));
                }
                let _ = writer.close();
                Ok(None)
            }
        }
    }

    /// Responds by switching to another protocol: 101 to a request that offered it, or 2xx to `CONNECT` (RFC
    /// 9110 §7.8). The fields are the response's. `Connection: upgrade` is added, and `Upgrade` where it is
    /// missing and the request offers one protocol only; 100 goes ahead if the request expects it.
    ///
    /// # Errors
    /// Returns the `Responder` and the reason if the switch is not possible, so that another
    /// response can be given.
    pub fn respond_with_upgrade(mut self, response: Response) -> Result<Upgrade, (Self, RespondError)> {
        match self.handle.respond_upgrade(&response.head()) {
            Ok(()) => {
                self.owes = false;
                Ok(Upgrade::new(self.handle.clone()))
            }
            Err(error) => Err((self, error)),
        }
    }

    /// Lets the handler of this request run to its end even if the client disconnects. It learns of the
    /// disconnection from its response, or from the next piece of a body. For all requests:
    /// [`Server::keep_handlers`](crate::Server::keep_handlers).
    pub fn keep_handler(&self) {
        self.handle.keep_handler();
    }

    /// Names the route that the request matched, for events and metrics; see [`Route`]. It costs a lock of
    /// the connection. The last route that is set before the response is complete counts.
    pub fn set_route(&self, route: Route) {
        self.handle.set_route(route);
    }

    /// Returns a future that is ready once the connection drains.
    pub fn drain_signal(&self) -> DrainSignal {
        DrainSignal::new(self.handle.clone())
    }

    pub(super) fn handle(&self) -> &ExchangeHandle {
        &self.handle
    }

    /// Sends 103 with these fields ahead of the response (RFC 8297). It may be called several times. HTTP/1.0
    /// clients get nothing.
    ///
    /// # Errors
    /// [`RespondError::Closed`] if the client is gone.
    pub fn early_hints(&mut self, fields: &[(HeaderName, HeaderValue)]) -> Result<(), RespondError> {
        self.handle.early_hints(fields)
    }

    #[inline]
    fn respond_with(
        &mut self,
        head: &ResponseHead<'_>,
        payload: Payload<'_>,
    ) -> Result<Responded, RespondError> {
        self.handle.respond(head, payload)?;
        self.owes = false;
        Ok(Responded::PROOF)
    }

    fn begin_streaming(
        &mut self,
        head: &ResponseHead<'_>,
    ) -> Result<(BodyWriter, BodyRemaining), RespondError> {
        let remaining = self.handle.respond_streaming(head)?;
        self.owes = false;
        Ok((BodyWriter::new(self.handle.clone()), remaining))
    }
}

impl Drop for Responder {
    #[inline]
    fn drop(&mut self) {
        if self.owes {
            self.handle.abandon();
        }
    }
}
