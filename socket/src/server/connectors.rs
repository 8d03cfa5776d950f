//! The connections of a Connections.Sup, by the pid of their Connector.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use riot_actor::Pid;

use crate::connection::record::ConnectionRecord;

/// The map of connections. It changes with every client, and is iterated only when the server drains. The
/// hasher has no random state, so a simulation repeats the order of the iteration.
pub(super) type Connectors = HashMap<Pid, Arc<ConnectionRecord>, BuildHasherDefault<PidHasher>>;

/// A hasher for pids. They are chosen by the runtime, so no client can make them collide, and one
/// multiplication mixes them well enough.
#[derive(Default)]
pub(super) struct PidHasher(u64);

impl Hasher for PidHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(byte.into()));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// Moves the high bits, which are mixed best, to where a map looks: at the lowest and at the highest
    /// bits.
    fn finish(&self) -> u64 {
        self.0.rotate_left(20)
    }
}
