//! The timers of a connection (H11) on the flow alone, with a clock that is set.

mod common;

use std::time::Duration;

use common::{Count, GET, Held, config, ok, poll, ready, timed};
use riot_flow::Flow;
use riot_http::{BodyError, RequestError, RespondError, Response, Timeouts};

#[test]
fn h11_idle_connections_end_without_a_word() {
    let mut held = Held::new(config());
    held.request(GET).respond_with_string(Response::ok(), "").unwrap();
    held.heard();
    held.hand.advance(Duration::from_millis(59_999));
    assert!(!held.hand.flow.is_closed());
    held.hand.advance(Duration::from_millis(1));
    assert!(held.is_closed());
    assert_eq!(held.heard(), "");
}

#[test]
fn h11_a_body_that_stops_is_408() {
    let mut held = Held::new(config());
    let mut reqd = held.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    held.hand.advance(Duration::from_secs(29));
    held.hand.push(&[b'x'; 30_000]);
    held.hand.advance(Duration::from_millis(29_999));
    assert!(ready(reqd.body().chunk()).unwrap().is_some());
    held.hand.advance(Duration::from_millis(1));
    assert_eq!(ready(reqd.body().chunk()), Err(BodyError::Request(RequestError::TooSlow)));
    assert!(held.heard().starts_with("HTTP/1.1 408 "));
}

#[test]
fn h11_a_body_that_trickles_is_408() {
    let mut held = Held::new(config());
    let mut reqd = held.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    for second in 0..30 {
        assert!(!held.heard().contains("408"), "{second}");
        held.hand.push(b"x");
        assert!(ready(reqd.body().chunk()).is_ok());
        held.hand.advance(Duration::from_secs(1));
    }
    held.hand.advance(Duration::from_secs(1));
    assert!(held.heard().starts_with("HTTP/1.1 408 "), "thirty bytes in thirty seconds");
}

#[test]
fn h11_a_body_that_the_handler_does_not_read_is_not_the_peers_fault() {
    let mut held = Held::new(config());
    let mut reqd = held.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    held.hand.push(&[b'x'; 70_000]);
    held.hand.advance(Duration::from_secs(3600));
    while !held.hand.unread().is_empty() {
        assert!(ready(reqd.body().chunk()).unwrap().is_some());
        held.hand.pump();
    }
    held.hand.push(&[b'x'; 30_000]);
    let mut length = 0;
    while let Some(piece) = ready(reqd.body().chunk()).unwrap() {
        length += piece.len();
    }
    assert!(length > 0);
    reqd.respond_with_string(Response::ok(), "").unwrap();
    assert_eq!(held.heard(), ok(""));
}

#[test]
fn h11_waiting_starts_again_when_the_handler_asks() {
    let mut held = Held::new(config());
    let mut reqd = held.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    held.hand.push(&[b'x'; 64 * 1024]);
    let (count, waker) = Count::new();
    let deadline = held.hand.flow.next_deadline();
    assert!(held.hand.flow.watch_deadline(&waker, deadline));
    held.hand.advance(Duration::from_secs(3600));
    assert!(ready(reqd.body().chunk()).unwrap().is_some());
    assert_eq!(count.get(), 1, "the timer is to be started by someone who knows the time");
    assert!(poll(reqd.body().chunk()).is_pending());
    held.hand.advance(Duration::from_secs(29));
    assert!(poll(reqd.body().chunk()).is_pending());
    held.hand.advance(Duration::from_secs(1));
    assert_eq!(ready(reqd.body().chunk()), Err(BodyError::Request(RequestError::TooSlow)));
}

#[test]
fn h11_a_peer_that_waits_for_continue_is_not_slow() {
    let mut held = Held::new(config());
    let expecting = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let first = held.request(&format!("{GET}{expecting}"));
    held.hand.advance(Duration::from_secs(3600));
    first.respond_with_string(Response::ok(), "").unwrap();
    let mut second = held.next().unwrap();
    held.hand.advance(Duration::from_secs(3600));
    assert!(poll(second.body().chunk()).is_pending());
    assert_eq!(held.heard(), format!("{}HTTP/1.1 100 Continue\r\n\r\n", ok("")));
    held.hand.advance(Duration::from_secs(30));
    assert!(held.heard().starts_with("HTTP/1.1 408 "));
}

#[test]
fn h11_a_peer_that_takes_nothing_is_dropped() {
    let mut held = Held::new(config());
    held.request(GET).respond_with_bytes(Response::ok(), vec![0; 20_000]).unwrap();
    assert_eq!(held.hand.collect_at_most(5000).len(), 5000);
    held.hand.advance(Duration::from_secs(20));
    assert_eq!(held.hand.collect_at_most(5000).len(), 5000);
    assert!(held.hand.collect_at_most(0).is_empty());
    held.hand.advance(Duration::from_millis(29_999));
    assert!(!held.hand.flow.is_closed());
    held.hand.advance(Duration::from_millis(1));
    assert!(held.hand.flow.is_closed());
    assert!(held.hand.write_is_closed().unwrap() > 9000);
}

#[test]
fn h11_a_peer_that_takes_a_byte_now_and_then_is_dropped() {
    let mut held = Held::new(config());
    held.request(GET).respond_with_bytes(Response::ok(), vec![0; 10_000]).unwrap();
    assert_eq!(held.hand.collect_at_most(5000).len(), 5000);
    held.hand.advance(Duration::from_secs(29));
    assert_eq!(held.hand.collect_at_most(1).len(), 1);
    held.hand.advance(Duration::from_millis(1_004));
    assert!(!held.hand.flow.is_closed(), "a byte is worth a 240th of a second");
    held.hand.advance(Duration::from_millis(1));
    assert!(held.hand.flow.is_closed());
    assert_eq!(held.hand.flow.ending().timed_out, Some("write_rate"));
}

#[test]
fn h11_a_peer_that_keeps_the_lowest_rate_of_writing_stays() {
    let slow = Timeouts::new().min_write_rate(100);
    for (timeouts, bytes, stays) in
        [(slow.clone(), 1_000, true), (slow.clone(), 900, false), (slow.without_min_write_rate(), 1, true)]
    {
        let mut held = Held::new(timed(timeouts));
        held.request(GET).respond_with_bytes(Response::ok(), vec![0; 1_000_000]).unwrap();
        for _ in 0..60 {
            held.hand.collect_at_most(bytes);
            held.hand.advance(Duration::from_secs(10));
        }
        assert_eq!(!held.hand.flow.is_closed(), stays, "{bytes}");
    }
}

#[test]
fn h11_the_rate_of_writing_counts_only_while_bytes_wait() {
    let mut held = Held::new(timed(Timeouts::new().without_idle_timeout()));
    for _ in 0..3 {
        held.request(GET).respond_with_bytes(Response::ok(), vec![0; 10_000]).unwrap();
        assert_eq!(held.hand.collect_at_most(5000).len(), 5000);
        assert!(held.heard().len() > 4000);
        held.hand.advance(Duration::from_secs(100));
        assert!(!held.hand.flow.is_closed());
    }
}

#[test]
fn h11_h12_a_peer_that_has_stopped_sending_is_waited_for_ten_seconds() {
    for (timeouts, seconds) in [
        (Timeouts::new(), 10),
        (Timeouts::new().half_closed_timeout(Duration::from_secs(3)), 3),
        (Timeouts::new().without_half_closed_timeout(), 1_000),
    ] {
        let mut held = Held::new(timed(timeouts));
        let _first = held.request(&GET.repeat(2));
        held.hand.end_input();
        held.hand.advance(Duration::from_millis(seconds * 1000 - 1));
        assert!(!held.hand.flow.is_closed(), "{seconds}");
        held.hand.advance(Duration::from_millis(1));
        assert_eq!(held.hand.flow.is_closed(), seconds < 1_000, "{seconds}");
        assert_eq!(held.hand.flow.ending().timed_out, (seconds < 1_000).then_some("half_closed"));
    }
}

#[test]
fn h11_a_response_that_is_complete_is_sent_whatever_time_it_takes_a_peer_that_has_stopped_sending() {
    let mut held = Held::new(config());
    let reqd = held.request(GET);
    held.hand.end_input();
    held.hand.advance(Duration::from_secs(9));
    reqd.respond_with_bytes(Response::ok(), vec![0; 100_000]).unwrap();
    for _ in 0..10 {
        assert_eq!(held.hand.collect_at_most(5_000).len(), 5_000);
        held.hand.advance(Duration::from_secs(10));
    }
    assert!(held.heard().len() > 50_000);
    assert!(held.is_closed());
}

#[test]
fn h11_a_handler_can_be_given_a_time() {
    let mut held = Held::new(timed(Timeouts::new().handler_timeout(Duration::from_secs(5))));
    let reqd = held.request(GET);
    held.hand.advance(Duration::from_secs(5));
    assert!(held.heard().starts_with("HTTP/1.1 503 "));
    assert_eq!(reqd.respond_with_string(Response::ok(), ""), Err(RespondError::Closed));
}

#[test]
fn h11_a_connection_can_be_given_an_age() {
    let mut held =
        Held::new(timed(Timeouts::new().age_timeout(Duration::from_secs(100)).without_idle_timeout()));
    held.hand.advance(Duration::from_secs(89));
    let reqd = held.request(GET);
    held.hand.advance(Duration::from_secs(11));
    reqd.respond_with_string(Response::ok(), "").unwrap();
    assert!(held.heard().contains("connection: close"));
}

#[test]
fn h11_every_timer_can_be_off() {
    let off = Timeouts::new()
        .without_head_timeout()
        .without_idle_timeout()
        .without_body_idle_timeout()
        .without_min_body_rate()
        .without_half_closed_timeout()
        .without_min_write_rate()
        .without_write_stall_timeout();
    let mut held = Held::new(timed(off));
    held.hand.push(b"GET");
    held.hand.advance(Duration::from_secs(1_000_000));
    let mut reqd = held.request(" / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    held.hand.advance(Duration::from_secs(1_000_000));
    assert!(poll(reqd.body().chunk()).is_pending());
    reqd.respond_with_string(Response::ok(), "").unwrap();
    assert!(held.hand.collect_at_most(1).len() == 1);
    held.hand.advance(Duration::from_secs(1_000_000));
    assert!(!held.hand.flow.is_closed());
}
