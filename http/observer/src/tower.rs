//! The observer as a tower service.

use std::{
    convert::Infallible,
    fmt,
    future::poll_fn,
    net::{Ipv4Addr, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use riot_actor::runtime::RuntimeId;
use riot_http::{
    DrainSignal, Head,
    http::{self, StatusCode, header, request::Parts},
};
use tower_service::Service;

use crate::{
    core::Core,
    head,
    message::{ReadBody, Reply},
};

/// An address that is not of this machine, for peers that are not known.
const UNKNOWN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// An [`Observer`](crate::Observer) as a tower service; see [`Observer::tower`](crate::Observer::tower).
#[derive(Clone)]
pub struct ObserverService(Arc<Core>);

impl ObserverService {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(core)
    }
}

impl fmt::Debug for ObserverService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObserverService")
    }
}

/// The future of an [`ObserverService`].
type Answering = Pin<Box<dyn Future<Output = Result<http::Response<ObserverBody>, Infallible>> + Send>>;

impl<B> Service<http::Request<B>> for ObserverService
where
    B: http_body::Body<Data: Send> + Send + 'static,
{
    type Response = http::Response<ObserverBody>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Answering {
        let (core, (parts, body)) = (self.0.clone(), request.into_parts());
        Box::pin(async move { Ok(response(answer(&core, &parts, TowerBody(body)).await)) })
    }
}

/// The body of a request, as tower services have it.
struct TowerBody<B>(B);

impl<B: http_body::Body<Data: Send> + Send> ReadBody for TowerBody<B> {
    async fn read(self, max_bytes: usize) -> Result<Bytes, StatusCode> {
        let Self(body) = self;
        let (mut body, mut all) = (pin!(body), Vec::new());
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let Ok(frame) = frame else { return Err(StatusCode::BAD_REQUEST) };
            let Ok(mut data) = frame.into_data() else { continue };
            while data.has_remaining() {
                let piece = data.chunk();
                if piece.len() > max_bytes - all.len() {
                    return Err(StatusCode::PAYLOAD_TOO_LARGE);
                }
                all.extend_from_slice(piece);
                let length = piece.len();
                data.advance(length);
            }
        }
        Ok(all.into())
    }
}

async fn answer<B>(core: &Core, parts: &Parts, body: TowerBody<B>) -> Reply
where
    B: http_body::Body<Data: Send> + Send,
{
    if RuntimeId::current().is_none() {
        let text = "the observer runs in a server of riot-http alone\n";
        return Reply::text(StatusCode::SERVICE_UNAVAILABLE, text);
    }
    core.attach();
    match head_of(parts) {
        Some(head) => core.answer(&head, parts.uri.path(), peer_of(parts), body).await,
        None => Reply::text(StatusCode::BAD_REQUEST, "the head cannot be read\n"),
    }
}

/// Returns the address of the peer; none if it has no internet address. One that is not known counts as that
/// of another machine.
fn peer_of(parts: &Parts) -> Option<SocketAddr> {
    let peer = parts.extensions.get::<SocketAddr>().copied();
    // Our server says nothing of the peer if that has no internet address, but adds this.
    let is_ours = parts.extensions.get::<DrainSignal>().is_some();
    peer.or((!is_ours).then_some(UNKNOWN))
}

/// Returns the head as our own server would have received it; none if it would refuse it.
fn head_of(parts: &Parts) -> Option<Head> {
    let Parts { method, uri, headers, .. } = parts;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = headers.get(header::HOST).map(|host| host.as_bytes());
    let host = host.or(uri.authority().map(|authority| authority.as_str().as_bytes()));
    // A request of HTTP/1.0 may have no host.
    let version = if host.is_some() { "1.1" } else { "1.0" };
    let mut bytes = format!("{method} {path} HTTP/{version}\r\n").into_bytes();
    let mut push = |name: &str, value: &[u8]| {
        for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
            bytes.extend_from_slice(piece);
        }
    };
    if let Some(host) = host {
        push("host", host);
    }
    for (name, value) in headers {
        // Of one connection, or of the body, which is not looked at.
        let is_framing = [
            header::HOST,
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::EXPECT,
            header::TE,
            header::TRAILER,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
        ];
        if !is_framing.contains(name) {
            push(name.as_str(), value.as_bytes());
        }
    }
    bytes.extend_from_slice(b"\r\n");
    head::parse(&bytes)
}

fn response(reply: Reply) -> http::Response<ObserverBody> {
    let mut response = http::Response::new(ObserverBody(None));
    *response.status_mut() = reply.status;
    for (name, value) in reply.fields() {
        response.headers_mut().append(name, value);
    }
    response.body_mut().0 = Some(reply.body).filter(|body| !body.is_empty());
    response
}

/// The body of a response of an [`ObserverService`], in memory as a whole.
#[derive(Debug)]
pub struct ObserverBody(Option<Bytes>);

impl http_body::Body for ObserverBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
