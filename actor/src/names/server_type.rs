//! The type of a generic server, as it is kept with a name.

use std::any::{TypeId, type_name};

/// The type of a generic server, to be compared and printed.
#[derive(Debug)]
pub(crate) struct ServerType {
    id: fn() -> TypeId,
    name: fn() -> &'static str,
}

impl ServerType {
    pub(crate) fn of<S: 'static>() -> &'static Self {
        const { &Self { id: TypeId::of::<S>, name: type_name::<S> } }
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.id)() == (other.id)()
    }

    /// Returns the whole name of the type.
    pub(crate) fn name(&self) -> &'static str {
        (self.name)()
    }
}
