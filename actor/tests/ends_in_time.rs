//! A runtime ends within its timeouts, whatever is stuck, and leaves no thread and no body behind that it
//! need not: rules A1, A4 and A5.
#![cfg(unix)]

mod common;

use std::{
    cell::RefCell,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use common::{OnDrop, millis, secs};
use riot_actor::{
    Pid, Reason, log,
    process::{SpawnOptions, try_this},
    receive,
    runtime::{Config, RunError, blocking, shutdown},
    send, sleep, spawn, this,
};

const CHILD: &str = "RIOT_ENDS_IN_TIME_CHILD";

/// Runs one test of this file as a program of its own.
fn program(test: &str) -> Child {
    let myself = std::env::current_exe().expect("a program has a path");
    let mut command = Command::new(myself);
    command.args([test, "--exact", "--nocapture"]).env(CHILD, "1").env("RUST_BACKTRACE", "0");
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs")
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Waits for the end of a program whose standard error is never read, for a minute at most, and returns its
/// exit code.
fn code_of(mut child: Child) -> Option<i32> {
    let never_read = child.stderr.take();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait().expect("it ran").code()));
    let code = told.recv_timeout(secs(60)).expect("the program does not end");
    drop(never_read);
    code
}

type AtEnd = OnDrop<Box<dyn FnMut() + Send>>;

thread_local! {
    static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
}

/// Calls a function when this thread ends.
fn at_end_of_thread(act: impl FnMut() + Send + 'static) {
    AT_END.set(Some(OnDrop(Box::new(act))));
}

#[test]
fn a04_threads_of_blocking_work_have_ended_when_run_returns() {
    for _ in 0..50 {
        let ended = Arc::new(AtomicUsize::new(0));
        let counted = ended.clone();
        let reason = Config::new().workers(2).run(async move {
            let main = this();
            for _ in 0..5 {
                let counted = counted.clone();
                spawn(async move {
                    blocking(move || {
                        at_end_of_thread(move || _ = counted.fetch_add(1, Ordering::SeqCst));
                    })
                    .await;
                    send(main, ());
                });
            }
            for _ in 0..5 {
                receive::<()>().await;
            }
        });
        assert_eq!(reason.expect("it runs"), Reason::Normal);
        let threads = ended.load(Ordering::SeqCst);
        assert!((1..=5).contains(&threads), "{threads} threads have ended");
        // The guard of a thread that served several callers was replaced, and counted then.
        assert_eq!(threads, 5);
    }
}

#[test]
fn a01_work_that_blocks_for_ever_holds_the_end_up_for_the_timeouts_only() {
    let (_never, stuck) = mpsc::channel::<()>();
    let waiting = Arc::new(());
    let never_begun = waiting.clone();
    let began = Instant::now();
    let config = Config::new().workers(1).max_blocking_threads(1);
    let config = config.stop_timeout(secs(3600)).shutdown_timeout(millis(50)).kill_timeout(millis(50));
    let reason = config.run(async move {
        let main = this();
        spawn(async move {
            let job = blocking(move || stuck.recv());
            send(main, ());
            let _ = job.await;
        });
        receive::<()>().await;
        spawn(async move { blocking(move || drop(never_begun)).await });
        // Both are killed; the work of neither can be.
        sleep(millis(20)).await;
    });
    assert_eq!(reason.expect("all processes have ended"), Reason::Normal);
    assert!(began.elapsed() < secs(20), "{:?}", began.elapsed());
    assert_eq!(Arc::strong_count(&waiting), 2, "what never began is not dropped outside its process");
}

/// A process that was released, and the one in which its body was dropped.
type Wrong = mpsc::Sender<(Pid, Option<Pid>)>;

/// Starts a process that says if its body is dropped outside of it.
fn leave_one_behind(options: SpawnOptions, wrong: &Wrong) {
    let (own_said, own) = mpsc::channel::<Pid>();
    let wrong = wrong.clone();
    let guard = OnDrop(move || {
        let own = own.recv().expect("it was told");
        if try_this() != Some(own) {
            wrong.send((own, try_this())).expect("the test looks");
        }
    });
    let pid = options.spawn(async move {
        let _guard = guard;
        receive::<()>().await;
    });
    own_said.send(pid).expect("it is kept");
}

fn leave_behind(wrong: &Wrong) {
    for nth in 0..100 {
        let options = if nth % 3 == 0 { SpawnOptions::new().pinned() } else { SpawnOptions::new() };
        leave_one_behind(options, wrong);
    }
}

#[test]
fn a04_bodies_that_are_left_are_released_in_their_process_or_never() {
    const WORKERS: usize = 2;
    let (told, ends) = mpsc::channel::<()>();
    let (wrong_said, wrong) = mpsc::channel::<(Pid, Option<Pid>)>();
    let mut let_go = Vec::new();
    let mut held = Vec::new();
    for _ in 0..WORKERS {
        let (go, wait) = mpsc::channel::<()>();
        let_go.push(go);
        held.push(wait);
    }
    let config = Config::new().workers(WORKERS).stop_timeout(millis(50)).shutdown_timeout(millis(50));
    let result = config.kill_timeout(millis(50)).run(async move {
        let running = Arc::new(AtomicUsize::new(0));
        for (worker, wait) in held.into_iter().enumerate() {
            let (told, wrong_said, running) = (told.clone(), wrong_said.clone(), running.clone());
            let others = wrong_said.clone();
            SpawnOptions::new().pinned_to(worker).spawn(async move {
                at_end_of_thread(move || told.send(()).expect("the test waits"));
                // Some wait for this worker, some are pinned to it.
                leave_behind(&wrong_said);
                if running.fetch_add(1, Ordering::SeqCst) + 1 == WORKERS {
                    shutdown(Reason::Normal);
                }
                wait.recv().ok();
            });
            (0..10).for_each(|_| leave_one_behind(SpawnOptions::new().pinned_to(worker), &others));
        }
        receive::<()>().await;
    });
    assert!(matches!(&result, Err(RunError::Stuck(pids)) if pids.len() >= WORKERS), "{result:?}");
    for go in let_go {
        go.send(()).expect("it waits");
    }
    for _ in 0..WORKERS {
        ends.recv_timeout(secs(60)).expect("the threads end");
    }
    assert_eq!(wrong.try_iter().collect::<Vec<_>>(), []);
}

/// A subscriber whose writes never return.
struct Full;

impl tracing::Subscriber for Full {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= tracing::Level::WARN
    }
    fn event(&self, _: &tracing::Event<'_>) {
        loop {
            std::thread::park();
        }
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Ends the program with a code that says whether `run` has returned as it should.
fn exit_code(began: Instant, within: Duration, is_right: bool) -> ! {
    let in_time = began.elapsed() < within;
    std::process::exit(if in_time && is_right { 7 } else { 8 + i32::from(in_time) })
}

#[test]
fn a01_a_subscriber_that_never_returns_does_not_hold_up_the_end() {
    if is_child() {
        tracing::subscriber::set_global_default(Full).expect("there was none");
        let began = Instant::now();
        let config = Config::new().workers(2).stop_timeout(millis(50)).shutdown_timeout(millis(50));
        let config = config.kill_timeout(millis(200)).long_schedule(millis(20));
        let result = config.run(async {
            // A supervisor that does not stop: the end reports it.
            let deaf = SpawnOptions::new().trap_exit().stops_its_children();
            deaf.spawn(std::future::pending::<()>());
            // A process whose report is never written, and one that the watchdog reports.
            spawn(async { Reason::other("crash") });
            spawn(async { std::thread::sleep(millis(300)) });
            sleep(millis(100)).await;
        });
        exit_code(began, secs(10), matches!(result, Err(RunError::Stuck(_))));
    }
    let test = "a01_a_subscriber_that_never_returns_does_not_hold_up_the_end";
    assert_eq!(code_of(program(test)), Some(7));
}

#[test]
fn a01_a_log_that_is_never_read_takes_100_ms_of_the_end() {
    if is_child() {
        let began = Instant::now();
        // The default timeouts: it must not take the five seconds that processes have.
        let result = Config::new().workers(2).run(async {
            log::start(std::io::stderr())?;
            for nth in 0..2_000 {
                tracing::warn!(nth, "{}", "x".repeat(200));
            }
            sleep(millis(50)).await;
            Ok::<(), Reason>(())
        });
        exit_code(began, secs(4), matches!(result, Ok(Reason::Normal)));
    }
    let test = "a01_a_log_that_is_never_read_takes_100_ms_of_the_end";
    assert_eq!(code_of(program(test)), Some(7));
}

#[test]
fn a01_a_log_that_is_read_has_every_line_at_the_end() {
    if is_child() {
        let result = Config::new().workers(2).run(async {
            log::start(std::io::stderr())?;
            for nth in 0..2_000 {
                tracing::warn!(nth, "{}", "x".repeat(200));
            }
            Ok::<(), Reason>(())
        });
        std::process::exit(if matches!(result, Ok(Reason::Normal)) { 7 } else { 8 });
    }
    let child = program("a01_a_log_that_is_read_has_every_line_at_the_end");
    let output = child.wait_with_output().expect("it ran");
    assert_eq!(output.status.code(), Some(7));
    // On a busy machine the watchdog may have lines of its own among them.
    let lines = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(lines.lines().filter(|line| line.contains("xxx nth=")).count(), 2_000, "{lines}");
}

#[test]
fn a04_a_body_that_comes_after_the_end_is_never_dropped() {
    let (tell, told) = mpsc::channel();
    let config = || Config::new().workers(1);
    config()
        .run(async move { tell.send(riot_actor::runtime::Handle::current()).expect("the test waits") })
        .expect("it runs");
    let handle = told.recv().expect("it was sent");
    let dropped = OnDrop(|| panic!("it is dropped outside of a process"));
    let pid = handle.spawn(async move { drop(dropped) });
    handle.send(pid, "a message to it");
    drop(handle);
}
