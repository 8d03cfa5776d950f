//! Pids as text: P33.

mod common;

use std::future::pending;

use common::everywhere;
use proptest::prelude::*;
use riot_actor::{
    Down, Exit, Pid, Reason, call,
    call::CallError,
    exit, link, monitor,
    process::{info, is_alive, processes, wait, yield_now},
    receive, register, run, send, spawn, this, trap_exit, unlink,
};

#[test]
fn p33_a_pid_is_read_as_it_prints() {
    everywhere(|| async {
        for _ in 0..100 {
            let pid = spawn(pending::<()>());
            let text = pid.to_string();
            assert_eq!(text.parse(), Ok(pid));
            assert_eq!(text[1..text.len() - 1].parse(), Ok(pid));
        }
    });
}

#[test]
fn p33_a_text_that_is_no_pid_is_an_error() {
    let wrong = [
        "",
        "<>",
        "<1.2.3",
        "1.2.3>",
        "<1.2>",
        "1.2",
        "<1.2.3.4>",
        "<0.1.2>",
        "<1.system>",
        "<+1.2.3>",
        "< 1.2.3>",
        "<1.-2.3>",
        "<1..3>",
        "<1.2.4294967296>",
        "<1.4294967295.0>",
        "<<1.2.3>>",
        "pid",
        "\u{0661}.2.3",
    ];
    for text in wrong {
        assert!(text.parse::<Pid>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn p33_no_text_is_a_panic(text in "[<>0-9.+x]{0,20}|\\PC{0,20}") {
        if let Ok(pid) = text.parse::<Pid>() {
            prop_assert_eq!(pid.to_string().parse::<Pid>(), Ok(pid));
        }
    }
}

/// A message to a pid that no process has, or that has not been given out yet, goes nowhere.
#[test]
fn p33_a_pid_of_no_process_is_that_of_one_that_has_ended() {
    run(async {
        trap_exit(true);
        let before = processes();
        let runtime = this().to_string()[1..].split('.').next().expect("it has parts").to_owned();
        for index in [0, 1, 200, 255, 256, 100_000, 1 << 28, u32::MAX - 1] {
            for generation in [0, 1, 7, u32::MAX] {
                for runtime in [&runtime, "4000000000"] {
                    let pid: Pid =
                        format!("<{runtime}.{index}.{generation}>").parse().expect("it has the form");
                    if pid == this() {
                        continue;
                    }
                    assert!(!is_alive(pid) && info(pid).is_none());
                    send(pid, "nobody hears it");
                    exit(pid, Reason::Kill);
                    link(pid);
                    assert_eq!(receive::<Exit>().await.reason, Reason::NoProc);
                    unlink(pid);
                    assert_eq!(monitor(pid).down().await.reason, Reason::NoProc);
                    let reference = monitor(pid);
                    assert_eq!(receive::<Down>().await.reference, reference);
                    assert_eq!(wait(pid).await, Reason::NoProc);
                    assert_eq!(call::<_, ()>(pid, 1_u8, None).await, Err(CallError::NoProc));
                    assert!(register("nobody", pid).is_err());
                }
            }
        }
        yield_now().await;
        assert_eq!(processes(), before);
    });
}
