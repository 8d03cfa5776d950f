//! Connections that persist, and their end: RFC 9112 §9.3 to §9.8, RFC 9110 §7.6.1.
//!
//! | section | sentence, shortened | test |
//! |---|---|---|
//! | 9112 §9.3 | `close`, the version and `keep-alive` decide, in this order | `h05_the_options_decide_in_the_order_of_the_rules` |
//! | 9112 §9.3 | the whole body is read, or the connection closed after the response (MUST) | `http_rules::h07_an_unread_body_is_drained`, `http_rules::h07_a_body_too_large_to_drain_ends_the_connection` |
//! | 9112 §9.3 | a connection persists only where every message has its own length | `h05_a_body_without_a_length_is_the_last` |
//! | 9112 §9.3.2 | responses are sent in the order of the requests (MUST) | `h01_responses_come_in_the_order_of_the_requests` |
//! | 9112 §9.5 | a connection that is given up is closed gracefully (SHOULD) | `timeouts::h11_idle_connections_end_without_a_word` |
//! | 9112 §9.5 | the peer's close is noticed and answered (SHOULD) | `handlers::h12_a_client_that_goes_away_takes_its_handler_with_it` |
//! | 9112 §9.6 | a request with `close` is the last that is processed (MUST NOT) | `h05_nothing_behind_a_close_is_processed` |
//! | 9112 §9.6 | the closure follows its response, which says `close` (MUST, SHOULD) | `h05_nothing_behind_a_close_is_processed` |
//! | 9112 §9.6 | a response with `close` is the last (MUST, MUST NOT) | `h05_nothing_behind_a_response_with_close_is_processed` |
//! | 9112 §9.6 | the close is in stages, so that the response is not lost (SHOULD) | `http_rules::h07_the_end_lingers` |
//! | 9112 §9.8 | closure alerts end a TLS connection (MUST) | `tls::answers_over_tls_are_the_same_and_the_end_is_announced` |
//! | 9110 §7.6.1 | options have no case, and are a list | `h05_the_options_decide_in_the_order_of_the_rules` |
//! | 9110 §7.6.1 | what concerns one connection is named in `Connection` (MUST) | `only_the_connection_writes_its_options` |

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use common::{Served, config, ok};
use riot_http::{Reqd, Response};

/// A server that says the target, and counts the requests handled. `?close` ends the connection.
fn counting() -> (Served, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let served = Served::new(config(), move |reqd: Reqd| {
        counted.fetch_add(1, SeqCst);
        async move {
            let mut response = Response::ok();
            if reqd.request().query() == Some("close") {
                response = response.try_header("Connection", "Close, x").expect("it is a field");
            }
            let target = reqd.request().target().to_owned();
            reqd.respond_with_string(response, target)
        }
    });
    (served, count)
}

#[test]
fn h05_the_options_decide_in_the_order_of_the_rules() {
    for (version, fields, persists) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: CLOSE\r\n", false),
        ("1.1", "connection:\tx ,, cLoSe\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: close, keep-alive\r\n", false),
        ("1.1", "Connection: closed\r\nX: close\r\n", true),
        ("1.1", "Connection: \"close\"\r\n", true),
        ("1.1", "Keep-Alive: timeout=1\r\nProxy-Connection: close\r\n", true),
        ("1.4", "Connection: close\r\n", false),
        ("1.4", "", true),
        ("1.0", "", false),
        ("1.0", "Connection: x\r\n", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: x, KEEP-ALIVE\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Proxy-Connection: keep-alive\r\n", false),
    ] {
        let (mut served, count) = counting();
        let heard = served.talk(format!("GET /1 HTTP/{version}\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(served.hand.write_is_closed().is_none(), persists, "{version} {fields:?}");
        assert_eq!(heard.contains("connection: close\r\n"), !persists, "{version} {fields:?}");
        served.talk("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(count.load(SeqCst), 1 + usize::from(persists), "{version} {fields:?}");
    }
}

#[test]
fn h05_nothing_behind_a_close_is_processed() {
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    for last in ["Connection: close\r\n", "Connection: close\r\nContent-Length: 0\r\n"] {
        let requests = get("/1", "") + &get("/2", last) + &get("/3", "") + "\0\0";
        // At once, and byte by byte.
        for piece_bytes in [usize::MAX, 1] {
            let (mut served, count) = counting();
            let pieces = requests.as_bytes().chunks(piece_bytes);
            let heard: String = pieces.map(|piece| served.talk(piece)).collect();
            let closing = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n/2";
            assert_eq!(heard, ok("/1") + closing);
            assert_eq!((count.load(SeqCst), served.hand.write_is_closed()), (2, Some(0)));
        }
    }
}

#[test]
fn h05_nothing_behind_a_response_with_close_is_processed() {
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let (mut served, count) = counting();
    let heard = served.talk(get("/1") + &get("/2?close") + &get("/3"));
    assert_eq!(heard.matches("HTTP/1.1 200 ").count(), 2, "{heard}");
    assert_eq!(heard.matches("connection: close\r\n").count(), 1, "{heard}");
    assert_eq!((count.load(SeqCst), served.hand.write_is_closed()), (2, Some(0)));
}

#[test]
fn h01_responses_come_in_the_order_of_the_requests() {
    let (mut served, count) = counting();
    let targets: Vec<_> = (0..40).map(|number| format!("/{number}")).collect();
    let requests = targets.iter().map(|target| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let heard = served.talk(requests.collect::<String>());
    assert_eq!(heard, targets.iter().map(|target| ok(target)).collect::<String>());
    assert_eq!(count.load(SeqCst), 40);
}

#[test]
fn h05_a_body_without_a_length_is_the_last() {
    let stream = |reqd: Reqd| async move {
        let Ok(mut body) = reqd.respond_with_streaming(Response::ok()) else { return };
        let _ = body.write("piece").await;
        let _ = body.close();
    };
    let mut served = Served::new(config(), stream);
    let heard = served.talk("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(heard, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\npiece");
    assert_eq!(served.hand.write_is_closed(), Some(0));
    let mut served = Served::new(config(), stream);
    let heard = served.talk(common::GET.repeat(2));
    assert_eq!(heard.matches("transfer-encoding: chunked\r\n").count(), 2, "chunks have a length: {heard}");
    assert_eq!(served.hand.write_is_closed(), None);
}

#[test]
fn only_the_connection_writes_its_options() {
    let mut served = Served::new(config(), |reqd: Reqd| async move {
        let response = [
            "Connection: etag, keep-alive",
            "Keep-Alive: timeout=9",
            "Transfer-Encoding: gzip",
            "ETag: \"a\"",
        ]
        .into_iter()
        .filter_map(|field| field.split_once(": "))
        .fold(Response::ok(), |response, (name, value)| response.try_header(name, value).expect("a field"));
        reqd.respond_with_string(response, "x")
    });
    let heard = served.talk(common::GET);
    assert_eq!(heard, "HTTP/1.1 200 OK\r\netag: \"a\"\r\ncontent-length: 1\r\n\r\nx");
    let heard = served.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(heard.contains("\r\nconnection: close\r\n") && !heard.contains("keep-alive"), "{heard}");
}
