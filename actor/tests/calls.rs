//! Calls: a request and its one reply.
mod common;

use std::{
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use common::*;
use riot_actor::{
    Pid, Reason, call,
    call::{CallError, CallRequest, ReplyTo},
    exit, monitor, now,
    process::{info, join, spawn_monitor, wait, yield_now},
    receive,
    runtime::{Config, blocking},
    send, sleep, spawn,
    stats::scheduler_stats,
    this, timeout,
};

type Ask = CallRequest<&'static str, u32>;

/// A server that handles each request as it says.
fn server() -> Pid {
    spawn(async {
        let mut kept = Vec::new();
        loop {
            let CallRequest { query, reply, .. } = receive::<Ask>().await;
            match query {
                "answer" => reply.send(42),
                "never" => kept.push(reply),
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
fn g07_the_time_of_a_call_is_its_own_whatever_was_called_before() {
    simulated(|| async {
        let server = server();
        for (limit, before) in [(5, 0), (5, 2), (2, 1), (7, 6), (1, 0)] {
            // A call that is answered leaves a timer running, which may fire before or after the timeout of
            // this one.
            for _ in 0..3 {
                assert_eq!(ask(server, "answer", Some(secs(5))).await, Ok(42));
            }
            sleep(secs(before)).await;
            let start = now();
            assert_eq!(ask(server, "never", Some(secs(limit))).await, Err(CallError::Timeout));
            assert_eq!((now() - start).as_secs(), limit);
        }
    });
}

#[test]
fn g07_two_calls_at_a_time_have_a_time_each() {
    simulated(|| async {
        let server = server();
        for (one, other) in [(2, 5), (5, 2), (3, 3)] {
            let mut first = pin!(ask(server, "never", Some(secs(one))));
            let mut second = pin!(ask(server, "never", Some(secs(other))));
            let (start, mut ends) = (now(), [None; 2]);
            poll_fn(|cx| {
                for (end, call) in ends.iter_mut().zip([&mut first, &mut second]) {
                    if end.is_none() && call.as_mut().poll(cx).is_ready() {
                        *end = Some((now() - start).as_secs());
                    }
                }
                if ends.contains(&None) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            assert_eq!(ends, [Some(one), Some(other)]);
        }
    });
}

#[test]
fn p31_a_process_that_called_leaves_no_timer() {
    everywhere(|| async {
        let server = server();
        let timers = || scheduler_stats().timers;
        let before = timers();
        let callers: Vec<Pid> = (0..100)
            .map(|_| {
                spawn(async move {
                    for _ in 0..10 {
                        assert_eq!(ask(server, "answer", Some(secs(5))).await, Ok(42));
                    }
                    assert!(timers() > before, "it has one for its next call");
                })
            })
            .collect();
        join(&callers).await;
        assert_eq!(timers(), before);
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
fn g09_a_late_reply_is_dropped() {
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
        assert_eq!(
            riot_actor::mailbox::receive_timeout(Duration::ZERO).await,
            Ok(Dropped("held", Some(server)))
        );
    });
}

#[test]
fn a_caller_that_exits_leaves_nothing_with_the_server() {
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

type Asking<R> = Pin<Box<dyn Future<Output = Result<R, CallError>> + Send>>;

/// Polls a future once; it must be pending.
async fn begin<F: Future + Unpin>(asking: &mut F) {
    let is_pending = poll_fn(|cx| Poll::Ready(Pin::new(&mut *asking).poll(cx).is_pending())).await;
    assert!(is_pending);
}

#[test]
fn calls_of_one_process_at_a_time_have_an_answer_each() {
    everywhere(|| async {
        let server = spawn(async {
            let mut asked = Vec::new();
            while asked.len() < 3 {
                asked.push(receive::<CallRequest<usize, usize>>().await);
            }
            for CallRequest { query, reply, .. } in asked.into_iter().rev() {
                reply.send(query + 10);
                yield_now().await;
            }
        });
        let mut asking: Vec<Asking<usize>> =
            (0..3_usize).map(|query| Box::pin(call(server, query, None)) as Asking<usize>).collect();
        for asking in &mut asking {
            begin(asking).await;
        }
        for (query, asking) in asking.into_iter().enumerate() {
            assert_eq!(asking.await, Ok(query + 10));
        }
    });
}

/// A waker that records that it was woken, as combinators have.
struct RecordsWake {
    woken: AtomicBool,
    process: Mutex<Option<Waker>>,
}

impl Wake for RecordsWake {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        let process = self.process.lock().unwrap().take();
        process.into_iter().for_each(Waker::wake);
    }
}

#[test]
fn a_call_wakes_the_task_that_polled_it_last() {
    everywhere(|| async {
        let server = server();
        let mut asking: Asking<u32> = Box::pin(ask(server, "answer", None));
        begin(&mut asking).await;
        let recorder = Arc::new(RecordsWake { woken: AtomicBool::new(false), process: Mutex::new(None) });
        let waker = Waker::from(recorder.clone());
        let mut first = true;
        let answer = poll_fn(|cx| {
            *recorder.process.lock().unwrap() = Some(cx.waker().clone());
            if first || recorder.woken.swap(false, Ordering::SeqCst) {
                first = false;
                return asking.as_mut().poll(&mut Context::from_waker(&waker));
            }
            Poll::Pending
        });
        assert_eq!(answer.await, Ok(42));
    });
}

#[test]
fn a_call_begun_by_one_process_may_be_waited_for_by_another() {
    everywhere(|| async {
        for reply in [true, false] {
            let asked = this();
            let beginner = spawn(async move {
                let heir: Pid = receive().await;
                let mut asking: Asking<u32> = Box::pin(ask(asked, "", None));
                begin(&mut asking).await;
                send(heir, asking);
                let () = receive().await;
            });
            let heir = spawn(async move {
                let asking = receive::<Asking<u32>>().await;
                send(asked, asking.await);
            });
            send(beginner, heir);
            let request = receive::<Ask>().await;
            if reply {
                request.reply.send(7);
                assert_eq!(receive::<Result<u32, CallError>>().await, Ok(7));
                send(beginner, ());
            } else {
                // A reply to a caller that has exited is dropped.
                send(beginner, ());
                assert_eq!(receive::<Result<u32, CallError>>().await, Err(CallError::NoProc));
                request.reply.send(8);
            }
            join(&[beginner, heir]).await;
        }
    });
}

#[test]
fn g12_a_reply_may_come_from_a_thread_of_no_runtime_or_of_another() {
    threaded(|| async {
        let server = spawn(async {
            let first = receive::<CallRequest<(), &'static str>>().await;
            blocking(move || first.reply.send("a thread")).await;
            let second = receive::<CallRequest<(), &'static str>>().await;
            let other =
                std::thread::spawn(move || Config::new().run(async move { second.reply.send("a runtime") }));
            blocking(move || other.join().unwrap()).await.expect("it runs");
        });
        assert_eq!(call::<(), &'static str>(server, (), None).await, Ok("a thread"));
        assert_eq!(call::<(), &'static str>(server, (), None).await, Ok("a runtime"));
    });
}

#[test]
fn g09_a_reply_to_a_runtime_that_is_gone_is_dropped() {
    let late = Arc::new(Mutex::new(None));
    let kept = late.clone();
    threaded(move || {
        let kept = kept.clone();
        async move {
            let main = this();
            spawn(async move { drop(ask(main, "", None).await) });
            *kept.lock().unwrap() = Some(receive::<Ask>().await.reply);
        }
    });
    late.lock().unwrap().take().expect("it was asked").send(1);
}

/// Calls that are given up at any moment, beside others that wait, answered in any order.
#[test]
fn g09_answers_and_calls_that_are_given_up_do_not_meet() {
    threaded(|| async {
        let repliers: Vec<Pid> = (0..2)
            .map(|_| {
                spawn(async {
                    loop {
                        let (text, reply) = receive::<(String, ReplyTo<String>)>().await;
                        reply.send(text);
                    }
                })
            })
            .collect();
        let server = spawn(async move {
            for replier in repliers.iter().cycle() {
                let CallRequest { query, reply, .. } = receive::<CallRequest<String, String>>().await;
                send(*replier, (query, reply));
            }
        });
        let callers: Vec<_> = (0..4)
            .map(|caller| {
                spawn_monitor(async move {
                    for number in 0..5_000 {
                        let text = format!("{caller} asks {number}");
                        let mut asking = std::pin::pin!(call::<String, String>(server, text.clone(), None));
                        let mut polls = number % 3;
                        let answer = poll_fn(|cx| match asking.as_mut().poll(cx) {
                            Poll::Ready(answer) => Poll::Ready(Some(answer)),
                            Poll::Pending if polls == 1 => Poll::Ready(None),
                            Poll::Pending => {
                                if polls > 0 {
                                    polls -= 1;
                                    cx.waker().wake_by_ref();
                                }
                                Poll::Pending
                            }
                        });
                        if let Some(answer) = answer.await {
                            assert_eq!(answer, Ok(text));
                        }
                    }
                })
            })
            .collect();
        for (_, end) in callers {
            assert_eq!(end.down().await.reason, Reason::Normal);
        }
    });
}

#[test]
fn a_call_that_is_never_dropped_blocks_no_other() {
    simulated(|| async {
        let server = server();
        let (_, forgetful) = spawn_monitor(async move {
            let mut asking: Asking<u32> = Box::pin(ask(server, "later", None));
            begin(&mut asking).await;
            std::mem::forget(asking);
            assert_eq!(ask(server, "answer", None).await, Ok(42));
        });
        assert_eq!(forgetful.down().await.reason, Reason::Normal);
        // The process that has its slot now can call.
        let (_, next) = spawn_monitor(async move { assert_eq!(ask(server, "answer", None).await, Ok(42)) });
        assert_eq!(next.down().await.reason, Reason::Normal);
        sleep(secs(4)).await;
    });
}
