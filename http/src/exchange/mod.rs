//! One exchange, a request and its response, as handlers see it.
//!
//! Everything a handler holds of a live connection ([`Reqd`], [`Responder`], [`Body`], [`BodyWriter`],
//! [`Upgrade`]) reaches its protocol through one type, [`ExchangeHandle`](handle::ExchangeHandle).
//!
//! **Invariants:** only `handle` and `requests` know which protocol stands behind an exchange. A response is
//! given by move, so it is given once.

mod body;
mod body_writer;
#[cfg(feature = "files")]
mod conditional;
mod drain_signal;
mod failed_request;
#[cfg(feature = "files")]
mod file;
#[cfg(feature = "files")]
mod file_error;
#[cfg(feature = "files")]
mod folder;
mod handle;
#[cfg(feature = "files")]
mod opened_file;
mod reqd;
mod request;
mod requests;
mod responder;
mod response;
mod sse;
mod upgrade;

pub use body::Body;
pub use body_writer::{BodyWriter, Flushed};
#[cfg(feature = "hyper-upgrade")]
pub(crate) use drain_signal::DrainFlag;
pub use drain_signal::DrainSignal;
#[cfg(feature = "files")]
pub use file_error::FileError;
#[cfg(feature = "files")]
pub use folder::{Folder, safe_path};
pub use reqd::Reqd;
pub use request::Request;
pub use requests::{Closed, Requests};
pub use responder::{Responded, Responder};
pub use response::{IntoResponse, Response};
pub use sse::{Event, EventWriter};
pub use upgrade::{Upgrade, Upgraded};
