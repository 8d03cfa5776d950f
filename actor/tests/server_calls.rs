//! Calls and casts of generic servers: G7-G13, G20-G22.
mod common;

use std::time::Duration;

use common::{everywhere, simulated, talker::*};
use riot_actor::{
    Message, Reason,
    call::{CallError, ReplyTo},
    gen_server::{Call, GenServer, GenServerRef, Stop},
    mailbox::receive_timeout,
    monitor, receive, send, sleep, spawn, this,
};

#[test]
fn g07_a_call_is_answered_or_says_why_not() {
    simulated(|| async {
        let server = talker(Init::Fine).await;
        assert_eq!(server.call(Slow(4_000)).await, Ok(4_000));
        assert_eq!(server.call(Slow(6_000)).await, Err(CallError::Timeout), "five seconds by default");
        assert_eq!(server.call_timeout(Slow(60_000), None).await, Ok(60_000));
        server.stop(Reason::Normal, None).await.expect("it stops");
        assert_eq!(server.call(Log).await, Err(CallError::NoProc));
    });
}

#[test]
fn g08_a_reply_that_is_there_at_the_last_moment_counts() {
    everywhere(|| async {
        let server = talker(Init::Fine).await;
        let mut pending = server.send_request(Log).expect("it lives");
        // A second call is answered after the first, so the first reply is there.
        server.call(Log).await.expect("it answers");
        assert_eq!(pending.wait(Some(Duration::ZERO)).await, Ok(vec![]));
    });
}

#[test]
fn g09_a_late_reply_is_never_seen() {
    simulated(|| async {
        let server = talker(Init::Fine).await;
        let late = server.call_timeout(Slow(2_000), Some(Duration::from_secs(1))).await;
        assert_eq!(late, Err(CallError::Timeout));
        sleep(Duration::from_secs(5)).await;
        nothing_in_the_mailbox().await;
        drop(server.send_request(Slow(10)).expect("it lives"));
        assert_eq!(server.call(Log).await, Ok(vec![]));
        nothing_in_the_mailbox().await;
    });
}

#[test]
fn g10_a_server_that_ends_without_replying_gives_its_true_reason() {
    everywhere(|| async {
        for reason in [Reason::Normal, Reason::other("tired")] {
            let server = Talker::start((this(), Init::Fine)).await.expect("it starts");
            let mut unanswered = server.send_request(Keep).expect("it lives");
            let mut unserved = {
                server.cast(Note("before"));
                assert_eq!(server.call(StopWith(reason.clone())).await, Ok("stopping"));
                unanswered.wait(None).await
            };
            assert_eq!(unserved, Err(CallError::Exit(reason.clone())));
            unserved = unanswered.wait(None).await;
            assert!(unserved.is_err(), "an answer is there once");
        }
    });
}

#[test]
fn g11_casts_calls_and_messages_of_one_client_keep_their_order() {
    everywhere(|| async {
        let server = talker(Init::Fine).await;
        server.cast(Note("one"));
        send(server.pid(), 2_u32);
        let mut log = server.send_request(Log).expect("it lives");
        server.cast(Note("three"));
        assert_eq!(log.wait(None).await, Ok(vec!["one".into(), "info 2".into()]));
        assert_eq!(server.call(Log).await.map(|log| log.len()), Ok(3));
    });
}

#[test]
fn g12_the_right_to_answer_may_move() {
    simulated(|| async {
        let server = talker(Init::Fine).await;
        let delegate = spawn(async {
            let reply: ReplyTo<u32> = receive().await;
            sleep(Duration::from_secs(1)).await;
            reply.send(42);
        });
        assert_eq!(server.call(Delegate(Some(delegate))).await, Ok(42));
    });
}

#[test]
fn g13_a_server_that_stops_with_a_reply_terminates_first_and_ends_after() {
    everywhere(|| async {
        let server = Talker::start((this(), Init::Fine)).await.expect("it starts");
        let down = monitor(server.pid());
        assert_eq!(server.call(StopWith(Reason::Shutdown)).await, Ok("stopping"));
        // The report of `terminate` was sent before the reply.
        let said: Report = receive_timeout(Duration::ZERO).await.expect("it is there");
        assert_eq!(said.0, "terminate shutdown");
        assert_eq!(down.down().await.reason, Reason::Shutdown);
    });
}

#[test]
fn g20_handlers_are_not_reentrant() {
    simulated(|| async {
        let server = talker(Init::Fine).await;
        let mut slow = server.send_request(Slow(1_000)).expect("it lives");
        server.cast(Note("behind"));
        assert!(receive_timeout::<Report>(Duration::from_millis(999)).await.is_err());
        assert_eq!(slow.wait(None).await, Ok(1_000));
        assert_eq!(next_report().await, "behind");
    });
}

#[test]
fn g21_a_call_inside_a_server_leaves_its_messages_where_they_are() {
    struct Middle(GenServerRef<Talker>, Vec<u32>);
    struct Through;
    impl GenServer for Middle {
        type Args = GenServerRef<Talker>;
        async fn init(inner: GenServerRef<Talker>) -> Result<Self, Stop> {
            Ok(Middle(inner, Vec::new()))
        }
        async fn handle_info(&mut self, message: Message) {
            self.1.push(message.downcast().unwrap());
        }
    }
    impl Call<Through> for Middle {
        type Reply = (u64, Vec<u32>);
        async fn call(&mut self, _: Through) -> (u64, Vec<u32>) {
            (self.0.call(Slow(10)).await.expect("it answers"), self.1.clone())
        }
    }
    everywhere(|| async {
        let middle = Middle::start_link(talker(Init::Fine).await).await.expect("it starts");
        let mut first = middle.send_request(Through).expect("it lives");
        (0..5_u32).for_each(|n| send(middle.pid(), n));
        assert_eq!(first.wait(None).await, Ok((10, vec![])));
        assert_eq!(middle.call(Through).await, Ok((10, vec![0, 1, 2, 3, 4])));
    });
}

#[test]
fn g22_requests_may_be_awaited_in_any_order() {
    everywhere(|| async {
        let server = talker(Init::Fine).await;
        let mut requests: Vec<_> =
            [1, 2, 3].into_iter().map(|n| server.send_request(Slow(n)).expect("it lives")).collect();
        for (n, request) in requests.iter_mut().enumerate().rev() {
            assert_eq!(request.wait(None).await, Ok(n as u64 + 1));
        }
    });
}
