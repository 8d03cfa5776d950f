//! Metadata of the members of groups.

use std::{any::Any, fmt, sync::Arc};

use crate::guard::Contained;

/// The metadata of a member of a group, of any type. Clones share it.
///
/// Two are equal if they are clones of each other. See
/// [`monitor_group_with`](super::group::monitor_group_with) for an example.
#[derive(Clone)]
pub struct GroupMeta(Arc<Contained<Box<dyn Any + Send + Sync>>>);

impl GroupMeta {
    pub(super) fn new<M: Send + Sync + 'static>(meta: M) -> Self {
        Self(Arc::new(Contained::new(Box::new(meta))))
    }

    /// Returns the metadata, if they are of the type `M`.
    #[must_use]
    pub fn get<M: 'static>(&self) -> Option<&M> {
        self.0.downcast_ref()
    }
}

impl PartialEq for GroupMeta {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
impl Eq for GroupMeta {}

impl fmt::Debug for GroupMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupMeta")
    }
}
