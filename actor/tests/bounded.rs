//! Mailboxes with a bound, and typed addresses.
mod common;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::*;
use riot_actor::{
    Exit, Pid, Reason, call,
    call::{CallError, CallRequest},
    exit,
    gen_server::{Call, GenServer, GenServerOptions, Stop},
    link,
    mailbox::{Addr, MailboxFull, MailboxOverflow, TrySendError, receive_timeout, send_async, try_send},
    monitor,
    process::{SpawnOptions, info, spawn_monitor, wait, yield_now},
    receive, send, sleep, spawn, this,
    time::{TimedOut, send_after, start_timer},
    timeout, trap_exit,
};

struct Begin;

fn slow(max: usize, overflow: MailboxOverflow) -> Pid {
    SpawnOptions::new().max_mailbox(max, overflow).spawn(pending::<()>())
}

fn waiting(pid: Pid) -> (usize, u64) {
    let info = info(pid).expect("it is there");
    (info.mailbox, info.refused)
}

#[test]
fn a_full_mailbox_drops_the_newest_and_tells_a_sender_that_asks() {
    everywhere(|| async {
        let observer = this();
        let pid = SpawnOptions::new().max_mailbox(2, MailboxOverflow::DropNewest).spawn(async move {
            receive::<Begin>().await;
            loop {
                send(observer, receive::<i32>().await);
            }
        });
        (1..=2).for_each(|number| send(pid, number));
        send(pid, 3);
        assert_eq!(waiting(pid), (2, 1));
        assert_eq!(info(pid).unwrap().max_mailbox, Some(2));
        assert_eq!(try_send(pid, 4), Err(TrySendError::Full(4)));
        assert_eq!(waiting(pid), (2, 1), "a sender that asks loses nothing");
        exit(pid, Reason::Kill);
        assert_eq!(try_send(pid, 5), Err(TrySendError::NoProc(5)));
    });
}

#[test]
fn room_is_made_by_every_message_taken() {
    everywhere(|| async {
        let observer = this();
        let pid = SpawnOptions::new().max_mailbox(3, MailboxOverflow::DropNewest).spawn(async move {
            loop {
                // Also behind others, with a guard or without.
                let number = riot_actor::mailbox::receive_if(|number: &i32| *number % 2 == 0).await;
                send(observer, number);
                send(observer, receive::<i32>().await);
            }
        });
        for round in 0..10 {
            send(pid, 2 * round + 1);
            send(pid, 2 * round);
            assert_eq!(receive::<i32>().await, 2 * round);
            assert_eq!(receive::<i32>().await, 2 * round + 1);
        }
        assert_eq!(waiting(pid), (0, 0));
    });
}

#[test]
fn a_process_may_choose_to_end_rather_than_lag_behind() {
    everywhere(|| async {
        let pid = slow(2, MailboxOverflow::Exit);
        let end = monitor(pid);
        (1..=2).for_each(|number| send(pid, number));
        assert_eq!(try_send(pid, 3), Err(TrySendError::Full(3)), "a sender that asks ends no process");
        send(pid, 3);
        let reason = end.down().await.reason;
        assert_eq!(reason, Reason::other(MailboxFull { max_messages: 2 }));
    });
}

#[test]
fn signals_and_what_the_runtime_sends_are_let_in_always() {
    everywhere(|| async {
        let observer = this();
        let options = SpawnOptions::new().max_mailbox(1, MailboxOverflow::Exit).trap_exit();
        let pid = options.spawn(async move {
            let watched = spawn(async { receive::<()>().await });
            link(watched);
            monitor(watched);
            start_timer(Duration::ZERO, this(), "time");
            send(observer, watched);
            pending::<()>().await;
        });
        let watched = receive::<Pid>().await;
        sleep(millis(2)).await; // The timer is due.
        send(pid, 1);
        send(watched, ());
        wait(watched).await;
        yield_now().await;
        assert_eq!(try_send(pid, 2), Err(TrySendError::Full(2)));
        assert_eq!(waiting(pid).0, 4, "exit, down, timeout and the message");
        let end = monitor(pid);
        exit(pid, Reason::Kill);
        assert_eq!(end.down().await.reason, Reason::Killed);
    });
}

#[test]
fn senders_that_wait_for_room_are_served_in_order() {
    everywhere(|| async {
        let observer = this();
        let pid = SpawnOptions::new().max_mailbox(1, MailboxOverflow::DropNewest).spawn(async move {
            for _ in 0..30 {
                send(observer, receive::<i32>().await);
            }
        });
        let senders: Vec<Pid> = (0..3)
            .map(|sender| {
                spawn(async move {
                    for nth in 0..10 {
                        send_async(pid, sender * 10 + nth).await.expect("it is there");
                    }
                })
            })
            .collect();
        let mut heard: Vec<i32> = Vec::new();
        for _ in 0..30 {
            heard.push(receive::<i32>().await);
        }
        for sender in 0..3 {
            let of: Vec<i32> = heard.iter().copied().filter(|number| number / 10 == sender).collect();
            assert_eq!(of, (sender * 10..sender * 10 + 10).collect::<Vec<_>>(), "each in its own order");
        }
        riot_actor::process::join(&senders).await;
    });
}

#[test]
fn a_sender_that_gives_up_passes_the_room_on() {
    everywhere(|| async {
        let pid = slow(1, MailboxOverflow::DropNewest);
        send(pid, 0);
        assert_eq!(timeout(millis(1), send_async(pid, 1)).await, Err(TimedOut));
        let waiting = spawn(async move {
            assert_eq!(send_async(pid, 2).await, Err(2), "it ended");
        });
        let end = monitor(waiting);
        while !info(waiting).is_some_and(|info| info.state == riot_actor::process::ProcessState::Waiting) {
            yield_now().await;
        }
        exit(pid, Reason::Kill);
        assert_eq!(end.down().await.reason, Reason::Normal);
    });
    // A sender that was woken and condemned before it could use the room passes it on.
    everywhere(|| async {
        let observer = this();
        let pid = SpawnOptions::new().max_mailbox(1, MailboxOverflow::DropNewest).spawn(async move {
            loop {
                receive::<Begin>().await;
                send(observer, "taken");
            }
        });
        let senders: Vec<Pid> = (0..4)
            .map(|_| {
                spawn(async move {
                    send_async(pid, Begin).await.ok();
                })
            })
            .collect();
        exit(senders[1], Reason::Kill);
        exit(senders[2], Reason::Kill);
        riot_actor::process::join(&senders).await;
        receive::<&str>().await;
    });
}

/// A part of a message, which lives as long as the message.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Self(live.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn a_flood_is_held_to_the_bound_whatever_the_policy() {
    threaded(|| async {
        let live = Arc::new(AtomicUsize::new(0));
        for nth in 0..3 {
            let pid = slow(1000, [MailboxOverflow::DropNewest, MailboxOverflow::Exit][nth % 2]);
            let flooding: Vec<_> = (0..4)
                .map(|_| {
                    let live = live.clone();
                    let flood = async move {
                        for _ in 0..25_000 {
                            match nth {
                                2 => {
                                    drop(timeout(Duration::ZERO, send_async(pid, Counted::new(&live))).await)
                                }
                                _ => send(pid, Counted::new(&live)),
                            }
                            // Beside the mailbox, one message for each sender is on its way.
                            assert!(live.load(Ordering::SeqCst) <= 1000 + 4);
                        }
                    };
                    spawn_monitor(flood).1
                })
                .collect();
            for flooding in flooding {
                assert_eq!(flooding.down().await.reason, Reason::Normal);
            }
            exit(pid, Reason::Kill);
            wait(pid).await;
            assert_eq!(live.load(Ordering::SeqCst), 0, "every message was dropped exactly once");
        }
    });
}

struct Till;
struct Price;

impl GenServer for Till {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(Self)
    }
}
impl Call<Price> for Till {
    type Reply = u32;
    async fn handle_call(&mut self, _: Price, _reply: riot_actor::call::ReplyTo<u32>) {
        pending::<()>().await;
    }
}

#[test]
fn a_call_to_a_full_mailbox_fails_at_once_and_the_server_can_still_be_stopped() {
    everywhere(|| async {
        let pid = slow(1, MailboxOverflow::Exit);
        send(pid, 0);
        assert_eq!(call::<u8, u8>(pid, 1, None).await, Err(CallError::Full));
        assert!(riot_actor::process::is_alive(pid));

        let options = GenServerOptions::new().max_mailbox(1, MailboxOverflow::DropNewest);
        let till = options.start::<Till>(()).await.unwrap();
        // The first one is being handled, forever; the second one fills the mailbox.
        let first = till.send_request(Price).unwrap();
        while info(till.pid()).unwrap().mailbox > 0 {
            yield_now().await;
        }
        let second = till.send_request(Price).unwrap();
        assert_eq!(till.call(Price).await, Err(CallError::Full));
        let look = spawn(async move { drop(till.get_state(|_| ()).await) });
        while info(till.pid()).unwrap().mailbox < 2 {
            yield_now().await;
        }
        exit(till.pid(), Reason::Kill);
        wait(look).await;
        drop((first, second));
    });
}

#[test]
fn an_addr_takes_one_type_and_is_a_pid_besides() {
    everywhere(|| async {
        trap_exit(true);
        let options = SpawnOptions::new().link().max_mailbox(1, MailboxOverflow::DropNewest);
        let observer = this();
        let adder = Addr::<u32>::spawn_with(options, move |inbox| async move {
            receive::<Begin>().await;
            let sum = inbox.receive().await + inbox.receive_timeout(secs(1)).await.unwrap();
            send(observer, sum);
        });
        adder.send(1);
        assert_eq!(adder.try_send(2), Err(TrySendError::Full(2)));
        assert_eq!(Pid::from(adder), adder.pid());
        exit(adder.pid(), Reason::Kill);
        assert_eq!(receive::<Exit>().await.from, adder.pid());
        assert_eq!(adder.send_async(3).await, Err(3));
        // A request counts like other messages.
        let doubler = Addr::<CallRequest<u32, u32>>::spawn(|inbox| async move {
            let request = inbox.receive().await;
            request.reply.send(request.query * 2);
        });
        assert_eq!(call::<u32, u32>(doubler.pid(), 21, None).await, Ok(42));
    });
}

#[test]
fn a_timer_finds_a_full_mailbox_like_any_sender() {
    simulated(|| async {
        let pid = slow(1, MailboxOverflow::DropNewest);
        send(pid, 1);
        send_after(millis(1), pid, 2);
        sleep(millis(5)).await;
        assert_eq!(waiting(pid), (1, 1));
        assert_eq!(receive_timeout::<i32>(Duration::ZERO).await, Err(TimedOut));
    });
}
