//! Whom a process is linked to.

use crate::process::pid::{NumberSet, Peer, Pid};

/// A set of processes of one runtime. Most have one to three, which stand inline; a few are searched one by one; those of a
/// supervisor of many are not.
#[derive(Debug)]
pub(crate) enum LinkSet {
    Inline([Peer; INLINE]),
    /// Invariant: at most [`FEW`].
    Few(Vec<Peer>),
    Many(Box<NumberSet<Peer>>),
}

const INLINE: usize = 3;

/// So many are searched about as fast as they are hashed.
const FEW: usize = 8;

impl Default for LinkSet {
    fn default() -> Self {
        Self::Inline([Peer::NONE; INLINE])
    }
}

impl LinkSet {
    /// Adds `pid`, unless it is there.
    pub(crate) fn insert(&mut self, pid: Pid) {
        let peer = Peer::new(Some(pid));
        match self {
            Self::Inline(inline) => {
                if inline.contains(&peer) {
                    return;
                }
                match inline.iter_mut().find(|place| **place == Peer::NONE) {
                    Some(place) => *place = peer,
                    None => *self = Self::Few(inline.iter().copied().chain([peer]).collect()),
                }
            }
            Self::Few(few) if few.contains(&peer) => {}
            Self::Few(few) if few.len() == FEW => {
                *self = Self::Many(Box::new(few.drain(..).chain([peer]).collect()));
            }
            Self::Few(few) => few.push(peer),
            Self::Many(many) => {
                many.insert(peer);
            }
        }
    }

    /// Removes `pid`; whether it was there.
    pub(crate) fn remove(&mut self, pid: &Pid) -> bool {
        let peer = Peer::new(Some(*pid));
        match self {
            Self::Inline(inline) => {
                let place = inline.iter_mut().find(|place| **place == peer);
                place.map(|place| *place = Peer::NONE).is_some()
            }
            Self::Few(few) => {
                let place = few.iter().position(|linked| *linked == peer);
                place.map(|place| few.swap_remove(place)).is_some()
            }
            Self::Many(many) => many.remove(&peer),
        }
    }

    pub(crate) fn contains(&self, pid: &Pid) -> bool {
        let peer = Peer::new(Some(*pid));
        match self {
            Self::Inline(inline) => inline.contains(&peer),
            Self::Few(few) => few.contains(&peer),
            Self::Many(many) => many.contains(&peer),
        }
    }

    /// Shows all of them, linked to `this`, in no order to count on.
    pub(crate) fn for_each(&self, this: Pid, mut f: impl FnMut(Pid)) {
        let f = |peer: &Peer| {
            if let Some(pid) = peer.in_runtime_of(this) {
                f(pid);
            }
        };
        match self {
            Self::Inline(inline) => inline.iter().for_each(f),
            Self::Few(few) => few.iter().for_each(f),
            Self::Many(many) => many.iter().for_each(f),
        }
    }

    pub(crate) fn to_vec(&self, this: Pid) -> Vec<Pid> {
        let mut all = Vec::new();
        self.for_each(this, |pid| all.push(pid));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(changes in prop::collection::vec((any::<bool>(), 0u32..20), 0..200)) {
            let runtime = std::num::NonZeroU32::MIN;
            let pid = |index| Pid::new(runtime, 7, index);
            let (mut links, mut model) = (LinkSet::default(), BTreeSet::new());
            for (insert, index) in changes {
                if insert {
                    links.insert(pid(index));
                    model.insert(index);
                } else {
                    prop_assert_eq!(links.remove(&pid(index)), model.remove(&index));
                }
                prop_assert!((0..20).all(|index| links.contains(&pid(index)) == model.contains(&index)));
                let all: BTreeSet<u32> = links.to_vec(pid(99)).iter().map(|pid| pid.index()).collect();
                prop_assert_eq!(&all, &model);
            }
            prop_assert_eq!(links.to_vec(pid(99)).len(), model.len());
        }
    }
}
