//! A system that refuses threads: rules C5 and A13. Each test runs itself as a program of its own, with a
//! bound of its memory that leaves no room for the stack of another thread.
#![cfg(target_os = "linux")]
mod common;

use std::{
    process::{Command, Output},
    sync::mpsc,
};

use common::{millis, secs};
use riot_actor::{
    Reason,
    process::wait,
    receive,
    runtime::{Config, blocking},
    send, sleep, spawn, this,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CHILD: &str = "RIOT_NO_THREADS_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs one test of this file as a program of its own, for a minute at most.
fn output_of(test: &str) -> Output {
    let myself = std::env::current_exe().expect("a program has a path");
    let mut command = Command::new("timeout");
    command.arg("60").arg(myself).args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, "1").env("RUST_BACKTRACE", "0");
    // So large that no memory which is given back meanwhile suffices for one.
    command.env("RUST_MIN_STACK", (64 << 20).to_string()).output().expect("it runs")
}

/// Sets the bound of the memory of this program, in bytes. No process is started for that: it may find no
/// memory.
fn bound(bytes: Option<u64>) {
    let before = getrlimit(Resource::As);
    setrlimit(Resource::As, Rlimit { current: bytes, ..before })
        .expect("it may be lowered, and raised again");
}

/// Leaves room for less than the stack of a thread, which is 64 MiB.
fn refuse_threads() {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB"));
    let kib: u64 = size.and_then(|size| size.trim().parse().ok()).expect("it is a number");
    bound(Some((kib + 16 * 1024) * 1024));
    let refused = std::thread::Builder::new().spawn(|| ()).map(|thread| thread.join().is_ok());
    assert!(refused.is_err(), "the system gives threads all the same");
}

#[test]
fn c05_without_threads_work_waits_and_holds_no_worker_up() {
    if is_child() {
        let result = Config::new().workers(1).run(async {
            refuse_threads();
            let (go, wait) = mpsc::channel::<()>();
            let me = this();
            let name = || std::thread::current().name().map(str::to_owned);
            let caller = spawn(async move {
                let work = move || {
                    wait.recv().expect("it comes");
                    name()
                };
                send(me, blocking(work).await);
            });
            // One whose caller ends waits, too.
            let (tell, told) = mpsc::channel::<()>();
            let ended = spawn(async move { blocking(move || tell.send(()).expect("the test waits")).await });
            sleep(millis(10)).await;
            riot_actor::exit(ended, Reason::Kill);
            // The only worker is free all the time.
            sleep(millis(200)).await;
            bound(None);
            go.send(()).expect("it waits");
            assert_eq!(receive::<Option<String>>().await.as_deref(), Some("riot-blocking"));
            riot_actor::process::wait(caller).await;
            told.recv_timeout(secs(20)).expect("it has run");
        });
        return assert_eq!(result.expect("it runs"), Reason::Normal);
    }
    let output = output_of("c05_without_threads_work_waits_and_holds_no_worker_up");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said.matches("riot WARN  the system refused a thread: ").count(), 1, "{said}");
}

#[test]
fn a13_lines_that_found_no_thread_are_written_at_the_end() {
    if is_child() {
        let result = Config::new().workers(1).run(async {
            refuse_threads();
            wait(spawn(async { Reason::other("broken") })).await;
            // Nothing is said from now on until the end.
            bound(None);
        });
        return assert_eq!(result.expect("it runs"), Reason::Normal);
    }
    let output = output_of("a13_lines_that_found_no_thread_are_written_at_the_end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("process crashed: \"broken\""), "{output:?}");
}
