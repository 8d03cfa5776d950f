//! Mutations: bugs that are switched on by tests, to prove that simulation finds their kind. They exist in
//! this crate's own tests; elsewhere [`is_active`] is `false`.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// A wake-up during a poll is lost.
    WakeDropped,
    /// A receive checks whether its process is condemned before it takes a message, and not after.
    CondemnedSeenOnlyBefore,
    /// LinkSet and monitors are told when the body has ended, and the release comes after.
    ToldBeforeRelease,
    /// Links are told after the record is freed.
    LinksToldLast,
}

#[cfg(test)]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutation>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
pub(crate) fn is_active(mutation: Mutation) -> bool {
    ACTIVE.get() == Some(mutation)
}

#[cfg(not(test))]
#[inline]
pub(crate) fn is_active(_: Mutation) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future, poll_fn},
        panic::{AssertUnwindSafe, catch_unwind},
        sync::{Arc, Mutex},
        task::{Poll, Waker},
    };

    use super::*;
    use crate::{
        Reason, exit,
        mailbox::{receive_any, receive_if},
        monitor,
        process::{spawn_monitor, wait},
        receive, register, send,
        simulation::{Simulation, interleave},
        spawn, spawn_link, this, trap_exit,
    };

    /// Returns the first seed under which a program fails with a mutation. Without it, the program must pass
    /// the same seeds.
    fn seed_that_finds<F>(mutation: Mutation, program: fn() -> F) -> u64
    where
        F: Future<Output = ()> + Send + 'static,
    {
        const SEEDS: std::ops::Range<u64> = 0..10_000;
        let fails = |seed| {
            let run = || Simulation::new(seed).run(program());
            catch_unwind(AssertUnwindSafe(run)).map_or(true, |reason| reason != Reason::Normal)
        };
        ACTIVE.set(Some(mutation));
        let found = SEEDS.clone().find(|&seed| fails(seed));
        ACTIVE.set(None);
        let found = found.unwrap_or_else(|| panic!("{mutation:?} is not found in {SEEDS:?}"));
        for seed in 0..=found.max(200) {
            assert!(!fails(seed), "seed {seed} fails without {mutation:?}");
        }
        found
    }

    #[derive(Default)]
    struct Flag {
        raised: bool,
        waker: Option<Waker>,
    }

    async fn a_flag_is_waited_for() {
        let flag = Arc::new(Mutex::new(Flag::default()));
        let seen = flag.clone();
        let waiter = spawn(async move {
            poll_fn(|cx| {
                {
                    let mut flag = seen.lock().unwrap();
                    if flag.raised {
                        return Poll::Ready(());
                    }
                    flag.waker = Some(cx.waker().clone());
                }
                interleave();
                Poll::Pending
            })
            .await;
        });
        spawn(async move {
            let waker = {
                let mut flag = flag.lock().unwrap();
                flag.raised = true;
                flag.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        });
        wait(waiter).await;
    }

    #[test]
    fn a_dropped_wake_up_is_found() {
        seed_that_finds(Mutation::WakeDropped, a_flag_is_waited_for);
    }

    async fn a_condemned_process_receives_nothing() {
        let main = this();
        let receiver = spawn(async move {
            let wanted = |_: &u8| {
                interleave();
                true
            };
            receive_if(wanted).await;
            send(main, "received");
        });
        spawn(async move {
            exit(receiver, Reason::Kill);
            send(main, "killed");
        });
        send(receiver, 1_u8);
        wait(receiver).await;
        // A message was received before the process was condemned, or not at all.
        let first = receive::<&str>().await;
        if first == "killed" {
            let more = crate::mailbox::receive_timeout::<&str>(std::time::Duration::ZERO).await;
            assert!(more.is_err(), "it received after its end");
        }
    }

    #[test]
    fn a_look_at_condemnation_before_taking_only_is_found() {
        seed_that_finds(Mutation::CondemnedSeenOnlyBefore, a_condemned_process_receives_nothing);
    }

    struct Slow;

    impl Drop for Slow {
        fn drop(&mut self) {
            interleave();
        }
    }

    async fn a_watcher_of_an_exit_can_take_the_name() {
        let main = this();
        let (holder, end) = spawn_monitor(async move {
            let _slow = Slow;
            register("name", this()).unwrap();
            send(main, ());
            // Its locals are dropped in the release, not at the end of a poll.
            receive::<()>().await;
        });
        receive::<()>().await;
        let heir = spawn(async move {
            monitor(holder).down().await;
            assert_eq!(register("name", this()), Ok(()));
        });
        let heirs_end = monitor(heir);
        exit(holder, Reason::Kill);
        let mut ends = Vec::new();
        for _ in 0..2 {
            ends.push(receive_any().await.downcast::<crate::Down>().unwrap());
        }
        for down in ends {
            let expected = if down.reference == end { Reason::Killed } else { Reason::Normal };
            assert!([end, heirs_end].contains(&down.reference) && down.reason == expected, "{down:?}");
        }
    }

    async fn a_link_is_told_before_the_process_is_unknown() {
        trap_exit(true);
        let child = spawn_link(async { receive::<()>().await });
        send(child, ());
        while crate::process::info(child).is_some() {
            crate::process::yield_now().await;
        }
        crate::mailbox::receive_timeout::<crate::Exit>(std::time::Duration::ZERO).await.expect("told");
    }

    #[test]
    fn links_that_are_told_last_are_found() {
        seed_that_finds(Mutation::LinksToldLast, a_link_is_told_before_the_process_is_unknown);
    }

    #[test]
    fn telling_before_the_release_is_found() {
        seed_that_finds(Mutation::ToldBeforeRelease, a_watcher_of_an_exit_can_take_the_name);
    }
}
