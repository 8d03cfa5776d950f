//! No duration and no instant makes a public function panic or wait for the wrong time.

mod common;

use std::{
    fs,
    future::{Future, pending},
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use common::{millis, secs};
use riot_actor::{
    Pid, Reason,
    alarm::{SystemMonitor, alarms},
    call::{CallError, call},
    gen_server::{Call, GenServer, GenServerOptions, Stop, idle_timeout, multi_call, select_reply},
    mailbox::{alias, receive_timeout},
    name::wait_for_name,
    now,
    process::{By, inspect, top_window},
    receive,
    runtime::{Application, Config, Handle, blocking, give_up},
    send,
    simulation::Simulation,
    sleep, spawn,
    state_machine::{First, Input, StateMachine, Step},
    task::Task,
    this,
    time::{
        deadline_after, exit_after, interval, kill_after, send_after, send_interval, sleep_until,
        start_timer, timeout,
    },
};

/// Durations that a sum or a conversion may not hold.
fn long() -> Vec<Duration> {
    let nanos = Duration::from_nanos(u64::MAX);
    vec![
        Duration::MAX,
        Duration::MAX - Duration::from_nanos(1),
        Duration::from_secs(u64::MAX / 2),
        Duration::from_secs(i64::MAX as u64),
        Duration::from_secs(i64::MAX as u64 - 2_000_000_000),
        Duration::from_millis(u64::MAX),
        nanos + Duration::from_nanos(1),
        nanos,
        nanos - Duration::from_nanos(1),
        secs(600 * 366 * 86_400),
    ]
}

/// The last instants that the system's clock can tell, and some before.
fn late() -> Vec<Instant> {
    let mut last = now();
    for bit in (0..64).rev() {
        last = last.checked_add(Duration::from_secs(1 << bit)).unwrap_or(last);
    }
    let last = last.checked_add(Duration::from_nanos(999_999_999)).unwrap_or(last);
    vec![last, last - Duration::from_nanos(1), last - secs(1), last - secs(86_400 * 365 * 500)]
}

/// Checks that a future is not ready within a day.
async fn lasts<T: std::fmt::Debug>(what: &str, waiting: impl Future<Output = T>) {
    let ended = timeout(secs(86_400), waiting).await;
    assert!(ended.is_err(), "{what}: {ended:?}");
}

/// Checks that a future is ready within a second.
async fn is_soon<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    timeout(secs(1), waiting).await.unwrap_or_else(|_| panic!("{what} waits"))
}

struct Slow;
#[derive(Clone)]
struct Ask;

impl GenServer for Slow {
    type Args = Duration;
    async fn init(idle: Duration) -> Result<Self, Stop> {
        idle_timeout(idle);
        Ok(Self)
    }
}
impl Call<Ask> for Slow {
    type Reply = ();
    async fn call(&mut self, _: Ask) {
        pending().await
    }
}

/// A server whose start takes longer than any timeout.
struct Never;

impl GenServer for Never {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        pending().await
    }
}

#[test]
fn t11_what_is_to_last_for_ever_does() {
    Simulation::sweep(1..1 + 3, || async {
        for long in long() {
            lasts("sleep", sleep(long)).await;
            lasts("timeout", timeout(long, pending::<()>())).await;
            lasts("interval", async { interval(long).tick().await }).await;
            lasts("receive_timeout", receive_timeout::<u8>(long)).await;
            lasts("wait_for_name", wait_for_name("none", Some(long))).await;
            lasts("call", call::<(), ()>(spawn(pending::<()>()), (), Some(long))).await;
            let slow = Slow::start_link(long).await.expect("it starts");
            lasts("call_timeout", slow.call_timeout(Ask, Some(long))).await;
            let mut request = slow.send_request(Ask).expect("it lives");
            lasts("PendingReply::wait", request.wait(Some(long))).await;
            lasts("select_reply", select_reply(&mut vec![request], Some(long))).await;
            lasts("multi_call", multi_call(&[slow], Ask, Some(long))).await;
            lasts("GenServerRef::stop", slow.stop(Reason::Normal, Some(long))).await;
            lasts("GenServerOptions::timeout", GenServerOptions::new().timeout(long).start::<Never>(()))
                .await;
            let mut task = Task::spawn(pending::<()>());
            lasts("Task::wait", task.wait(Some(long))).await;
            lasts("Task::await_many", Task::await_many(&mut [task], Some(long))).await;
            let (later, timer) = (send_after(long, this(), 1_u8), start_timer(long, this(), 1_u8));
            for never in [exit_after(long, this(), Reason::Shutdown), kill_after(long, this())] {
                assert!(never.read().is_some());
                never.cancel();
            }
            let repeated = send_interval(long, this(), 1_u8).expect("it is not zero");
            lasts("timers", receive::<u8>()).await;
            for timer in [later, timer, repeated] {
                assert!(timer.read().is_some_and(|left| left >= secs(86_400 * 300)));
                assert!(timer.cancel().is_some_and(|left| left >= secs(86_400 * 300)));
            }
            let deadline = deadline_after(now(), long);
            assert!(deadline.is_none_or(|deadline| deadline > now() + secs(86_400)));
            let _reason: Reason = give_up("child", 1, long, Reason::Normal);
        }
        for late in late() {
            lasts("sleep_until", sleep_until(late)).await;
            let mut sleep = sleep(secs(3600));
            sleep.reset(late);
            lasts("Sleep::reset", sleep).await;
            assert!(deadline_after(late, Duration::MAX).is_none());
        }
    });
}

#[test]
fn t11_what_lasts_no_time_is_over_at_once() {
    Simulation::sweep(2..2 + 3, || async {
        for short in [Duration::ZERO, Duration::from_nanos(1)] {
            is_soon("sleep", sleep(short)).await;
            assert!(is_soon("timeout", timeout(short, pending::<()>())).await.is_err());
            assert!(is_soon("receive_timeout", receive_timeout::<u8>(short)).await.is_err());
            assert!(is_soon("wait_for_name", wait_for_name("none", Some(short))).await.is_err());
            let silent = spawn(pending::<()>());
            let answer = is_soon("call", call::<(), ()>(silent, (), Some(short))).await;
            assert_eq!(answer, Err(CallError::Timeout));
            let slow = Slow::start_link(Duration::MAX).await.expect("it starts");
            assert!(is_soon("call_timeout", slow.call_timeout(Ask, Some(short))).await.is_err());
            let mut request = slow.send_request(Ask).expect("it lives");
            assert!(is_soon("PendingReply::wait", request.wait(Some(short))).await.is_err());
            let mut requests = vec![request];
            let first = select_reply(&mut requests, Some(short));
            assert!(is_soon("select_reply", first).await.is_none());
            let replies = is_soon("multi_call", multi_call(&[slow], Ask, Some(short))).await;
            assert_eq!(replies, [Err(CallError::Timeout)]);
            assert!(is_soon("GenServerRef::stop", slow.stop(Reason::Normal, Some(short))).await.is_err());
            let start = GenServerOptions::new().timeout(short).start::<Never>(());
            assert!(is_soon("GenServerOptions::timeout", start).await.is_err());
            let mut task = Task::spawn(pending::<()>());
            assert!(is_soon("Task::wait", task.wait(Some(short))).await.is_err());
            let results = Task::await_many(std::slice::from_mut(&mut task), Some(short));
            assert!(is_soon("Task::await_many", results).await[0].is_err());
            assert!(is_soon("Task::shutdown", task.shutdown(short)).await.is_err());
            send_after(short, this(), 1_u8);
            is_soon("send_after", receive::<u8>()).await;
            start_timer(short, this(), 1_u8);
            is_soon("start_timer", receive::<riot_actor::time::Timeout<u8>>()).await;
        }
        is_soon("interval", async { interval(Duration::from_nanos(1)).tick().await }).await;
        assert!(send_interval(Duration::ZERO, this(), 1_u8).is_err());
        is_soon("sleep_until", sleep_until(now() - Duration::ZERO)).await;
        assert!(alias::<u8>().with_timeout(Duration::MAX).is_active());
        assert!(!alias::<u8>().with_timeout(Duration::ZERO).is_active());
        let mut sleep = sleep(Duration::MAX);
        sleep.reset(now());
        is_soon("Sleep::reset", sleep).await;
    });
}

/// A machine that sets all its timers at its first event.
struct Timed(Duration, Pid);

impl StateMachine for Timed {
    type Args = (Duration, Pid);
    type State = ();
    type Event = ();
    async fn init((delay, observer): (Duration, Pid)) -> Result<First<Self>, Stop> {
        Ok(First::new(Self(delay, observer), ()).timeout("first", delay))
    }
    async fn handle(&mut self, (): &(), input: Input<()>) -> Step<Self> {
        match input {
            Input::Event(()) => {
                let step = Step::stay().state_timeout(self.0).event_timeout(self.0);
                let step = step.timeout("named", self.0).timeout_with("with", self.0, ());
                match deadline_after(now(), self.0) {
                    Some(at) => step.timeout_at("at", at),
                    None => step,
                }
            }
            _ => {
                send(self.1, "timeout");
                Step::stay()
            }
        }
    }
}

#[test]
fn t11_timeouts_of_a_state_machine_may_be_of_any_length() {
    Simulation::sweep(3..3 + 3, || async {
        for long in long() {
            let machine = Timed::start((long, this())).await.expect("it starts");
            machine.cast(());
            lasts("a machine", receive::<&str>()).await;
        }
        for short in [Duration::ZERO, Duration::from_nanos(1)] {
            let machine = Timed::start((short, this())).await.expect("it starts");
            machine.cast(());
            // The first of them ends the timeout of the next event.
            for _ in 0..2 {
                is_soon("a machine", receive::<&str>()).await;
            }
        }
    });
}

#[test]
fn t11_settings_of_a_runtime_may_be_of_any_length() {
    let edges = [Duration::ZERO, Duration::from_nanos(1), Duration::MAX, Duration::from_secs(u64::MAX / 2)];
    for edge in edges {
        let config = Config::new().workers(2).stop_timeout(edge).shutdown_timeout(edge).long_schedule(edge);
        // A kill timeout of zero would not wait for those that are killed.
        let application = Application::new("a", || async { Ok::<Pid, Reason>(spawn(pending::<()>())) });
        let config = config.kill_timeout(edge.max(secs(60))).application(application.shutdown(edge));
        let reason = config.without_default_log().run(async {
            spawn(pending::<()>());
            blocking(|| ()).await;
            sleep(millis(1)).await;
        });
        assert_eq!(reason.expect("it ends"), Reason::Normal, "{edge:?}");
    }
    let (let_go, held) = mpsc::channel::<()>();
    let config = Config::new().workers(1).shutdown_timeout(Duration::ZERO).kill_timeout(Duration::ZERO);
    let result = config.run(async move {
        spawn(async move { held.recv() });
        riot_actor::runtime::shutdown(Reason::Normal);
        sleep(millis(1)).await;
    });
    drop((let_go, result));
}

/// Functions whose durations are tried above, or that only store one which is: `name` of each.
const TRIED: &[&str] = &[
    "await_many",
    "call",
    "call_timeout",
    "deadline_after",
    "event_timeout",
    "exit_after",
    "give_up",
    "idle_timeout",
    "inspect",
    "interval",
    "kill_after",
    "kill_timeout",
    "long_call",
    "long_schedule",
    "multi_call",
    "receive_timeout",
    "reset",
    "select_reply",
    "send_after",
    "send_interval",
    "shutdown",
    "shutdown_timeout",
    "sleep",
    "sleep_until",
    "start_timer",
    "state_timeout",
    "stop",
    "stop_timeout",
    "timeout",
    "timeout_at",
    "timeout_with",
    // In `tokio.rs`, with the feature.
    "tokio_shutdown_timeout",
    "top_window",
    "wait",
    "wait_for_name",
    "with_timeout",
    // In `workers_alive.rs`.
    "workers_alive",
];

#[test]
fn t11_what_observes_may_take_any_time() {
    Simulation::new(1).run(async {
        let clerk = spawn(pending::<()>());
        for duration in long() {
            assert_eq!(inspect(clerk, duration).await.map(|mailbox| mailbox.messages), Ok(0));
            assert!(Handle::current().inspect(clerk, duration).await.is_ok());
            assert!(timeout(secs(1), top_window(By::Age, 1, duration)).await.is_err());
        }
        assert_eq!(top_window(By::Age, 1, Duration::ZERO).await.len(), 1);
        assert_eq!(inspect(clerk, Duration::ZERO).await, Err(CallError::Timeout));
    });
}

#[test]
fn t11_a_monitor_takes_any_time() {
    for duration in long() {
        let reason = Simulation::new(1).run(async move {
            SystemMonitor::new().long_call(duration).start_link().await.expect("it is the first");
            sleep(secs(2)).await;
            assert!(alarms().is_empty());
        });
        assert_eq!(reason, Reason::Normal);
    }
}

/// Returns the names of public functions below a folder that take a duration or an instant.
fn functions_with_times(folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("it is a folder") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            functions_with_times(&path, names);
            continue;
        }
        let text = fs::read_to_string(&path).expect("it is text");
        for (at, _) in text.match_indices("pub ") {
            let rest = text[at + 4..].trim_start_matches("async ");
            let Some(signature) = rest.strip_prefix("fn ") else { continue };
            let signature = signature.split(['{', ';']).next().unwrap_or_default();
            let arguments = signature.split(") -> ").next().unwrap_or_default();
            if arguments.contains("Duration") || arguments.contains("Instant") {
                let end = signature.find(['(', '<']).unwrap_or(signature.len());
                names.push(signature[..end].to_owned());
            }
        }
    }
}

#[test]
fn t11_every_public_function_that_takes_a_time_is_tried() {
    let mut names = Vec::new();
    functions_with_times(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
    names.sort();
    names.dedup();
    assert_eq!(names, TRIED);
}
