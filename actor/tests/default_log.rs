//! Reports of programs without a subscriber, and of programs whose subscriber or standard error fails: A12,
//! A13. Each test runs itself as a program of its own, whose standard error it reads.
#![cfg(unix)]
mod common;

use std::{
    error::Error,
    fmt,
    fs::OpenOptions,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use common::{millis, secs};
use riot_actor::{
    Reason, exit,
    gen_server::{Cast, GenServer, GenServerRef, Stop},
    ok,
    process::{SpawnOptions, wait, yield_now},
    register, run,
    runtime::{Config, blocking},
    sleep, spawn, spawn_link, telemetry, trap_exit,
};

const CHILD: &str = "RIOT_DEFAULT_LOG_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

fn start(test: &str, stderr: Stdio) -> Child {
    let myself = std::env::current_exe().expect("a program has a path");
    let mut command = Command::new(myself);
    command.args([test, "--exact", "--nocapture"]).env(CHILD, "1").env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).spawn().expect("it runs")
}

/// Returns the lines that a program wrote to its standard error.
fn lines_of(test: &str) -> Vec<String> {
    let output = start(test, Stdio::piped()).wait_with_output().expect("it ran");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).expect("lines are text").lines().map(str::to_owned).collect()
}

/// Waits for the end of a program, for a minute at most.
fn status_of(mut child: Child) -> ExitStatus {
    let (tell, told) = mpsc::channel();
    let pid = child.id();
    std::thread::spawn(move || tell.send(child.wait().expect("it ran")));
    told.recv_timeout(secs(60)).unwrap_or_else(|_| panic!("the program {pid} does not end"))
}

#[derive(Debug)]
struct Level(&'static str, Option<Box<Level>>);

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Level {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|level| level as _)
    }
}

#[test]
fn a12_a_crash_is_printed_without_a_subscriber() {
    if is_child() {
        // The report of 10 MB takes long on a busy machine, which is no subject of this test.
        let config = Config::new().long_schedule(secs(3600));
        let ended = config.run(async {
            let body = async {
                telemetry::crash_detail("order", || "a \"b\"\n".to_owned());
                panic!("one\ntwo")
            };
            wait(SpawnOptions::new().name("clerk").label("the\tclerk").spawn(body)).await;
            let causes = Level(
                "no query",
                Some(Box::new(Level("no connection", Some(Box::new(Level("refused", None)))))),
            );
            wait(spawn(async { Reason::from(causes) })).await;
            wait(spawn(async { Reason::other("x".repeat(10_000_000)) })).await;
        });
        assert_eq!(ended.expect("it ran"), Reason::Normal);
        return;
    }
    let lines = lines_of("a12_a_crash_is_printed_without_a_subscriber");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with(r"riot ERROR process crashed: panic: one\ntwo at "), "{}", lines[0]);
    for part in [r" label=the\tclerk", r#" names=["clerk"]"#, r#" order="a \"b\"\\n""#, " parent=<"] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    assert!(lines[1].starts_with("riot ERROR process crashed: error: no query: no connection: refused pid="));
    assert!(lines[2].contains("x… (10000002 bytes) pid=") && lines[2].len() < 9000, "{}", lines[2].len());
}

#[test]
fn a12_ten_lines_a_second_are_printed_and_the_others_counted() {
    if is_child() {
        run(async {
            for nth in 0..1000_u32 {
                // Texts that differ by more than a number.
                let name: String = nth.to_string().bytes().map(|digit| char::from(digit + 49)).collect();
                wait(spawn(async move { Reason::other(format!("broken {name}")) })).await;
            }
        });
        return;
    }
    let lines = lines_of("a12_ten_lines_a_second_are_printed_and_the_others_counted");
    let crashes = lines.iter().filter(|line| line.contains("process crashed: \"broken ")).count();
    assert!((10..=30).contains(&crashes), "{lines:?}");
    // The program has ended within the second, and says how many lines are missing all the same.
    let suppressed = lines.iter().filter_map(|line| {
        line.strip_prefix("riot WARN  ")?.strip_suffix(" lines were suppressed (more than 10 in a second)")
    });
    let suppressed: usize = suppressed.map(|count| count.parse::<usize>().expect("a number")).sum();
    assert_eq!(crashes + suppressed, 1000, "{lines:?}");
}

#[test]
fn a15_crashes_that_repeat_are_counted_and_hooks_see_all() {
    if is_child() {
        let reports = Arc::new(AtomicUsize::new(0));
        let counted = reports.clone();
        let config = Config::new().workers(2).on_crash(move |_| _ = counted.fetch_add(1, Ordering::SeqCst));
        let result = config.run(async {
            for nth in 0..1_204 {
                wait(spawn(async move { Reason::other(format!("no order {nth}")) })).await;
            }
            // Another text, and another parent.
            wait(spawn(async { Reason::other("no customer") })).await;
            wait(spawn(async { drop(wait(spawn(async { Reason::other("no order 7") })).await) })).await;
        });
        result.expect("it runs");
        assert_eq!(reports.load(Ordering::SeqCst), 1_206);
        return;
    }
    let lines = lines_of("a15_crashes_that_repeat_are_counted_and_hooks_see_all");
    let with = |text: &str| lines.iter().filter(|line| line.starts_with(text)).count();
    assert_eq!(with("riot ERROR process crashed: \"no order"), 6, "{lines:?}");
    assert_eq!(with("riot ERROR process crashed: \"no customer"), 1, "{lines:?}");
    assert_eq!(with("riot ERROR repeated 1 199 times in 1 s: \"no order 0\" parent=<"), 1, "{lines:?}");
    assert_eq!(lines.len(), 8, "{lines:?}");
}

#[test]
fn a12_nothing_is_printed_where_the_config_says_so() {
    if is_child() {
        let config = Config::new().workers(2).without_default_log().long_schedule(millis(20));
        let result = config.stop_timeout(millis(20)).shutdown_timeout(millis(20)).run(async {
            wait(spawn(async { Reason::other("broken") })).await;
            // Reports of the watchdog and of the shutdown.
            wait(spawn(async { std::thread::sleep(millis(200)) })).await;
            SpawnOptions::new().trap_exit().stops_its_children().spawn(std::future::pending::<()>());
        });
        result.expect("it runs");
        return;
    }
    assert_eq!(lines_of("a12_nothing_is_printed_where_the_config_says_so"), [""; 0]);
}

/// Crashes often, with long reasons, and goes on.
fn crash_often() {
    let reason = Config::new().workers(2).run(async {
        for _ in 0..1000 {
            wait(spawn(async { panic!("{}", "y".repeat(9000)) })).await;
        }
        sleep(millis(1)).await;
    });
    assert_eq!(reason.expect("it ran"), Reason::Normal);
}

#[test]
fn a13_a_standard_error_that_is_never_read_stops_nothing() {
    if is_child() {
        return crash_often();
    }
    let mut child = start("a13_a_standard_error_that_is_never_read_stops_nothing", Stdio::piped());
    let never_read = child.stderr.take();
    assert!(status_of(child).success());
    drop(never_read);
}

#[test]
fn a13_a_standard_error_that_fails_stops_nothing() {
    if is_child() {
        return crash_often();
    }
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
        eprintln!("SKIPPED: this system has no /dev/full");
        return;
    };
    assert!(status_of(start("a13_a_standard_error_that_fails_stops_nothing", full.into())).success());
}

/// Writes as many bytes as there is room for.
fn fill(stream: &UnixStream) {
    let mut stream = stream;
    while stream.write(&[b'#'; 4096]).is_ok() {}
    while stream.write(b"#").is_ok() {}
}

/// A standard error in non-blocking mode, as another program that shares it may have set it, is waited for.
fn non_blocking(test: &str) {
    let (mut read, write) = UnixStream::pair().expect("the system has sockets");
    write.set_nonblocking(true).expect("it is open");
    fill(&write);
    let mut child = start(test, OwnedFd::from(write).into());
    let mut said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    // The first line waits.
    assert!(said.by_ref().map_while(Result::ok).any(|line| line.ends_with("one has crashed")));
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        read.read_to_string(&mut text).expect("lines are text");
        tell.send(text)
    });
    drop(child.stdin.take());
    assert!(status_of(child).success());
    let text = told.recv_timeout(secs(60)).expect("the program has ended");
    let lines = text.trim_start_matches('#');
    assert!(lines.contains("\"one\"") && lines.contains("\"two\""), "{lines}");
}

/// Crashes once, and again when the standard input ends.
async fn crash_twice() {
    wait(spawn(async { Reason::other("one") })).await;
    // The line is tried to be written meanwhile. If it is not, the test shows less and still passes.
    sleep(millis(50)).await;
    println!("one has crashed");
    let rest = blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
    rest.expect("it ends");
    wait(spawn(async { Reason::other("two") })).await;
}

#[test]
fn a13_a_standard_error_in_non_blocking_mode_is_waited_for() {
    const TEST: &str = "a13_a_standard_error_in_non_blocking_mode_is_waited_for";
    if is_child() {
        run(crash_twice());
        return;
    }
    non_blocking(TEST);
}

#[test]
fn a13_a_log_that_writes_in_non_blocking_mode_waits() {
    const TEST: &str = "a13_a_log_that_writes_in_non_blocking_mode_waits";
    if is_child() {
        run(async {
            riot_actor::log::start(std::io::stderr()).expect("there is none");
            crash_twice().await;
        });
        return;
    }
    non_blocking(TEST);
}

/// A subscriber that panics at every event.
struct Broken;

impl tracing::Subscriber for Broken {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn event(&self, _: &tracing::Event<'_>) {
        panic!("no room on the disk");
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a13_a_subscriber_that_panics_stops_nothing() {
    if is_child() {
        tracing::subscriber::set_global_default(Broken).expect("there was none");
        return crash_often();
    }
    let lines = lines_of("a13_a_subscriber_that_panics_stops_nothing");
    let told = "riot ERROR the subscriber of the log panicked: no room on the disk at ";
    assert!(lines.iter().any(|line| line.starts_with(told)), "{lines:?}");
}

/// The end of `main` by a reason that is no clean one.
#[test]
fn a12_an_abnormal_end_of_main_is_exit_code_1_and_a_line() {
    if is_child() {
        let code = std::process::Termination::report(run(async { Reason::other("no\nway") }));
        std::process::exit(if format!("{code:?}") == format!("{:?}", std::process::ExitCode::FAILURE) {
            1
        } else {
            0
        });
    }
    let child = start("a12_an_abnormal_end_of_main_is_exit_code_1_and_a_line", Stdio::piped());
    let output = child.wait_with_output().expect("it ran");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).expect("lines are text");
    assert!(text.ends_with("riot ERROR the program ended: \"no\\nway\"\n"), "{text}");
}

#[test]
fn a12_main_ended_by_a_link_without_a_failure_is_a_warning() {
    if is_child() {
        let reason = run(async {
            let child = spawn_link(std::future::pending::<()>());
            exit(child, Reason::Shutdown);
            std::future::pending::<()>().await;
        });
        assert_eq!(reason, Reason::Shutdown);
        return;
    }
    let lines = lines_of("a12_main_ended_by_a_link_without_a_failure_is_a_warning");
    let warning = lines.iter().find(|line| line.contains("`main` is ended by its link to <"));
    assert!(warning.is_some_and(|line| line.starts_with("riot WARN")), "{lines:?}");
}

#[test]
fn a12_what_has_not_stopped_is_named_with_its_labels() {
    if is_child() {
        let stubborn = SpawnOptions::new().label("stubborn").stops_its_children();
        let reason = Config::new().stop_timeout(millis(50)).run(async move {
            stubborn.spawn(async {
                trap_exit(true);
                std::future::pending::<()>().await;
            });
            yield_now().await;
        });
        assert_eq!(reason.expect("it runs"), Reason::Normal);
        return;
    }
    let lines = lines_of("a12_what_has_not_stopped_is_named_with_its_labels");
    assert!(lines.iter().any(|line| line.contains("left: <") && line.contains("> stubborn")), "{lines:?}");
}

#[test]
fn a12_a_request_that_came_to_another_server_is_named() {
    struct Till;
    struct Vault;
    impl GenServer for Till {
        type Args = ();
        async fn init((): ()) -> Result<Self, Stop> {
            Ok(Self)
        }
    }
    impl GenServer for Vault {
        type Args = ();
        async fn init((): ()) -> Result<Self, Stop> {
            Ok(Self)
        }
    }
    impl Cast<u8> for Till {
        async fn cast(&mut self, _: u8) {}
    }
    if is_child() {
        let reason = run(async {
            let vault = Vault::start(()).await?;
            register("till", vault.pid())?;
            GenServerRef::<Till>::named("till").cast(7);
            vault.stop(Reason::Normal, None).await?;
            ok()
        });
        assert_eq!(reason, Reason::Normal);
        return;
    }
    let lines = lines_of("a12_a_request_that_came_to_another_server_is_named");
    let named = |line: &&String| line.contains("unhandled message that is a request for a server of type ");
    let line = lines.iter().find(named).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(line.contains("::Till") && line.contains("server=Vault"), "{line}");
}
