//! Signals of the operating system: A10.
#![cfg(all(unix, feature = "signals"))]

use std::process::Command;

use riot_actor::{Exit, Reason, receive, runtime::Config, trap_exit};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    low_level::raise,
};

/// Runs one test of this file as a program of its own, which the signals may end, and returns its exit code.
fn in_a_program_of_its_own(test: &str, program: impl FnOnce()) -> Option<Option<i32>> {
    const CHILD: &str = "RIOT_SIGNALS_CHILD";
    if std::env::var_os(CHILD).is_some() {
        program();
        return None;
    }
    let myself = std::env::current_exe().expect("a program has a path");
    let output = Command::new(myself).args([test, "--exact", "--nocapture"]).env(CHILD, "1").output();
    Some(output.expect("it runs").status.code())
}

#[test]
fn a10_the_first_signal_shuts_the_runtime_down() {
    for signal in [SIGINT, SIGTERM] {
        let code = in_a_program_of_its_own("a10_the_first_signal_shuts_the_runtime_down", || {
            for _ in 0..2 {
                let reason = Config::new().workers(1).stop_on_signals().run(async move {
                    trap_exit(true);
                    raise(signal).expect("it is a signal");
                    let exit = receive::<Exit>().await;
                    assert!(exit.from.is_system());
                    Reason::Normal
                });
                assert_eq!(reason.expect("it ran"), Reason::Shutdown);
            }
        });
        assert!(code.is_none_or(|code| code == Some(0)), "{code:?}");
    }
}

#[test]
fn a10_a_second_signal_ends_the_program_at_once() {
    let code = in_a_program_of_its_own("a10_a_second_signal_ends_the_program_at_once", || {
        let _never = Config::new().workers(1).stop_on_signals().run(async {
            trap_exit(true);
            raise(SIGINT).expect("it is a signal");
            receive::<Exit>().await;
            raise(SIGTERM).expect("it is a signal");
            std::process::exit(1);
        });
    });
    assert!(code.is_none_or(|code| code == Some(143)), "{code:?}");
}

#[test]
fn a10_without_a_runtime_that_listens_a_signal_does_what_it_does_in_any_program() {
    let code = in_a_program_of_its_own(
        "a10_without_a_runtime_that_listens_a_signal_does_what_it_does_in_any_program",
        || {
            Config::new().workers(1).stop_on_signals().run(async {}).expect("it ran");
            raise(SIGTERM).expect("it is a signal");
            std::process::exit(0);
        },
    );
    // The signal ended it, so it has no code.
    assert!(code.is_none_or(|code| code.is_none()), "{code:?}");
}
