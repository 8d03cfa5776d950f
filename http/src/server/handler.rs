//! Handlers, which hold a request and its response, and services, which map one to the other.

use std::{
    hint::cold_path,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{HandlerError, IntoResponse, Reqd, Request, Responded};

/// Answers requests.
///
/// Any `Fn(Reqd) -> impl Future` is a handler, where the future returns `()`, the [`Responded`] that
/// responding gives, or a `Result` of one of them. A request without a response is answered with 500. The
/// error that a handler returns is logged as a warning with its causes, the client's address, the method and
/// the path; so is a handler that gives no response, or one that cannot be sent.
///
/// ```
/// use riot_http::{Handler, Reqd, Response};
///
/// fn greeter() -> impl Handler {
///     |reqd: Reqd| async move { reqd.respond_with_string(Response::ok(), "hello") }
/// }
/// # let _ = greeter();
/// ```
///
/// # Libraries that need tokio
/// A handler runs in a process, outside of tokio, so that a library that needs tokio's timers or sockets
/// panics in it. With the feature `tokio`, `Server::tokio` runs all handlers of a server inside a runtime of
/// tokio.
///
/// Without it, a program that uses such a library has a runtime of tokio of its own; handlers spawn the work
/// there and await the result. Work that was spawned goes on if the client disconnects.
///
/// ```
/// use std::time::Duration;
/// use riot_http::{Handler, HandlerError, Reqd, Response};
///
/// fn slow(tokio: tokio::runtime::Handle) -> impl Handler {
///     move |reqd: Reqd| {
///         let work = tokio.spawn(async {
///             tokio::time::sleep(Duration::from_secs(1)).await;
///             "done"
///         });
///         async move {
///             reqd.respond_with_string(Response::ok(), work.await?)?;
///             Ok::<(), HandlerError>(())
///         }
///     }
/// }
/// # let _ = slow;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "this does not implement `Handler`",
    note = "a handler is a function such as `async fn answer(reqd: Reqd) -> Result<(), HandlerError>`, or a \
            closure such as `|reqd: Reqd| async move {{ .. }}`",
    note = "it is `Send + Sync + 'static`, and its future is `Send`",
    note = "a function from `Request` to a response is a service: use `Server::service`"
)]
pub trait Handler: Send + Sync + 'static {
    /// Handles one request.
    ///
    /// # Errors
    /// Whatever the handler could not do. The client gets 500 if it has no response yet; the error is logged.
    fn handle(&self, reqd: Reqd) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// Is told the address of every listening socket of the server before a client is accepted there; accepts
    /// all addresses by default. A handler that must not be reached from everywhere refuses one by an error,
    /// and the server does not start. A handler that wraps another one passes the call on. Must not block.
    ///
    /// ```
    /// use std::io;
    /// use riot_http::{Handler, HandlerError, Reqd, socket::Address};
    ///
    /// /// Serves another handler to this machine alone.
    /// struct Private<H>(H);
    ///
    /// impl<H: Handler> Handler for Private<H> {
    ///     async fn handle(&self, reqd: Reqd) -> Result<(), HandlerError> {
    ///         self.0.handle(reqd).await
    ///     }
    ///
    ///     fn on_listen(&self, address: &Address) -> io::Result<()> {
    ///         match address.as_ip() {
    ///             Some(ip) if !ip.ip().is_loopback() => Err(io::Error::other("listen on loopback")),
    ///             _ => self.0.on_listen(address),
    ///         }
    ///     }
    /// }
    /// # let _ = Private(|reqd: Reqd| async move { drop(reqd) });
    /// ```
    ///
    /// # Errors
    /// Why the server must not listen there. It is the error of the bind.
    #[cfg(feature = "driver")]
    fn on_listen(&self, address: &riot_socket::Address) -> std::io::Result<()> {
        let _ = address;
        Ok(())
    }
}

impl<F, Fut> Handler for F
where
    F: Fn(Reqd) -> Fut + Send + Sync + 'static,
    Fut: AsyncOutput<Output: HandlerOutput> + Send,
{
    fn handle(&self, reqd: Reqd) -> impl Future<Output = Result<(), HandlerError>> + Send {
        Handling { future: self(reqd) }
    }
}

pin_project_lite::pin_project! {
    /// The future of a handler, whose output is its error alone. An `async` block around it would have room
    /// for it twice.
    struct Handling<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future<Output: HandlerOutput>> Future for Handling<F> {
    type Output = Result<(), HandlerError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map(HandlerOutput::into_result)
    }
}

/// Types that the future of a handler may return.
#[diagnostic::on_unimplemented(
    message = "a handler does not return `{Self}`",
    label = "the future of this handler returns `{Self}`",
    note = "the future of a handler returns `()`, `Responded`, or a `Result` of one of them",
    note = "an error is anything that converts into `Box<dyn Error + Send + Sync>`, such as `HandlerError`",
    note = "a function that returns a response is a service, and takes a `Request`: use `Server::service`"
)]
pub trait HandlerOutput {
    /// Returns the error, if there is one.
    ///
    /// # Errors
    /// The handler's.
    fn into_result(self) -> Result<(), HandlerError>;
}

impl HandlerOutput for () {
    fn into_result(self) -> Result<(), HandlerError> {
        Ok(())
    }
}

impl HandlerOutput for Responded {
    fn into_result(self) -> Result<(), HandlerError> {
        Ok(())
    }
}

// Without it the compiler explains how a boxed error is converted, in three errors.
#[diagnostic::do_not_recommend]
impl<T: HandlerOutput, E: Into<HandlerError>> HandlerOutput for Result<T, E> {
    fn into_result(self) -> Result<(), HandlerError> {
        match self {
            Ok(output) => output.into_result(),
            Err(error) => {
                cold_path();
                Err(error.into())
            }
        }
    }
}

/// Maps a request to a response. Any `Fn(Request) -> impl Future` that returns an [`IntoResponse`] is a
/// service.
///
/// A service may return a `Result` whose error is a response as well. Such an error is sent to the client and
/// not logged. A [`Handler`] may return any error: the client gets a 500, and the log the error.
///
/// ```
/// use riot_http::{Request, Response, Service};
///
/// fn echo_target() -> impl Service {
///     |request: Request| async move { Response::text(request.target().to_owned()) }
/// }
/// # let _ = echo_target();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a service",
    label = "this does not implement `Service`",
    note = "a service is `async fn(Request) -> impl IntoResponse`, a closure such as \
            `|request: Request| async move {{ .. }}`, or a type that implements `Service`",
    note = "it is `Send + Sync + 'static`, and its future is `Send`",
    note = "a function of `Reqd` is a handler: use `Server::handler`"
)]
pub trait Service: Send + Sync + 'static {
    /// The output of the service.
    type Response: IntoResponse;

    /// Answers one request.
    fn call(&self, request: Request) -> impl Future<Output = Self::Response> + Send;
}

/// Any future, as the output of a function that has to be `async`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a future: write `async fn`, or `async move {{ .. }}` in a closure",
    label = "this is not `async`: it returns `{Self}`"
)]
pub trait AsyncOutput: Future {}

#[diagnostic::do_not_recommend]
impl<F: Future> AsyncOutput for F {}

/// A function that is a service: a `Fn(Request) -> Fut`. The compiler infers the argument of a closure from
/// it.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function from a request to a response",
    label = "this is no `Fn(Request) -> _`",
    note = "a service is `async fn(Request) -> impl IntoResponse`, or a closure such as \
            `|request| async move {{ .. }}`",
    note = "a type that implements `Service` is given as `.handler(service(value))`"
)]
pub trait ServiceFunction<Fut>: Fn(Request) -> Fut + Service {}

impl<F, Fut> ServiceFunction<Fut> for F
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: AsyncOutput<Output: IntoResponse> + Send,
{
}

impl<F, Fut> Service for F
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: AsyncOutput<Output: IntoResponse> + Send,
{
    type Response = Fut::Output;

    fn call(&self, request: Request) -> impl Future<Output = Fut::Output> + Send {
        self(request)
    }
}

/// Makes a handler of a service: of a type that implements [`Service`], or of a function, for which
/// `Server::service` is shorter.
///
/// ```
/// use riot_http::{Request, Response, service};
/// let handler = service(|request: Request| async move { Response::text(request.target().to_owned()) });
/// # let _ = handler;
/// ```
#[must_use]
pub fn service<S: Service>(service: S) -> ServiceHandler<S> {
    ServiceHandler(service)
}

/// A service as a handler; see [`service()`].
#[derive(Clone, Debug)]
pub struct ServiceHandler<S>(S);

impl<S: Service> Handler for ServiceHandler<S> {
    async fn handle(&self, reqd: Reqd) -> Result<(), HandlerError> {
        let (request, mut responder) = reqd.into_parts();
        let response = self.0.call(request).await.into_response();
        // A response that cannot be sent is replaced when the responder is dropped, if that is possible.
        if let Some(streaming) = responder.begin(response)? {
            streaming.await;
        }
        Ok(())
    }
}
