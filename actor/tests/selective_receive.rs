//! The mailbox: M1-M17.
mod common;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use common::*;
use riot_actor::{
    Exit, Pid, Reason, exit,
    mailbox::{mark, receive_any, receive_if, receive_timeout, select},
    monitor,
    name::send_named,
    now,
    process::{info, spawn_monitor, wait, yield_now},
    receive, send, sleep, spawn, this,
    time::{TimedOut, send_after},
    timeout, trap_exit,
};

#[test]
fn m01_messages_keep_the_order_of_their_acceptance() {
    everywhere(|| async {
        trap_exit(true);
        for nth in 0..100 {
            send(this(), nth);
        }
        exit(this(), Reason::other("in between"));
        send(this(), 100);
        for nth in 0..100 {
            assert_eq!(receive_any().await.downcast::<i32>().unwrap(), nth);
        }
        assert!(receive_any().await.is::<Exit>());
        assert_eq!(receive_any().await.downcast::<i32>().unwrap(), 100);
    });
}

#[test]
fn m02_a_message_to_a_released_process_is_dropped_by_its_sender() {
    everywhere(|| async {
        let pid = spawn(async {});
        wait(pid).await;
        send(pid, Token::new("unread"));
        assert_eq!(receive_timeout(Duration::ZERO).await, Ok(Dropped("unread", Some(this()))));
        let condemned = spawn(std::future::pending::<()>());
        exit(condemned, Reason::Kill);
        send(condemned, Token::new("refused"));
        assert_eq!(receive_timeout(Duration::ZERO).await, Ok(Dropped("refused", Some(this()))));
    });
}

#[test]
fn m03_a_message_to_a_free_name_comes_back() {
    everywhere(|| async {
        let undelivered = send_named("free", String::from("hello")).unwrap_err();
        assert_eq!((undelivered.name.0.as_str(), undelivered.message.as_str()), ("free", "hello"));
        riot_actor::register("me", this()).unwrap();
        send_named("me", 7_u8).unwrap();
        assert_eq!(receive::<u8>().await, 7);
    });
}

#[test]
fn m04_a_message_is_handed_over_or_dropped_exactly_once() {
    everywhere(|| async {
        let kept = Arc::new(());
        let (pid, end) = spawn_monitor(async {
            for _ in 0..50 {
                receive::<Arc<()>>().await;
            }
        });
        for _ in 0..100 {
            send(pid, kept.clone());
        }
        end.down().await;
        assert_eq!(Arc::strong_count(&kept), 1);
    });
}

#[derive(Debug, PartialEq)]
struct A(u8);
#[derive(Debug, PartialEq)]
struct B(u8);

#[test]
fn m05_the_oldest_accepted_message_is_taken_whichever_pattern_accepts_it() {
    everywhere(|| async {
        send(this(), "other");
        send(this(), B(1));
        send(this(), A(1));
        let first = riot_actor::receive! {
            A(n) => format!("a{n}"),
            B(n) => format!("b{n}"),
        };
        assert_eq!(first, "b1");
        assert_eq!(receive_any().await.downcast::<&str>().unwrap(), "other");
        assert_eq!(receive_any().await.downcast::<A>().unwrap(), A(1));
    });
}

#[test]
fn m06_a_declined_message_stays_and_a_panicking_selector_ends_the_process() {
    everywhere(|| async {
        for nth in [1, 2, 3] {
            send(this(), nth);
        }
        assert_eq!(receive_if(|nth: &i32| *nth == 2).await, 2);
        assert_eq!((receive::<i32>().await, receive::<i32>().await), (1, 3));
        let (pid, end) = spawn_monitor(async {
            select(|_| panic!("picky")).await;
        });
        send(pid, 1);
        assert!(matches!(end.down().await.reason, Reason::Panic(_)));
        // A panic that is caught loses no message either.
        send(this(), 1);
        send(this(), 2);
        let caught =
            riot_actor::process::catch_panic(receive_if(
                |nth: &i32| if *nth == 2 { panic!("2") } else { false },
            ));
        assert!(caught.await.is_err());
        assert_eq!((receive::<i32>().await, receive::<i32>().await), (1, 2));
    });
}

#[test]
fn m07_a_receive_looks_at_each_message_once_and_a_new_one_starts_at_the_oldest() {
    everywhere(|| async {
        let looked = Counter::default();
        let count = looked.clone();
        let observer = this();
        let (pid, end) = spawn_monitor(async move {
            send(observer, "ready");
            receive_if(|nth: &u32| {
                count.add();
                *nth == 1000
            })
            .await;
            assert_eq!(receive::<u32>().await, 0);
        });
        receive::<&str>().await;
        for nth in 0..=1000_u32 {
            send(pid, nth);
            if nth % 10 == 0 {
                yield_now().await;
            }
        }
        assert_eq!(end.down().await.reason, Reason::Normal);
        assert_eq!(looked.get(), 1001);
    });
}

#[test]
fn m08_a_receive_since_a_mark_looks_only_at_what_came_after_it() {
    everywhere(|| async {
        let backlog = 1000;
        (0..backlog).for_each(|number| send(this(), number));
        let mark = mark();
        let observer = this();
        spawn(async move { (0..3).for_each(|number| send(observer, number)) });
        let looked = Counter::default();
        let counted = looked.clone();
        let found = receive_if(move |&number: &i32| counted.add() >= 1 && number == 2).since(mark).await;
        assert_eq!((found, looked.get()), (2, 3), "none of the backlog was looked at");
        assert_eq!(select(|_| true).since(mark).await.downcast::<i32>().unwrap(), 0);
        assert_eq!(receive::<i32>().since(mark).await, 1);
        assert_eq!(timeout(Duration::ZERO, receive::<i32>().since(mark)).await, Err(TimedOut));
        assert_eq!(receive::<i32>().await, 0, "the others have kept their places");
    });
}

#[test]
fn m08_a_mark_of_another_process_is_refused() {
    everywhere(|| async {
        let mark = mark();
        let (_, end) = spawn_monitor(async move {
            receive::<()>().since(mark).await;
        });
        let Reason::Panic(panic) = end.down().await.reason else { panic!("it was accepted") };
        assert!(panic.message.contains("call `mark` in the process that receives"), "{panic}");
    });
}

#[test]
fn m09_a_timeout_counts_from_the_first_poll_and_is_not_extended() {
    simulated(|| async {
        let receiving = receive_timeout::<A>(secs(10));
        sleep(secs(60)).await;
        let (start, me) = (now(), this());
        let pest = spawn(async move {
            for nth in 0.. {
                sleep(secs(1)).await;
                send(me, B(nth));
            }
        });
        assert_eq!(receiving.await, Err(TimedOut));
        let late = now() - start;
        assert!(late >= secs(10) && late < secs(11), "{late:?}");
        exit(pest, Reason::Kill);
        for nth in 0..9 {
            assert_eq!(receive::<B>().await, B(nth));
        }
    });
}

#[test]
fn m10_a_message_beats_a_deadline_that_passed_at_the_same_time() {
    simulated(|| async {
        send_after(secs(1), this(), A(1));
        assert_eq!(receive_timeout::<A>(secs(1)).await, Ok(A(1)));
        // The order does not depend on how late the process looks.
        let mut receiving = pin!(receive_timeout::<B>(secs(1)));
        poll_fn(|cx| {
            assert!(receiving.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        sleep(secs(5)).await;
        send(this(), B(1));
        assert_eq!(receiving.await, Ok(B(1)));
    });
}

#[test]
fn m11_a_limit_of_zero_looks_at_everything_and_waits_for_nothing() {
    everywhere(|| async {
        for nth in 0..3000 {
            send(this(), nth);
        }
        send(this(), A(1));
        assert_eq!(receive_timeout::<A>(Duration::ZERO).await, Ok(A(1)));
        assert_eq!(receive_timeout::<A>(Duration::ZERO).await, Err(TimedOut));
    });
}

#[test]
fn m12_a_receive_that_is_dropped_has_taken_nothing() {
    everywhere(|| async {
        let me = this();
        for round in 0..20_u8 {
            let sender = spawn(async move {
                for nth in 0..10_u8 {
                    send(me, A(nth));
                    yield_now().await;
                }
            });
            let mut taken = Vec::new();
            while taken.len() < 10 {
                // Polled a few times, then dropped, then begun anew.
                let mut patience = round % 4;
                let mut receiving = pin!(receive::<A>());
                let got = poll_fn(|cx| match receiving.as_mut().poll(cx) {
                    Poll::Ready(A(nth)) => Poll::Ready(Some(nth)),
                    Poll::Pending if patience == 0 => Poll::Ready(None),
                    Poll::Pending => {
                        patience -= 1;
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                })
                .await;
                match got {
                    Some(nth) => taken.push(nth),
                    None => yield_now().await,
                }
            }
            assert_eq!(taken, (0..10).collect::<Vec<_>>());
            wait(sender).await;
        }
    });
}

#[test]
fn m13_the_condemned_receive_nothing_not_even_what_was_queued_before() {
    simulated(|| async {
        let observer = this();
        let (pid, end) = spawn_monitor(async move {
            send(observer, "up");
            let got = receive::<u8>().await;
            send(observer, got);
        });
        receive::<&str>().await;
        send(pid, 1_u8);
        exit(pid, Reason::other("end"));
        end.down().await;
        assert_eq!(receive_timeout::<u8>(Duration::ZERO).await, Err(TimedOut));
    });
    // Its own selector condemns the process: the message it accepted is not received.
    everywhere(|| async {
        let observer = this();
        let (pid, end) = spawn_monitor(async move {
            let got = receive_if(|_: &u8| {
                exit(this(), Reason::other("end"));
                true
            })
            .await;
            send(observer, got);
        });
        send(pid, 1_u8);
        end.down().await;
        assert_eq!(receive_timeout::<u8>(Duration::ZERO).await, Err(TimedOut));
    });
}

#[test]
fn m14_any_value_can_be_queued_and_is_taken_back_by_type() {
    everywhere(|| async {
        send(this(), 1_u8);
        send(this(), Box::new(|| 2) as Box<dyn Fn() -> i32 + Send>);
        send(this(), vec![String::from("three")]);
        assert_eq!(receive::<Vec<String>>().await, ["three"]);
        let function = receive::<Box<dyn Fn() -> i32 + Send>>().await;
        assert_eq!(function(), 2);
        let oldest = receive_any().await;
        assert_eq!(oldest.type_name(), "u8");
        assert_eq!(oldest.downcast::<u8>().unwrap(), 1);
    });
}

/// (That only the runtime can make them is checked in `src/testing/compile_fail.rs`.)
#[test]
fn m15_exit_down_and_timeout_are_received_like_any_type() {
    everywhere(|| async {
        trap_exit(true);
        send(this(), "first");
        let pid = riot_actor::spawn_link(async { Reason::other("end") });
        let end = monitor(pid);
        wait(pid).await;
        let timer = riot_actor::time::start_timer(Duration::ZERO, this(), 7_u8);
        let timeout = receive::<riot_actor::time::Timeout<u8>>().await;
        assert_eq!((timeout.timer, timeout.value), (timer, 7));
        let down = receive_if(|down: &riot_actor::Down| down.reference == end).await;
        let received = select(|message| message.is::<Exit>()).await;
        let exit = received.downcast_ref::<Exit>().unwrap();
        // Either the monitor or the exit was first.
        let expected = [Reason::other("end"), Reason::NoProc];
        assert!(expected.contains(&down.reason) && exit.reason == expected[0]);
        // A forwarded one is received like any message.
        send(this(), exit.clone());
        assert_eq!(receive::<Exit>().await.from, pid);
        assert_eq!(receive_any().await.downcast::<&str>().unwrap(), "first");
    });
}

#[test]
fn m16_a_message_that_is_never_received_stays_and_is_counted() {
    everywhere(|| async {
        let (me, pid) = (
            this(),
            spawn(async {
                let asker = receive::<Pid>().await;
                send(asker, "done");
                receive::<()>().await;
            }),
        );
        for nth in 0..5 {
            send(pid, nth);
        }
        send(pid, me);
        receive::<&str>().await;
        assert_eq!(info(pid).unwrap().mailbox, 5);
    });
}

#[test]
fn m17_two_receives_at_once_share_the_messages_between_them() {
    everywhere(|| async {
        let me = this();
        spawn(async move {
            for nth in 0..2_u8 {
                yield_now().await;
                send(me, nth);
            }
        });
        let (mut first, mut second) = (pin!(receive::<u8>()), pin!(receive::<u8>()));
        let (mut one, mut other) = (None, None);
        poll_fn(|cx| {
            if one.is_none()
                && let Poll::Ready(nth) = first.as_mut().poll(cx)
            {
                one = Some(nth);
            }
            if other.is_none()
                && let Poll::Ready(nth) = second.as_mut().poll(cx)
            {
                other = Some(nth);
            }
            if one.is_some() && other.is_some() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert_eq!(one.unwrap() + other.unwrap(), 1);
        assert_eq!(receive_timeout::<u8>(Duration::ZERO).await, Err(TimedOut));
    });
}

#[test]
fn a_reply_is_found_behind_a_backlog() {
    everywhere(|| async {
        let server = spawn(async {
            loop {
                let request = receive::<riot_actor::call::CallRequest<u32, u32>>().await;
                request.reply.send(request.query + 1);
            }
        });
        for nth in 0..10_000 {
            send(this(), nth);
        }
        let end = monitor(server);
        assert_eq!(riot_actor::call::<u32, u32>(server, 1, Some(secs(5))).await, Ok(2));
        assert!(riot_actor::demonitor(end));
        assert!(timeout(Duration::ZERO, end.down()).await.is_err());
        assert_eq!(info(this()).unwrap().mailbox, 10_000);
    });
}

#[test]
fn dg04_a_bare_name_takes_every_message_of_its_type() {
    struct Tick;
    struct Add(u32);
    everywhere(|| async {
        let received = || async {
            receive! {
                Tick if info(this()).is_none() => "never",
                Tick => "tick",
                Add => "add",
                Pid => "pid",
                true => "true",
                false if now() > now() + Duration::from_secs(1) => "never",
                false => "false",
                after Duration::ZERO => "nothing",
            }
        };
        send(this(), String::from("of no arm"));
        send(this(), false);
        send(this(), this());
        send(this(), Add(7));
        send(this(), true);
        send(this(), Tick);
        for expected in ["false", "pid", "add", "true", "tick", "nothing"] {
            assert_eq!(received().await, expected);
        }
        assert_eq!(receive::<String>().await, "of no arm");
        let Add(number) = Add(7);
        assert_eq!(number, 7);
    });
}

#[test]
fn dg04_a_variant_has_its_path_and_a_constant_stands_in_a_guard() {
    const LIMIT: u32 = 5;
    #[derive(PartialEq)]
    enum Colour {
        Red,
        Green,
    }
    everywhere(|| async {
        send(this(), Colour::Green);
        send(this(), LIMIT);
        send(this(), Colour::Red);
        let mut found = Vec::new();
        for _ in 0..2 {
            receive! {
                Colour::Red => found.push("red"),
                number: u32 if *number == LIMIT => found.push("limit"),
            }
        }
        assert_eq!(found, ["limit", "red"]);
        assert!(receive::<Colour>().await == Colour::Green);
    });
}
