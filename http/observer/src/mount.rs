//! The observer before another handler.

use std::{io, sync::Arc};

use riot_http::{Handler, HandlerError, Reqd, Response};
use riot_socket::Address;

use crate::core::Core;

/// Answers requests for the observer, and passes every other one on.
pub(crate) struct ObserverMount<H> {
    core: Arc<Core>,
    prefix: String,
    is_at_root: bool,
    app: H,
}

impl<H> ObserverMount<H> {
    pub(crate) fn new(core: Arc<Core>, prefix: &str, is_at_root: bool, app: H) -> Self {
        Self { core, prefix: prefix.to_owned(), is_at_root, app }
    }

    /// Returns the path below the prefix, if the request is for the observer.
    #[inline]
    fn path<'p>(&self, path: &'p str) -> Option<&'p str> {
        match path.strip_prefix(&self.prefix) {
            Some(below) if below.is_empty() || below.starts_with('/') => Some(below),
            _ if self.is_at_root && self.core.is_at_root(path) => Some(path),
            _ => None,
        }
    }

    async fn answer(&self, mut reqd: Reqd) -> Result<(), HandlerError> {
        let (head, peer) = (reqd.request().clone(), reqd.peer());
        let path = self.path(head.path()).unwrap_or_default();
        let reply = self.core.answer(&head, path, peer, reqd.body()).await;
        let body = reply.body.clone();
        reqd.respond_with_bytes(Response::from(reply), body)?;
        Ok(())
    }
}

impl<H: Handler> Handler for ObserverMount<H> {
    async fn handle(&self, reqd: Reqd) -> Result<(), HandlerError> {
        if self.path(reqd.request().path()).is_none() {
            return self.app.handle(reqd).await;
        }
        // Boxed, so that the handlers of the application need no memory for the observer's.
        Box::pin(self.answer(reqd)).await
    }

    fn on_listen(&self, address: &Address) -> io::Result<()> {
        self.core.access.check_listener(address)?;
        self.core.attach();
        self.app.on_listen(address)
    }
}
