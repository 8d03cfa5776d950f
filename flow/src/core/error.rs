//! What can go wrong around a flow.

use std::io;

/// Why a connection cannot go on as it was.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The transport failed: the peer reset the connection, or the system refused. Nothing more can be sent.
    #[error("the transport failed: {0}")]
    Transport(#[from] io::Error),
    /// The program behind the protocol failed. The peer can still be told.
    #[error("the application failed: {0}")]
    Application(String),
}
