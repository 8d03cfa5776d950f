//! What can be sent: any value, and it comes back as its own type.

use std::{any::Any, fmt};

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
        (*self.0).as_any().is::<T>()
    }

    /// A look at the value, if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        (*self.0).as_any().downcast_ref()
    }

    /// The value, if it is a `T`.
    ///
    /// # Errors
    /// The message itself, if it is something else.
    pub fn downcast<T: 'static>(self) -> Result<T, Message> {
        if !self.is::<T>() {
            return Err(self);
        }
        match self.0.into_any().downcast::<T>() {
            Ok(value) => Ok(*value),
            Err(_) => unreachable!("its type was just looked at"),
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

trait Payload: Send {
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    fn type_name(&self) -> &'static str;
}

impl<T: Send + 'static> Payload for T {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }
}
