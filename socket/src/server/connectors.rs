//! The connections of a Connections.Sup by the pid of their Connector.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use riot_actor::Pid;

use crate::connection::control::Entry;

/// They come and go with every client, and are looked through only when the server drains. Then a seed repeats their
/// order, as no random state is in it.
pub(super) type Children = HashMap<Pid, Arc<Entry>, BuildHasherDefault<PidHasher>>;

/// The runtime gives pids out, so nobody can choose them to collide: one multiplication mixes them well enough.
#[derive(Default)]
pub(super) struct PidHasher(u64);

impl Hasher for PidHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(byte.into()));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// The high bits are the mixed ones; a map looks at the lowest and at the highest.
    fn finish(&self) -> u64 {
        self.0.rotate_left(20)
    }
}
