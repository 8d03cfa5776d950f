//! Signals of the operating system: A10.
#![cfg(all(unix, feature = "signals"))]

use std::{
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use riot_actor::{Exit, Reason, process::SpawnOptions, receive, runtime::Config, spawn, trap_exit};
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

/// Runs a program whose two workers are held up by processes that never give way, below a process that stops
/// its children. Each signal is raised by a thread once they hold the workers.
fn with_every_worker_stuck(timeout: Duration, signals: &'static [i32]) -> ExitCode {
    let (stuck, all_stuck) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        (0..2).for_each(|_| all_stuck.recv().expect("both are held up"));
        for signal in signals {
            raise(*signal).expect("it is a signal");
        }
    });
    let config = Config::new().workers(2).stop_on_signals().stop_timeout(timeout).shutdown_timeout(timeout);
    config.kill_timeout(timeout).main(async move {
        let tree = SpawnOptions::new().trap_exit().stops_its_children();
        tree.spawn(async move {
            for _ in 0..2 {
                let stuck = stuck.clone();
                spawn(async move {
                    stuck.send(()).expect("the thread waits");
                    loop {
                        std::thread::park();
                    }
                });
            }
            std::future::pending::<()>().await;
        });
        std::future::pending::<()>().await;
    })
}

fn end_with(code: ExitCode) -> ! {
    // A code has no number that could be read, but its text is that of its number.
    let is_stuck = format!("{code:?}") == format!("{:?}", ExitCode::from(70));
    std::process::exit(if is_stuck { 70 } else { 1 })
}

#[test]
fn a10_the_first_signal_ends_a_program_whose_workers_are_all_stuck_after_the_timeouts() {
    let began = Instant::now();
    let test = "a10_the_first_signal_ends_a_program_whose_workers_are_all_stuck_after_the_timeouts";
    let code = in_a_program_of_its_own(test, || {
        end_with(with_every_worker_stuck(Duration::from_millis(100), &[SIGTERM]))
    });
    assert_eq!(code, Some(Some(70)));
    let elapsed = began.elapsed();
    assert!(elapsed >= Duration::from_millis(300), "each step has its time: {elapsed:?}");
    assert!(elapsed < Duration::from_secs(20), "{elapsed:?}");
}

#[test]
fn a10_a_second_signal_ends_a_program_whose_workers_are_all_stuck_at_once() {
    let test = "a10_a_second_signal_ends_a_program_whose_workers_are_all_stuck_at_once";
    let order = "RIOT_SIGNALS_ORDER";
    // The child must know which signals are meant.
    let cases: [(&str, &'static [i32], i32); 3] = [
        ("term", &[SIGTERM, SIGTERM], 143),
        ("int", &[SIGTERM, SIGINT], 130),
        ("both", &[SIGINT, SIGTERM], 143),
    ];
    if let Ok(wanted) = std::env::var(order) {
        let (_, signals, _) = cases.into_iter().find(|(name, ..)| *name == wanted).expect("it is known");
        end_with(with_every_worker_stuck(Duration::from_secs(600), signals));
    }
    for (name, _, expected) in cases {
        let myself = std::env::current_exe().expect("a program has a path");
        let output = Command::new(myself).args([test, "--exact", "--nocapture"]).env(order, name).output();
        assert_eq!(output.expect("it runs").status.code(), Some(expected), "{name}");
    }
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
