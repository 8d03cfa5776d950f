//! F13: the same conversation comes of the same bytes, however input is cut into reads and output into
//! writes.

mod common;

use common::{Served, config, undated};
use proptest::prelude::*;
use riot_http::{Handler, Request, Response, http::StatusCode, service};

/// Says what it got, once it has all of it.
fn inspecting() -> impl Handler {
    service(|mut request: Request| async move {
        match request.body().bytes(100_000).await {
            Ok(body) => {
                let fields = request.headers().len();
                let trailers = request.body().trailers().map_or(0, |trailers| trailers.len());
                let length = body.len();
                let sum: u64 = body.iter().map(|&byte| u64::from(byte)).sum();
                Response::text(format!(
                    "{} {} {fields} {length} {sum} {trailers}",
                    request.method(),
                    request.target()
                ))
            }
            Err(error) => Response::text(error.to_string()).status(StatusCode::BAD_REQUEST),
        }
    })
}

const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET /b?c=d HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nX-A:\t b \r\n\r\n",
    "HEAD http://a/c HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /d HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello\r\n\r\nyou",
    "POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
     5;x=\"y\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
    "PUT /f HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    "GET /g HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    "GET /h HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    // What ends a conversation.
    "GET /i HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET /j HTTP/1.1\r\n\r\n",
    "GET /k HTTP/1.1\r\nHost : a\r\n\r\n",
    "GET /l HTTP/3.0\r\nHost: a\r\n\r\n",
    "POST /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello5\r\n",
    "POST /n HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "POST /o HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel",
    "GE",
    "\0",
];

fn conversation(input: &[u8], reads: &[usize], writes: &[usize]) -> (String, Option<u64>) {
    let mut served = Served::new(config(), inspecting());
    let (mut rest, mut output) = (input, served.run(usize::MAX));
    let (mut reads, mut writes) = (reads.iter().cycle(), writes.iter().cycle());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((*reads.next().unwrap()).min(rest.len()));
        served.hand.push(piece);
        output.extend(served.run(*writes.next().unwrap()));
        rest = behind;
    }
    served.hand.end_input();
    output.extend(served.run(usize::MAX));
    (undated(output), served.hand.write_is_closed())
}

proptest! {
    #[test]
    fn f13_a_cut_anywhere_changes_nothing(
        requests in prop::collection::vec(0..REQUESTS.len(), 1..24),
        reads in prop::collection::vec(1usize..90, 1..12),
        writes in prop::collection::vec(1usize..200, 1..6),
    ) {
        let input = requests.iter().map(|&number| REQUESTS[number]).collect::<String>().into_bytes();
        let whole = conversation(&input, &[usize::MAX], &[usize::MAX]);
        prop_assert_eq!(&conversation(&input, &reads, &writes), &whole);
        prop_assert_eq!(whole.1, Some(0));
    }

    #[test]
    fn any_bytes_at_all_are_answered_in_order_and_end(
        noise in prop::collection::vec(prop_oneof![
            Just(b"\r\n".to_vec()),
            Just(b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec()),
            Just(b"Content-Length: 3\r\n".to_vec()),
            Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
            Just(b"0\r\n\r\n".to_vec()),
            Just(b"Expect: 100-continue\r\n".to_vec()),
            Just(b"Connection: close\r\n".to_vec()), prop::collection::vec(any::<u8>(), 1..8),
        ], 0..20),
        reads in prop::collection::vec(1usize..40, 1..6),
    ) {
        let (output, closed) = conversation(&noise.concat(), &reads, &[usize::MAX]);
        prop_assert_eq!(closed, Some(0), "{}", output);
        prop_assert!(output.is_empty() || output.starts_with("HTTP/1.1 "), "{}", output);
    }
}

#[test]
fn every_request_cut_at_every_place() {
    for request in REQUESTS {
        let input = format!("{}{request}{}", REQUESTS[0], REQUESTS[3]).into_bytes();
        let whole = conversation(&input, &[usize::MAX], &[usize::MAX]);
        assert!(whole.0.starts_with("HTTP/1.1 200 OK"), "{request:?}");
        for place in 1..input.len() {
            assert_eq!(
                conversation(&input, &[place, usize::MAX], &[usize::MAX]),
                whole,
                "{request:?} at {place}"
            );
        }
        assert_eq!(conversation(&input, &[1], &[1]), whole, "{request:?} byte by byte");
    }
}
