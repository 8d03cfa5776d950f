//! The rules of a flow, F1 to F15, kept by an HTTP connection.

mod common;

use std::{task::Poll, time::Duration};

use bytes::Bytes;
use common::{Count, DATE, GET, Held, Served, config, limited, poll, ready, undated};
use riot_flow::{Flow, FlowError, MAX_SLICES, ReadOperation, WriteOperation, WriteResult};
use riot_http::{
    BodyError, Flushed, Http1, Limits, Reqd, RespondError, Response, UpgradeError, WriteError,
    http::{HeaderValue, StatusCode, header},
};

#[test]
fn f01_a_flow_is_a_value() {
    fn is_a_value<T: Send + 'static>() {}
    is_a_value::<Http1>();
    is_a_value::<riot_http::Requests>();
    is_a_value::<Reqd>();
    is_a_value::<Response>();
    fn can_move<T: Send>(_: T) {}
    let (_connection, requests) = Http1::new(config().into());
    can_move(riot_http::serve_requests(requests, &|_reqd: Reqd| async {}));
    assert!(size_of::<Http1>() <= 128, "what an idle connection costs lies behind one pointer");
}

#[test]
fn f02_asked_again_it_answers_the_same() {
    let mut held = Held::new(config());
    let ask = |held: &mut Held| {
        let now = held.hand.now();
        let write = match held.hand.flow.next_write_operation(now) {
            WriteOperation::Write(slices) => format!("write {}", slices.total()),
            WriteOperation::File(part) => format!("file {}", part.length()),
            WriteOperation::Yield => "yield".to_owned(),
            WriteOperation::Close(undelivered) => format!("close {undelivered}"),
        };
        (held.hand.read_operation(), write)
    };
    let same = |held: &mut Held| {
        let first = ask(held);
        assert_eq!([ask(held), ask(held)], [first.clone(), first.clone()]);
        first
    };
    assert_eq!(same(&mut held), (ReadOperation::Read, "yield".to_owned()));
    held.hand.push(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    assert!(same(&mut held).1.starts_with("write"));
    assert_eq!(held.heard().matches("HTTP/1.1 400").count(), 1);
    assert_eq!(same(&mut held), (ReadOperation::Read, "close 0".to_owned()), "it lingers");
    held.hand.end_input();
    assert_eq!(same(&mut held), (ReadOperation::Close, "close 0".to_owned()));
}

#[test]
fn f03_unconsumed_bytes_come_back() {
    let mut held = Held::new(config());
    held.hand.push(b"GET / HTTP/1.1\r\nHo");
    assert_eq!(held.hand.unread(), b"GET / HTTP/1.1\r\nHo", "they stay with the driver");
    let reqd = held.request("st: a\r\n\r\nGET");
    assert_eq!(reqd.request().headers().get("host"), Some(&b"a"[..]));
    assert_eq!(held.hand.unread(), b"GET");
}

#[test]
fn f03_a_full_buffer_gets_an_answer() {
    let cases = [("GET /", 414), ("GET / HTTP/1.1\r\nA: ", 431), ("", 400)];
    for (start, status) in cases {
        let mut held = Held::new(config());
        held.hand.push(start.as_bytes());
        held.hand.push("a".repeat(64 * 1024).as_bytes());
        assert!(held.heard().starts_with(&format!("HTTP/1.1 {status} ")), "{start:?}");
        assert!(held.hand.unread().is_empty(), "what follows is dropped");
    }
    let mut held = Held::new(config());
    held.hand.push(b"GET / HTTP/1.1\r\n");
    held.hand.push(format!("A: {}\r\n", "b".repeat(8000)).repeat(9).as_bytes());
    assert!(held.heard().starts_with("HTTP/1.1 431 "));
}

#[test]
fn f04_what_came_before_the_end_is_served() {
    let mut held = Held::new(config());
    held.hand.push(GET.repeat(3).as_bytes());
    held.hand.end_input();
    assert!(held.hand.read_is_closed());
    for _ in 0..3 {
        assert_eq!(held.hand.write_is_closed(), None);
        held.next().unwrap().respond_with_string(Response::ok(), "x").unwrap();
    }
    let heard = held.heard();
    assert_eq!(heard.matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(heard.matches("connection: close").count(), 1, "the last one says so: {heard}");
    assert!(held.is_closed() && held.is_over());
}

#[test]
fn f04_a_request_cut_off_by_the_end_is_refused() {
    for bytes in ["GET", GET.trim_end(), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx"] {
        let mut held = Held::new(config());
        held.hand.push(bytes.as_bytes());
        held.hand.end_input();
        assert!(held.heard().starts_with("HTTP/1.1 400 "), "{bytes:?}");
        assert!(held.is_closed() && held.is_over());
    }
    let mut held = Held::new(config());
    held.hand.push(b"\r\n");
    held.hand.end_input();
    assert_eq!(held.heard(), "", "an empty line is no request");
    assert!(held.is_closed());
}

#[test]
fn f04_more_than_is_read_ahead_comes_before_the_end() {
    let mut held = Held::new(config());
    held.hand.push(GET.repeat(40).as_bytes());
    held.hand.end_input();
    for answered in 0..40 {
        assert_eq!(held.hand.read_is_closed(), answered >= 24, "{answered}");
        held.next().unwrap_or_else(|| panic!("{answered}")).respond_with_string(Response::ok(), "").unwrap();
        held.hand.pump();
    }
    assert_eq!(held.heard().matches("HTTP/1.1 200 OK").count(), 40);
    assert!(held.is_closed());
}

#[test]
fn f05_a_wake_up_comes_once() {
    let mut held = Held::new(limited(Limits::new().max_pipeline(1)));
    let (reader, reader_waker) = Count::new();
    let (writer, writer_waker) = Count::new();
    let reqd = held.request(GET);
    assert_eq!(held.hand.read_operation(), ReadOperation::Yield);
    held.hand.flow.yield_reader(&reader_waker);
    held.hand.flow.yield_writer(&writer_waker);
    assert_eq!((reader.get(), writer.get()), (0, 0));
    reqd.respond_with_string(Response::ok(), "x").unwrap();
    assert_eq!((reader.get(), writer.get()), (1, 1));
    held.hand.flow.yield_reader(&reader_waker);
    held.hand.flow.yield_writer(&writer_waker);
    assert_eq!((reader.get(), writer.get()), (2, 2), "due before it is registered, it comes at once");
    let reqd = held.request(GET);
    reqd.respond_with_string(Response::ok(), "x").unwrap();
    assert_eq!((reader.get(), writer.get()), (2, 2), "and only once");
}

#[test]
fn f05_a_pipeline_wakes_its_handler_once() {
    let mut held = Held::new(config());
    let (count, waker) = Count::new();
    let mut context = std::task::Context::from_waker(&waker);
    assert!(held.requests.poll_next(&mut context).is_pending());
    held.hand.push(GET.repeat(16).as_bytes());
    assert_eq!(count.get(), 1);
}

#[test]
fn f05_bytes_held_back_are_asked_for_again() {
    // Room comes between the read that lacked it and the question what to do next: the reading loop would
    // wait for bytes that never come, if it were not told to present what it has.
    let mut held = Held::new(limited(Limits::new().max_pipeline(1)));
    let now = held.hand.now();
    let two = GET.repeat(2);
    let consumed = held.hand.flow.read(two.as_bytes(), now);
    assert_eq!(consumed, GET.len());
    held.next().unwrap().respond_with_string(Response::ok(), "x").unwrap();
    assert_eq!(held.hand.read_operation(), ReadOperation::Yield);
    let (count, waker) = Count::new();
    held.hand.flow.yield_reader(&waker);
    assert_eq!((count.get(), held.hand.read_operation()), (1, ReadOperation::Read));
}

#[test]
fn f06_a_write_has_bytes_in_a_few_pieces() {
    let mut held = Held::new(config());
    held.hand.push(GET.repeat(16).as_bytes());
    let large = vec![b'x'; 5000];
    for _ in 0..12 {
        held.next().unwrap().respond_with_bytes(Response::ok(), large.clone()).unwrap();
    }
    let now = held.hand.now();
    let WriteOperation::Write(slices) = held.hand.flow.next_write_operation(now) else { panic!("a write") };
    let pieces: Vec<_> = slices.iter().collect();
    assert!(pieces.len() <= MAX_SLICES && pieces.iter().all(|piece| !piece.is_empty()));
    held.hand.flow.report_write_result(WriteResult::Written(0), now);
    assert_eq!(held.heard().matches("HTTP/1.1 200 OK").count(), 12);
}

#[test]
fn f07_the_remainder_of_a_write_comes_first() {
    let mut held = Held::new(config());
    held.request(GET).respond_with_string(Response::ok(), "first").unwrap();
    let mut all = held.hand.collect_at_most(20);
    held.request(GET).respond_with_string(Response::ok(), "second").unwrap();
    loop {
        let piece = held.hand.collect_at_most(7);
        if piece.is_empty() {
            break;
        }
        all.extend(piece);
    }
    let answer = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    assert_eq!(undated(all), answer("first") + &answer("second"));
}

#[test]
fn f07_a_closed_peer_loses_what_is_left() {
    let mut held = Held::new(config());
    held.request(GET).respond_with_string(Response::ok(), "x").unwrap();
    let all = 17 + DATE.len() + 22;
    assert_eq!(held.hand.collect_at_most(10).len(), 10);
    held.hand.refuse_output();
    assert_eq!(held.hand.write_is_closed(), Some(all as u64 - 10));
    assert!(held.is_closed() && held.is_over());
}

#[test]
fn f07_a_write_under_way_when_the_transport_fails_is_lost() {
    let mut held = Held::new(config());
    held.request(GET).respond_with_string(Response::ok(), "x").unwrap();
    let now = held.hand.now();
    let WriteOperation::Write(slices) = held.hand.flow.next_write_operation(now) else { panic!("a write") };
    let total = slices.total();
    held.hand.reset();
    held.hand.flow.report_write_result(WriteResult::Written(total), now);
    assert_eq!(held.hand.write_is_closed(), Some(total as u64));
}

#[test]
fn f08_the_end_of_reading_does_not_cut_off_the_answer() {
    let mut held = Held::new(config());
    let reqd = held.request(GET);
    held.hand.end_input();
    assert!(held.hand.read_is_closed());
    assert_eq!(held.hand.write_is_closed(), None);
    reqd.respond_with_string(Response::ok(), "late").unwrap();
    assert!(held.heard().ends_with("late"));
    assert_eq!(held.hand.write_is_closed(), Some(0));
}

#[test]
fn f09_one_deadline_is_told_and_watched() {
    let mut held = Held::new(config());
    let (count, waker) = Count::new();
    held.hand.advance(Duration::from_secs(2));
    let idle = held.hand.flow.next_deadline().unwrap();
    assert_eq!(idle - held.hand.now(), Duration::from_secs(58), "a minute from the start");
    let deadline = held.hand.flow.next_deadline();
    assert!(held.hand.flow.watch_deadline(&waker, deadline));
    held.hand.push(b"GET");
    let head = held.hand.flow.next_deadline().unwrap();
    assert_eq!(head - held.hand.now(), Duration::from_secs(10));
    assert_eq!(count.get(), 1, "it has become earlier");
    let deadline = held.hand.flow.next_deadline();
    assert!(held.hand.flow.watch_deadline(&waker, deadline));
    held.hand.push(b" / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (held.hand.flow.next_deadline(), count.get()),
        (None, 1),
        "a deadline that goes needs no wake-up"
    );
    held.next().unwrap().respond_with_string(Response::ok(), "").unwrap();
    held.heard();
    assert!(!held.hand.flow.watch_deadline(&waker, None), "there is one already");
}

#[test]
fn f10_a_body_that_is_not_read_stops_the_reader() {
    let mut held = Held::new(config());
    let mut reqd = held.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    held.hand.push(&[b'x'; 100_000]);
    assert_eq!(held.hand.read_operation(), ReadOperation::Yield);
    assert_eq!(held.hand.unread().len(), 100_000 - 64 * 1024);
    let (count, waker) = Count::new();
    held.hand.flow.yield_reader(&waker);
    assert!(ready(reqd.body().chunk()).unwrap().is_some());
    assert_eq!((held.hand.read_operation(), count.get()), (ReadOperation::Read, 1));
}

#[test]
fn f10_bytes_that_need_no_copy_are_taken_once_beyond_the_window_and_then_stop_the_reader() {
    let mut held = Held::new(config());
    let mut reqd = held.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    let (now, block) = (held.hand.now(), Bytes::from(vec![b'x'; 256 * 1024]));
    let (consumed, next) = held.hand.flow.read_bytes(&block, now);
    assert_eq!((consumed, next), (block.len(), ReadOperation::Yield));
    let piece = ready(reqd.body().chunk()).unwrap().unwrap();
    assert_eq!((piece.as_ptr(), piece.len()), (block.as_ptr(), block.len()), "where it was");
    assert_eq!(held.hand.read_operation(), ReadOperation::Read);
}

#[test]
fn f10_small_pieces_out_of_many_bytes_are_copied_and_stay_within_the_window() {
    let mut held = Held::new(config());
    let mut reqd = held.request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = [&b"400\r\n"[..], &[b'x'; 0x400], b"\r\n"].concat();
    let (now, block) = (held.hand.now(), Bytes::from(chunk.repeat(200)));
    let (consumed, next) = held.hand.flow.read_bytes(&block, now);
    assert!((64 * 1024..66 * 1024).contains(&consumed), "{consumed}");
    assert_eq!(next, ReadOperation::Yield);
    let piece = ready(reqd.body().chunk()).unwrap().unwrap();
    assert!(!block.as_ptr_range().contains(&piece.as_ptr()), "few bytes do not keep many");
}

#[test]
fn f10_a_peer_that_reads_nothing_makes_the_handler_wait() {
    let mut held = Held::new(config());
    let mut writer = held.request(GET).respond_with_streaming(Response::ok()).unwrap();
    let piece = vec![b'x'; 32 * 1024];
    ready(writer.write(piece.clone())).unwrap();
    ready(writer.write(piece.clone())).unwrap();
    assert!(poll(writer.write(piece.clone())).is_pending());
    held.hand.collect();
    ready(writer.write(piece)).unwrap();
}

#[test]
fn f10_a_pipeline_waits_for_room_as_well() {
    let mut held = Held::new(config());
    held.hand.push(GET.repeat(3).as_bytes());
    held.next().unwrap().respond_with_bytes(Response::ok(), vec![0; 100_000]).unwrap();
    let (count, waker) = Count::new();
    let mut context = std::task::Context::from_waker(&waker);
    assert!(held.requests.poll_next(&mut context).is_pending());
    held.hand.collect_at_most(50_000);
    assert_eq!(count.get(), 1);
    assert!(held.next().is_some());
}

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";

#[test]
fn f12_the_switch_is_sent_first_and_unread_bytes_are_handed_over() {
    let mut held = Held::new(config());
    let reqd = held.request(&format!("{UPGRADE}more"));
    let response =
        Response::new(StatusCode::SWITCHING_PROTOCOLS).header(header::UPGRADE, HeaderValue::from_static("x"));
    let upgrade = reqd.respond_with_upgrade(response).unwrap();
    assert!(!held.hand.flow.is_upgraded() && !held.hand.flow.is_closed());
    assert_eq!(held.hand.read_operation(), ReadOperation::Yield);
    assert_eq!(held.heard(), "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n");
    assert!(held.is_closed() && held.hand.flow.is_upgraded() && held.hand.flow.is_closed());
    assert!(poll(held.requests.closed()).is_pending(), "its handler lives on");
    let unread = held.hand.unread().to_vec();
    held.hand.flow.offer_transport("a socket", unread.into());
    let upgraded = ready(upgrade.transport::<&str>()).unwrap();
    assert_eq!((upgraded.transport, &upgraded.unread[..]), ("a socket", &b"more"[..]));
}

#[test]
fn f12_a_tunnel_begins_behind_its_answer() {
    let mut held = Held::new(config());
    let refused = held.request("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    assert_eq!(
        refused.respond_with_string(Response::ok(), ""),
        Err(RespondError::Upgrade),
        "2xx is a tunnel"
    );
    assert!(held.heard().starts_with("HTTP/1.1 500 "));
    let mut held = Held::new(config());
    let reqd = held.request("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    let upgrade = reqd.respond_with_upgrade(Response::ok()).unwrap();
    assert_eq!(held.heard(), "HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(held.hand.unread(), b"GET / HTTP/1.1\r\n\r\n");
    let waiting = upgrade.transport::<()>();
    drop(held);
    assert_eq!(ready(waiting).unwrap_err(), UpgradeError::Closed);
}

#[test]
fn f12_refused_it_goes_on_as_before() {
    let mut held = Held::new(config());
    let reqd = held.request(&format!("{UPGRADE}{GET}"));
    assert_eq!(held.hand.unread(), GET.as_bytes(), "not read before the answer is known");
    reqd.respond_with_string(Response::ok(), "no").unwrap();
    held.hand.pump();
    held.next().unwrap().respond_with_string(Response::ok(), "next").unwrap();
    assert!(held.heard().ends_with("next"));
}

#[test]
fn f12_a_switch_must_have_been_asked_for() {
    let mut held = Held::new(config());
    let reqd = held.request(GET);
    let switch = || Response::new(StatusCode::SWITCHING_PROTOCOLS);
    let (reqd, error) = reqd.respond_with_upgrade(switch()).unwrap_err();
    assert_eq!(error, RespondError::Upgrade);
    reqd.respond_with_string(Response::ok(), "no").unwrap();
    assert!(held.heard().ends_with("no"));
    let error = held.request(GET).respond_with_string(switch(), "").unwrap_err();
    assert_eq!(error, RespondError::Informational);
    assert!(held.heard().starts_with("HTTP/1.1 500 "));
}

#[test]
fn f14_a_flush_says_what_became_of_it() {
    let mut held = Held::new(config());
    let mut writer = held.request(GET).respond_with_streaming(Response::ok()).unwrap();
    ready(writer.write("piece")).unwrap();
    assert!(poll(writer.flush()).is_pending());
    held.hand.collect_at_most(10);
    assert!(poll(writer.flush()).is_pending());
    held.hand.collect();
    assert_eq!(ready(writer.flush()), Flushed::Written);
    ready(writer.write("lost")).unwrap();
    held.hand.refuse_output();
    assert_eq!(ready(writer.flush()), Flushed::Closed);
    assert_eq!(ready(writer.write("more")), Err(WriteError::Closed));
}

#[test]
fn f14_a_flush_survives_a_loss_behind_it() {
    let mut held = Held::new(config());
    let mut writer = held.request(GET).respond_with_streaming(Response::ok()).unwrap();
    let (count, waker) = Count::new();
    let mut flush = Box::pin(writer.flush());
    let mut context = std::task::Context::from_waker(&waker);
    assert!(flush.as_mut().poll(&mut context).is_pending());
    held.hand.collect();
    held.hand.reset();
    assert_eq!((flush.as_mut().poll(&mut context), count.get()), (Poll::Ready(Flushed::Written), 1));
}

#[test]
fn f15_an_error_before_the_answer_is_an_error_answer() {
    let mut held = Held::new(config());
    let reqd = held.request(GET);
    held.hand.flow.report_error(FlowError::Application("a bug".into()));
    let heard = held.heard();
    assert!(heard.starts_with("HTTP/1.1 500 ") && heard.contains("connection: close"), "{heard}");
    assert!(!heard.contains("a bug"), "the reason is not the peer's business");
    assert_eq!(reqd.respond_with_string(Response::ok(), ""), Err(RespondError::Closed));
    assert_eq!(held.hand.write_is_closed(), Some(0));
}

#[test]
fn f15_an_error_behind_the_head_cuts_the_body_off() {
    let mut held = Held::new(config());
    let mut writer = held.request(GET).respond_with_streaming(Response::ok()).unwrap();
    ready(writer.write("part")).unwrap();
    held.hand.flow.report_error(FlowError::Application("a bug".into()));
    let heard = held.heard();
    assert!(heard.ends_with("\r\n4\r\npart\r\n"), "no last chunk: {heard}");
    assert_eq!(ready(writer.write("more")), Err(WriteError::Closed));
    assert_eq!(held.hand.write_is_closed(), Some(0));
}

#[test]
fn f15_a_transport_that_fails_ends_everything() {
    let mut held = Held::new(config());
    let mut reqd = held.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    let closed = held.requests.closed();
    assert!(poll(reqd.body().chunk()).is_pending());
    held.hand.reset();
    ready(closed);
    assert_eq!(ready(reqd.body().chunk()), Err(BodyError::Closed));
    assert_eq!(reqd.respond_with_string(Response::ok(), ""), Err(RespondError::Closed));
    assert!(held.is_closed() && held.is_over());
}

#[test]
fn f15_an_error_while_idle_closes() {
    let mut served =
        Served::new(config(), |reqd: Reqd| async move { reqd.respond_with_string(Response::ok(), "") });
    served.talk(GET);
    served.hand.flow.report_error(FlowError::Application("a bug".into()));
    assert_eq!(served.talk(""), "");
    assert_eq!(served.hand.write_is_closed(), Some(0));
}
