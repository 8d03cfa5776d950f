//! Panics as values, with their location. Only the panic hook learns the location, so a hook of this crate
//! stands before the one there was.
//!
//! The hook is shared by the whole program, because Rust has one. It stores the location of panics inside
//! processes, which end in a crash report instead of on the standard error, and passes all others on.

use std::{
    any::{Any, type_name},
    backtrace::{Backtrace, BacktraceStatus},
    cell::{Cell, RefCell},
    fmt,
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, Once},
};

use super::{Contained, text};
use crate::{runtime::context, sync::lock::lock};

/// Bytes of a backtrace that are kept at most.
const MAX_BACKTRACE_BYTES: usize = 16 * 1024;

/// A panic: its message, its location, and its payload if that is no text. See
/// [`catch_panic`](crate::process::catch_panic) for an example.
///
/// Two panics are equal if their messages and locations are.
#[derive(Clone)]
#[non_exhaustive]
pub struct Panic {
    /// The message; empty if the payload is no text.
    pub message: String,
    /// The location as `file:line:column`, if it is known.
    pub location: Option<String>,
    /// The payload, if it is no text.
    pub payload: Option<PanicPayload>,
    /// The backtrace, of 16 KiB at most, where `RUST_BACKTRACE` asks for it.
    pub backtrace: Option<String>,
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panic")
            .field("message", &self.message)
            .field("location", &self.location)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Panic {
    fn eq(&self, other: &Self) -> bool {
        self.message == other.message && self.location == other.location
    }
}

impl Eq for Panic {}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.payload {
            Some(payload) => payload.fmt(f)?,
            None => f.write_str(&self.message)?,
        }
        match &self.location {
            Some(location) => write!(f, " at {location}"),
            None => Ok(()),
        }
    }
}

/// The payload of a panic that is no text, as [`panic_any`](std::panic::panic_any) gave it. Clones share it.
///
/// ```
/// use riot_actor::process::catch_panic;
///
/// # riot_actor::run(async {
/// let panic = catch_panic(async { std::panic::panic_any(7_u64) }).await.unwrap_err();
/// assert!(panic.to_string().starts_with("(payload of type u64)"));
/// let payload = panic.payload.unwrap();
/// assert!(payload.is::<u64>());
/// assert_eq!(payload.get::<u64>(), Some(7));
/// # });
/// ```
#[derive(Clone)]
pub struct PanicPayload(Arc<Mutex<Contained<Box<dyn Any + Send>>>>);

impl PanicPayload {
    fn new(payload: Box<dyn Any + Send>) -> Self {
        Self(Arc::new(Mutex::new(Contained::new(payload))))
    }

    /// Returns whether the payload is a `T`.
    #[must_use]
    pub fn is<T: 'static>(&self) -> bool {
        lock(&self.0).is::<T>()
    }

    /// Returns a clone of the payload, if it is a `T`.
    #[must_use]
    pub fn get<T: Clone + 'static>(&self) -> Option<T> {
        lock(&self.0).downcast_ref::<T>().cloned()
    }

    /// Returns the name of the payload's type, if it is a number, a `bool` or a `char`. Other types cannot be
    /// named.
    #[must_use]
    pub fn type_name(&self) -> Option<&'static str> {
        macro_rules! name_of {
            ($($known:ty),*) => {
                $(if self.is::<$known>() { return Some(type_name::<$known>()); })*
            };
        }
        name_of!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, bool, char, ());
        None
    }
}

impl fmt::Display for PanicPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.type_name() {
            Some(name) => write!(f, "(payload of type {name})"),
            None => f.write_str("(payload is no text)"),
        }
    }
}

impl fmt::Debug for PanicPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PanicPayload{self}")
    }
}

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static CAUGHT: RefCell<Option<Caught>> = const { RefCell::new(None) };
}

/// Facts of a panic that only the hook learns.
struct Caught {
    location: Option<String>,
    backtrace: Option<String>,
}

impl Caught {
    fn new(info: &PanicHookInfo<'_>) -> Self {
        let backtrace = Backtrace::capture();
        let is_captured = backtrace.status() == BacktraceStatus::Captured;
        Self {
            location: info.location().map(ToString::to_string),
            backtrace: is_captured.then(|| text::cut(backtrace.to_string(), MAX_BACKTRACE_BYTES)),
        }
    }
}

pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if CATCHING.get() || context::is_polling() {
                CAUGHT.set(Some(Caught::new(info)));
            } else {
                before(info);
            }
        }));
    });
}

/// Runs `f` and returns a panic as a value.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    let before = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(before);
    result.map_err(panicked)
}

/// A panic that is stopped and goes on later, when its thread has released what it holds.
pub(crate) struct CaughtUnwind {
    payload: Box<dyn Any + Send>,
    /// The location and the backtrace, which the hook has learnt.
    caught: Option<Caught>,
}

impl CaughtUnwind {
    /// Runs `f` and stops a panic in it.
    pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Self> {
        catch_unwind(AssertUnwindSafe(f)).map_err(|payload| Self { payload, caught: CAUGHT.take() })
    }

    /// Lets the panic go on.
    pub(crate) fn resume(self) -> ! {
        CAUGHT.set(self.caught);
        resume_unwind(self.payload)
    }
}

/// Runs the poll of a process, as [`catch`] does. The hook knows of it by
/// [`Local::polling`](context::Local::polling), so no flag has to be set here.
#[inline]
pub(crate) fn catch_polling<R>(poll: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(poll)).map_err(panicked)
}

/// Runs a destructor of a user. A panic in it is reported; its payload may panic when it is dropped, too, and
/// so on without an end, so the payload of a second panic is leaked.
pub(super) fn discard(drop_value: impl FnOnce()) {
    let before = CATCHING.replace(true);
    let dropped = catch_unwind(AssertUnwindSafe(drop_value));
    let Err(payload) = dropped else { return CATCHING.set(before) };
    let location = CAUGHT.take().and_then(|caught| caught.location).unwrap_or_default();
    let text = text_of(payload).unwrap_or_else(|payload| {
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(again);
        }
        "(payload is no text)".to_owned()
    });
    CATCHING.set(before);
    let text = text::printable(text);
    crate::log_event!(ERROR, "riot::crash", "a destructor panicked: {text} at {location}");
}

#[cold]
fn panicked(payload: Box<dyn Any + Send>) -> Panic {
    let Caught { location, backtrace } = CAUGHT.take().unwrap_or(Caught { location: None, backtrace: None });
    let (message, payload) = match text_of(payload) {
        Ok(message) => (message, None),
        Err(payload) => (String::new(), Some(PanicPayload::new(payload))),
    };
    Panic { message, location, payload, backtrace }
}

/// Returns the text that a payload is, or the payload.
fn text_of(payload: Box<dyn Any + Send>) -> Result<String, Box<dyn Any + Send>> {
    match payload.downcast::<&'static str>() {
        Ok(text) => Ok((*text).to_owned()),
        Err(payload) => payload.downcast::<String>().map(|text| *text),
    }
}
