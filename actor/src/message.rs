//! What can be sent: any value, and it comes back as its own type.

use std::{
    any::{Any, TypeId},
    fmt,
};

/// A message of any type, as [`receive_any`](crate::receive_any) hands it out.
///
/// ```
/// use riot_actor::Message;
/// let message = Message::new(42_u32);
/// assert!(message.is::<u32>());
/// let message = message.downcast::<String>().unwrap_err();   // not a string: here it is again
/// assert_eq!(message.downcast::<u32>().unwrap(), 42);
/// ```
pub struct Message(Box<dyn Payload>);

impl Message {
    /// Wraps a value; one allocation, the only one a message costs.
    pub fn new<T: Send + 'static>(value: T) -> Self {
        Self(Box::new(Held::<T, true>(value)))
    }

    /// Wraps a value the runtime sends: it does not count against the bound of a mailbox.
    pub(crate) fn system<T: Send + 'static>(value: T) -> Self {
        Self(Box::new(Held::<T, false>(value)))
    }

    /// Whether it counts against the bound of a mailbox.
    pub(crate) fn counts(&self) -> bool {
        self.0.counts()
    }

    /// Whether it is a `T`.
    #[must_use]
    pub fn is<T: 'static>(&self) -> bool {
        self.0.value_type() == TypeId::of::<T>()
    }

    /// A look at the value, if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        self.0.value().downcast_ref()
    }

    /// The value, if it is a `T`.
    ///
    /// # Errors
    /// The message itself, if it is something else.
    pub fn downcast<T: 'static>(self) -> Result<T, Message> {
        if self.is::<T>() { Ok(self.take()) } else { Err(self) }
    }

    /// The value, which is a `T`: its type has been looked at.
    pub(crate) fn take<T: 'static>(self) -> T {
        let any: Box<dyn Any> = self.0;
        match any.downcast::<Held<T, true>>().map_err(|any| any.downcast::<Held<T, false>>()) {
            Ok(sent) => sent.0,
            Err(Ok(system)) => system.0,
            Err(Err(_)) => unreachable!("it was a {} a moment ago", std::any::type_name::<T>()),
        }
    }

    /// The name of its type, for logs.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        (*self.0).type_name()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({})", self.type_name())
    }
}

/// A value, and whether it came from a user (`COUNTS`) or from the runtime.
struct Held<T, const COUNTS: bool>(T);

trait Payload: Any + Send {
    fn value(&self) -> &dyn Any;
    fn value_type(&self) -> TypeId;
    fn type_name(&self) -> &'static str;
    fn counts(&self) -> bool;
}

impl<T: Send + 'static, const COUNTS: bool> Payload for Held<T, COUNTS> {
    fn value(&self) -> &dyn Any {
        &self.0
    }
    fn value_type(&self) -> TypeId {
        TypeId::of::<T>()
    }
    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }
    fn counts(&self) -> bool {
        COUNTS
    }
}
