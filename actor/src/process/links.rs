//! Whom a process is linked to.

use crate::pid::{NumberSet, Pid};

/// A set of processes. Most have one or a few, which are searched one by one; those of a supervisor of many are not.
#[derive(Debug)]
pub(crate) enum Links {
    /// Invariant: at most [`FEW`].
    Few(Vec<Pid>),
    Many(Box<NumberSet<Pid>>),
}

/// So many are searched about as fast as they are hashed.
const FEW: usize = 8;

impl Default for Links {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Links {
    /// Adds `pid`, unless it is there.
    pub(crate) fn insert(&mut self, pid: Pid) {
        match self {
            Self::Many(many) => {
                many.insert(pid);
            }
            Self::Few(few) if few.contains(&pid) => {}
            Self::Few(few) if few.len() == FEW => {
                *self = Self::Many(Box::new(few.drain(..).chain([pid]).collect()));
            }
            Self::Few(few) => {
                if few.len() == few.capacity() {
                    few.reserve_exact(few.len().max(1)); // One for most: not more room than that.
                }
                few.push(pid);
            }
        }
    }

    /// Removes `pid`; whether it was there.
    pub(crate) fn remove(&mut self, pid: &Pid) -> bool {
        match self {
            Self::Many(many) => many.remove(pid),
            Self::Few(few) => {
                let place = few.iter().position(|linked| linked == pid);
                place.is_some_and(|place| {
                    few.swap_remove(place);
                    true
                })
            }
        }
    }

    pub(crate) fn contains(&self, pid: &Pid) -> bool {
        match self {
            Self::Few(few) => few.contains(pid),
            Self::Many(many) => many.contains(pid),
        }
    }

    /// All of them, in no order to count on.
    pub(crate) fn to_vec(&self) -> Vec<Pid> {
        match self {
            Self::Few(few) => few.clone(),
            Self::Many(many) => many.iter().copied().collect(),
        }
    }
}

impl IntoIterator for Links {
    type Item = Pid;
    type IntoIter = std::vec::IntoIter<Pid>;

    fn into_iter(self) -> Self::IntoIter {
        match self {
            Self::Few(few) => few.into_iter(),
            Self::Many(many) => many.into_iter().collect::<Vec<_>>().into_iter(),
        }
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
            let pid = |index| Pid { runtime, index, generation: 7 };
            let (mut links, mut model) = (Links::default(), BTreeSet::new());
            for (insert, index) in changes {
                if insert {
                    links.insert(pid(index));
                    model.insert(index);
                } else {
                    prop_assert_eq!(links.remove(&pid(index)), model.remove(&index));
                }
                prop_assert!((0..20).all(|index| links.contains(&pid(index)) == model.contains(&index)));
                let all: BTreeSet<u32> = links.to_vec().iter().map(|pid| pid.index).collect();
                prop_assert_eq!(&all, &model);
            }
            prop_assert_eq!(links.into_iter().count(), model.len());
        }
    }
}
