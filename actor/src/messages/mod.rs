//! Messages on their way: values of any type, sending them, the mailbox they wait in, and receiving them.
//!
//! `message`, `mailbox` and `capacity` are plain data structures that the kernel uses; `send`, `receive` and
//! `addr` are the verbs on top of the kernel. A message is in the mailbox before `send` returns, and keeps
//! its place until a receive takes it. No guard or destructor of a user runs under a lock.

pub(crate) mod addr;
pub(crate) mod alias;
mod boxed;
pub(crate) mod capacity;
pub(crate) mod mailbox;
pub(crate) mod message;
pub(crate) mod receive;
pub(crate) mod send;

pub use receive::{
    __private, ByType, Filter, Mark, Receive, Select, Wanted, mark, receive, receive_any, receive_if,
    receive_timeout, select,
};
