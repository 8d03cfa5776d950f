//! The shutdown of a flow, F11, as an HTTP connection does it.

mod common;

use std::time::Duration;

use common::{GET, Held, config, ready};
use riot_flow::{Ending, Flow};
use riot_http::{RespondError, Response};

#[test]
fn f11_idle_it_waits_for_a_last_request_and_closes() {
    for answered in [false, true] {
        let mut held = Held::new(config());
        held.request(GET).respond_with_string(Response::ok(), "").unwrap();
        held.heard();
        held.hand.shutdown_gracefully(None);
        held.hand.advance(Duration::from_millis(249));
        assert!(
            !held.is_closed() && held.hand.write_is_closed().is_none(),
            "it waits at least half the time"
        );
        if answered {
            held.request(GET).respond_with_string(Response::ok(), "last").unwrap();
            assert!(held.heard().ends_with("connection: close\r\n\r\nlast"));
        } else {
            held.hand.advance(Duration::from_millis(252));
            assert_eq!(held.heard(), "");
        }
        assert_eq!(held.hand.write_is_closed(), Some(0));
        held.hand.push(GET.as_bytes());
        let (served, requests) = (u64::from(answered), held.hand.flow.requests());
        assert_eq!(held.hand.flow.ending(), Ending { served, crossed: true, requests, ..Ending::default() });
        assert!(held.next().is_none(), "what crosses the end is discarded");
        held.hand.end_input();
        assert!(held.is_closed() && held.is_over());
    }
}

#[test]
fn f11_fresh_it_waits_for_its_first_request() {
    for answered in [false, true] {
        let mut held = Held::new(config());
        held.hand.shutdown_gracefully(None);
        held.hand.advance(Duration::from_millis(999));
        assert_eq!(held.hand.write_is_closed(), None);
        if answered {
            held.request(GET).respond_with_string(Response::ok(), "only").unwrap();
            assert!(held.heard().ends_with("connection: close\r\n\r\nonly"));
        } else {
            held.hand.advance(Duration::from_millis(2));
            assert_eq!(held.heard(), "");
        }
        held.hand.end_input();
        assert!(held.is_closed() && held.is_over());
        let (served, requests) = (u64::from(answered), u64::from(answered));
        assert_eq!(held.hand.flow.ending(), Ending { served, crossed: false, requests, ..Ending::default() });
    }
}

#[test]
fn f11_a_part_of_a_head_is_received_to_its_end() {
    let mut held = Held::new(config());
    held.hand.push(&GET.as_bytes()[..9]);
    held.hand.shutdown_gracefully(None);
    held.hand.advance(Duration::from_millis(9_900));
    held.request(&GET[9..]).respond_with_string(Response::ok(), "late").unwrap();
    assert!(held.heard().ends_with("connection: close\r\n\r\nlate"));
    assert!(held.is_over());

    let mut held = Held::new(config());
    held.hand.push(&GET.as_bytes()[..9]);
    held.hand.shutdown_gracefully(None);
    held.hand.advance(Duration::from_millis(10_001));
    assert!(held.heard().starts_with("HTTP/1.1 408 "));
    assert!(held.is_over());
}

#[test]
fn f11_busy_it_finishes_what_was_accepted() {
    let mut held = Held::new(config());
    let first = held.request(&GET.repeat(2));
    held.hand.shutdown_gracefully(None);
    held.hand.push(GET.as_bytes());
    first.respond_with_string(Response::ok(), "1").unwrap();
    held.next().unwrap().respond_with_string(Response::ok(), "2").unwrap();
    let last = held.next().expect("it came before the last response");
    last.respond_with_string(Response::ok(), "3").unwrap();
    assert!(held.next().is_none() && held.is_over());
    let heard = held.heard();
    assert_eq!((heard.matches("200 OK").count(), heard.matches("connection: close").count()), (3, 1));
    assert!(heard.ends_with("connection: close\r\n\r\n3"), "{heard}");
    assert_eq!(held.hand.write_is_closed(), Some(0));
}

#[test]
fn f11_a_response_that_has_begun_without_the_word_is_finished() {
    let mut held = Held::new(config());
    let mut writer = held.request(GET).respond_with_streaming(Response::ok()).unwrap();
    held.hand.shutdown_gracefully(None);
    ready(writer.write("piece")).unwrap();
    writer.close().unwrap();
    let heard = held.heard();
    assert!(heard.ends_with("5\r\npiece\r\n0\r\n\r\n") && !heard.contains("connection: close"), "{heard}");
    held.request(GET).respond_with_string(Response::ok(), "last").unwrap();
    assert!(held.heard().ends_with("connection: close\r\n\r\nlast"));
    assert!(held.is_over());
}

#[test]
fn f11_announced_the_next_response_is_the_last() {
    let mut held = Held::new(config());
    held.request(GET).respond_with_string(Response::ok(), "").unwrap();
    held.heard();
    held.hand.flow.announce_shutdown();
    held.hand.advance(Duration::from_secs(59));
    assert_eq!(held.hand.write_is_closed(), None, "nothing ends by that alone");
    held.request(GET).respond_with_string(Response::ok(), "last").unwrap();
    assert!(held.heard().ends_with("connection: close\r\n\r\nlast"));
    assert!(held.is_over());
}

#[test]
fn f11_a_body_under_way_is_received_to_its_end() {
    let mut held = Held::new(config());
    let mut reqd = held.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    held.hand.shutdown_gracefully(None);
    held.hand.push(format!("y{GET}").as_bytes());
    assert_eq!(&ready(reqd.body().bytes(9)).unwrap()[..], b"xy");
    reqd.respond_with_string(Response::ok(), "").unwrap();
    held.next().unwrap().respond_with_string(Response::ok(), "last").unwrap();
    assert!(held.heard().ends_with("connection: close\r\n\r\nlast"));
    assert!(held.is_over());
}

#[test]
fn f11_shutdown_sends_what_is_queued() {
    let mut held = Held::new(config());
    let first = held.request(&GET.repeat(2));
    first.respond_with_string(Response::ok(), "queued").unwrap();
    let second = held.next().unwrap();
    held.hand.flow.shutdown();
    assert_eq!(second.respond_with_string(Response::ok(), "late"), Err(RespondError::Closed));
    assert!(held.hand.read_is_closed());
    let heard = held.heard();
    assert!(heard.ends_with("queued"), "{heard}");
    assert!(held.is_closed());
}
