//! Why a process ended, and what a body may return to say so.

use std::{any::Any, error::Error, fmt, process::ExitCode, sync::Arc};

/// Why a process ended, or why it is asked to. Cheap to clone; equal where its content is.
///
/// `Normal`, `Shutdown` and `ShutdownWith` are *clean*: nobody has to worry. All others are *abnormal*.
#[derive(Clone, Debug)]
pub enum Reason {
    /// It did what it was there for.
    Normal,
    /// It was asked to stop, by its supervisor as a rule.
    Shutdown,
    /// The same, with something to say about it.
    ShutdownWith(Detail),
    /// As a signal: end at once, trapping exits or not. As the reason of a linked process: an ordinary abnormal one.
    Kill,
    /// It was ended by [`Reason::Kill`].
    Killed,
    /// There was no such process.
    NoProc,
    /// It panicked.
    Panic(Arc<Panic>),
    /// It returned an error.
    Error(Arc<dyn Error + Send + Sync>),
    /// Anything else two processes agree on.
    Other(Detail),
}

impl Reason {
    /// [`Reason::Other`] with any value that can be compared and printed.
    pub fn other(value: impl PartialEq + fmt::Debug + Send + Sync + 'static) -> Self {
        Self::Other(Detail::new(value))
    }

    /// [`Reason::ShutdownWith`] with any value that can be compared and printed.
    pub fn shutdown_with(value: impl PartialEq + fmt::Debug + Send + Sync + 'static) -> Self {
        Self::ShutdownWith(Detail::new(value))
    }

    /// Whether this is a planned end: `Normal`, `Shutdown` or `ShutdownWith`.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::Normal | Self::Shutdown | Self::ShutdownWith(_))
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Normal, Self::Normal)
            | (Self::Shutdown, Self::Shutdown)
            | (Self::Kill, Self::Kill)
            | (Self::Killed, Self::Killed)
            | (Self::NoProc, Self::NoProc) => true,
            (Self::ShutdownWith(a), Self::ShutdownWith(b)) | (Self::Other(a), Self::Other(b)) => a == b,
            (Self::Panic(a), Self::Panic(b)) => a == b,
            (Self::Error(a), Self::Error(b)) => Arc::ptr_eq(a, b) || a.to_string() == b.to_string(),
            _ => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Shutdown => f.write_str("shutdown"),
            Self::ShutdownWith(detail) => write!(f, "shutdown: {detail:?}"),
            Self::Kill => f.write_str("kill"),
            Self::Killed => f.write_str("killed"),
            Self::NoProc => f.write_str("no such process"),
            Self::Panic(panic) => write!(f, "panic: {panic}"),
            Self::Error(error) => write!(f, "error: {error}"),
            Self::Other(detail) => write!(f, "{detail:?}"),
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Reason {
    fn from(error: E) -> Self {
        Self::Error(Arc::new(error))
    }
}

/// So that `fn main() -> Reason { run(…) }` gives the shell what it expects: 0 for a clean end; else 1, and the reason
/// on the standard error.
impl std::process::Termination for Reason {
    fn report(self) -> ExitCode {
        if self.is_clean() {
            return ExitCode::SUCCESS;
        }
        eprintln!("{self}");
        ExitCode::FAILURE
    }
}

/// A value inside a [`Reason`]: anything that can be compared and printed.
#[derive(Clone)]
pub struct Detail(Arc<dyn Value>);

impl Detail {
    /// Wraps a value.
    pub fn new(value: impl PartialEq + fmt::Debug + Send + Sync + 'static) -> Self {
        Self(Arc::new(value))
    }

    /// A look at the value, if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        self.0.as_any().downcast_ref()
    }
}

impl PartialEq for Detail {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(other.0.as_any())
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

trait Value: fmt::Debug + Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn equals(&self, other: &dyn Any) -> bool;
}

impl<T: PartialEq + fmt::Debug + Send + Sync + 'static> Value for T {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>().is_some_and(|other| self == other)
    }
}

/// What is known of a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// What it said; empty if its payload was no string.
    pub message: String,
    /// `file:line:column`, where known.
    pub location: Option<String>,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "{} at {location}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// What a body may end with: `()`, a [`Reason`], or a `Result` of one of them with any error.
///
/// `()` and `Ok(())` are `Normal`; an `Err(e)` is `Error(e)`, or the reason itself if `e` is one.
pub trait Outcome {
    /// The reason it stands for.
    fn into_reason(self) -> Reason;
}

impl Outcome for () {
    fn into_reason(self) -> Reason {
        Reason::Normal
    }
}

impl Outcome for Reason {
    fn into_reason(self) -> Reason {
        self
    }
}

/// The type of a body that loops for ever. It has no name of its own in stable Rust, but a function's result has.
impl Outcome for <fn() -> ! as Returns>::Output {
    fn into_reason(self) -> Reason {
        self
    }
}

/// Names the result of a function.
#[doc(hidden)]
#[allow(unreachable_pub)]
pub trait Returns {
    /// The result.
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

impl Outcome for std::convert::Infallible {
    fn into_reason(self) -> Reason {
        match self {}
    }
}

impl<T: Outcome, E: Into<Reason>> Outcome for Result<T, E> {
    fn into_reason(self) -> Reason {
        match self {
            Ok(value) => value.into_reason(),
            Err(error) => error.into(),
        }
    }
}
