//! The answers that are more than bytes: files, events, redirects, JSON, and bodies as other libraries see
//! them.

mod common;

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    task::Poll,
};

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

/// A file of its own for each test.
fn file(name: &str, contents: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, contents).expect("it can be written");
    path
}

fn get(path: &Path, method: &str, fields: &str) -> String {
    let path = path.to_path_buf();
    let service = move |request: riot_http::Request| {
        let response = Response::file(request.head(), &path);
        async move { response.unwrap_or_else(|_| Response::not_found()) }
    };
    answer(service, &format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

fn field(answer: &str, name: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

#[test]
fn a_file_whole_in_part_and_not_at_all() {
    let path = file("letters.css", "abcdefghij");
    let whole = get(&path, "GET", "");
    assert!(whole.starts_with("HTTP/1.1 200 OK\r\n") && whole.ends_with("\r\n\r\nabcdefghij"), "{whole}");
    assert_eq!(field(&whole, "content-type"), "text/css; charset=utf-8");
    assert_eq!(field(&whole, "content-length"), "10");
    assert_eq!(field(&whole, "accept-ranges"), "bytes");

    let head = get(&path, "HEAD", "");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(field(&head, "content-length"), "10");

    let part = get(&path, "GET", "Range: bytes=2-4\r\n");
    assert!(part.starts_with("HTTP/1.1 206 Partial Content\r\n") && part.ends_with("\r\n\r\ncde"), "{part}");
    assert_eq!(field(&part, "content-range"), "bytes 2-4/10");
    assert_eq!(field(&part, "content-length"), "3");

    let none = get(&path, "GET", "Range: bytes=10-\r\n");
    assert!(none.starts_with("HTTP/1.1 416 "), "{none}");
    assert_eq!(field(&none, "content-range"), "bytes */10");

    let (tag, date) = (field(&whole, "etag"), field(&whole, "last-modified"));
    for condition in [format!("If-None-Match: {tag}\r\n"), format!("If-Modified-Since: {date}\r\n")] {
        let same = get(&path, "GET", &condition);
        assert!(same.starts_with("HTTP/1.1 304 Not Modified\r\n") && same.ends_with("\r\n\r\n"), "{same}");
        assert_eq!(field(&same, "etag"), tag);
        assert!(!same.contains("content-length"), "{same}");
    }
    assert!(get(&path, "GET", "If-Match: \"other\"\r\n").starts_with("HTTP/1.1 412 "));
}

#[test]
fn a_large_file_is_read_piece_by_piece() {
    let contents: String = (0..40_000).map(|number| format!("{number:06} ")).collect();
    let path = file("large.txt", &contents);
    let whole = get(&path, "GET", "");
    assert!(whole.ends_with(&contents) && field(&whole, "content-length") == contents.len().to_string());
    let end = get(&path, "GET", "Range: bytes=-150000\r\n");
    assert!(end.ends_with(&contents[contents.len() - 150_000..]));
}

#[test]
fn several_parts_of_a_file_come_in_one_answer() {
    let path = file("parts.css", "abcdefghij");
    let answer = get(&path, "GET", "Range: bytes=0-1, -3\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{answer}");
    assert!(!head.contains("content-range"), "that is said of each part");
    let boundary =
        field(&answer, "content-type").strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
    assert_eq!(field(&answer, "content-length"), body.len().to_string());
    let part = |range: &str, bytes: &str| {
        let fields = format!("Content-Type: text/css; charset=utf-8\r\nContent-Range: bytes {range}/10");
        format!("\r\n--{boundary}\r\n{fields}\r\n\r\n{bytes}")
    };
    assert_eq!(body, part("0-1", "ab") + &part("7-9", "hij") + &format!("\r\n--{boundary}--\r\n"));
    let contents: String = (0..40_000).map(|number| format!("{number:06} ")).collect();
    let large = get(&file("large_parts.txt", &contents), "GET", "Range: bytes=0-99999,140000-279999\r\n");
    assert!(large.contains(&contents[..100_000]) && large.contains(&contents[140_000..]));
}

#[test]
fn a_large_file_is_named_only_to_head_and_not_at_all_where_nothing_has_changed() {
    let path = file("large_to_head.txt", &"x".repeat(1_000_000));
    let head = get(&path, "HEAD", "");
    assert!(head.ends_with("\r\n\r\n") && field(&head, "content-length") == "1000000", "{head}");
    let same = get(&path, "GET", &format!("If-None-Match: {}\r\n", field(&head, "etag")));
    assert!(same.starts_with("HTTP/1.1 304 ") && same.ends_with("\r\n\r\n"), "{same}");
}

#[test]
fn a_file_that_becomes_shorter_cuts_the_answer_off() {
    let path = file("shrinking.txt", &"x".repeat(1_000_000));
    let answer = answer(
        move |request: riot_http::Request| {
            let response = Response::file(request.head(), &path).expect("it is there");
            std::fs::write(&path, "x".repeat(300_000)).expect("it can be written");
            async move { response }
        },
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(field(&answer, "content-length"), "1000000");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "nothing may follow a body that was cut off");
    assert!(answer.ends_with(&"x".repeat(300_000)) && answer.len() < 301_000, "{}", answer.len());
}

#[test]
fn an_empty_file_and_none() {
    let empty = get(&file("empty", ""), "GET", "");
    assert!(empty.starts_with("HTTP/1.1 200 OK\r\n") && field(&empty, "content-length") == "0", "{empty}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    assert!(get(&folder, "GET", "").starts_with("HTTP/1.1 404 "), "a folder is no file");
    assert!(get(&folder.join("nothing here"), "GET", "").starts_with("HTTP/1.1 404 "));
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
