//! The answers that are more than bytes: events, redirects, JSON, and bodies as other libraries see them.

mod common;

use std::{pin::Pin, task::Poll};

use common::{GET, Held, Served, config, poll};
use http_body::Body as _;
use riot_http::{
    Event, InvalidHeader, Reqd, Response, Service,
    http::{HeaderMap, StatusCode},
    service,
};

/// Returns what a service answers to these bytes.
fn answer(service: impl Service, bytes: &str) -> String {
    Served::new(config(), riot_http::service(service)).talk(bytes)
}

fn field(answer: &str, name: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

#[test]
fn events_are_sent_as_they_come() {
    let answer = answer(
        |_: riot_http::Request| async {
            Response::events(|mut events| async move {
                for number in 0..2 {
                    let _ = events.send(Event::new(format!("a\nb{number}")).id(number.to_string())).await;
                }
                let _ = events.keep_alive().await;
                let _ = events.close();
            })
        },
        GET,
    );
    assert_eq!(field(&answer, "content-type"), "text/event-stream");
    assert_eq!(field(&answer, "cache-control"), "no-cache");
    assert_eq!(answer.matches("\r\nid: ").count(), 2, "{answer}");
    assert!(answer.contains("\r\nid: 1\ndata: a\ndata: b1\n\n\r\n"), "{answer}");
    assert!(answer.ends_with("3\r\n:\n\n\r\n0\r\n\r\n"), "{answer}");
}

#[test]
fn a_redirect_says_where() {
    let answer = answer(
        |_: riot_http::Request| async {
            Response::redirect(StatusCode::SEE_OTHER, "/there").expect("it is a path")
        },
        GET,
    );
    assert!(answer.starts_with("HTTP/1.1 303 See Other\r\n") && field(&answer, "location") == "/there");
    assert_eq!(Response::redirect(StatusCode::FOUND, "/a\r\nb: c").unwrap_err(), InvalidHeader);
}

#[test]
fn a_body_is_one_of_http_bodys() {
    let mut held = Held::new(config());
    let chunked =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n";
    let (request, responder) = held.request(chunked).into_parts();
    let (_, mut body) = request.into_parts();
    assert!(!body.is_end_stream());
    let mut frame = || poll(std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)));
    let Poll::Ready(Some(Ok(data))) = frame() else { panic!("data") };
    assert_eq!(data.into_data().expect("data"), "abc");
    let Poll::Ready(Some(Ok(trailers))) = frame() else { panic!("trailers") };
    let expected: HeaderMap =
        [("x-sum".parse().expect("a name"), "6".parse().expect("a value"))].into_iter().collect();
    assert_eq!(trailers.into_trailers().expect("trailers"), expected);
    assert!(matches!(frame(), Poll::Ready(None)));
    assert!(body.is_end_stream());
    drop(responder);

    let (request, _responder) = Held::new(config()).request(GET).into_parts();
    assert!(request.into_parts().1.is_end_stream(), "there is none");
}

#[test]
fn who_asks_is_known_if_the_driver_says() {
    let peer = "192.0.2.1:7".parse().ok();
    let (connection, requests) = riot_http::Http1::for_peer(config().into(), peer);
    let mut held = Held { hand: riot_flow::ManualDriver::new(connection), requests };
    let reqd: Reqd = held.request(GET);
    assert_eq!(reqd.peer(), peer);
    assert_eq!(reqd.into_parts().0.peer(), peer);
}

#[cfg(feature = "json")]
mod json {
    use std::collections::BTreeMap;

    use riot_http::{IntoResponse, JsonError};

    use super::*;

    #[test]
    fn goes_in_and_out() {
        let sum = |mut request: riot_http::Request| async move {
            let numbers: Vec<i64> = match request.body().json(100).await {
                Ok(numbers) => numbers,
                Err(JsonError::Json(_)) => return StatusCode::BAD_REQUEST.into_response(),
                Err(JsonError::Body(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
            };
            Response::json(&BTreeMap::from([("sum", numbers.iter().sum::<i64>())]))
                .expect("it has string keys")
        };
        let post = |body: &str| {
            answer(
                sum,
                &format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
            )
        };
        let answered = post("[1,2,3]");
        assert!(answered.ends_with("\r\n\r\n{\"sum\":6}"), "{answered}");
        assert_eq!(field(&answered, "content-type"), "application/json");
        assert!(post("[1,").starts_with("HTTP/1.1 400 "));
        assert!(post("{}").starts_with("HTTP/1.1 400 "));
        assert!(post(&format!("[{}1]", "1,".repeat(60))).starts_with("HTTP/1.1 413 "));
    }

    #[test]
    fn what_has_no_json_is_an_error() {
        assert!(Response::json(&BTreeMap::from([((1, 2), 3)])).is_err());
    }
}

#[cfg(feature = "tower")]
mod tower {
    use std::{
        convert::Infallible,
        future::{Ready, ready},
        task::Context,
    };

    use bytes::Bytes;
    use http_body::Frame;
    use riot_http::{Body, TowerHandler, http};

    use super::*;

    /// Answers with frames of its own.
    #[derive(Clone)]
    struct Frames(fn() -> Vec<Result<Frame<Bytes>, &'static str>>);

    struct Given(std::vec::IntoIter<Result<Frame<Bytes>, &'static str>>);

    impl http_body::Body for Given {
        type Data = Bytes;
        type Error = &'static str;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(self.0.next())
        }
        fn is_end_stream(&self) -> bool {
            self.0.as_slice().is_empty()
        }
    }

    impl tower_service::Service<http::Request<Body>> for Frames {
        type Response = http::Response<Given>;
        type Error = Infallible;
        type Future = Ready<Result<Self::Response, Infallible>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            assert_eq!(request.headers()["host"], "a");
            let given = Given((self.0)().into_iter());
            let response =
                http::Response::builder().header("set-cookie", "a").header("set-cookie", "b").body(given);
            ready(Ok(response.expect("it is one")))
        }
    }

    fn talk(frames: fn() -> Vec<Result<Frame<Bytes>, &'static str>>, bytes: &str) -> String {
        Served::new(config(), TowerHandler::new(Frames(frames))).talk(bytes)
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn a_body_in_one_frame_has_a_length() {
        let heard = talk(|| vec![data("hello")], GET);
        assert!(heard.ends_with("\r\ncontent-length: 5\r\n\r\nhello"), "{heard}");
        assert!(heard.contains("\r\nset-cookie: a\r\nset-cookie: b\r\n"), "{heard}");
        assert!(talk(Vec::new, GET).contains("\r\ncontent-length: 0\r\n"));
    }

    #[test]
    fn a_body_of_several_is_sent_in_chunks_with_its_trailers() {
        let heard = talk(
            || {
                let trailers: HeaderMap =
                    [("x-sum".parse().expect("a name"), "6".parse().expect("a value"))].into_iter().collect();
                vec![data("ab"), data("c"), Ok(Frame::trailers(trailers))]
            },
            GET,
        );
        assert!(heard.ends_with("\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nx-sum: 6\r\n\r\n"), "{heard}");
    }

    #[test]
    fn a_body_that_fails_is_cut_off() {
        let heard = talk(|| vec![data("ab"), Err("no more"), data("c")], GET);
        assert!(heard.ends_with("\r\n\r\n2\r\nab\r\n"), "{heard}");
    }

    #[test]
    fn head_gets_no_body_and_no_length_made_up() {
        let heard = talk(|| vec![data("ab"), data("c")], "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.ends_with("\r\n\r\n"), "{heard}");
        assert!(!heard.contains("content-length") && !heard.contains("chunked"), "{heard}");
    }
}

#[test]
fn a_service_is_a_handler() {
    let mut served = Served::new(config(), service(|_: riot_http::Request| async { "text" }));
    assert!(served.talk(GET).ends_with("\r\n\r\ntext"));
}
