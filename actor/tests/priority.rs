//! Aliases whose messages have priority: OU10.
mod common;

use std::time::Duration;

use common::{leaks::leaves_nothing, on_one_worker, secs};
use proptest::prelude::*;
use riot_actor::{
    Down, Exit, Message, Reason,
    mailbox::{
        Alias, MailboxOverflow, TrySendError, alias, mark, priority_overflows, receive_any, receive_if,
        receive_timeout,
    },
    monitor,
    process::{SpawnOptions, info, wait, yield_now},
    receive, send,
    simulation::Simulation,
    sleep, spawn, spawn_link, this, trap_exit,
};

fn number(message: Message) -> u32 {
    message.downcast().expect("a number")
}

async fn all() -> Vec<u32> {
    let mut all = Vec::new();
    while info(this()).expect("it runs").mailbox > 0 {
        all.push(number(receive_any().await));
    }
    all
}

#[test]
fn ou10_messages_with_priority_stand_before_the_others_in_their_order() {
    leaves_nothing(|| async {
        let urgent = alias::<u32>().priority();
        (1..=3_u32).for_each(|number| send(this(), number));
        let sender = urgent.clone();
        wait(spawn(async move {
            sender.send(101);
            sender.send(102);
        }))
        .await;
        send(this(), 4_u32);
        urgent.send(103);
        assert_eq!(all().await, [101, 102, 103, 1, 2, 3, 4]);
        // One that waits is woken by them, and one that looks for others leaves them in their place.
        let feed = spawn(async move {
            sleep(Duration::from_millis(1)).await;
            urgent.send(104);
            urgent.send(105);
        });
        assert_eq!(receive_if(|number: &u32| *number == 105).await, 105);
        assert_eq!(all().await, [104]);
        wait(feed).await;
    });
}

#[test]
fn ou10_a_receive_looks_at_each_of_them_once_and_a_mark_stands_behind_them() {
    leaves_nothing(|| async {
        let (urgent, main) = (alias::<u32>().priority(), this());
        urgent.send(101);
        send(main, 1_u32);
        let now = mark();
        let late = urgent.clone();
        let feed = spawn(async move {
            for number in 102..110 {
                late.send(number);
                send(main, number - 100);
                yield_now().await;
            }
            send(main, 0_u32);
        });
        let mut seen = Vec::new();
        let last = receive_if(|number: &u32| {
            seen.push(*number);
            *number == 0
        });
        assert_eq!(last.since(now).await, 0);
        seen.sort_unstable();
        let mut once = seen.clone();
        once.dedup();
        assert_eq!(seen, once, "each is shown once");
        assert!(!seen.contains(&101) && !seen.contains(&1), "those before the mark are not");
        assert_eq!(seen.iter().filter(|number| **number > 100).count(), 8);
        assert_eq!(all().await.len(), 18);
        wait(feed).await;
    });
}

#[test]
fn ou10_signals_are_not_overtaken_where_they_take_effect_at_once() {
    leaves_nothing(|| async {
        // A process that does not trap exits ends by a signal sent before, whatever has priority.
        let main = this();
        let holder = spawn(async move {
            send(main, alias::<u32>().priority());
            let heard: u32 = receive().await;
            send(main, heard);
        });
        let urgent: Alias<u32> = receive().await;
        let end = wait(holder);
        riot_actor::exit(holder, Reason::other("before"));
        urgent.send(1);
        assert_eq!(end.await, Reason::other("before"));
        assert!(receive_timeout::<u32>(Duration::ZERO).await.is_err());
    });
}

#[test]
fn ou10_exits_and_downs_come_behind_messages_with_priority() {
    leaves_nothing(|| async {
        trap_exit(true);
        let urgent = alias::<u32>().priority();
        let child = spawn_link(async {});
        let down = monitor(child);
        wait(child).await;
        urgent.send(1);
        assert_eq!(number(receive_any().await), 1);
        assert!(receive_any().await.is::<Exit>());
        let _ = down;
        let rest = receive_any().await;
        assert!(rest.is::<Down>(), "{rest:?}");
    });
}

#[test]
fn ou10_beyond_1_024_they_become_ordinary_messages_and_none_is_lost() {
    leaves_nothing(|| async {
        let urgent = alias::<u32>().priority();
        send(this(), 0_u32);
        assert_eq!(priority_overflows(), 0);
        (1..=1_030).for_each(|number| urgent.send(number));
        assert_eq!(priority_overflows(), 6);
        let heard = all().await;
        let expected: Vec<u32> = (1..=1_024).chain([0]).chain(1_025..=1_030).collect();
        assert_eq!(heard, expected);
        // There is room again.
        send(this(), 0_u32);
        urgent.send(1);
        assert_eq!((all().await, priority_overflows()), (vec![1, 0], 6));
    });
}

#[test]
fn ou10_only_the_receiver_gives_priority() {
    leaves_nothing(|| async {
        let plain = alias::<u32>();
        let other = plain.clone();
        let end = wait(spawn(async move { drop(other.priority()) })).await;
        let Reason::Panic(panic) = end else { panic!("it is refused: {end}") };
        assert!(panic.message.contains("for the process that has made it"), "{}", panic.message);
        send(this(), 1_u32);
        plain.send(2);
        assert_eq!(all().await, [1, 2]);
    });
}

#[test]
fn ou10_they_count_in_a_bounded_mailbox_and_one_shot_and_time_apply() {
    leaves_nothing(|| async {
        let main = this();
        let bounded = SpawnOptions::new().max_mailbox(2, MailboxOverflow::DropNewest);
        let holder = bounded.spawn(async move {
            send(main, alias::<u32>().priority());
            receive::<&str>().await;
            let rest = all().await;
            send(main, rest);
        });
        let urgent: Alias<u32> = receive().await;
        urgent.send(1);
        urgent.send(2);
        assert_eq!(urgent.try_send(3), Err(TrySendError::Full(3)));
        riot_actor::exit(holder, Reason::Kill);
        wait(holder).await;
        let once = alias::<u32>().priority().one_shot();
        send(this(), 1_u32);
        once.send(2);
        once.send(3);
        assert_eq!(all().await, [2, 1]);
    });
}

#[test]
fn ou10_one_is_taken_quickly_behind_a_million_messages() {
    on_one_worker(|| async {
        let urgent = alias::<u32>().priority();
        (0..1_000_000_u32).for_each(|number| send(this(), number));
        assert_eq!(number(receive_any().await), 0);
        // A thousand of them, each behind a million: a pass over the others would take minutes.
        let start = std::time::Instant::now();
        for nth in 0..1_000 {
            urgent.send(nth);
            assert_eq!(number(receive_any().await), nth);
            send(this(), nth);
        }
        assert!(start.elapsed() < secs(20), "{:?}", start.elapsed());
        assert_eq!(info(this()).expect("it runs").mailbox, 1_000_999);
    });
}

proptest! {
    /// Messages of three senders and a holder that reads now and then, against two lists.
    #[test]
    fn ou10_a_mailbox_with_priorities_equals_two_lists(
        moves in proptest::collection::vec((0..6_u8, 0..9_u32), 0..80),
    ) {
        let reason = Simulation::new(7).run(async move {
            let urgent = alias::<u32>().priority();
            let (mut first, mut then) = (Vec::new(), Vec::new());
            for (what, nth) in moves {
                match what {
                    0 | 1 => {
                        send(this(), nth);
                        then.push(nth);
                    }
                    2 => {
                        urgent.send(nth);
                        first.push(nth);
                    }
                    3 => {
                        let expected = [&mut first, &mut then].into_iter().find_map(|list: &mut Vec<u32>| {
                            (!list.is_empty()).then(|| list.remove(0))
                        });
                        let Some(expected) = expected else { continue };
                        assert_eq!(number(receive_any().await), expected);
                    }
                    _ => {
                        let expected = [&mut first, &mut then].into_iter().find_map(|list: &mut Vec<u32>| {
                            let at = list.iter().position(|number| *number == nth)?;
                            Some(list.remove(at))
                        });
                        let taken = riot_actor::timeout(
                            Duration::ZERO,
                            receive_if(|number: &u32| *number == nth),
                        );
                        assert_eq!(taken.await.ok(), expected);
                    }
                }
            }
            first.extend(then);
            assert_eq!(all().await, first);
        });
        prop_assert_eq!(reason, Reason::Normal);
    }
}
