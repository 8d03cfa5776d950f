//! The routes of the example servers: small ones that try out every kind of request and response.

use std::time::Duration;

use bytes::Bytes;
use riot_http::{
    Request, Response,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
};

/// The largest body made up here.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One piece of a body made up here.
static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// Answers one request; `sleep` is how `/slow` passes the time.
pub(crate) async fn routes<S, F>(request: Request, sleep: S) -> Response
where
    S: Fn(Duration) -> F,
    F: Future<Output = ()>,
{
    let path = request.path().to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    let (name, arguments) = (segments.get(1).copied().unwrap_or("*"), segments.get(2..).unwrap_or_default());
    let numbers: Vec<u64> = arguments.iter().map_while(|argument| argument.parse().ok()).collect();
    let gets = matches!(*request.method(), Method::GET | Method::HEAD);
    match (gets, name, &numbers[..], arguments.len()) {
        (true, "", [], 0) => Response::text("Hello, World!"),
        (true, "bytes", &[length], 1) if length <= BODY_BYTES_MAX => bytes(length),
        (true, "chunked", &[count, size], 2) if count.saturating_mul(size) <= BODY_BYTES_MAX => {
            chunked(count, size)
        }
        (true, "panic", [], 0) => panic!("asked to"),
        (true, "slow", &[millis], 1) => {
            sleep(Duration::from_millis(millis)).await;
            Response::text("at last")
        }
        (true, "status", &[code], 1) => {
            match u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok()) {
                Some(status) => Response::new(status),
                None => Response::not_found(),
            }
        }
        (false, "echo", [], 0) if matches!(*request.method(), Method::POST | Method::PUT) => {
            echo(request).await
        }
        (false, "inspect", [], 0) if *request.method() == Method::POST => inspect(request).await,
        _ => Response::text("there is nothing here\n").status(StatusCode::NOT_FOUND),
    }
}

fn bytes(length: u64) -> Response {
    if let Some(piece) = usize::try_from(length).ok().and_then(|length| PIECE.get(..length)) {
        return Response::text(piece);
    }
    let response = Response::streaming(move |mut body| async move {
        let mut left = length;
        while left > 0 {
            let piece = &PIECE[..left.min(PIECE.len() as u64) as usize];
            if body.write(piece).await.is_err() {
                return;
            }
            left -= piece.len() as u64;
        }
        let _ = body.close();
    });
    response.header(header::CONTENT_LENGTH, HeaderValue::from(length))
}

fn chunked(count: u64, size: u64) -> Response {
    Response::streaming(move |mut body| async move {
        let chunk = Bytes::from(vec![b'x'; size as usize]);
        for _ in 0..count {
            if body.write(chunk.clone()).await.is_err() {
                return;
            }
        }
        let _ = body.close();
    })
}

/// Sends the body back while it comes in.
pub(crate) async fn echo(request: Request) -> Response {
    let (head, mut incoming) = request.into_parts();
    // Asked for before the answer begins, so that a peer that waits for "continue" is told to.
    let mut next = match incoming.chunk().await {
        Ok(piece) => piece,
        Err(error) => return Response::text(error.to_string()).status(StatusCode::BAD_REQUEST),
    };
    let response = Response::streaming(move |mut body| async move {
        while let Some(piece) = next {
            if body.write(piece).await.is_err() {
                return;
            }
            next = match incoming.chunk().await {
                Ok(piece) => piece,
                Err(_) => return,
            };
        }
        let _ = body.close();
    });
    [header::CONTENT_TYPE, header::CONTENT_LENGTH]
        .into_iter()
        .fold(response, |response, name| same(response, &head, name))
}

/// Copies a field of the request.
fn same(response: Response, head: &riot_http::Head, name: HeaderName) -> Response {
    match head.headers().get(&name).and_then(|value| HeaderValue::from_bytes(value).ok()) {
        Some(value) => response.header(name, value),
        None => response,
    }
}

/// Says what the request looked like.
async fn inspect(request: Request) -> Response {
    let (head, mut body) = request.into_parts();
    let mut length = 0;
    loop {
        match body.chunk().await {
            Ok(Some(piece)) => length += piece.len(),
            Ok(None) => break,
            Err(error) => return Response::text(error.to_string()).status(StatusCode::BAD_REQUEST),
        }
    }
    let lines = format!(
        "method={}\ntarget={}\nversion={:?}\nbody-length={length}\n",
        head.method(),
        head.target(),
        head.version()
    );
    let mut lines = lines.into_bytes();
    for (name, value) in head.headers() {
        lines.extend_from_slice(b"header: ");
        lines.extend_from_slice(name.as_bytes());
        lines.push(b'=');
        lines.extend_from_slice(value);
        lines.push(b'\n');
    }
    Response::text(lines)
}
