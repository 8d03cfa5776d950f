//! What becomes of clients for whom there is no place.

use std::{io, time::Duration};

use bytes::Bytes;
use riot_actor::{Reason, timeout};

use crate::{connection::Connection, transport::Shutdown};

/// What becomes of clients that come while there are as many connections as there may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionOverflow {
    /// They wait with the system, in its backlog, until there is a place; beyond the backlog the system lets them try
    /// again. The default.
    #[default]
    Wait,
    /// They are accepted and closed at once.
    Close,
    /// They are accepted, told this, and closed once they have closed or a second has gone by: by then they have read
    /// it. Those that come while 1024 others are being told are closed at once. Handshakes come before it, such as
    /// those of TLS: it is for whoever understands it.
    Answer(Bytes),
}

/// How many are being told at once.
pub(super) const ANSWERING_MAX: usize = 1024;

/// For how long, and how much of what they say meanwhile is heard.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

/// The work of a Connector that has no place to give.
pub(super) async fn answer(mut connection: Connection, answer: Bytes) -> Reason {
    // A connection closed with unread bytes is reset, and the answer may be lost with it.
    let told = timeout(LINGER, async {
        connection.write_all(&answer).await?;
        connection.shutdown(Shutdown::Write)?;
        let mut buffer = vec![0; 4096];
        let mut heard = 0;
        while heard < LINGER_BYTES {
            match connection.read(&mut buffer).await? {
                0 => break,
                read => heard += read,
            }
        }
        Ok::<(), io::Error>(())
    })
    .await;
    if let Ok(Err(error)) = told {
        tracing::debug!(target: "riot::socket", "{} was told that there is no place: {error}", connection.peer());
    }
    Reason::Normal
}
