//! Two protocols that are not HTTP, on the same tree.
#![cfg(target_os = "linux")]

mod common;

use common::Example;

#[test]
fn echo_says_everything_back() {
    let echo = Example::start("echo", &["127.0.0.1:0"]);
    assert_eq!(echo.say("hello\n"), "hello\n");
    let long = "0123456789".repeat(10_000);
    assert_eq!(echo.say(&long), long);
    assert_eq!(echo.stop(), Some(0));
}

#[test]
fn the_line_protocol_answers_each_line_with_one() {
    let sums = Example::start("line_protocol", &["127.0.0.1:0"]);
    assert_eq!(sums.say("1 2 3\n40 2\n"), "6\n42\n");
    assert_eq!(sums.say("quit\n1 1\n"), "", "nothing behind `quit` is read");
    assert!(sums.say("one\n").starts_with("error: "));
    let endless = "1 ".repeat(4_000);
    assert_eq!(sums.say(&endless), "error: this line is too long\n");
    assert_eq!(sums.stop(), Some(0));
}
