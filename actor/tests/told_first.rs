//! Links are told of an exit before anything else can show that the process is gone.

mod common;

use std::time::Duration;

use common::{OnDrop, everywhere};
use riot_actor::{
    Exit, Pid, Reason,
    call::{CallRequest, call},
    exit, link,
    mailbox::{receive_any, receive_timeout},
    monitor,
    process::{info, is_alive, processes, spawn_monitor, tree, wait, yield_now},
    receive, send,
    simulation::interleave,
    spawn, spawn_link, this, trap_exit, unlink,
};

/// Waits until `is_gone` holds for a child that is about to exit. Its `Exit` must be in the mailbox by then.
async fn exit_is_there_when(is_gone: fn(Pid) -> bool, reason: fn() -> Reason) {
    trap_exit(true);
    let child = spawn_link(async move {
        receive::<()>().await;
        reason()
    });
    send(child, ());
    while !is_gone(child) {
        yield_now().await;
    }
    let told = receive_timeout::<Exit>(Duration::ZERO).await.expect("the link was told before");
    assert_eq!((told.from, told.reason), (child, reason()));
}

#[test]
fn p06_the_exit_is_there_when_a_process_is_unknown() {
    let signs: [fn(Pid) -> bool; 4] = [
        |pid| info(pid).is_none(),
        |pid| !processes().contains(&pid),
        |pid| !tree().to_string().contains(&pid.to_string()),
        |pid| info(this()).is_some_and(|own| !own.links.contains(&pid)),
    ];
    for is_gone in signs {
        for reason in [|| Reason::Normal, || Reason::other("crash"), || Reason::Killed] {
            everywhere(move || exit_is_there_when(is_gone, reason));
        }
    }
}

#[test]
fn p06_a_monitor_of_a_linked_process_is_told_after_the_link_whenever_it_begins() {
    everywhere(|| async {
        trap_exit(true);
        for _ in 0..20 {
            let child = spawn_link(async { receive::<()>().await });
            send(child, ());
            while is_alive(child) {
                yield_now().await;
            }
            // From here on it is released at some time, before or after the monitor.
            monitor(child);
            assert!(receive_any().await.is::<Exit>());
            assert!(receive_any().await.is::<riot_actor::Down>());
        }
    });
}

#[test]
fn p06_the_exit_is_there_when_a_wait_or_a_call_has_ended() {
    everywhere(|| async {
        trap_exit(true);
        // Before, while and after it is released.
        for yields in 0..4 {
            for waits in [true, false] {
                let child = spawn_link(async { receive::<()>().await });
                send(child, ());
                for _ in 0..yields {
                    yield_now().await;
                }
                match waits {
                    true => drop(wait(child).await),
                    false => drop(call::<(), ()>(child, (), None).await.unwrap_err()),
                }
                let told = receive_timeout::<Exit>(Duration::ZERO).await.expect("the link was told before");
                assert_eq!(told.from, child);
            }
        }
    });
}

/// Asks `parent`, a supervisor in small, for its child.
async fn ask(parent: Pid) -> Option<Pid> {
    call::<(), Option<Pid>>(parent, (), None).await.expect("it answers")
}

/// Knows its child by the link alone, and answers which child it has.
async fn parent() {
    trap_exit(true);
    let mut child = Some(spawn_link(std::future::pending::<()>()));
    loop {
        receive! {
            asked: CallRequest<(), Option<Pid>> => asked.reply.send(child),
            exit: Exit if Some(exit.from) == child => child = None,
        }
    }
}

#[test]
fn p06_one_that_kills_a_child_and_sees_its_end_and_asks_its_parent_hears_of_it() {
    async fn gone(sign: u8, child: Pid) {
        match sign {
            0 => drop(wait(child).await),
            1 => {
                let down = monitor(child).down().await;
                assert!(matches!(down.reason, Reason::Killed | Reason::NoProc));
            }
            2 => {
                while info(child).is_some() {
                    yield_now().await;
                }
            }
            _ => drop(call::<(), ()>(child, (), None).await.unwrap_err()),
        }
    }
    for sign in 0..4 {
        everywhere(move || async move {
            let parent = spawn(parent());
            let child = ask(parent).await.expect("it has one");
            exit(child, Reason::Kill);
            gone(sign, child).await;
            assert_eq!(ask(parent).await, None, "after sign {sign}");
            exit(parent, Reason::Kill);
        });
    }
}

#[test]
fn p06_links_made_while_a_process_exits_are_told_first_too() {
    everywhere(|| async {
        trap_exit(true);
        let main = this();
        let target = spawn(async move {
            let _links = OnDrop(move || {
                link(main);
                interleave();
            });
            receive::<()>().await;
        });
        let (_, late) = spawn_monitor(async move {
            trap_exit(true);
            // While it lives, exits, or is gone: there is an `Exit` in any case.
            yield_now().await;
            link(target);
            while info(target).is_some() {
                yield_now().await;
            }
            let told = receive_timeout::<Exit>(Duration::ZERO).await.expect("told before");
            assert!(told.from == target && matches!(told.reason, Reason::Normal | Reason::NoProc));
        });
        send(target, ());
        let monitored = monitor(target);
        let first = receive_any().await;
        assert_eq!(first.downcast::<Exit>().expect("the link first").from, target);
        monitored.down().await;
        assert_eq!(late.down().await.reason, Reason::Normal);
    });
}

#[test]
fn p20_a_partner_that_unlinks_while_a_process_exits_is_told_or_not_but_never_late() {
    everywhere(|| async {
        trap_exit(true);
        for _ in 0..20 {
            let child = spawn_link(async {});
            yield_now().await;
            unlink(child);
            let told = receive_timeout::<Exit>(Duration::ZERO).await.is_ok();
            wait(child).await;
            yield_now().await;
            assert!(
                receive_timeout::<Exit>(Duration::ZERO).await.is_err(),
                "after the unlink (told: {told})"
            );
        }
    });
}
