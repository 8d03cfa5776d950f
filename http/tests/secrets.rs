//! Nothing that is shown with `{:?}` holds credentials or the bodies of others.

mod common;

use common::{Held, config};
use riot_flow::Flow;
use riot_http::{
    Http1, HttpConfig, Response,
    http::{HeaderName, HeaderValue, header},
};

/// The secret of every field and body below.
const SECRET: &str = "hunter2";

const FIELDS: [&str; 9] = [
    "Authorization",
    "proxy-authorization",
    "COOKIE",
    "Set-Cookie",
    "authentication-info",
    "Proxy-Authentication-Info",
    "x-api-key",
    "X-Auth-Token",
    "x-csrf-token",
];

fn request() -> String {
    let fields: String = FIELDS.iter().map(|name| format!("{name}: Basic {SECRET}\r\n")).collect();
    let length = SECRET.len();
    format!("POST /a HTTP/1.1\r\nHost: a\r\n{fields}Accept: b\r\nContent-Length: {length}\r\n\r\n{SECRET}")
}

fn shows_no_secret(what: &str, shown: &str) {
    assert!(!shown.contains(SECRET), "{what}: {shown}");
}

#[test]
fn h17_a_request_shows_no_credentials() {
    let mut held = Held::new(config());
    held.hand.push(request().repeat(2).as_bytes());
    let reqd = held.next().expect("it is there");
    let head = reqd.request().clone();
    for shown in
        [format!("{head:?}"), format!("{:#?}", head.headers()), format!("{:?}", head.headers().iter())]
    {
        shows_no_secret("a head", &shown);
        assert_eq!(shown.matches("***").count(), FIELDS.len(), "{shown}");
        assert!(shown.to_lowercase().contains("set-cookie") && shown.contains("\"b\""), "{shown}");
    }
    let map = head.headers().to_map();
    shows_no_secret("a map", &format!("{map:?}"));
    assert_eq!(map["cookie"], format!("Basic {SECRET}"), "the value itself is there");
    shows_no_secret("a reqd", &format!("{reqd:?}"));
    // The connection holds the second request, with its body.
    shows_no_secret("the requests", &format!("{:?} {:?}", held.requests, held.requests.closed()));
    shows_no_secret("a driver", &format!("{:?}", held.hand));
    let (request, responder) = reqd.into_parts();
    shows_no_secret("a request", &format!("{request:?} {responder:?}"));
    let (head, body) = request.into_parts();
    shows_no_secret("its parts", &format!("{head:?} {body:?}"));
    let writer = responder.respond_with_streaming(Response::ok()).expect("it is the first");
    shows_no_secret("a writer", &format!("{writer:?}"));
}

#[test]
fn h17_trailers_show_no_credentials() {
    let mut held = Held::new(config());
    let mut reqd = held.request(&format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\nAuthorization: {SECRET}\r\nA: b\r\n\r\n"
    ));
    assert_eq!(common::ready(reqd.body().chunk()).expect("it ends"), None);
    let shown = format!("{:?}", reqd.body().trailers().expect("there are some"));
    shows_no_secret("trailers", &shown);
    assert!(shown.contains("***") && shown.contains("\"b\""), "{shown}");
}

#[test]
fn h17_a_response_shows_no_credentials() {
    let mut held = Held::new(config());
    let secret = HeaderValue::from_str(SECRET).expect("it is text");
    let mut sensitive = secret.clone();
    sensitive.set_sensitive(true);
    let mut response = Response::text(SECRET).header(HeaderName::from_static("x-mine"), sensitive);
    for name in FIELDS {
        response = response.header(name.to_lowercase().parse().expect("a name"), secret.clone());
    }
    response = response.header(header::ETAG, HeaderValue::from_static("\"a\""));
    let shown = format!("{response:?}");
    shows_no_secret("a response", &shown);
    assert_eq!(shown.matches("***").count(), FIELDS.len() + 1, "{shown}");
    // What is queued for the peer.
    held.request(common::GET).respond_with_bytes(response, SECRET).expect("it is the first");
    shows_no_secret("a connection", &format!("{:?}", held.hand));
    let now = held.hand.now();
    shows_no_secret("a write", &format!("{:?}", held.hand.flow.next_write_operation(now)));
    shows_no_secret("a connection that writes", &format!("{:?}", held.hand.flow));
    assert!(held.heard().contains(SECRET), "the peer gets it");
}

#[test]
fn h17_a_configuration_shows_limits_and_no_code() {
    let config = HttpConfig::new().server_name(HeaderValue::from_static("a\u{9}b"));
    let shown = format!("{config:?}");
    assert!(shown.contains("max_headers") && !shown.contains('\u{9}'), "{shown}");
    let (flow, _requests) = Http1::new(config.into());
    assert!(format!("{flow:?}").starts_with("Http1"));
}
