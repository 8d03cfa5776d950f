//! The errors that a driver reports to a flow.

use std::io;

/// The reason for which a connection cannot go on as it was. A driver reports it with
/// [`Flow::report_error`](crate::Flow::report_error).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowError {
    /// The transport failed: the peer reset the connection, or the system refused. Nothing more can be sent.
    #[error("the transport failed")]
    Transport(#[from] io::Error),
    /// The application failed, with this message. The peer can still be told.
    #[error("the application failed: {0}")]
    Application(String),
    /// The process of the application was ended by a signal, such as at the deadline of a shutdown. The peer
    /// can still be told.
    #[error("the process of the application was ended")]
    Ended,
}
