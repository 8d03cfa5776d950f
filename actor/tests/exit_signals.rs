//! Exit signals, and the order of signals: P12-P24.
mod common;

use std::{
    future::{Future, pending},
    sync::mpsc,
    time::Duration,
};

use common::*;
use riot_actor::{
    Exit, Pid, Reason, exit, link,
    mailbox::receive_timeout,
    monitor,
    process::{Priority, SpawnOptions, info, is_alive, set_priority, spawn_monitor, wait, yield_now},
    receive,
    runtime::Handle,
    send, spawn, spawn_link, this, trap_exit,
};

async fn reason<T: riot_actor::process::Outcome>(body: impl Future<Output = T> + Send + 'static) -> Reason {
    spawn_monitor(body).1.down().await.reason
}

/// Starts a process that reports every exit that it traps, or that does not trap exits.
fn listener(trap: bool) -> Pid {
    let observer = this();
    let mut options = SpawnOptions::new();
    if trap {
        options = options.trap_exit();
    }
    options.spawn(async move {
        loop {
            let Exit { from, reason, .. } = receive::<Exit>().await;
            if from.is_system() {
                return; // The test is over.
            }
            send(observer, (from, reason));
        }
    })
}

async fn next_reason() -> Reason {
    receive::<(Pid, Reason)>().await.1
}

#[test]
fn p12_p13_kill_cannot_be_trapped() {
    for trap in [false, true] {
        everywhere(move || async move {
            let victim = listener(trap);
            let end = monitor(victim);
            trap_exit(true);
            link(victim);
            exit(victim, Reason::Kill);
            assert_eq!(end.down().await.reason, Reason::Killed);
            assert_eq!(receive::<Exit>().await.reason, Reason::Killed);
        });
    }
}

#[test]
fn p14_a_body_that_ends_with_kill_is_no_kill() {
    everywhere(|| async {
        trap_exit(true);
        spawn_link(async { Reason::Kill });
        assert_eq!(receive::<Exit>().await.reason, Reason::Kill);
        let plain = async {
            spawn_link(async { Reason::Kill });
            pending::<()>().await;
        };
        assert_eq!(reason(plain).await, Reason::Kill);
    });
}

#[test]
fn p15_normal_ends_only_a_process_that_sends_it_to_itself() {
    everywhere(|| async {
        let (trapping, plain) = (listener(true), listener(false));
        exit(trapping, Reason::Normal);
        assert_eq!(next_reason().await, Reason::Normal);
        exit(plain, Reason::Normal);
        assert!(is_alive(plain) && is_alive(trapping));
        let own = async {
            exit(this(), Reason::Normal);
            pending::<()>().await;
        };
        assert_eq!(reason(own).await, Reason::Normal);
        let own_trapped = async {
            trap_exit(true);
            exit(this(), Reason::Normal);
            receive::<Exit>().await.reason
        };
        assert_eq!(reason(own_trapped).await, Reason::Normal);
    });
}

#[test]
fn p16_any_other_reason_ends_or_is_trapped() {
    for signal in [Reason::Killed, Reason::Shutdown, Reason::NoProc, Reason::other(1)] {
        everywhere(move || {
            let signal = signal.clone();
            async move {
                let (trapping, plain) = (listener(true), listener(false));
                let end = monitor(plain);
                exit(trapping, signal.clone());
                exit(plain, signal.clone());
                assert_eq!(next_reason().await, signal);
                assert_eq!(end.down().await.reason, signal);
                assert!(is_alive(trapping));
            }
        });
    }
}

#[test]
fn p17_an_explicit_signal_names_its_sender_and_leaves_the_link() {
    everywhere(|| async {
        let listener = listener(true);
        link(listener);
        exit(listener, Reason::other("a word"));
        assert_eq!(receive::<(Pid, Reason)>().await, (this(), Reason::other("a word")));
        assert_eq!(info(listener).unwrap().links, [this()]);
    });
}

#[test]
fn p18_trapping_is_judged_when_the_signal_comes() {
    everywhere(|| async {
        trap_exit(true);
        exit(this(), Reason::other(1));
        trap_exit(false);
        yield_now().await;
        assert_eq!(receive::<Exit>().await.reason, Reason::other(1));
        let too_late = async {
            exit(this(), Reason::other(2));
            trap_exit(true);
            yield_now().await;
        };
        assert_eq!(reason(too_late).await, Reason::other(2));
    });
}

#[test]
fn p19_flags_return_what_they_were_and_are_not_inherited() {
    everywhere(|| async {
        assert!(!trap_exit(true));
        assert!(trap_exit(true));
        assert_eq!(set_priority(Priority::High), Priority::Normal);
        assert_eq!(set_priority(Priority::High), Priority::High);
        let child = info(spawn_link(pending::<()>())).unwrap();
        assert_eq!((child.trap_exit, child.priority), (false, Priority::Normal));
    });
}

#[test]
fn p20_signals_of_one_process_take_effect_in_order() {
    everywhere(|| async {
        for _ in 0..50 {
            let observer = this();
            let (pid, end) = spawn_monitor(async move {
                loop {
                    send(observer, receive::<char>().await);
                }
            });
            yield_now().await;
            send(pid, 'a');
            exit(pid, Reason::other("end"));
            send(pid, 'b');
            end.down().await;
            while let Ok(received) = receive_timeout::<char>(Duration::ZERO).await {
                assert_eq!(received, 'a');
            }
        }
    });
}

#[test]
fn p21_what_was_accepted_is_before_what_it_causes() {
    everywhere(|| async {
        for _ in 0..50 {
            let c = this();
            let b = spawn(async move {
                receive::<()>().await;
                send(c, "b");
            });
            spawn(async move {
                send(c, "a");
                send(b, ());
            });
            assert_eq!((receive::<&str>().await, receive::<&str>().await), ("a", "b"));
        }
    });
}

#[test]
fn p22_a_signal_to_a_released_process_does_nothing() {
    everywhere(|| async {
        let pid = spawn(async {});
        wait(pid).await;
        send(pid, 1);
        exit(pid, Reason::Kill);
        assert_eq!(riot_actor::mailbox::try_send(pid, 7), Err(riot_actor::mailbox::TrySendError::NoProc(7)));
    });
}

#[test]
fn p23_the_first_fatal_signal_decides() {
    everywhere(|| async {
        let pid = spawn(pending::<()>());
        let end = monitor(pid);
        exit(pid, Reason::other(1));
        exit(pid, Reason::Kill);
        assert_eq!(end.down().await.reason, Reason::other(1));
    });
}

#[test]
fn p24_spawn_link_and_spawn_monitor_tell_the_true_reason() {
    everywhere_with_crash_reports(|crashes| async move {
        trap_exit(true);
        spawn_link(async { Reason::other("at once") });
        assert_eq!(receive::<Exit>().await.reason, Reason::other("at once"));
        let (pid, end) = spawn_monitor(pending::<()>());
        exit(pid, Reason::Kill);
        assert_eq!(end.down().await.reason, Reason::Killed);

        // A parent that is condemned while it spawns ends the child, with its own reason.
        let observer = this();
        let parent = async move {
            exit(this(), Reason::other("parent"));
            send(observer, spawn_link(pending::<()>()));
        };
        assert_eq!(reason(parent).await, Reason::other("parent"));
        let child = receive::<Pid>().await;
        wait(child).await;
        let crashes = crashes.lock().unwrap();
        let report = crashes.iter().find(|report| report.pid == child).unwrap();
        assert_eq!(report.reason, Reason::other("parent"));
    });
}

/// Has a plain thread kill every process as early as it sees it.
#[test]
fn p24_a_child_killed_at_once_is_still_told_of() {
    threaded(|| async {
        trap_exit(true);
        let (handle, main) = (Handle::current(), this());
        let (done, is_done) = mpsc::channel::<()>();
        let killer = std::thread::spawn(move || {
            while is_done.try_recv() == Err(mpsc::TryRecvError::Empty) {
                for pid in handle.processes().into_iter().filter(|&pid| pid != main) {
                    handle.exit(pid, Reason::Kill);
                }
            }
        });
        for _ in 0..20_000 {
            let (pid, end) = SpawnOptions::new().link().spawn_monitor(pending::<()>());
            let exit = riot_actor::timeout(
                secs(20),
                riot_actor::mailbox::receive_if(move |exit: &Exit| exit.from == pid),
            );
            assert_eq!(exit.await.expect("its end is told").reason, Reason::Killed);
            assert_eq!(end.down().await.reason, Reason::Killed);
        }
        assert!(info(main).unwrap().links.is_empty());
        done.send(()).unwrap();
        killer.join().unwrap();
    });
}
