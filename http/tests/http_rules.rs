//! The rules of an HTTP connection, H1 to H12. H11 is in `timeouts` and `timers`.

mod common;

use std::time::Duration;

use common::{Count, DATE, GET, Held, Served, config, limited, ok, poll, ready};
use riot_flow::{Flow, FlowError, ReadOperation};
use riot_http::{
    BodyError, Limits, Reqd, Request, RequestError, RespondError, Response, WriteError,
    http::{HeaderValue, StatusCode, header},
    service,
};

fn head(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\n")
}

fn target_server() -> Served {
    Served::new(config(), |reqd: Reqd| async move {
        let target = reqd.request().target().to_owned();
        reqd.respond_with_string(Response::ok(), target)
    })
}

#[test]
fn h01_requests_come_one_at_a_time_and_answers_in_order() {
    let mut held = Held::new(config());
    held.hand.push(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    let first = held.next().unwrap();
    assert!(held.next().is_none(), "the second waits for the first's answer");
    first.respond_with_string(Response::ok(), "1").unwrap();
    assert_eq!(held.next().unwrap().request().path(), "/2");
}

#[test]
fn h01_sixteen_are_read_ahead() {
    let mut held = Held::new(config());
    held.hand.push(GET.repeat(20).as_bytes());
    assert_eq!(held.hand.read_operation(), ReadOperation::Yield);
    assert_eq!(held.hand.unread().len(), 4 * GET.len());
    held.next().unwrap().respond_with_string(Response::ok(), "").unwrap();
    held.hand.pump();
    assert_eq!(held.hand.unread().len(), 3 * GET.len());
}

#[test]
fn h01_heads_read_ahead_are_bounded_in_bytes_as_well() {
    let mut held = Held::new(config());
    let large =
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", format!("A: {}\r\n", "b".repeat(8000)).repeat(7));
    held.hand.push(large.repeat(4).as_bytes());
    assert_eq!(held.hand.unread().len(), 2 * large.len());
}

#[test]
fn h01_a_pipeline_is_answered_in_one_write() {
    let mut served = target_server();
    let paths: Vec<String> = (0..16).map(|number| format!("/{number}")).collect();
    let input: String = paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let answers: String = paths.iter().map(|path| ok(path)).collect();
    assert_eq!(served.talk(input), answers);
}

#[test]
fn h02_a_response_that_is_refused_is_a_500() {
    let mut held = Held::new(config());
    let wrong = Response::ok().header(header::CONTENT_LENGTH, HeaderValue::from_static("3"));
    assert_eq!(held.request(GET).respond_with_string(wrong, "1"), Err(RespondError::Length));
    assert!(held.heard().starts_with("HTTP/1.1 500 "));
    held.request(GET).respond_with_string(Response::ok(), "2").unwrap();
    assert_eq!(held.heard(), ok("2"), "and the connection goes on");
}

#[test]
fn h02_a_handler_that_ends_without_an_answer_is_500() {
    let mut served = Served::new(config(), |_reqd: Reqd| async {});
    let heard = served.talk(GET);
    assert!(heard.starts_with(&head("500 Internal Server Error")), "{heard}");
    assert_eq!(served.talk(GET), heard, "the connection goes on");
}

#[test]
fn h02_a_handler_that_panics_is_500_and_the_end() {
    let mut held = Held::new(config());
    let reqd = held.request(&GET.repeat(2));
    let panicked = std::thread::spawn(move || {
        let _reqd = reqd;
        std::panic::resume_unwind(Box::new("a bug"));
    });
    assert!(panicked.join().is_err());
    held.hand.flow.report_error(FlowError::Application("a bug".into()));
    let heard = held.heard();
    assert_eq!(heard.matches("HTTP/1.1 ").count(), 1, "the second is not answered");
    assert!(heard.starts_with(&head("500 Internal Server Error")) && heard.contains("connection: close"));
    assert!(held.is_over());
}

#[test]
fn h03_what_cannot_be_framed_is_refused_and_closed() {
    // The tables of classes stand beside the parsers; here is what the peer sees.
    let cases = [
        ("Content-Length: 1\r\nContent-Length: 1", 400),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: chunked, chunked", 400),
        ("Host: b", 400),
        ("A : b", 400),
        ("A: b\r\n c", 400),
        ("A: b\rc", 400),
        ("A: b\0c", 400),
        ("A: b\nC: d", 400),
    ];
    for (field, status) in cases {
        let mut served = target_server();
        let heard = served.talk(format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n{GET}"));
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{field:?}: {heard}");
        assert!(heard.contains("connection: close\r\n") && heard.matches("HTTP/1.1").count() == 1, "{heard}");
        assert_eq!(served.hand.write_is_closed(), Some(0), "{field:?}");
    }
}

#[test]
fn h03_a_refusal_waits_for_its_turn() {
    let mut held = Held::new(config());
    held.hand.push(format!("{GET}POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n").as_bytes());
    assert_eq!(held.heard(), "");
    held.next().unwrap().respond_with_string(Response::ok(), "first").unwrap();
    let heard = held.heard();
    assert!(heard.starts_with(&ok("first")) && heard.contains("HTTP/1.1 400 "), "{heard}");
    assert!(held.is_over());
}

#[test]
fn h03_a_broken_chunk_is_refused_in_place_of_the_handler() {
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut held = Held::new(config());
    let mut reqd = held.request(chunked);
    held.hand.push(b"x\r\n");
    let error = ready(reqd.body().chunk()).unwrap_err();
    assert!(matches!(error, BodyError::Request(RequestError::Malformed(_))), "{error}");
    assert_eq!(reqd.respond_with_string(Response::ok(), ""), Err(RespondError::Closed));
    assert!(held.heard().starts_with("HTTP/1.1 400 "));
    let mut held = Held::new(config());
    held.hand.push(format!("{chunked}x\r\n").as_bytes());
    assert!(held.heard().starts_with("HTTP/1.1 400 "));
    assert!(held.is_over(), "no handler ever saw it");
}

#[test]
fn h04_bounds() {
    let limits = Limits::new().max_body_bytes(4).max_line_bytes(40).max_headers(4);
    let cases = [
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(40)), 414),
        (format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(41)), 400),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(4)), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "b".repeat(8192)), 431),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n".to_owned(), 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_owned(), 413),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: x\r\n\r\n".to_owned(), 417),
    ];
    for (input, status) in cases {
        let mut served = Served::new(
            limited(limits.clone()),
            service(|mut request: Request| async move {
                let _ = request.body().bytes(100).await;
            }),
        );
        let heard = served.talk(&input);
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{input:?}: {heard}");
        assert_eq!(served.hand.write_is_closed(), Some(0));
    }
}

#[test]
fn h04_a_head_that_takes_too_long_is_408() {
    let mut held = Held::new(config());
    held.hand.push(b"GET / HT");
    held.hand.advance(Duration::from_millis(9_999));
    assert_eq!(held.heard(), "");
    held.hand.push(b"T");
    held.hand.advance(Duration::from_millis(1));
    assert!(held.heard().starts_with("HTTP/1.1 408 "), "bytes that trickle in do not move it out");
    assert_eq!(held.hand.write_is_closed(), Some(0));
}

#[test]
fn h05_persistence() {
    let cases = [
        ("HTTP/1.1\r\nHost: a", "", true),
        ("HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Close", "connection: close\r\n", false),
        ("HTTP/1.1\r\nHost: a\r\nConnection: foo", "", true),
        ("HTTP/1.0", "connection: close\r\n", false),
        ("HTTP/1.0\r\nConnection: Keep-Alive", "connection: keep-alive\r\n", true),
    ];
    for (lines, said, persists) in cases {
        let mut served = target_server();
        let heard = served.talk(format!("GET / {lines}\r\n\r\n"));
        assert_eq!(heard, format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n{said}\r\n/"), "{lines:?}");
        assert_eq!(served.hand.write_is_closed().is_none(), persists, "{lines:?}");
        assert_eq!(served.talk(GET).is_empty(), !persists);
    }
}

#[test]
fn h05_a_response_can_end_the_connection() {
    let mut held = Held::new(config());
    let response = Response::ok().header(header::CONNECTION, HeaderValue::from_static("close"));
    held.request(&GET.repeat(2)).respond_with_string(response, "x").unwrap();
    assert_eq!(held.heard(), "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx");
    assert!(held.is_over());
}

#[test]
fn h05_a_connection_serves_at_most_max_requests() {
    let mut served = Served::new(limited(Limits::new().max_requests(2)), service(|_: Request| async { "x" }));
    let heard = served.talk(GET.repeat(3));
    assert_eq!((heard.matches("200 OK").count(), heard.matches("connection: close").count()), (2, 1));
}

#[test]
fn h06_continue_is_sent_when_the_body_is_asked_for() {
    let expecting = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let mut held = Held::new(config());
    let mut reqd = held.request(expecting);
    assert_eq!(held.heard(), "");
    assert!(poll(reqd.body().chunk()).is_pending());
    assert!(poll(reqd.body().chunk()).is_pending());
    assert_eq!(held.heard(), "HTTP/1.1 100 Continue\r\n\r\n");
    held.hand.push(b"hi");
    assert_eq!(&ready(reqd.body().bytes(9)).unwrap()[..], b"hi");
    reqd.respond_with_string(Response::ok(), "").unwrap();
    assert_eq!(held.heard(), ok(""), "and the connection goes on");
}

#[test]
fn h06_no_continue_behind_a_final_answer() {
    let expecting = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let mut held = Held::new(config());
    let (mut request, responder) = held.request(expecting).into_parts();
    let _writer = responder.respond_with_streaming(Response::ok()).unwrap();
    assert!(poll(request.body().chunk()).is_pending());
    let heard = held.heard();
    assert!(!heard.contains("100 Continue") && heard.contains("connection: close"), "{heard}");
}

#[test]
fn h06_http_1_0_expects_nothing() {
    let mut held = Held::new(config());
    let mut reqd = held.request("POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert!(poll(reqd.body().chunk()).is_pending());
    assert_eq!(held.heard(), "");
}

#[test]
fn h07_an_unread_body_is_drained() {
    for body in
        ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
    {
        let mut served = target_server();
        let heard =
            served.talk(format!("POST /1 HTTP/1.1\r\nHost: a\r\n{body}GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(heard, ok("/1") + &ok("/2"));
    }
}

#[test]
fn h07_a_body_too_large_to_drain_ends_the_connection() {
    let mut served = target_server();
    let heard = served.talk("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
    assert!(heard.contains("connection: close"), "it is known before: {heard}");
    let mut served = target_server();
    let heard = served.talk("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(heard, ok("/"), "nobody can know yet");
    served.talk(format!("fffff\r\n{}\r\n", "x".repeat(0xf_ffff)));
    assert_eq!(served.hand.write_is_closed(), None);
    served.talk("5\r\nhello\r\n");
    assert_eq!(served.hand.write_is_closed(), Some(0));
}

#[test]
fn h07_the_end_lingers() {
    let refused = || {
        let mut held = Held::new(config());
        held.hand.push(b"\0");
        assert!(held.heard().contains("connection: close"));
        assert_eq!(held.hand.write_is_closed(), Some(0), "the sending side ends at once");
        assert_eq!(held.hand.read_operation(), ReadOperation::Read, "the receiving side does not");
        held
    };
    let mut until_peer_ends = refused();
    until_peer_ends.hand.push(b"whatever");
    assert!(until_peer_ends.hand.unread().is_empty());
    until_peer_ends.hand.end_input();
    assert!(until_peer_ends.is_closed());
    let mut until_time_is_up = refused();
    until_time_is_up.hand.advance(Duration::from_millis(999));
    assert!(!until_time_is_up.hand.flow.is_closed());
    until_time_is_up.hand.advance(Duration::from_millis(1));
    assert!(until_time_is_up.hand.flow.is_closed());
    let mut until_enough = refused();
    until_enough.hand.push(&[0; 64 * 1024]);
    assert!(until_enough.is_closed());
}

#[test]
fn h07_a_peer_that_asked_for_the_end_needs_no_lingering() {
    let mut held = Held::new(config());
    held.request("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .respond_with_string(Response::ok(), "")
        .unwrap();
    held.heard();
    assert!(held.hand.flow.is_closed());
}

#[test]
fn h08_some_answers_have_no_body() {
    let answer = |method: &str, status: u16| {
        let mut held = Held::new(config());
        let reqd = held.request(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = Response::new(StatusCode::from_u16(status).unwrap());
        reqd.respond_with_string(response, "body").unwrap();
        held.heard()
    };
    assert_eq!(answer("HEAD", 200), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
    assert_eq!(answer("GET", 204), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(answer("GET", 205), "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(answer("GET", 304), "HTTP/1.1 304 Not Modified\r\n\r\n");
}

#[test]
fn h08_a_streamed_answer_to_head_has_no_body_either() {
    for declared in [None, Some(7)] {
        let mut held = Held::new(config());
        let response = declared.map_or(Response::ok(), |length: u64| {
            Response::ok().header(header::CONTENT_LENGTH, HeaderValue::from(length))
        });
        let mut writer =
            held.request("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").respond_with_streaming(response).unwrap();
        ready(writer.write("dropped")).unwrap();
        writer.close().unwrap();
        let length = declared.map_or(String::new(), |length| format!("content-length: {length}\r\n"));
        assert_eq!(held.heard(), format!("HTTP/1.1 200 OK\r\n{length}\r\n"));
        held.request(GET).respond_with_string(Response::ok(), "next").unwrap();
        assert_eq!(held.heard(), ok("next"));
    }
}

#[test]
fn h08_every_final_answer_is_dated() {
    let mut held = Held::new(config());
    let mut reqd = held.request(&format!("{GET}\0"));
    reqd.early_hints(&[(header::LINK, HeaderValue::from_static("</a>"))]).unwrap();
    reqd.respond_with_string(Response::ok(), "").unwrap();
    let heard = String::from_utf8(held.hand.collect()).unwrap();
    assert!(
        heard.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nDate:"),
        "{heard}"
    );
    assert_eq!(heard.matches(DATE).count(), 2, "and the refusal: {heard}");
}

#[test]
fn h09_a_body_longer_than_declared_is_an_error() {
    let mut held = Held::new(config());
    let four = || Response::ok().header(header::CONTENT_LENGTH, HeaderValue::from_static("4"));
    let mut writer = held.request(GET).respond_with_streaming(four()).unwrap();
    ready(writer.write("abc")).unwrap();
    assert_eq!(ready(writer.write("de")), Err(WriteError::TooLong));
    ready(writer.write("d")).unwrap();
    writer.close().unwrap();
    assert_eq!(held.heard(), ok("abcd"));
    assert_eq!(held.request(GET).respond_with_string(four(), "abcde"), Err(RespondError::Length));
}

#[test]
fn h09_a_body_shorter_than_declared_ends_the_connection() {
    let mut held = Held::new(config());
    let four = Response::ok().header(header::CONTENT_LENGTH, HeaderValue::from_static("4"));
    let mut writer = held.request(&GET.repeat(2)).respond_with_streaming(four).unwrap();
    ready(writer.write("abc")).unwrap();
    assert_eq!(writer.close(), Err(WriteError::TooShort));
    assert!(held.heard().ends_with("\r\n\r\nabc"));
    assert_eq!(held.hand.write_is_closed(), Some(0));
    assert!(held.is_over());
}

#[test]
fn h10_a_chunked_answer_cut_short_has_no_last_chunk() {
    let mut held = Held::new(config());
    let mut writer = held.request(GET).respond_with_streaming(Response::ok()).unwrap();
    ready(writer.write("abc")).unwrap();
    ready(writer.write("")).unwrap();
    drop(writer);
    assert_eq!(held.heard(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_eq!(held.hand.write_is_closed(), Some(0));
}

#[test]
fn h10_trailers_stand_behind_the_last_chunk() {
    let mut held = Held::new(config());
    let mut writer = held.request(GET).respond_with_streaming(Response::ok()).unwrap();
    ready(writer.write("abc")).unwrap();
    let trailers = [
        (header::ETAG, HeaderValue::from_static("x")),
        (header::CONTENT_LENGTH, HeaderValue::from_static("1")),
    ];
    writer.close_with_trailers(&trailers).unwrap();
    assert!(held.heard().ends_with("3\r\nabc\r\n0\r\netag: x\r\n\r\n"));
}

#[test]
fn h10_http_1_0_gets_no_chunks() {
    let mut held = Held::new(config());
    let mut writer = held
        .request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .respond_with_streaming(Response::ok())
        .unwrap();
    ready(writer.write("abc")).unwrap();
    writer.close().unwrap();
    assert_eq!(held.heard(), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc");
    assert_eq!(held.hand.write_is_closed(), Some(0));
}

#[test]
fn h12_a_handler_that_asks_learns_that_its_peer_has_gone_away() {
    let mut held = Held::new(config());
    let _reqd = held.request(GET);
    let (count, waker) = Count::new();
    let mut closed = Box::pin(held.requests.closed());
    let mut context = std::task::Context::from_waker(&waker);
    assert!(closed.as_mut().poll(&mut context).is_pending());
    held.hand.end_input();
    assert_eq!(count.get(), 0, "one that only stopped sending is there");
    held.hand.reset();
    assert_eq!(count.get(), 1);
    assert!(closed.as_mut().poll(&mut context).is_ready());
}

#[test]
fn h12_handlers_that_go_away_end_the_connection() {
    let mut held = Held::new(config());
    let reqd = held.request(&GET.repeat(2));
    let common::Held { mut hand, requests } = held;
    drop(requests);
    reqd.respond_with_string(Response::ok(), "last").unwrap();
    let heard = common::undated(hand.collect());
    assert_eq!(heard, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nlast");
    assert_eq!(hand.write_is_closed(), Some(0));
}
