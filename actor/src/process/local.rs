//! Process-local values: what a process keeps for itself under a static key.

use std::{any::Any, fmt};

use super::pid::Pid;
use crate::runtime::{
    context,
    kernel::{
        locals::{Inherit, LocalKey, LocalValue, TakenValue},
        process::Process,
    },
};

/// Declares keys of process-local values: each process has its own value under a key, or none.
///
/// A value is dropped when its process is released, in that process, after the body and the messages. With
/// `inherited` after the type, which must be `Clone` then, a process that is spawned begins with clones of
/// the values of its spawner.
///
/// ```
/// use riot_actor::{process::{process_local, wait}, run, spawn};
///
/// process_local! {
///     /// The user that a request is for.
///     static USER: String;
///     pub static TENANT: u32, inherited;
/// }
///
/// run(async {
///     USER.set("joe".to_owned());
///     TENANT.set(7);
///     assert_eq!(USER.with(|user| user.len()), Some(3));
///     let child = spawn(async { assert_eq!((USER.get(), TENANT.get()), (None, Some(7))) });
///     assert!(wait(child).await.is_clean());
/// });
/// ```
#[macro_export]
macro_rules! process_local {
    () => {};
    ($(#[$meta:meta])* $visibility:vis static $name:ident: $type:ty, inherited $(; $($rest:tt)*)?) => {
        $(#[$meta])*
        $visibility static $name: $crate::process::ProcessLocal<$type> =
            $crate::process::ProcessLocal::__inherited(stringify!($name));
        $($crate::process_local! { $($rest)* })?
    };
    ($(#[$meta:meta])* $visibility:vis static $name:ident: $type:ty $(; $($rest:tt)*)?) => {
        $(#[$meta])*
        $visibility static $name: $crate::process::ProcessLocal<$type> =
            $crate::process::ProcessLocal::__new(stringify!($name));
        $($crate::process_local! { $($rest)* })?
    };
}

/// The key of a process-local value, made by [`process_local!`](crate::process_local).
///
/// Outside a process there are no values.
///
/// ```
/// use riot_actor::{process::process_local, run};
///
/// process_local! { static COUNT: std::cell::Cell<u32> }
///
/// assert_eq!(COUNT.with(|count| count.get()), None); // no process runs here
/// run(async {
///     COUNT.set(1.into());
///     COUNT.with(|count| count.set(count.get() + 1));
///     assert_eq!(COUNT.take().map(|count| count.get()), Some(2));
///     assert!(COUNT.take().is_none());
/// });
/// ```
pub struct ProcessLocal<T: 'static> {
    name: &'static str,
    inherit: Option<Inherit>,
    _value: std::marker::PhantomData<fn(T) -> T>,
}

impl<T: 'static> fmt::Debug for ProcessLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessLocal")
            .field("name", &self.name)
            .field("inherited", &self.inherit.is_some())
            .finish()
    }
}

fn inherit<T: Clone + Send + 'static>(value: &dyn Any) -> Option<LocalValue> {
    value.downcast_ref::<T>().map(|value| LocalValue::new(value.clone()))
}

impl<T: Send + 'static> ProcessLocal<T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn __new(name: &'static str) -> Self {
        Self { name, inherit: None, _value: std::marker::PhantomData }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn __inherited(name: &'static str) -> Self
    where
        T: Clone,
    {
        Self { name, inherit: Some(inherit::<T>), _value: std::marker::PhantomData }
    }

    /// Sets the value of the running process, and drops the one before.
    ///
    /// # Panics
    /// Panics outside a process; and in the destructor of a local value while the process is released.
    pub fn set(&'static self, value: T) {
        let value = LocalValue::new(value);
        let set = |running: &mut Process| {
            if running.locals_closed {
                return Err(Some(value));
            }
            let locals = &mut running.attached.get_or_insert_default().locals;
            Ok(locals.set(LocalKey::of(self), value, self.inherit))
        };
        match in_process(set) {
            Some(Ok(before)) => drop(before),
            Some(Err(refused)) => {
                drop(refused);
                panic!(
                    "riot_actor: the process-local value `{}` was set while its process drops its values",
                    self.name
                )
            }
            None => panic!(
                "riot_actor: the process-local value `{}` was set outside a process; \
                 set it inside `run` or `spawn`",
                self.name
            ),
        }
    }

    /// Returns a clone of the value; none if the running process has no value, or no process runs.
    #[must_use]
    pub fn get(&'static self) -> Option<T>
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Shows `f` the value and returns its result; none if the running process has no value, or no process
    /// runs. `f` may use this key and any other: where it sets the value, it keeps the one before until it
    /// returns.
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Option<R> {
        let value = in_process(|running| running.attached.as_ref()?.locals.get(LocalKey::of(self)))??;
        value.get().map(f)
    }

    /// Takes the value away and returns it; none if the running process has no value, or no process runs.
    ///
    /// # Panics
    /// Panics inside a [`with`](Self::with) that shows this value. The value stays.
    pub fn take(&'static self) -> Option<T> {
        let taken = in_process(|running| {
            let attached = running.attached.as_mut()?;
            Some(attached.locals.take(LocalKey::of(self)))
        });
        match taken?? {
            TakenValue::Taken(value) => value?.into_inner(),
            TakenValue::InUse => panic!(
                "riot_actor: the process-local value `{}` was taken inside a `with` that shows it",
                self.name
            ),
        }
    }
}

/// Shows `f` the running process, if one runs, while it is borrowed: `f` must not run code of a user.
fn in_process<R>(f: impl FnOnce(&mut Process) -> R) -> Option<R> {
    context::with_local(|local| local?.with_running(|_, running| f(running)))
}

/// Returns the processes that the running one descends from, the nearest first: its spawner, the spawner of
/// that, and so on, 8 at most. They may have exited. (OTP: `proc_lib`'s `$ancestors`.)
///
/// ```
/// use riot_actor::{process::{ancestors, wait}, run, spawn, this};
///
/// run(async {
///     let main = this();
///     let child = spawn(async move {
///         let child = this();
///         let grandchild = spawn(async move { assert_eq!(ancestors(), [child, main]) });
///         wait(grandchild).await
///     });
///     assert!(wait(child).await.is_clean());
/// });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn ancestors() -> Vec<Pid> {
    let this = crate::this();
    context::with_shared("ancestors", |shared| shared.ancestors(this))
}
