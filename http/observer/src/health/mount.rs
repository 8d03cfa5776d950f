//! Health before another handler.

use std::io;

use riot_http::{Handler, HandlerError, Reqd, Response};
use riot_socket::Address;

use super::{Health, is_local};

impl Health {
    /// Returns a handler that answers the two paths of this health at the root, and passes every other
    /// request on to `app`. Mounted outside of everything that limits requests, it answers while those refuse
    /// them.
    ///
    /// See [`Health`] for an example.
    pub fn mount(&self, app: impl Handler) -> impl Handler {
        HealthMount { health: self.clone(), app }
    }
}

struct HealthMount<H> {
    health: Health,
    app: H,
}

impl<H: Handler> Handler for HealthMount<H> {
    async fn handle(&self, reqd: Reqd) -> Result<(), HandlerError> {
        if !self.health.answers(reqd.request().path()) {
            return self.app.handle(reqd).await;
        }
        let head = reqd.request();
        let reply = Box::pin(self.health.answer(head, head.path(), is_local(reqd.peer()))).await;
        let body = reply.body.clone();
        reqd.respond_with_bytes(Response::from(reply), body)?;
        Ok(())
    }

    fn on_listen(&self, address: &Address) -> io::Result<()> {
        self.app.on_listen(address)
    }
}
