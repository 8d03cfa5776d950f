//! Tower services as handlers.

use std::{
    fmt,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Buf;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version, header};
use http_body::Body as _;
use tower_service::Service;

use super::Handler;
use crate::{Body, HandlerError, Head, Reqd, Responder, Response, Route, Upgrade};

/// Answers requests with a tower service. Each request gets a clone of it, as tower expects.
///
/// The service finds the client's address as a [`SocketAddr`] in the request's extensions, and an
/// [`OnUpgrade`] by which it can switch to another protocol. An error of the service is answered with 500; an
/// error of a response's body cuts the response off. Both are logged, as the errors of a [`Handler`] are.
///
/// The `Host` of a request is its [authority](Head::authority), and the `Upgrade` of HTTP/1.0 is left out,
/// since a server ignores it (RFC 9110 §7.8).
///
/// A router of axum's is given with `router.with_state(())`, which applies its layers once: else they are
/// applied anew for every request, and limits that they share are none. `Server::axum` does that.
///
/// The service runs outside of tokio unless `Server::tokio` says otherwise.
#[derive(Clone, Debug)]
pub struct TowerHandler<S>(S);

impl<S> TowerHandler<S> {
    /// Makes a handler of `service`.
    pub fn new(service: S) -> Self {
        Self(service)
    }
}

/// A tower service of HTTP, whose responses have bodies of type `B`: any service that [`TowerHandler`] takes.
///
/// ```
/// use riot_http::{Handler, TowerService};
///
/// fn logged<B>(service: impl TowerService<B>) -> impl Handler {
///     service.into_handler()
/// }
/// # let _ = logged::<String>(Echo);
/// # use std::{convert::Infallible, future::{Ready, ready}, task::{Context, Poll}};
/// # use riot_http::{Body, http::{Request, Response}};
/// # #[derive(Clone)]
/// # struct Echo;
/// # impl tower_service::Service<Request<Body>> for Echo {
/// #     type Response = Response<String>;
/// #     type Error = Infallible;
/// #     type Future = Ready<Result<Response<String>, Infallible>>;
/// #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
/// #         Poll::Ready(Ok(()))
/// #     }
/// #     fn call(&mut self, request: Request<Body>) -> Self::Future {
/// #         ready(Ok(Response::new(request.uri().to_string())))
/// #     }
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tower service of HTTP",
    label = "this does not implement `tower::Service<http::Request<riot_http::Body>>` as the server needs it",
    note = "a tower service takes an `http::Request<riot_http::Body>`, returns an `http::Response`, and is \
            `Clone + Send + Sync + 'static`; its future is `Send`",
    note = "an axum `Router` is one, once `.with_state(..)` has given it its state; a function from \
            `Request` to a response is a service of this crate: use `Server::service`"
)]
pub trait TowerService<B> {
    /// Returns the service as a handler.
    fn into_handler(self) -> impl Handler;
}

#[diagnostic::do_not_recommend]
impl<S, B> TowerService<B> for S
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    TowerHandler<S>: Handler,
{
    fn into_handler(self) -> impl Handler {
        TowerHandler::new(self)
    }
}

impl<S, B> Handler for TowerHandler<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: http_body::Body<Data: Send> + Send,
    B::Error: Into<HandlerError>,
    S::Error: Into<HandlerError>,
{
    async fn handle(&self, reqd: Reqd) -> Result<(), HandlerError> {
        let peer = reqd.peer();
        let (request, responder) = reqd.into_parts();
        let (head, body) = request.into_parts();
        let is_head = *head.method() == http::Method::HEAD;
        let is_connect = *head.method() == http::Method::CONNECT;
        let Some(mut request) = convert(&head, body, peer) else {
            let refused = Response::text("the target cannot be read\n").status(StatusCode::BAD_REQUEST);
            // Responding fails if the client is gone.
            let _ = responder.respond(refused).await;
            return Ok(());
        };
        drop(head);
        request.extensions_mut().insert(responder.drain_signal());
        let switch = OnUpgrade::default();
        request.extensions_mut().insert(switch.clone());
        let mut service = self.0.clone();
        // Without a response the responder answers 500 when it is dropped.
        poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
        let response = service.call(request).await.map_err(Into::into)?;
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS
            || (is_connect && response.status().is_success());
        if !switches {
            return answer(responder, response, is_head).await;
        }
        // A switch that is refused is answered when the responder is dropped: with 400 if the client is at
        // fault.
        if let Ok(upgrade) = responder.respond_with_upgrade(headed(response.into_parts().0).0)
            && let Some(then) = switch.take()
        {
            then(upgrade).await;
        }
        Ok(())
    }
}

type AfterSwitch = Box<dyn FnOnce(Upgrade) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The switch to another protocol, for a tower service. Every request has one in its extensions.
///
/// The service sets with [`then`](Self::then) what runs after the switch, and responds with 101 and the
/// fields of the new protocol (or 2xx to `CONNECT`). What is set runs in place of the handler, in the
/// client's Connector, so the switched connection is supervised like any other.
///
/// ```
/// use riot_http::{Body, OnUpgrade, http::{Request, Response, StatusCode}};
///
/// async fn shout(request: Request<Body>) -> Response<String> {
///     let mut response = Response::new(String::new());
///     if let Some(on_upgrade) = request.extensions().get::<OnUpgrade>() {
///         on_upgrade.then(|upgrade| async move {
///             if let Ok(mut connection) = upgrade.connection().await {
///                 let _ = connection.write_all(b"HELLO\n").await;
///             }
///         });
///         *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
///         response.headers_mut().insert("upgrade", "shout".parse().expect("it is a word"));
///     }
///     response
/// }
/// # let _ = shout;
/// ```
#[derive(Clone, Default)]
pub struct OnUpgrade(Arc<Mutex<Option<AfterSwitch>>>);

impl OnUpgrade {
    /// Sets what runs once the switch has been answered. A later call replaces an earlier one. If the
    /// response is not a switch, nothing runs.
    pub fn then<F, Fut>(&self, then: F)
    where
        F: FnOnce(Upgrade) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let then: AfterSwitch = Box::new(move |upgrade| Box::pin(then(upgrade)));
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(then);
        drop(before);
    }

    fn take(&self) -> Option<AfterSwitch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for OnUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnUpgrade")
    }
}

fn convert(head: &Head, body: Body, peer: Option<SocketAddr>) -> Option<http::Request<Body>> {
    let mut request = http::Request::new(body);
    *request.method_mut() = head.method().clone();
    *request.uri_mut() = Uri::try_from(head.target()).ok()?;
    *request.version_mut() = head.version();
    *request.headers_mut() = head.headers().to_map();
    if head.version() == Version::HTTP_10 {
        request.headers_mut().remove(header::UPGRADE);
    }
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    Some(request)
}

/// Returns status and fields, and whether they declare a length.
fn headed(parts: http::response::Parts) -> (Response, bool) {
    let mut response = Response::new(parts.status);
    let mut declares_length = false;
    let mut name = None;
    // The iterator gives a name once for all its values.
    for (next, value) in parts.headers {
        name = next.or(name);
        if let Some(name) = &name {
            declares_length |= name == header::CONTENT_LENGTH;
            response = response.header(name.clone(), value);
        }
    }
    (response, declares_length)
}

async fn answer<B: http_body::Body<Error: Into<HandlerError>>>(
    responder: Responder,
    answered: http::Response<B>,
    is_head: bool,
) -> Result<(), HandlerError> {
    let (mut parts, body) = answered.into_parts();
    if let Some(route) = parts.extensions.remove::<Route>() {
        responder.set_route(route);
    }
    #[cfg(feature = "axum")]
    if parts.status == StatusCode::UPGRADE_REQUIRED {
        std::hint::cold_path();
        super::axum::warn_of_upgrades();
    }
    // The length of a 304 is that of the 200 in its place, which is unknown here (RFC 9110 §8.6).
    let has_own_length = !is_head && parts.status != StatusCode::NOT_MODIFIED;
    let (mut response, declares_length) = headed(parts);
    let mut body = pin!(body);
    if !declares_length
        && has_own_length
        && let Some(length) = body.size_hint().exact()
    {
        response = response.header(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    // A body that is complete leaves in one piece with its head.
    if body.is_end_stream() && !is_head {
        responder.respond_with_bytes(response, &b""[..])?;
        return Ok(());
    }
    let first = if is_head { None } else { frame(&mut body).await.transpose()? };
    let first = match first.map(http_body::Frame::into_data) {
        Some(Ok(mut data)) if body.is_end_stream() => {
            responder.respond_with_bytes(response, data.copy_to_bytes(data.remaining()))?;
            return Ok(());
        }
        Some(Ok(data)) => Some(http_body::Frame::data(data)),
        Some(Err(frame)) => Some(frame),
        None => None,
    };
    let mut writer = responder.respond_with_streaming(response)?;
    let (mut next, mut trailers) = (first, Vec::new());
    while let Some(piece) = next {
        match piece.into_data() {
            Ok(mut data) => writer.write(data.copy_to_bytes(data.remaining())).await?,
            Err(frame) => trailers = frame.into_trailers().map(fields).unwrap_or_default(),
        }
        next = frame(&mut body).await.transpose()?;
    }
    writer.close_with_trailers(&trailers)?;
    Ok(())
}

async fn frame<B: http_body::Body<Error: Into<HandlerError>>>(
    body: &mut Pin<&mut B>,
) -> Option<Result<http_body::Frame<B::Data>, HandlerError>> {
    poll_fn(|context| body.as_mut().poll_frame(context)).await.map(|frame| frame.map_err(Into::into))
}

fn fields(map: HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
