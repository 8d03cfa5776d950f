//! One event is one line of the log, and lines that repeat are counted: S33.

mod common;

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::*;
use riot_actor::{
    Reason,
    gen_server::{GenServer, Stop},
    mailbox::receive_timeout,
    now,
    runtime::Config,
    simulation::Simulation,
    sleep, trap_exit,
};
use riot_supervisor::{Backoff, Supervisor, SupervisorEvent, server};
use tracing::{Level, Metadata, field, span};

/// Keeps the lines up to the level `INFO`, as most programs do.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("riot") && *metadata.level() <= Level::INFO
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Message(String);
        impl field::Visit for Message {
            fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push((*event.metadata().level(), message.0));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Log {
    fn of(program: impl FnOnce()) -> Vec<(Level, String)> {
        let log = Self::default();
        tracing::subscriber::with_default(log.clone(), program);
        let lines = log.0.lock().unwrap();
        lines.clone()
    }
}

static ATTEMPTS: AtomicUsize = AtomicUsize::new(0);

/// A client of a database that is there once, and then no more.
struct Db;

impl GenServer for Db {
    type Args = bool;
    async fn init(is_there: bool) -> Result<Self, Stop> {
        let attempt = ATTEMPTS.fetch_add(1, Ordering::SeqCst);
        if is_there { Ok(Self) } else { Err(Reason::other(format!("127.0.0.1:{attempt} refuses")).into()) }
    }
}

const MANY: usize = 100_000;

#[test]
fn s33_a_child_that_fails_100_000_times_in_a_second_gives_seven_lines_and_exact_events() {
    let lines = Log::of(|| {
        Simulation::sweep([1], || async {
            trap_exit(true);
            let mut starts = 0;
            let sup =
                Supervisor::one_for_one().intensity(MANY, secs(10)).child(server::<Db>("db", move || {
                    starts += 1;
                    starts == 1
                }));
            let sup = sup.start_link().await.expect("it starts");
            sup.subscribe().await.expect("it answers");
            let began = now();
            riot_actor::exit(pid_of(sup, "db").await, Reason::Kill);
            assert_eq!(exit_of(sup).await, Reason::Shutdown);
            assert!(now() - began < secs(1), "{:?}", now() - began);
            let mut failed = 0;
            while let Ok(event) = receive_timeout::<SupervisorEvent>(Duration::ZERO).await {
                failed += usize::from(matches!(event, SupervisorEvent::StartFailed { .. }));
            }
            assert_eq!(failed, MANY);
        });
    });
    // One for the end of the child, and one for the end of the supervisor.
    let failed = lines.iter().filter(|(_, line)| line.starts_with("child failed to start")).count();
    assert_eq!(failed, 5, "{lines:#?}");
    let counts: Vec<_> = lines.iter().filter(|(_, line)| line.starts_with("repeated ")).collect();
    let [(Level::ERROR, count)] = counts[..] else { panic!("{lines:#?}") };
    assert!(count.starts_with("repeated 99 995 times in 1 s: child failed to start: "), "{count}");
    assert!(lines.iter().all(|(_, line)| !line.contains("process crashed")), "{lines:#?}");
    assert!(lines.len() <= 5 + 1 + 2, "{lines:#?}");
}

#[test]
fn s33_requests_that_fail_100_000_times_give_seven_lines() {
    let lines = Log::of(|| {
        Simulation::sweep([4], || async {
            let pool = Supervisor::dynamic().start_link().await.expect("it starts");
            for _ in 0..MANY {
                pool.start_child(server::<Db>("db", || false)).await.expect_err("it fails");
            }
        });
    });
    assert_eq!(lines.len(), 5 + 1, "{lines:#?}");
}

#[test]
fn s33_a_pool_of_four_without_its_database_for_five_seconds_gives_twelve_lines() {
    let lines = Log::of(|| {
        Simulation::sweep([2], || async {
            let began = now();
            let mut sup = Supervisor::one_for_one().intensity(1_000_000, secs(3600));
            sup = sup.backoff(Backoff::new().first(Duration::from_millis(1)).max(Duration::from_millis(50)));
            for number in 0..4 {
                let mut starts = 0;
                sup = sup.child(server::<Db>(number, move || {
                    starts += 1;
                    starts == 1 || now() - began > secs(7)
                }));
            }
            let sup = sup.start_link().await.expect("it starts");
            sleep(secs(2)).await;
            for child in sup.which_children().await.expect("it answers") {
                riot_actor::exit(child.pid().expect("it runs"), Reason::Kill);
            }
            sleep(secs(7)).await;
            assert_eq!(sup.count_children().await.expect("it answers").active, 4, "it is back");
        });
    });
    let without = lines.iter().filter(|(_, line)| line != "child restarted").count();
    assert!(without <= 12, "while the database is away: {lines:#?}");
    assert_eq!(lines.iter().filter(|(_, line)| line.starts_with("child ended: killed")).count(), 4);
    let failed = lines.iter().filter(|(level, _)| *level == Level::ERROR).count();
    assert!(failed <= 6, "{lines:#?}");
}

#[test]
fn s33_a_failed_start_is_one_line_below_a_supervisor_and_crash_reports_stay_exact() {
    let reports = Arc::new(AtomicUsize::new(0));
    let counted = reports.clone();
    let lines = Log::of(|| {
        let config = Config::new().on_crash(move |_| _ = counted.fetch_add(1, Ordering::SeqCst));
        let reason = Simulation::new(3).config(config).run(async {
            let sup = Supervisor::dynamic().start_link().await.expect("it starts");
            sup.start_child(server::<Db>("db", || false)).await.expect_err("it fails");
            let broken = || async { Err::<Supervisor, Reason>(Reason::other("no settings")) };
            let nested = riot_supervisor::supervisor("sup", move || Supervisor::init(broken).start_link());
            sup.start_child(nested).await.expect_err("it fails");
            // Without a supervisor the process reports itself.
            Db::start(false).await.expect_err("it fails");
        });
        assert_eq!(reason, Reason::Normal);
    });
    let count = |text: &str| lines.iter().filter(|(_, line)| line.starts_with(text)).count();
    assert_eq!((count("child failed to start"), count("process crashed")), (2, 1), "{lines:#?}");
    assert_eq!((lines.len(), reports.load(Ordering::SeqCst)), (3, 3), "{lines:#?}");
}
