//! Processes found without their pid: by a unique name, or as members of a group.
//!
//! Both tables have one lock each, taken before the lock of a process record, never after it. A name or a
//! membership is also noted in the record of its process, so that the release takes it back. A key, which is
//! a value of a user, is interned, so that the tables compare numbers.

pub mod group;
pub(crate) mod key;
pub(crate) mod map;
pub(crate) mod meta;
pub(crate) mod name;
pub mod registry;
pub(crate) mod server_type;
