//! The examples of supervision, run as a user runs them.

use std::{path::PathBuf, process::Command};

/// Returns the path of an example; `cargo test` builds the examples beside the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test is a program");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("it stands in target/PROFILE/deps");
    profile.join("examples").join(name)
}

fn output(name: &str) -> String {
    let run = Command::new(example(name)).output().expect("the example was built");
    let output = String::from_utf8_lossy(&run.stdout).into_owned();
    assert_eq!(run.status.code(), Some(0), "{output}{}", String::from_utf8_lossy(&run.stderr));
    output
}

/// Checks that each text stands in a line after that of the one before.
#[track_caller]
fn tells(output: &str, story: &[&str]) {
    let mut lines = output.lines();
    for part in story {
        assert!(
            lines.any(|line| line.contains(part)),
            "nothing of {part:?} where it should be in:\n{output}"
        );
    }
}

#[test]
fn the_log_of_crash_and_restart_can_be_followed() {
    let output = output("crash_and_restart");
    tells(
        &output,
        &[
            "> shop ",
            "> lamp ",
            "> orders ",
            "> stock ",
            "> desk ",
            "-- a dragon is ordered",
            "process crashed: panic: there are no dragons at examples/crash_and_restart.rs:",
            "child ended: panic: there are no dragons",
            "child restarted",
            "sold: teapot",
            "-- the stock burns",
            "child ended: \"fire\"",
            "child restarted",
            "child restarted",
            "-- another dragon",
            "too many restarts: the supervisor shuts down",
            "child restarted",
            "> shop ",
            "> desk ",
            "-- closing time",
        ],
    );
}

#[test]
fn the_jobs_of_dynamic_children_are_all_done_or_put_back() {
    let output = output("dynamic_children");
    for number in [1, 3, 4, 5, 6] {
        assert!(output.contains(&format!("job {number} is done at attempt 1\n")), "{output}");
    }
    tells(
        &output,
        &["job 2 failed", "job 2 failed", "job 2 is done at attempt 3", "stopping", "all are gone"],
    );
    assert!(
        output.contains("job 7 puts its work back\n") && output.contains("job 8 puts its work back\n"),
        "{output}"
    );
    tells(&output, &["stopping", "puts its work back", "puts its work back", "all are gone"]);
}

#[test]
fn threads_ask_run_and_wait() {
    let output = output("from_threads");
    let sold = output.lines().filter(|line| line.contains("bought two")).count();
    let left = output.lines().filter(|line| line.ends_with("leaves: sold out")).count();
    assert_eq!((sold, left), (2, 2), "{output}");
    tells(
        &output,
        &["one is left: Ok(Ok(0))", "the shop has closed: shutdown", "the runtime has ended: normal"],
    );
}
