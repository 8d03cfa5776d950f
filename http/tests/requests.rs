//! Requests as handlers see them, and services.

mod common;

use common::{GET, Held, Served, config, ready};
use riot_http::{
    BodyError, Request, Response,
    http::{HeaderValue, Method, StatusCode, Version, header},
    service,
};

#[test]
fn a_request_is_what_was_sent() {
    let mut held = Held::new(config());
    let reqd = held.request("PUT /a%20b?c=d&e HTTP/1.0\r\nHOST: a\r\nX-A: 1\r\nx-a:  2\t\r\n\r\n");
    let request = reqd.request();
    assert_eq!((request.method(), request.target()), (&Method::PUT, "/a%20b?c=d&e"));
    assert_eq!(
        (request.path(), request.query(), request.version()),
        ("/a%20b", Some("c=d&e"), Version::HTTP_10)
    );
    assert_eq!(request.headers().get_str(header::HOST), Some("a"));
    assert_eq!(request.headers().get_all("X-a").collect::<Vec<_>>(), [b"1", b"2"]);
}

#[test]
fn trailers_are_read_apart() {
    let mut held = Held::new(config());
    let mut reqd = held.request(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-A: b\r\n\r\n",
    );
    assert_eq!(&ready(reqd.body().bytes(3)).unwrap()[..], b"abc");
    assert_eq!(reqd.body().trailers().unwrap().get("x-a"), Some(&b"b"[..]));
    assert_eq!(reqd.request().headers().get("x-a"), None);
}

#[test]
fn a_body_larger_than_asked_for_is_an_error() {
    let mut held = Held::new(config());
    let mut reqd = held.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd");
    assert_eq!(ready(reqd.body().bytes(3)), Err(BodyError::TooLarge(3)));
    reqd.respond_with_string(Response::new(StatusCode::PAYLOAD_TOO_LARGE), "").unwrap();
    assert!(held.heard().starts_with("HTTP/1.1 413 "));
}

#[test]
fn a_service_maps_requests_to_responses() {
    let mut served = Served::new(
        config().server_name(HeaderValue::from_static("riot")),
        service(
            |request: Request| async move { Response::text(format!("you asked for {}", request.target())) },
        ),
    );
    assert_eq!(
        served.talk(GET),
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\nserver: riot\r\n\
         content-length: 15\r\n\r\nyou asked for /"
    );
}

#[test]
fn a_service_can_stream_back_what_comes_in() {
    let mut served = Served::new(
        config(),
        service(|request: Request| async move {
            let (_, mut incoming) = request.into_parts();
            Response::streaming(|mut body| async move {
                while let Ok(Some(piece)) = incoming.chunk().await {
                    if body.write(piece).await.is_err() {
                        return;
                    }
                }
                let _ = body.close();
            })
        }),
    );
    let start = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc";
    assert_eq!(served.talk(start), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_eq!(served.talk("def"), "3\r\ndef\r\n0\r\n\r\n");
}
