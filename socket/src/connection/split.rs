//! The halves of a connection: one reads, the other writes.

use std::{fmt, sync::Arc};

use super::{
    core::{Connection, Identity, ReadState},
    methods::{impl_read_methods, impl_write_methods},
    record::ConnectionRecord,
    timeouts::Stall,
};
use crate::transport::{Address, Shutdown, Transport};

/// The reading half of a borrowed [`Connection`]; see [`Connection::split`].
pub struct ReadHalf<'a> {
    transport: &'a dyn Transport,
    read_state: &'a mut ReadState,
    identity: &'a Identity,
}

/// The writing half of a borrowed [`Connection`]; see [`Connection::split`].
pub struct WriteHalf<'a> {
    transport: &'a dyn Transport,
    write_state: &'a mut Stall,
    identity: &'a Identity,
}

/// The reading half of a [`Connection`], for a process of its own; see [`Connection::into_split`]. When both
/// halves are dropped, the connection closes and its permit is released.
pub struct OwnedReadHalf {
    transport: Arc<dyn Transport>,
    read_state: ReadState,
    identity: Arc<Identity>,
}

/// The writing half of a [`Connection`], for a process of its own; see [`Connection::into_split`].
///
/// Dropping it ends the sending direction at once. Bytes that TLS has buffered are lost then, unless the half
/// was [flushed](Self::flush) or [closed](Self::close) before.
pub struct OwnedWriteHalf {
    transport: Arc<dyn Transport>,
    write_state: Stall,
    identity: Arc<Identity>,
    ends: bool,
}

impl Connection {
    /// Borrows a reading and a writing half, for two futures of one process.
    ///
    /// ```
    /// use riot_socket::Connection;
    ///
    /// async fn copy(mut connection: Connection) -> std::io::Result<()> {
    ///     let (mut reader, mut writer) = connection.split();
    ///     let mut buffer = [0; 4096];
    ///     loop {
    ///         match reader.read(&mut buffer).await? {
    ///             0 => return Ok(()),
    ///             read => writer.write_all(&buffer[..read]).await?,
    ///         }
    ///     }
    /// }
    /// ```
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        let Self { transport, read_state, write_state, identity } = self;
        let (transport, identity) = (&**transport, &*identity);
        (ReadHalf { transport, read_state, identity }, WriteHalf { transport, write_state, identity })
    }

    /// Splits the connection into a reading and a writing half, for two processes.
    ///
    /// ```
    /// use riot_actor::spawn_link;
    /// use riot_socket::Connection;
    ///
    /// async fn serve(connection: Connection) -> std::io::Result<()> {
    ///     let (mut reader, mut writer) = connection.into_split();
    ///     spawn_link(async move { writer.write_all(b"whatever you say\n").await });
    ///     let said = reader.read_to_end(1024).await?;
    ///     println!("{} said {said:?}", reader.peer());
    ///     Ok(())
    /// }
    /// ```
    #[must_use = "the connection closes with its halves"]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let Self { transport, read_state, write_state, identity } = self;
        let identity = Arc::new(identity);
        let reader = OwnedReadHalf { transport: transport.clone(), read_state, identity: identity.clone() };
        (reader, OwnedWriteHalf { transport, write_state, identity, ends: true })
    }
}

impl WriteHalf<'_> {
    fn record(&self) -> &ConnectionRecord {
        self.identity.record()
    }

    fn count_sent(&self, bytes: usize) {
        self.record().sent_by_half(bytes);
    }
}

impl OwnedReadHalf {
    /// Returns the address of the peer.
    #[must_use]
    pub fn peer(&self) -> &Address {
        &self.identity.peer
    }

    /// Joins the halves to the connection they were.
    ///
    /// ```
    /// use riot_socket::{Address, Connection, memory};
    ///
    /// let (here, _there) = memory::pair();
    /// let (reader, writer) = Connection::new(here, Address::Memory(1)).into_split();
    /// let connection = reader.reunite(writer)?;
    /// # drop(connection);
    /// # Ok::<(), riot_socket::NotOneConnection>(())
    /// ```
    ///
    /// # Errors
    /// Both halves, if they belong to different connections.
    pub fn reunite(self, writer: OwnedWriteHalf) -> Result<Connection, NotOneConnection> {
        if !Arc::ptr_eq(&self.identity, &writer.identity) {
            return Err(NotOneConnection(self, writer));
        }
        let Self { transport, read_state, identity } = self;
        let write_state = writer.forget();
        let Some(identity) = Arc::into_inner(identity) else { unreachable!("there are two halves") };
        Ok(Connection { transport, read_state, write_state, identity })
    }
}

impl OwnedWriteHalf {
    fn record(&self) -> &ConnectionRecord {
        &self.identity.record
    }

    fn count_sent(&self, bytes: usize) {
        self.record().sent_by_half(bytes);
    }

    /// Returns the address of the peer.
    #[must_use]
    pub fn peer(&self) -> &Address {
        &self.identity.peer
    }

    /// Drops the half without ending the sending direction, which the connection still uses, and returns its
    /// timer.
    fn forget(mut self) -> Stall {
        self.ends = false;
        std::mem::take(&mut self.write_state)
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.ends
            && let Err(error) = self.transport.shutdown(Shutdown::Write)
        {
            riot_actor::log_event!(
                DEBUG,
                "riot::socket",
                "ending the output to {} failed: {error}",
                self.peer()
            );
        }
    }
}

/// The error of [joining](OwnedReadHalf::reunite) halves of two connections. It holds both.
///
/// ```
/// use riot_socket::{Address, Connection, NotOneConnection, memory};
///
/// let (here, there) = memory::pair();
/// let (reader, _writer) = Connection::new(here, Address::Memory(1)).into_split();
/// let (_reader, writer) = Connection::new(there, Address::Memory(2)).into_split();
/// let NotOneConnection(reader, _writer) = reader.reunite(writer).unwrap_err();
/// assert_eq!(reader.peer(), &Address::Memory(1));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the halves belong to different connections")]
pub struct NotOneConnection(pub OwnedReadHalf, pub OwnedWriteHalf);

impl_read_methods!(ReadHalf<'_>, OwnedReadHalf);
impl_write_methods!(WriteHalf<'_>, OwnedWriteHalf);

impl fmt::Debug for ReadHalf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadHalf")
    }
}

impl fmt::Debug for WriteHalf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteHalf")
    }
}

impl fmt::Debug for OwnedReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedReadHalf({})", self.peer())
    }
}

impl fmt::Debug for OwnedWriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedWriteHalf({})", self.peer())
    }
}
