//! A switch to another protocol.

use std::{any::Any, fmt, marker::PhantomData};

use bytes::Bytes;

use super::handle::ExchangeHandle;
use crate::UpgradeError;

/// The right to the transport after a response that switched protocols.
///
/// ```no_run
/// use riot_http::{Reqd, Response, http::{HeaderValue, StatusCode, header}};
///
/// async fn switch(reqd: Reqd) {
///     let response = Response::new(StatusCode::SWITCHING_PROTOCOLS)
///         .header(header::UPGRADE, HeaderValue::from_static("echo"));
///     let Ok(upgrade) = reqd.respond_with_upgrade(response) else { return };
///     // The type is the one that the driver hands over: a `Connection` under a `Server`.
///     if let Ok(upgraded) = upgrade.transport::<std::net::TcpStream>().await {
///         let _ = std::io::Write::write_all(&mut &upgraded.transport, b"another protocol");
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use = "the connection is closed when it is dropped"]
pub struct Upgrade {
    handle: ExchangeHandle,
}

impl Upgrade {
    pub(super) fn new(handle: ExchangeHandle) -> Self {
        Self { handle }
    }

    /// Waits until the response has been sent and both loops of the connection have ended, and takes the
    /// transport over. `T` is the type that the driver of the connection hands over.
    ///
    /// # Errors
    /// [`UpgradeError::Closed`] if the connection was lost before, [`UpgradeError::Transport`] if
    /// the transport is of another type.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the connection is closed.
    pub async fn transport<T: Any + Send>(self) -> Result<Upgraded<T>, UpgradeError> {
        let (transport, unread) = std::future::poll_fn(|cx| self.handle.poll_transport(cx.waker())).await?;
        let transport = transport.downcast::<T>().map_err(|_| UpgradeError::Transport)?;
        Ok(Upgraded { transport: *transport, unread, _private: PhantomData })
    }

    /// Waits as [`transport`](Self::transport) does and takes the connection over, open in both directions.
    /// Its first bytes are those that came after the request. From now on the timeouts of raw connections
    /// apply, of 60 s without a byte by default; see
    /// [`ConnectionTimeouts`](riot_socket::ConnectionTimeouts). For handlers of a [`Server`](crate::Server).
    ///
    /// # Errors
    /// As [`transport`](Self::transport).
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the connection is closed.
    #[cfg(feature = "driver")]
    pub async fn connection(self) -> Result<riot_socket::Connection, UpgradeError> {
        let Upgraded { transport: mut connection, unread, .. } =
            self.transport::<riot_socket::Connection>().await?;
        connection.put_back(&unread);
        Ok(connection)
    }
}

/// A transport that another protocol has taken over; see [`Upgrade::transport`].
pub struct Upgraded<T> {
    /// The transport itself, with neither direction shut down.
    pub transport: T,
    /// Bytes that were read and belong to the new protocol: they come before what the transport will bring.
    pub unread: Bytes,
    _private: PhantomData<()>,
}

impl<T> fmt::Debug for Upgraded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").field("unread", &self.unread.len()).finish_non_exhaustive()
    }
}
