//! TLS as work on a connection: the handshakes of servers and clients.

use std::{io, sync::Arc};

use super::{Connection, handshake::Handshake};
use crate::transport::tls::{Tls, TlsClient, TlsInfo, TlsStream};

impl Handshake for Tls {
    async fn handshake(&self, connection: Connection) -> io::Result<Connection> {
        let session = self.session()?;
        establish(connection, session).await
    }

    fn with_protocol_names(&self, names: &'static [&'static str]) -> Option<Self> {
        self.config().alpn_protocols.is_empty().then(|| self.clone().alpn(names))
    }
}

impl TlsClient {
    /// Establishes a session with the server at the other end, which has to be `host`, a name or an address.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if `host` is neither; [`io::ErrorKind::InvalidData`] if the server is
    /// not trusted or breaks the protocol; those of the connection.
    ///
    /// # Cancel safety
    /// None: if the future is dropped before it is ready, the connection is closed.
    pub async fn connect(&self, connection: Connection, host: &str) -> io::Result<Connection> {
        let session = self.session(host)?;
        establish(connection, session).await
    }
}

/// Establishes a session with the peer, and puts it around the connection's transport.
async fn establish(mut connection: Connection, session: rustls::Connection) -> io::Result<Connection> {
    let early = connection.take_unread();
    let stream = Arc::new(TlsStream::new(connection.transport().clone(), session, early));
    let info: TlsInfo = stream.establish().await?;
    connection.insert(info);
    connection.set_transport(stream);
    Ok(connection)
}
