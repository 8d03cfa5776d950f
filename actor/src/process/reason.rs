//! Exit reasons, and what a body may return as one.

use std::{any::Any, error::Error, fmt, ops::Deref, process::ExitCode, sync::Arc};

use crate::guard::{self, Contained, contain, panic::Panic, stderr, text};

/// The reason for which a process exits or is asked to exit. Cheap to clone, and compared by content.
///
/// `Normal`, `Shutdown` and `ShutdownWith` are *clean*: planned exits. All others are *abnormal*.
///
/// `{}` prints a reason; `{:#}` adds the causes of an error. Values of a user in a reason are dropped,
/// compared and printed inside a guard, so one that panics does no harm wherever the reason goes.
///
/// ```
/// # use riot_actor::Reason;
/// assert!(Reason::Shutdown.is_clean());
/// let reason = Reason::other(("no disk", 7));
/// assert!(!reason.is_clean());
/// assert_eq!(reason, Reason::other(("no disk", 7)));
/// ```
#[derive(Clone, Debug)]
pub enum Reason {
    /// The process has done its work.
    Normal,
    /// The process was asked to stop, usually by its supervisor.
    Shutdown,
    /// The process was asked to stop, with a detail.
    ShutdownWith(Detail),
    /// The kill signal: exit at once, whether exits are trapped or not. As the reason of a linked process: an
    /// ordinary abnormal one.
    Kill,
    /// The process was ended by [`Reason::Kill`].
    Killed,
    /// There was no such process.
    NoProc,
    /// The process panicked.
    Panic(Arc<Panic>),
    /// The body of the process returned an error.
    Error(ExitError),
    /// Any other reason that two processes agree on.
    Other(Detail),
}

impl Reason {
    /// Makes [`Reason::Other`] of any value that can be compared and printed.
    pub fn other(value: impl PartialEq + fmt::Debug + Send + Sync + 'static) -> Self {
        Self::Other(Detail::new(value))
    }

    /// Makes [`Reason::ShutdownWith`] of any value that can be compared and printed.
    pub fn shutdown_with(value: impl PartialEq + fmt::Debug + Send + Sync + 'static) -> Self {
        Self::ShutdownWith(Detail::new(value))
    }

    /// Makes a reason of any error, for `?` where the error type is `Reason` and the error does not convert
    /// by itself, such as `anyhow::Error`; see [`OrReason`].
    ///
    /// ```
    /// # use riot_actor::Reason;
    /// let boxed: Box<dyn std::error::Error + Send + Sync> = "no disk".into();
    /// assert_eq!(Reason::error(boxed).to_string(), "error: no disk");
    /// assert_eq!(Reason::error(Reason::Kill), Reason::Kill);
    /// ```
    pub fn error(error: impl IntoReason) -> Self {
        error.into_reason()
    }

    /// Returns the detail, if it is a `T`. An error is found with [`ExitError`]'s `downcast_ref`.
    ///
    /// ```
    /// # use riot_actor::Reason;
    /// assert_eq!(Reason::other(7_u8).get::<u8>(), Some(&7));
    /// assert_eq!(Reason::Kill.get::<u8>(), None);
    /// ```
    #[must_use]
    pub fn get<T: 'static>(&self) -> Option<&T> {
        match self {
            Self::Other(detail) | Self::ShutdownWith(detail) => detail.downcast_ref(),
            _ => None,
        }
    }

    /// Returns whether the detail is this value. Texts are equal whether they are `&str` or `String`.
    ///
    /// ```
    /// # use riot_actor::Reason;
    /// assert!(Reason::other("no disk").is(&"no disk".to_owned()));
    /// assert!(Reason::shutdown_with(7_u8).is(&7_u8));
    /// assert!(!Reason::Kill.is(&7_u8));
    /// ```
    #[must_use]
    pub fn is<T: PartialEq + 'static>(&self, value: &T) -> bool {
        let (Self::Other(detail) | Self::ShutdownWith(detail)) = self else { return false };
        let equals = || match (detail.downcast_ref::<T>(), as_text(detail.0.as_any()), as_text(value)) {
            (Some(own), ..) => own == value,
            (None, Some(own), Some(text)) => own == text,
            _ => false,
        };
        contain(equals).unwrap_or(false)
    }

    /// Returns a clone of the value with which the process panicked (`std::panic::panic_any`), if it is a
    /// `T`.
    ///
    /// ```
    /// use riot_actor::{Reason, process::{spawn, wait}, run};
    ///
    /// # let reason = run(async {
    /// let pid = spawn(async { std::panic::panic_any(7_u8) });
    /// assert_eq!(wait(pid).await.panic_value::<u8>(), Some(7));
    /// # });
    /// # assert_eq!(reason, Reason::Normal);
    /// ```
    #[must_use]
    pub fn panic_value<T: Clone + 'static>(&self) -> Option<T> {
        match self {
            Self::Panic(panic) => panic.payload.as_ref()?.get(),
            _ => None,
        }
    }

    /// Returns whether this is a planned exit: `Normal`, `Shutdown` or `ShutdownWith`.
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
            (Self::Error(a), Self::Error(b)) => a == b,
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
            Self::Error(error) => {
                f.write_str("error: ")?;
                error.fmt(f)
            }
            Self::Other(detail) => write!(f, "{detail:?}"),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<E: Error + Send + Sync + 'static> From<E> for Reason {
    fn from(error: E) -> Self {
        Self::Error(ExitError::new(error))
    }
}

/// The types that may be returned as an error by a body, a start function, an `init` or a task: every error,
/// `anyhow::Error`, `Box<dyn Error + Send + Sync>`, `String`, `&str`, and [`Reason`] itself.
///
/// ```
/// use riot_actor::{Reason, process::IntoReason};
///
/// assert_eq!(std::fmt::Error.into_reason(), Reason::from(std::fmt::Error));
/// assert_eq!("no disk".into_reason().to_string(), "error: no disk");
/// assert_eq!(Reason::Kill.into_reason(), Reason::Kill);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a process",
    label = "this error is not `Send + Sync + 'static`, or no error",
    note = "an error is anything that converts into `Box<dyn Error + Send + Sync>`: an error type, \
            `anyhow::Error`, a text, or a `Reason`",
    note = "a `Box<dyn Error>` becomes one with `.map_err(|error| error.to_string())`"
)]
pub trait IntoReason {
    /// Returns the exit reason; a reason that was wrapped as an error is taken out again.
    fn into_reason(self) -> Reason;
}

// Without it the compiler explains how a boxed error is converted, in three errors.
#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn Error + Send + Sync>>> IntoReason for E {
    fn into_reason(self) -> Reason {
        match self.into().downcast::<ReasonError>() {
            Ok(reason) => reason.0,
            Err(error) => Reason::Error(ExitError::new(error)),
        }
    }
}

/// Makes the error of a result a [`Reason`], where `?` cannot: `From<anyhow::Error>` for `Reason` is not
/// possible beside `From` for all errors.
///
/// The other way, where the error type is `anyhow::Error`, goes by a boxed error, into which a reason
/// converts: `.map_err(Box::<dyn std::error::Error + Send + Sync>::from)`.
///
/// ```
/// use riot_actor::{Reason, process::OrReason};
///
/// fn parse(text: &str) -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
///     Ok(text.parse()?)
/// }
/// fn first(text: &str) -> Result<u8, Reason> {
///     Ok(parse(text).or_reason()?)
/// }
/// assert!(matches!(first("x"), Err(Reason::Error(_))));
/// ```
pub trait OrReason<T> {
    /// Returns the value, or the error as a reason.
    ///
    /// # Errors
    /// That of the result.
    fn or_reason(self) -> Result<T, Reason>;
}

impl<T, E: IntoReason> OrReason<T> for Result<T, E> {
    fn or_reason(self) -> Result<T, Reason> {
        self.map_err(IntoReason::into_reason)
    }
}

/// Returns `Ok(())`, for the last line of a body whose errors are reasons.
///
/// ```
/// # use riot_actor::{Reason, ok, run};
/// let reason = run(async {
///     let number: u8 = "7".parse()?;
///     assert_eq!(number, 7);
///     ok()
/// });
/// assert_eq!(reason, Reason::Normal);
/// ```
///
/// # Errors
/// None.
pub fn ok() -> Result<(), Reason> {
    Ok(())
}

/// Lets a reason be returned where any error may be, with the causes of the error in it.
///
/// ```
/// use riot_actor::Reason;
/// let error: Box<dyn std::error::Error + Send + Sync> = Reason::from(std::fmt::Error).into();
/// assert_eq!(error.to_string(), Reason::from(std::fmt::Error).to_string());
/// ```
impl From<Reason> for Box<dyn Error + Send + Sync> {
    fn from(reason: Reason) -> Self {
        Box::new(ReasonError(reason))
    }
}

/// A reason as an error. [`Reason`] itself is none, since every error converts into one.
#[derive(Debug)]
struct ReasonError(Reason);

impl fmt::Display for ReasonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for ReasonError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Reason::Error(error) => error.source(),
            _ => None,
        }
    }
}

/// Lets `fn main() -> Reason { run(…) }` give the shell what it expects: exit code 0 for a clean reason; else
/// 1, and the reason on the standard error.
impl std::process::Termination for Reason {
    fn report(self) -> ExitCode {
        if self.is_clean() {
            return ExitCode::SUCCESS;
        }
        print_end(format_args!("{self:#}"));
        ExitCode::FAILURE
    }
}

/// Prints why the program ends, and waits a little for that to be written.
pub(crate) fn print_end(cause: impl fmt::Display) {
    let line = format!("riot ERROR the program ended: {}", text::printable(cause));
    stderr::write_line(&line, stderr::Rate::Unlimited);
    stderr::flush(stderr::LOG_FLUSH_TIMEOUT);
}

/// The error inside a [`Reason::Error`]. Cheap to clone; dereferences to the error itself.
///
/// Two are equal if they are clones of one another or print the same text. `{}` prints the error alone,
/// `{:#}` with its causes, joined by `: `.
///
/// ```
/// use riot_actor::{Reason, process::ExitError};
///
/// let parsed = "x".parse::<u8>().unwrap_err();
/// let Reason::Error(error) = Reason::from(parsed.clone()) else { unreachable!() };
/// assert_eq!(error.downcast_ref(), Some(&parsed));
/// assert_eq!(error, ExitError::new(parsed));
/// ```
#[derive(Clone)]
pub struct ExitError(Arc<Contained<Box<dyn Error + Send + Sync>>>);

impl ExitError {
    /// Wraps an error, or anything that becomes one.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::new(Contained::new(error.into())))
    }
}

impl Deref for ExitError {
    type Target = dyn Error + Send + Sync + 'static;
    fn deref(&self) -> &Self::Target {
        &***self.0
    }
}

impl PartialEq for ExitError {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.to_string() == other.to_string()
    }
}

impl fmt::Display for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error: &(dyn Error + Send + Sync) = &**self;
        let with_causes = f.alternate();
        guard::print(f, |out| match with_causes {
            true => out.write_str(&text::with_causes(error)),
            false => write!(out, "{error}"),
        })
    }
}

impl fmt::Debug for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error: &(dyn Error + Send + Sync) = &**self;
        let is_pretty = f.alternate();
        guard::print(f, |out| match is_pretty {
            true => write!(out, "{error:#?}"),
            false => write!(out, "{error:?}"),
        })
    }
}

/// A value inside a [`Reason`]: anything that can be compared and printed. Cheap to clone.
///
/// ```
/// # use riot_actor::{process::Detail, Reason};
/// let Reason::Other(detail) = Reason::other(42_u8) else { unreachable!() };
/// assert_eq!(detail, Detail::new(42_u8));
/// assert_eq!(detail.downcast_ref::<u8>(), Some(&42));
/// ```
#[derive(Clone)]
pub struct Detail(Arc<dyn Value>);

impl Detail {
    /// Wraps a value.
    pub fn new(value: impl PartialEq + fmt::Debug + Send + Sync + 'static) -> Self {
        Self(Arc::new(Contained::new(value)))
    }

    /// Returns a reference to the value, if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        self.0.as_any().downcast_ref()
    }
}

/// Two details are equal if their values are, and texts also if one is a `&str` and the other a `String`.
impl PartialEq for Detail {
    fn eq(&self, other: &Self) -> bool {
        match (as_text(self.0.as_any()), as_text(other.0.as_any())) {
            (Some(own), Some(other)) => own == other,
            _ => contain(|| self.0.equals(other.0.as_any())).unwrap_or(false),
        }
    }
}

/// Returns the text of a value that is one.
fn as_text(value: &dyn Any) -> Option<&str> {
    match value.downcast_ref::<&'static str>() {
        Some(text) => Some(text),
        None => value.downcast_ref::<String>().map(String::as_str),
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_pretty = f.alternate();
        guard::print(f, |out| match is_pretty {
            true => write!(out, "{:#?}", self.0.as_debug()),
            false => write!(out, "{:?}", self.0.as_debug()),
        })
    }
}

trait Value: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn as_debug(&self) -> &dyn fmt::Debug;
    fn equals(&self, other: &dyn Any) -> bool;
}

impl<T: PartialEq + fmt::Debug + Send + Sync + 'static> Value for Contained<T> {
    fn as_any(&self) -> &dyn Any {
        &**self
    }
    fn as_debug(&self) -> &dyn fmt::Debug {
        &**self
    }
    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>().is_some_and(|other| **self == *other)
    }
}

/// The types that the body of a process may return: `()`, a [`Reason`], or a `Result` of anything with any
/// [error](IntoReason).
///
/// `()` and `Ok` become `Normal`, except that `Ok(reason)` becomes that reason; an `Err(e)` becomes
/// `Error(e)`, or the reason itself if `e` is one.
///
/// ```
/// # use riot_actor::{process::Outcome, Reason};
/// assert_eq!(().into_reason(), Reason::Normal);
/// assert_eq!(Err::<(), _>(Reason::Shutdown).into_reason(), Reason::Shutdown);
/// assert!(matches!("x".parse::<u8>().map(drop).into_reason(), Reason::Error(_)));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an outcome of a process",
    label = "the body of a process returns this",
    note = "a body returns `()`, a `Reason`, or a `Result` of anything with any error that is `Send + Sync`",
    note = "end the body with `;`, or with `Ok(())`"
)]
pub trait Outcome {
    /// Returns the exit reason.
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

/// The outcome of a body that loops forever. Its type has no name in stable Rust, but the result of a
/// function has.
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

impl<T: 'static, E: IntoReason> Outcome for Result<T, E> {
    fn into_reason(self) -> Reason {
        match self {
            Ok(value) => {
                let mut value = Some(value);
                let reason = (&mut value as &mut dyn Any).downcast_mut::<Option<Reason>>();
                reason.and_then(Option::take).unwrap_or(Reason::Normal)
            }
            Err(error) => error.into_reason(),
        }
    }
}
