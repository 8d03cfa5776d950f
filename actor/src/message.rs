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
        Self(Box::new(value))
    }

    /// Whether it is a `T`.
    #[must_use]
    pub fn is<T: 'static>(&self) -> bool {
        (*self.0).type_id() == TypeId::of::<T>()
    }

    /// A look at the value, if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref()
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
        match any.downcast::<T>() {
            Ok(value) => *value,
            Err(_) => unreachable!("it was a {} a moment ago", std::any::type_name::<T>()),
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

trait Payload: Any + Send {
    fn type_name(&self) -> &'static str;
}

impl<T: Send + 'static> Payload for T {
    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }
}
