//! Aliases: OU9.
mod common;

use std::{future::pending, time::Duration};

use common::{Dropped, Token, leaks::leaves_nothing, secs, simulated, threaded};
use proptest::prelude::*;
use riot_actor::{
    Reason, exit,
    mailbox::{Alias, MailboxOverflow, TrySendError, alias, receive_timeout},
    monitor, now,
    process::{SpawnOptions, join, wait},
    receive, send,
    simulation::Simulation,
    sleep, spawn, this,
};

async fn heard() -> Vec<u32> {
    let mut heard = Vec::new();
    while let Ok(number) = receive_timeout::<u32>(Duration::ZERO).await {
        heard.push(number);
    }
    heard
}

#[test]
fn ou09_a_holder_hears_until_it_takes_the_alias_back() {
    leaves_nothing(|| async {
        let numbers = alias::<u32>();
        assert_eq!((numbers.holder(), numbers.is_active()), (this(), true));
        let other = numbers.clone();
        assert_eq!(other, numbers);
        let feed = spawn(async move {
            (1..=3).for_each(|number| other.send(number));
            assert_eq!(other.try_send(4), Ok(()));
            assert!(!other.unalias(), "only its holder takes it back");
            assert!(other.is_active());
        });
        assert_eq!(wait(feed).await, Reason::Normal);
        assert!(numbers.unalias());
        assert!(!numbers.unalias() && !numbers.is_active());
        assert_eq!(numbers.try_send(5), Err(TrySendError::NoProc(5)));
        // It is dropped where it is sent, at once.
        let tokens = alias::<Token>();
        tokens.unalias();
        tokens.send(Token::new("token"));
        assert_eq!(receive_timeout(Duration::ZERO).await, Ok(Dropped("token", Some(this()))));
        assert_eq!(heard().await, [1, 2, 3, 4], "what was sent before stays");
    });
}

#[test]
fn ou09_after_the_holder_has_taken_it_back_nothing_comes() {
    leaves_nothing(|| async {
        for round in 0..20 {
            let numbers = alias::<u32>();
            let senders: Vec<_> = (0..4)
                .map(|_| {
                    let numbers = numbers.clone();
                    spawn(async move { (0..20).for_each(|number| numbers.send(number)) })
                })
                .collect();
            if round % 2 == 0 {
                receive::<u32>().await;
            }
            assert!(numbers.unalias());
            heard().await;
            join(&senders).await;
            assert_eq!(heard().await, [], "nothing comes afterwards");
        }
    });
}

#[test]
fn ou09_one_shot_takes_one_message_of_many_senders() {
    leaves_nothing(|| async {
        for _ in 0..20 {
            let reply = alias::<u32>().one_shot();
            let senders: Vec<_> = (0..8)
                .map(|number| {
                    let reply = reply.clone();
                    spawn(async move { reply.send(number) })
                })
                .collect();
            join(&senders).await;
            assert_eq!(heard().await.len(), 1);
            assert!(!reply.is_active() && !reply.unalias());
        }
    });
}

#[test]
fn ou09_the_end_of_the_holder_ends_the_alias() {
    leaves_nothing(|| async {
        let main = this();
        let holder = spawn(async move {
            send(main, alias::<Token>());
            pending::<()>().await;
        });
        let tokens: Alias<Token> = receive().await;
        let down = monitor(holder);
        exit(holder, Reason::Kill);
        assert!(!tokens.is_active(), "it is condemned");
        down.down().await;
        tokens.send(Token::new("token"));
        assert_eq!(receive::<Dropped>().await, Dropped("token", Some(this())));
    });
}

#[test]
fn ou09_a_time_ends_the_alias() {
    simulated(|| async {
        let numbers = alias::<u32>().with_timeout(secs(5));
        numbers.send(1);
        sleep(secs(4)).await;
        numbers.send(2);
        sleep(secs(1)).await;
        numbers.send(3);
        assert!(!numbers.is_active() && !numbers.unalias());
        let endless = alias::<u32>().with_timeout(Duration::MAX);
        endless.send(4);
        assert_eq!(heard().await, [1, 2, 4]);
        assert!(!alias::<u32>().with_timeout(Duration::ZERO).is_active());
    });
}

#[test]
fn ou09_a_full_mailbox_uses_up_no_alias() {
    leaves_nothing(|| async {
        let main = this();
        let bounded = SpawnOptions::new().max_mailbox(1, MailboxOverflow::DropNewest);
        let holder = bounded.spawn(async move {
            send(main, alias::<u32>().one_shot());
            receive::<&str>().await;
            assert_eq!(receive::<u32>().await, 2);
        });
        let number: Alias<u32> = receive().await;
        send(holder, "fills it");
        if number.try_send(1) == Err(TrySendError::Full(1)) {
            number.send(1); // dropped by the policy of the mailbox
            assert!(number.is_active());
            while number.try_send(2).is_err() {
                riot_actor::process::yield_now().await;
            }
        } else {
            // The holder has read it already, and has got 1.
            exit(holder, Reason::Kill);
        }
        wait(holder).await;
    });
}

#[test]
fn ou09_only_the_holder_sets_its_options() {
    simulated(|| async {
        let numbers = alias::<u32>();
        let (one, two) = (numbers.clone(), numbers.clone());
        let ends = [
            wait(spawn(async move { drop(one.one_shot()) })),
            wait(spawn(async move { drop(two.with_timeout(Duration::ZERO)) })),
        ];
        for end in ends {
            let Reason::Panic(panic) = end.await else { panic!("it is refused") };
            assert!(panic.message.contains("for the process that has made it"), "{}", panic.message);
        }
        numbers.send(1);
        numbers.send(2);
        assert_eq!(heard().await, [1, 2]);
    });
}

#[test]
fn ou09_threads_send_too_and_an_alias_outlives_its_runtime() {
    let kept = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = kept.clone();
    threaded(move || {
        let keep = keep.clone();
        async move {
            let numbers = alias::<u32>();
            let other = numbers.clone();
            std::thread::spawn(move || other.send(7)).join().expect("it does not panic");
            assert_eq!(receive::<u32>().await, 7);
            *keep.lock().unwrap() = Some(numbers);
        }
    });
    let numbers = kept.lock().unwrap().take().expect("it was kept");
    numbers.send(1);
    assert_eq!(numbers.try_send(2), Err(TrySendError::NoProc(2)));
    assert!(!numbers.is_active() && !numbers.unalias());
    assert!(format!("{numbers:?}").contains("is_active: false"));
}

#[derive(Clone, Debug)]
enum Op {
    Make { one_shot: bool, seconds: Option<u64> },
    Send(usize),
    Unalias(usize),
    Sleep(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (any::<bool>(), proptest::option::of(0..20_u64))
            .prop_map(|(one_shot, seconds)| Op::Make { one_shot, seconds }),
        (0..8_usize).prop_map(Op::Send),
        (0..8_usize).prop_map(Op::Send),
        (0..8_usize).prop_map(Op::Unalias),
        (1..10_u64).prop_map(Op::Sleep),
    ]
}

proptest! {
    #[test]
    fn ou09_aliases_equal_a_model(ops in proptest::collection::vec(op(), 1..60)) {
        let reason = Simulation::new(1).run(async move {
            let start = now();
            // Each alias with what the model knows of it: whether it is active, one-shot, and until when.
            let mut aliases: Vec<(Alias<u32>, bool, bool, u64)> = Vec::new();
            let (mut expected, mut sent) = (Vec::new(), 0);
            for op in ops {
                let time = (now() - start).as_secs();
                match op {
                    Op::Make { one_shot, seconds } => {
                        let mut made = alias();
                        if one_shot {
                            made = made.one_shot();
                        }
                        if let Some(seconds) = seconds {
                            made = made.with_timeout(secs(seconds));
                        }
                        let until = seconds.map_or(u64::MAX, |seconds| time + seconds);
                        aliases.push((made, true, one_shot, until));
                    }
                    Op::Send(nth) => {
                        let Some((alias, active, one_shot, until)) = aliases.get_mut(nth) else { continue };
                        sent += 1;
                        alias.send(sent);
                        if *active && time < *until {
                            expected.push(sent);
                            *active = !*one_shot;
                        }
                    }
                    Op::Unalias(nth) => {
                        let Some((alias, active, _, until)) = aliases.get_mut(nth) else { continue };
                        assert_eq!(alias.unalias(), *active && time < *until);
                        *active = false;
                    }
                    Op::Sleep(seconds) => sleep(secs(seconds)).await,
                }
                let time = (now() - start).as_secs();
                for (alias, active, _, until) in &aliases {
                    assert_eq!(alias.is_active(), *active && time < *until);
                }
            }
            assert_eq!(heard().await, expected);
        });
        prop_assert_eq!(reason, Reason::Normal);
    }
}
