//! A handler that fails is answered for, and seen: one warning with the client, the method, the path and the
//! chain of causes (H14).

mod common;
#[path = "../../actor/tests/common/kept_log.rs"]
mod kept_log;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use common::{GET, config, poll};
use kept_log::KeptLog;
use riot_flow::ManualDriver;
use riot_http::{
    Handler, Http1, HttpConfig, Reqd, Request, Response, WriteError,
    http::{HeaderValue, StatusCode, header},
    serve_requests, service,
};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Returns what a client hears of a handler, and what is logged meanwhile.
fn watched(handler: impl Handler, requests: &str) -> (String, Vec<(Level, String)>) {
    let log = KeptLog::default();
    let heard = tracing::subscriber::with_default(log.clone(), || {
        let peer = Some(SocketAddr::from(([192, 0, 2, 1], 7)));
        let (flow, requests_of) = Http1::for_peer(Arc::new(config()), peer);
        let mut hand = ManualDriver::new(flow);
        let mut task = Box::pin(serve_requests(requests_of, &handler));
        hand.push(requests.as_bytes());
        let mut heard = Vec::new();
        for _ in 0..20 {
            let _ = poll(task.as_mut());
            hand.pump();
            heard.extend(hand.collect());
        }
        String::from_utf8(heard).expect("text")
    });
    let events = log.events().into_iter().filter(|event| event.target == "riot::http");
    let logged = events.map(|event| (event.level, format!("{} {}", event.message, event.fields))).collect();
    (heard, logged)
}

const REQUEST: &str = "POST /users/7?token=secret HTTP/1.1\r\nHost: a\r\nAuthorization: Basic secret\r\n\r\n";

/// Checks that the request is answered with 500 and gives one warning that says this.
fn fails_with(handler: impl Handler, reason: &str) {
    let (heard, logged) = watched(handler, REQUEST);
    assert!(heard.starts_with("HTTP/1.1 500 "), "{heard}");
    one_warning(&logged, reason);
}

fn one_warning(logged: &[(Level, String)], reason: &str) {
    let [(level, line)] = logged else { panic!("one line, not {logged:?}") };
    assert_eq!(*level, Level::WARN);
    for part in ["peer=192.0.2.1:7 ", "method=POST ", "path=/users/7 ", reason] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
    assert!(!line.contains("secret"), "{line}");
}

#[derive(Debug, thiserror::Error)]
#[error("the query failed")]
struct Query(#[source] io::Error);

#[test]
fn h14_the_error_of_a_handler_is_logged_with_its_causes() {
    let handler = |reqd: Reqd| async move {
        drop(reqd);
        Err::<(), _>(Query(io::Error::other("the database\nis down\u{1b}[2J")))
    };
    fails_with(handler, "a handler failed: the query failed: the database\\nis down\\u{1b}[2J");
    fails_with(|_: Reqd| async { Err::<(), _>("a text") }, "a handler failed: a text");
    fails_with(|_: Reqd| async { Err::<(), _>(String::from("a text")) }, "a handler failed: a text");
    let boxed = |_: Reqd| async { Err::<(), Box<dyn std::error::Error + Send + Sync>>("boxed".into()) };
    fails_with(boxed, "a handler failed: boxed");
}

#[cfg(feature = "driver")]
#[test]
fn h14_a_reason_is_an_error_too() {
    use riot_actor::Reason;
    let handler = |_: Reqd| async { Err::<(), Reason>(Query(io::Error::other("down")).into()) };
    fails_with(handler, "the query failed: down");
    fails_with(|_: Reqd| async { Err::<(), Reason>(Reason::Kill) }, "a handler failed: kill");
}

#[test]
fn h14_an_error_behind_the_response_is_logged_as_well() {
    let handler = |reqd: Reqd| async move {
        reqd.respond_with_string(Response::ok(), "fine").expect("it is the first");
        Err::<(), _>(io::Error::other("too late"))
    };
    let (heard, logged) = watched(handler, REQUEST);
    assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
    one_warning(&logged, "too late");
}

#[test]
fn h14_a_handler_without_a_response_is_logged() {
    fails_with(|reqd: Reqd| async move { drop(reqd) }, "it ended without a response");
    // Also if the right to respond was dropped elsewhere.
    let elsewhere = |reqd: Reqd| async move {
        let (_request, responder) = reqd.into_parts();
        std::thread::spawn(move || drop(responder)).join().expect("it does not panic");
    };
    fails_with(elsewhere, "it ended without a response");
}

#[test]
fn h14_a_response_that_cannot_be_sent_is_logged() {
    let cases = [
        (Response::text("body").header(header::CONTENT_LENGTH, HeaderValue::from_static("9")), "length"),
        (Response::text("body").header(header::CONTENT_LENGTH, HeaderValue::from_static("x")), "length"),
        (Response::new(StatusCode::SWITCHING_PROTOCOLS), "informational"),
        (Response::new(StatusCode::CONTINUE), "informational"),
    ];
    for (response, reason) in cases {
        let given = Arc::new(Mutex::new(Some(response)));
        let take = move || given.lock().unwrap().take().expect("it is asked once");
        // A service gives it as its result; handlers give it by hand, and return the error or drop it.
        fails_with(
            service(move |_: Request| {
                let response = take();
                async move { response }
            }),
            reason,
        );
    }
    let wrong = || Response::text("body").header(header::CONTENT_LENGTH, HeaderValue::from_static("9"));
    fails_with(move |reqd: Reqd| async move { reqd.respond(wrong()).await }, "length");
    fails_with(
        move |reqd: Reqd| async move {
            let _ = reqd.respond(wrong()).await;
        },
        "length",
    );
    fails_with(move |reqd: Reqd| async move { reqd.respond_with_string(wrong(), "body") }, "length");
    fails_with(
        move |reqd: Reqd| async move {
            let _ = reqd.respond_with_bytes(wrong(), "body");
        },
        "length",
    );
    let differing = move || wrong().header(header::CONTENT_LENGTH, HeaderValue::from_static("8"));
    fails_with(move |reqd: Reqd| async move { drop(reqd.respond_with_streaming(differing())) }, "length");
}

#[test]
fn h14_a_body_that_is_not_as_declared_is_logged() {
    let declared = || Response::ok().header(header::CONTENT_LENGTH, HeaderValue::from_static("3"));
    let too_long = move |reqd: Reqd| async move {
        let Ok(mut body) = reqd.respond_with_streaming(declared()) else { return };
        assert_eq!(body.write("four").await, Err(WriteError::TooLong));
    };
    one_warning(&watched(too_long, REQUEST).1, "longer than its declared length");
    let too_short = move |reqd: Reqd| async move {
        let Ok(mut body) = reqd.respond_with_streaming(declared()) else { return };
        let _ = body.write("1").await;
        let _ = body.close();
    };
    one_warning(&watched(too_short, REQUEST).1, "shorter than its declared length");
    let unfinished = |_: Request| async {
        Response::streaming(|mut body| async move {
            let _ = body.write("part").await;
        })
    };
    one_warning(&watched(service(unfinished), REQUEST).1, "before the body of its response was complete");
}

#[test]
fn h14_only_one_request_is_blamed() {
    let (_, logged) = watched(
        |reqd: Reqd| async move {
            if reqd.request().path() == "/users/7" {
                return Err("this one");
            }
            reqd.respond_with_string(Response::ok(), "").map(drop).map_err(|_| "never")
        },
        &format!("{GET}{REQUEST}{GET}{GET}"),
    );
    one_warning(&logged, "this one");
}

#[test]
fn h14_a_client_at_fault_is_no_warning() {
    let body = |mut reqd: Reqd| async move { reqd.body().bytes(100).await.map(drop) };
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
    let (heard, logged) = watched(body, request);
    assert!(heard.starts_with("HTTP/1.1 400 "), "{heard}");
    assert!(logged.iter().all(|(level, _)| *level == Level::DEBUG), "{logged:?}");
    // The error of another connection is the handler's: this client is still there, and gets a 500.
    fails_with(|_: Reqd| async { Err::<(), _>(WriteError::Closed) }, "accepts no more of this body");
    let late = |reqd: Reqd| async move {
        reqd.respond_with_string(Response::ok(), "").expect("it is the first");
        Err::<(), _>(WriteError::Closed)
    };
    let (_, logged) = watched(late, REQUEST);
    assert!(logged.len() == 1 && logged[0].0 == Level::DEBUG, "{logged:?}");
    let upgrade = |reqd: Reqd| async move {
        drop(reqd.respond_with_upgrade(Response::new(StatusCode::SWITCHING_PROTOCOLS)));
    };
    let (heard, logged) = watched(upgrade, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n");
    assert!(heard.starts_with("HTTP/1.1 400 ") && logged.is_empty(), "{heard} {logged:?}");
}

#[test]
fn h14_an_error_whose_text_panics_is_a_line_all_the_same() {
    #[derive(Debug)]
    struct Bomb;
    impl fmt::Display for Bomb {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("a bomb")
        }
    }
    impl std::error::Error for Bomb {}
    fails_with(|_: Reqd| async { Err::<(), _>(Bomb) }, "the text of the error panicked");
}

#[test]
fn h14_a_log_that_panics_costs_nothing() {
    struct Broken;
    impl Subscriber for Broken {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "riot::http"
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, _: &Event<'_>) {
            panic!("the disk is full")
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }
    let heard = tracing::subscriber::with_default(Broken, || {
        let mut served = common::Served::new(HttpConfig::new(), |_: Reqd| async { Err::<(), _>("a text") });
        served.hand.push(GET.repeat(2).as_bytes());
        served.run(usize::MAX)
    });
    assert_eq!(String::from_utf8_lossy(&heard).matches("HTTP/1.1 500 ").count(), 2);
}

#[cfg(feature = "driver")]
#[test]
fn h14_a_program_without_a_subscriber_prints_the_line() {
    use riot_actor::{Reason, run};
    use riot_http::Server;
    use riot_socket::memory::Listener;

    // What is printed is that of a whole process, so that this runs in one of its own.
    const CHILD: &str = "RIOT_TEST_WITHOUT_SUBSCRIBER";
    if std::env::var(CHILD).is_ok() {
        let end = run(async {
            let listener = Listener::new();
            let handler = |_: Reqd| async { Err::<(), _>(Query(io::Error::other("down\nnow"))) };
            Server::listen(listener.clone()).handler(handler).start_link().await?;
            let mut client = listener.connect()?;
            client.write_all(REQUEST.replace("Host", "Connection: close\r\nHost").as_bytes()).await?;
            let heard = client.read_to_end(10_000).await?;
            assert!(heard.starts_with(b"HTTP/1.1 500 "));
            Ok::<(), Reason>(())
        });
        assert_eq!(end, Reason::Normal);
        return;
    }
    let name = "h14_a_program_without_a_subscriber_prints_the_line";
    let test = std::env::current_exe().expect("a test is a program");
    let output =
        std::process::Command::new(test).args(["--exact", name, "--nocapture"]).env(CHILD, "").output();
    let output = output.expect("it runs");
    let printed = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{printed}");
    let lines: Vec<_> = printed.lines().filter(|line| line.contains("a handler failed")).collect();
    let [line] = lines[..] else { panic!("one line, not {printed}") };
    for part in ["WARN", "the query failed: down\\nnow", "POST", "/users/7"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(!printed.contains("secret"), "{printed}");
}

#[cfg(feature = "tower")]
mod tower {
    use std::{
        future::{Ready, ready},
        pin::Pin,
        task::{Context, Poll},
    };

    use riot_http::{Body, TowerHandler, http};
    use tower_service::Service;

    use super::*;

    #[derive(Clone, Copy, PartialEq)]
    enum Fails {
        Ready,
        Call,
        FirstFrame,
        LaterFrame,
        Length,
    }

    /// A body of two pieces, one of which may be an error.
    struct Pieces(Fails, usize);

    impl http_body::Body for Pieces {
        type Data = &'static [u8];
        type Error = Query;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<&'static [u8]>, Query>>> {
            self.1 += 1;
            let fails = match self.0 {
                Fails::FirstFrame => 1,
                Fails::LaterFrame => 2,
                _ => 9,
            };
            Poll::Ready(match self.1 {
                place if place == fails => Some(Err(Query(io::Error::other("a piece")))),
                1 | 2 => Some(Ok(http_body::Frame::data(b"piece"))),
                _ => None,
            })
        }
    }

    impl Service<http::Request<Body>> for Fails {
        type Response = http::Response<Pieces>;
        type Error = Query;
        type Future = Ready<Result<Self::Response, Query>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Query>> {
            Poll::Ready(match self {
                Self::Ready => Err(Query(io::Error::other("not ready"))),
                _ => Ok(()),
            })
        }

        fn call(&mut self, _: http::Request<Body>) -> Self::Future {
            let mut response = http::Response::new(Pieces(*self, 0));
            let length = (header::CONTENT_LENGTH, HeaderValue::from_static("7"));
            match self {
                Self::Call => return ready(Err(Query(io::Error::other("the call")))),
                Self::Length => drop(response.headers_mut().insert(length.0, length.1)),
                _ => {}
            }
            ready(Ok(response))
        }
    }

    #[test]
    fn h14_errors_of_a_tower_service_are_logged() {
        fails_with(TowerHandler::new(Fails::Ready), "the query failed: not ready");
        fails_with(TowerHandler::new(Fails::Call), "the query failed: the call");
        fails_with(TowerHandler::new(Fails::FirstFrame), "the query failed: a piece");
        let (heard, logged) = watched(TowerHandler::new(Fails::LaterFrame), REQUEST);
        assert!(heard.starts_with("HTTP/1.1 200 ") && !heard.ends_with("\r\n0\r\n\r\n"), "{heard}");
        one_warning(&logged, "the query failed: a piece");
        one_warning(&watched(TowerHandler::new(Fails::Length), REQUEST).1, "longer than its declared length");
    }
}

/// A payload of a panic that panics when it is dropped, except while another panic unwinds.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::panic_any(Bomb);
        }
    }
}

#[test]
fn h02_an_error_page_that_panics_with_a_payload_that_panics_is_replaced() {
    let config = config().error_page(|_| std::panic::panic_any(Bomb));
    let (flow, _requests) = Http1::for_peer(Arc::new(config), None);
    let mut hand = ManualDriver::new(flow);
    hand.push(b"BAD\r\n\r\n");
    hand.pump();
    let heard = String::from_utf8(hand.collect()).expect("text");
    assert!(heard.starts_with("HTTP/1.1 400 "), "{heard}");
}

#[test]
fn h02_an_error_whose_destructor_panics_does_not_end_the_connection() {
    #[derive(Debug, thiserror::Error)]
    #[error("no room")]
    struct NoRoom(#[allow(dead_code, reason = "it is dropped")] BombInside);
    #[derive(Debug)]
    struct BombInside;
    impl Drop for BombInside {
        fn drop(&mut self) {
            std::panic::panic_any(Bomb);
        }
    }
    let handler = |reqd: Reqd| async move {
        if reqd.request().path() == "/bomb" {
            return Err(NoRoom(BombInside));
        }
        let _ = reqd.respond_with_string(Response::ok(), "still here");
        Ok(())
    };
    let (heard, logged) = watched(handler, &format!("GET /bomb HTTP/1.1\r\nHost: a\r\n\r\n{GET}"));
    assert_eq!(heard.matches("HTTP/1.1 500 ").count(), 1, "{heard}");
    assert!(heard.ends_with("still here"), "{heard}");
    let lines: Vec<_> = logged.iter().map(|(_, line)| line.as_str()).collect();
    let [error, destructor] = lines[..] else { panic!("two lines, not {lines:?}") };
    assert!(error.contains("no room") && destructor.contains("the destructor of the error panicked"));
}

/// axum's `WebSocketUpgrade` answers so where hyper does not serve the request.
#[cfg(feature = "axum")]
#[test]
fn tk09_a_service_that_answers_426_is_told_once_what_it_needs() {
    let router = axum::Router::new().fallback(|| async { StatusCode::UPGRADE_REQUIRED });
    let handler = riot_http::TowerHandler::new(riot_http::AxumService::new(router));
    let (heard, logged) = watched(handler, &GET.repeat(2));
    assert_eq!(heard.matches("HTTP/1.1 426 ").count(), 2, "{heard}");
    let [(level, line)] = &logged[..] else { panic!("one line, not {logged:?}") };
    assert!(*level == Level::WARN && line.contains("upgrade_by_hyper"), "{line}");
}
