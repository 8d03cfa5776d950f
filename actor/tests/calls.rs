//! Calls: a request and its one reply.
mod common;

use std::{future::pending, time::Duration};

use common::*;
use riot_actor::{
    CallError, Pid, Reason, ReplyTo, Request, call, exit, info, monitor, now, receive, send, sleep, spawn,
    spawn_monitor, this, timeout, wait, yield_now,
};

type Ask = Request<&'static str, u32>;

/// A server that does what it is asked.
fn server() -> Pid {
    spawn(async {
        loop {
            let Request { query, reply, .. } = receive::<Ask>().await;
            match query {
                "answer" => reply.send(42),
                "never" => drop(reply),
                "later" => {
                    spawn(async move {
                        sleep(secs(3)).await;
                        reply.send(43);
                    });
                }
                reason => return Reason::other(reason),
            }
        }
    })
}

async fn ask(server: Pid, query: &'static str, limit: Option<Duration>) -> Result<u32, CallError> {
    call(server, query, limit).await
}

#[test]
fn g07_a_call_has_a_reply_or_says_why_not() {
    simulated(|| async {
        let server = server();
        assert_eq!(ask(server, "answer", None).await, Ok(42));
        let start = now();
        assert_eq!(ask(server, "never", Some(secs(5))).await, Err(CallError::Timeout));
        assert_eq!((now() - start).as_secs(), 5);
        assert_eq!(ask(this(), "answer", None).await, Err(CallError::CallingSelf));
        assert_eq!(ask(server, "stop", None).await, Err(CallError::Exit(Reason::other("stop"))));
        assert_eq!(ask(server, "answer", None).await, Err(CallError::NoProc));
    });
}

#[test]
fn g08_a_reply_that_is_there_beats_the_time_that_is_up() {
    simulated(|| async {
        let server = server();
        let mut asking = std::pin::pin!(ask(server, "answer", Some(secs(1))));
        std::future::poll_fn(|cx| {
            assert!(asking.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        sleep(secs(10)).await;
        assert_eq!(asking.await, Ok(42));
        assert_eq!(ask(server, "answer", Some(Duration::ZERO)).await, Err(CallError::Timeout));
    });
}

#[test]
fn g09_a_late_reply_is_seen_by_nobody() {
    simulated(|| async {
        let server = server();
        assert_eq!(ask(server, "later", Some(secs(1))).await, Err(CallError::Timeout));
        assert!(timeout(secs(1), ask(server, "later", None)).await.is_err());
        sleep(secs(10)).await;
        let seen = info(this()).unwrap();
        assert_eq!((seen.mailbox, seen.monitors), (0, vec![]));
    });
}

#[test]
fn g10_every_pending_call_hears_of_the_end_even_a_normal_one() {
    everywhere(|| async {
        for reason in [Reason::Normal, Reason::Shutdown, Reason::other("x")] {
            let (me, ending) = (this(), reason.clone());
            let server = spawn(async move {
                receive::<()>().await;
                ending
            });
            for _ in 0..5 {
                spawn(async move { send(me, ask(server, "answer", None).await) });
            }
            while info(server).is_some_and(|server| server.mailbox < 5) {
                yield_now().await;
            }
            send(server, ());
            for _ in 0..5 {
                let answer = receive::<Result<u32, CallError>>().await;
                assert_eq!(answer, Err(CallError::Exit(reason.clone())));
            }
        }
    });
}

#[test]
fn g10_a_killed_server_answers_with_killed() {
    everywhere(|| async {
        let server = spawn(pending::<()>());
        spawn(async move { exit(server, Reason::Kill) });
        let answer = ask(server, "answer", None).await;
        assert!(matches!(answer, Err(CallError::Exit(Reason::Killed) | CallError::NoProc)), "{answer:?}");
    });
}

#[test]
fn g12_a_reply_handle_may_be_moved_and_answers_once() {
    everywhere(|| async {
        let server = spawn(async {
            let request = receive::<Ask>().await;
            spawn(async move { request.reply.send(7) });
            pending::<()>().await;
        });
        assert_eq!(ask(server, "answer", None).await, Ok(7));
    });
}

#[test]
fn g21_a_call_leaves_the_callers_messages_in_order() {
    everywhere(|| async {
        let server = server();
        for nth in 0..10 {
            send(this(), nth);
        }
        assert_eq!(ask(server, "answer", None).await, Ok(42));
        for nth in 0..10 {
            assert_eq!(receive::<i32>().await, nth);
        }
    });
}

#[test]
fn a_condemned_server_answers_after_its_release() {
    simulated(|| async {
        let token = Token::new("held");
        let server = spawn(async move {
            let _held = token;
            pending::<()>().await;
        });
        exit(server, Reason::other("end"));
        assert_eq!(ask(server, "answer", None).await, Err(CallError::Exit(Reason::other("end"))));
        assert_eq!(riot_actor::receive_timeout(Duration::ZERO).await, Ok(Dropped("held", Some(server))));
    });
}

#[test]
fn a_dead_caller_leaves_nothing_with_the_server() {
    everywhere(|| async {
        let me = this();
        let server = spawn(async move {
            let request = receive::<Ask>().await;
            send(me, request.reply);
            pending::<()>().await;
        });
        let (caller, end) = spawn_monitor(async move { drop(ask(server, "answer", None).await) });
        let reply = receive::<ReplyTo<u32>>().await;
        exit(caller, Reason::Kill);
        end.down().await;
        reply.send(1);
        assert_eq!(info(server).unwrap().monitored_by, []);
        let own = monitor(server);
        exit(server, Reason::Kill);
        own.down().await;
        wait(server).await;
    });
}
