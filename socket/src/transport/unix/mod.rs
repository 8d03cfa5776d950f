//! Unix sockets, which connect programs of one machine.
//!
//! [`address`] has their addresses, [`stream`] the streams and listeners, [`bind`] the files of listeners.

mod address;
mod bind;
mod stream;

pub use self::{
    address::UnixAddress,
    bind::UnixBind,
    stream::{UnixListener, UnixStream},
};
