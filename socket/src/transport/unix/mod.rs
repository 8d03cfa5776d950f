//! Unix sockets, which connect programs of one machine.
//!
//! [`address`] has their addresses, [`stream`] the streams and listeners, [`bind`] binds listeners, whose
//! files are in [`socket_file`].

mod address;
mod bind;
mod socket_file;
mod stream;

pub use self::{
    address::UnixAddress,
    bind::UnixBind,
    stream::{UnixListener, UnixStream},
};
