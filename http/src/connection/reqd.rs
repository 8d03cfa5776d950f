//! One request and its one answer.

use std::{
    any::Any,
    fmt,
    hint::cold_path,
    marker::PhantomData,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use riot_flow::FilePart;

use super::{
    Payload,
    exchange::Left,
    state::{Shared, register},
};
use crate::{
    Body, BodyWriter, Head, Request, RespondError, Response, UpgradeError,
    response::{LaterBody, ResponseBody, WrittenBody},
};

/// A request to be answered, once. After http/af's request descriptor.
///
/// Dropped without an answer it is answered with 500.
///
/// ```
/// # use riot_http::{Reqd, Response};
/// async fn hello(reqd: Reqd) {
///     let _ = reqd.respond_with_string(Response::ok(), "Hello, World!");
/// }
/// ```
#[derive(Debug)]
pub struct Reqd {
    head: Head,
    body: Body,
    responder: Responder,
}

impl Reqd {
    pub(crate) fn new(shared: Arc<Shared>, id: u64, head: Head, has_body: bool) -> Self {
        let mut body = Body::none();
        if has_body {
            cold_path();
            body = Body::of(shared.clone(), id);
        }
        Self { head, body, responder: Responder { shared, id, answered: AtomicBool::new(false) } }
    }

    /// Its head.
    #[must_use]
    pub fn request(&self) -> &Head {
        &self.head
    }

    /// The address at the other end of the connection, if it is known and an internet address.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.responder.shared.lock().peer
    }

    /// Its body, to be read. It can be taken out with [`into_parts`](Self::into_parts).
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    /// The request and the right to answer it, apart: so that one task reads while another writes.
    #[must_use]
    pub fn into_parts(self) -> (Request, Responder) {
        let peer = self.peer();
        (Request::new(self.head, self.body, peer), self.responder)
    }

    /// Answers with a text; a small one is copied behind the head. See [`Responder::respond_with_string`].
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn respond_with_string(&self, response: Response, text: impl AsRef<str>) -> Result<(), RespondError> {
        self.responder.respond_with_string(response, text)
    }

    /// Answers with bytes. See [`Responder::respond_with_bytes`].
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn respond_with_bytes(
        &self,
        response: Response,
        bytes: impl Into<Bytes>,
    ) -> Result<(), RespondError> {
        self.responder.respond_with_bytes(response, bytes)
    }

    /// Answers with a part of a file. See [`Responder::respond_with_file`].
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn respond_with_file(&self, response: Response, part: FilePart) -> Result<(), RespondError> {
        self.responder.respond_with_file(response, part)
    }

    /// Answers with a body written bit by bit. See [`Responder::respond_with_streaming`].
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn respond_with_streaming(&self, response: Response) -> Result<BodyWriter, RespondError> {
        self.responder.respond_with_streaming(response)
    }

    /// Answers with a switch of protocols. See [`Responder::respond_with_upgrade`].
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn respond_with_upgrade(&self, response: Response) -> Result<Upgrade, RespondError> {
        self.responder.respond_with_upgrade(response)
    }

    /// Answers with whatever body the response carries. See [`Responder::respond`].
    ///
    /// # Errors
    /// See [`RespondError`].
    pub async fn respond(&self, response: Response) -> Result<(), RespondError> {
        self.responder.respond(response).await
    }

    /// Lets this request's handler run to its end even if the client goes away; it learns of that from its next answer
    /// or piece of a body. For all requests: [`Server::cancel_handlers`](crate::Server::cancel_handlers).
    pub fn keep_handler(&self) {
        self.responder.keep_handler();
    }

    /// Sends fields ahead of the answer. See [`Responder::early_hints`].
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn early_hints(&self, fields: &[(HeaderName, HeaderValue)]) -> Result<(), RespondError> {
        self.responder.early_hints(fields)
    }
}

/// The right to answer one request, once.
///
/// Dropped without an answer it answers 500; while a panic unwinds, it ends the connection as well.
#[derive(Debug)]
pub struct Responder {
    shared: Arc<Shared>,
    id: u64,
    /// No final answer is owed.
    answered: AtomicBool,
}

impl Responder {
    /// Answers with a text, whatever body the response has. It is copied behind the head.
    ///
    /// A request to `HEAD` gets the head alone, as do 204, 205 and 304.
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn respond_with_string(&self, response: Response, text: impl AsRef<str>) -> Result<(), RespondError> {
        self.respond_with(&response, Payload::Borrowed(text.as_ref().as_bytes()))
    }

    /// Answers with bytes, whatever body the response has. They are copied only if that is cheaper.
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn respond_with_bytes(
        &self,
        response: Response,
        bytes: impl Into<Bytes>,
    ) -> Result<(), RespondError> {
        self.respond_with(&response, Payload::Shared(bytes.into()))
    }

    /// Answers with a part of a file, or the [whole](FilePart::whole), whatever body the response has. Over TCP and Unix
    /// sockets the system sends it (sendfile(2), Linux); elsewhere it is read and written. If the file has become
    /// shorter when it is sent, the connection is cut off.
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
    /// See [`RespondError`].
    pub fn respond_with_file(&self, response: Response, part: FilePart) -> Result<(), RespondError> {
        self.respond_with(&response, Payload::File(part))
    }

    /// Answers with a body written bit by bit: held to a declared `Content-Length`, else sent in chunks, else, to
    /// HTTP/1.0, ended with the connection.
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn respond_with_streaming(&self, response: Response) -> Result<BodyWriter, RespondError> {
        self.begin_streaming(&response).map(|(writer, _)| writer)
    }

    /// Answers with whatever body the response carries, and waits until it has been written.
    ///
    /// # Errors
    /// See [`RespondError`].
    pub async fn respond(&self, response: Response) -> Result<(), RespondError> {
        if let Some(streaming) = self.begin(response)? {
            streaming.await;
        }
        Ok(())
    }

    /// Answers with whatever body the response carries; one that is written bit by bit is still to be written.
    pub(crate) fn begin(&self, mut response: Response) -> Result<Option<WrittenBody>, RespondError> {
        match response.take_body() {
            ResponseBody::Empty => self.respond_with(&response, Payload::Borrowed(&[]))?,
            ResponseBody::Bytes(bytes) => self.respond_with(&response, Payload::Shared(bytes))?,
            ResponseBody::Later(later) => match *later {
                LaterBody::File(part) => self.respond_with(&response, Payload::File(part))?,
                LaterBody::Streaming(write) => {
                    let (writer, left) = self.begin_streaming(&response)?;
                    if left != Left::Nothing {
                        return Ok(Some(write(writer)));
                    }
                    let _ = writer.close();
                }
            },
        }
        Ok(None)
    }

    /// Answers with a switch of protocols: 101 to a request that asked for it, or 2xx to `CONNECT`. The fields
    /// (`Upgrade`, ...) are the response's; `Connection: upgrade` is added.
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn respond_with_upgrade(&self, response: Response) -> Result<Upgrade, RespondError> {
        self.check()?;
        self.shared.lock().respond_switch(self.id, &response)?;
        self.answered.store(true, Ordering::Relaxed);
        Ok(Upgrade { shared: self.shared.clone() })
    }

    /// Lets this request's handler run to its end even if the client goes away; it learns of that from its next answer
    /// or piece of a body. For all requests: [`Server::cancel_handlers`](crate::Server::cancel_handlers).
    pub fn keep_handler(&self) {
        let mut inner = self.shared.lock();
        if inner.active(self.id).is_some() {
            inner.kept = true;
        }
    }

    /// Sends 103 with these fields ahead of the answer (RFC 8297); as often as one likes. HTTP/1.0 gets none.
    ///
    /// # Errors
    /// See [`RespondError`].
    pub fn early_hints(&self, fields: &[(HeaderName, HeaderValue)]) -> Result<(), RespondError> {
        self.check()?;
        self.shared.lock().respond_early(self.id, fields.iter().map(|(name, value)| (name, value)))
    }

    fn respond_with(&self, response: &Response, payload: Payload<'_>) -> Result<(), RespondError> {
        self.check()?;
        let result = self.shared.lock().respond(self.id, response, payload);
        if result.is_ok() {
            self.answered.store(true, Ordering::Relaxed);
        }
        result
    }

    fn begin_streaming(&self, response: &Response) -> Result<(BodyWriter, Left), RespondError> {
        self.check()?;
        let left = self.shared.lock().respond_streaming(self.id, response)?;
        self.answered.store(true, Ordering::Relaxed);
        Ok((BodyWriter::new(self.shared.clone(), self.id), left))
    }

    #[cold]
    fn abandon(&self) {
        self.shared.lock().abandon(self.id, std::thread::panicking());
    }

    fn check(&self) -> Result<(), RespondError> {
        if self.answered.load(Ordering::Relaxed) {
            cold_path();
            return Err(RespondError::Answered);
        }
        Ok(())
    }
}

impl Drop for Responder {
    #[inline]
    fn drop(&mut self) {
        if !*self.answered.get_mut() {
            self.abandon();
        }
    }
}

/// A switch of protocols that has been answered: the right to the transport.
#[derive(Debug)]
pub struct Upgrade {
    shared: Arc<Shared>,
}

impl Upgrade {
    /// Waits until the answer has been sent and both loops have ended, and takes the transport over. `T` is the type
    /// of whoever drives the connection.
    ///
    /// # Errors
    /// If the connection was lost before, or the transport is of another type.
    pub async fn transport<T: Any + Send>(self) -> Result<Upgraded<T>, UpgradeError> {
        let offer = std::future::poll_fn(|context| self.poll_offer(context.waker())).await;
        let (transport, unread) = offer.ok_or(UpgradeError::Closed)?;
        let transport = transport.downcast::<T>().map_err(|_| UpgradeError::Transport)?;
        Ok(Upgraded { transport: *transport, unread, _private: PhantomData })
    }

    /// Waits as [`transport`](Self::transport) does and takes the connection over, open in both directions: its first
    /// bytes are those that came behind the request. For handlers of a [`Server`](crate::Server).
    ///
    /// # Errors
    /// As [`transport`](Self::transport).
    #[cfg(feature = "driver")]
    pub async fn connection(self) -> Result<riot_socket::Connection, UpgradeError> {
        let Upgraded { transport: mut connection, unread, .. } =
            self.transport::<riot_socket::Connection>().await?;
        connection.put_back(&unread);
        Ok(connection)
    }

    fn poll_offer(&self, waker: &Waker) -> Poll<Option<super::state::Offer>> {
        let mut inner = self.shared.lock();
        if let Some(offer) = inner.rare().offer.take() {
            return Poll::Ready(Some(offer));
        }
        if inner.lost_at.is_some() || inner.driver_gone {
            return Poll::Ready(None);
        }
        register(&mut inner.rare().switch, waker);
        Poll::Pending
    }
}

/// A transport that has changed hands.
pub struct Upgraded<T> {
    /// The transport itself, neither of its directions shut down.
    pub transport: T,
    /// What was read from it and belongs to the new protocol: it comes before what the transport will bring.
    pub unread: Bytes,
    _private: PhantomData<()>,
}

impl<T> fmt::Debug for Upgraded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").field("unread", &self.unread.len()).finish_non_exhaustive()
    }
}
