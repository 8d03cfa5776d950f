//! Values that crates above keep for each runtime, one of a type.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex},
};

use super::context;
use crate::sync::lock::lock;

/// The values of one runtime, by their types.
#[derive(Default)]
pub(crate) struct Extensions(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Extensions {
    fn get<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut values = lock(&self.0);
        let value = values.entry(TypeId::of::<T>()).or_insert_with(|| Arc::<T>::default()).clone();
        drop(values);
        value.downcast().expect("it is kept by its type")
    }
}

/// Returns the value of type `T` of the running runtime, which is made when it is first asked for. For crates
/// that build on this one: `T` is a type of theirs, whose `default` does nothing but make it.
///
/// # Panics
/// Panics outside a process.
#[doc(hidden)]
#[must_use]
pub fn extension<T: Default + Send + Sync + 'static>() -> Arc<T> {
    context::with_shared("runtime::extension", |shared| shared.extensions.get())
}
