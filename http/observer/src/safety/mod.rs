//! Which requests are served: `credentials` compares what a client knows, `attempts` counts failed logins,
//! `access` decides, `control` guards what changes the program.
//!
//! **Invariant:** without authentication nothing is served to a peer that is not this machine.

mod access;
mod attempts;
mod control;
mod credentials;

pub(crate) use access::Access;
pub(crate) use control::{ControlToken, Refused};
