//! The crashes that are kept in memory. OB6.

mod common;

use std::{
    error::Error,
    fmt,
    time::{Duration, SystemTime},
};

use riot_actor::{
    Reason, exit, link,
    process::{SpawnOptions, set_label, wait},
    runtime::Config,
    simulation::Simulation,
    sleep, spawn,
    telemetry::{CrashEntry, FollowedBy, crash_detail, crashes, note_restart},
};

/// Runs a process with this label until it ends.
async fn run(label: &'static str, body: impl Future<Output = Reason> + Send + 'static) {
    wait(SpawnOptions::new().label(label).spawn(body)).await;
}

#[derive(Debug)]
struct Level {
    text: &'static str,
    source: Option<Box<Level>>,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl Error for Level {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

fn chain(texts: &[&'static str]) -> Level {
    let [text, below @ ..] = texts else { panic!("a chain has a level") };
    let source = (!below.is_empty()).then(|| Box::new(chain(below)));
    Level { text, source }
}

#[test]
fn ob06_an_entry_says_who_crashed_where_and_why() {
    Simulation::sweep(0..50, || async {
        set_label("web");
        let handler = SpawnOptions::new().label("handler").spawn(async {
            let inner = SpawnOptions::new().label("query").spawn(async {
                crash_detail("table", || "orders".to_owned());
                let "go" = riot_actor::receive::<&str>().await else { unreachable!("nothing else is sent") };
                Reason::error(chain(&["no rows", "connection lost: reset", "reset", "cable"]))
            });
            riot_actor::send(inner, "go");
            wait(inner).await;
        });
        wait(handler).await;
        let [entry] = &crashes()[..] else { panic!("{:?}", crashes()) };
        assert_eq!(entry.path, "web/handler/query");
        assert_eq!(entry.reason, ["error: no rows", "connection lost: reset", "cable"]);
        assert_eq!(entry.details, [("table", "orders".to_owned())]);
        assert_eq!((entry.label.as_deref(), entry.last_message), (Some("query"), Some("&str")));
        assert!(!entry.by_signal && entry.location.is_none() && entry.count == 1, "{entry:?}");
    });
}

#[test]
fn ob06_equal_crashes_are_one_entry_with_a_count() {
    Simulation::sweep(0..20, || async {
        run("a", async { Reason::error("one") }).await;
        sleep(Duration::from_secs(60)).await;
        run("b", async { Reason::error("one") }).await;
        run("a", async { Reason::error("two") }).await;
        run("a", async { Reason::error("one") }).await;
        let summary = |entry: &CrashEntry| {
            let second = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            let label = entry.label.clone().unwrap();
            (entry.id, label, entry.count, second(entry.first_at), second(entry.last_at))
        };
        let all: Vec<_> = crashes().iter().map(summary).collect();
        let expected = [(1, "b".into(), 1, 60, 60), (2, "a".into(), 1, 60, 60), (0, "a".into(), 2, 0, 60)];
        assert_eq!(all, expected);
    });
}

#[test]
fn ob06_of_many_crashes_the_last_256_are_kept() {
    Simulation::sweep(0..2, || async {
        for number in 0..1_000 {
            run("a", async move { Reason::error(format!("number {number}")) }).await;
        }
        let all = crashes();
        assert_eq!((all.len(), all[0].id, all[255].id), (256, 744, 999));
    });
}

#[test]
fn ob06_a_crash_that_is_large_is_cut() {
    Simulation::sweep(0..2, || async {
        run("a", async {
            for name in ["b", "c", "d"] {
                crash_detail(name, || "x".repeat(1_000_000));
            }
            Reason::error("y".repeat(10_000_000))
        })
        .await;
        let [entry] = &crashes()[..] else { panic!("{:?}", crashes()) };
        let details: usize = entry.details.iter().map(|(_, value)| value.len()).sum();
        let reason: usize = entry.reason.iter().map(String::len).sum();
        assert!(details < 8 * 1024 && reason < 8 * 1024, "{details} and {reason}");
    });
}

#[test]
fn ob06_an_end_by_a_link_is_marked() {
    Simulation::sweep(0..20, || async {
        let first = SpawnOptions::new().label("first").spawn(std::future::pending::<()>());
        let second = SpawnOptions::new().label("second").spawn(async move {
            link(first);
            std::future::pending::<()>().await;
        });
        sleep(Duration::from_millis(1)).await;
        exit(first, Reason::error("as asked"));
        wait(second).await;
        let marks: Vec<_> =
            crashes().iter().map(|entry| (entry.label.clone().unwrap(), entry.by_signal)).collect();
        assert_eq!(marks, [("first".to_owned(), true), ("second".to_owned(), true)]);
    });
}

#[test]
fn ob06_the_restart_within_ten_seconds_is_what_followed() {
    Simulation::sweep(0..20, || async {
        for (label, delay) in [("soon", 3), ("late", 11_000), ("never", 0)] {
            let old = SpawnOptions::new().label(label).spawn(async { Reason::error("as asked") });
            wait(old).await;
            if delay > 0 {
                sleep(Duration::from_millis(delay)).await;
                note_restart(old, spawn(async {}));
            }
        }
        let follows = || crashes().iter().map(|entry| entry.followed_by).collect::<Vec<_>>();
        let [FollowedBy::Restarted { after, .. }, late, never] = follows()[..] else {
            panic!("{:?}", follows())
        };
        assert!(after >= Duration::from_millis(3) && after < Duration::from_millis(10), "{after:?}");
        assert_eq!((late, never), (FollowedBy::NotRestarted, FollowedBy::Nothing));
        sleep(Duration::from_secs(11)).await;
        assert_eq!(follows()[2], FollowedBy::NotRestarted);
    });
}

#[test]
fn ob06_a_panic_has_its_location() {
    let config = Config::new().without_default_log();
    config
        .run(async {
            run("a", async { panic!("as asked") }).await;
            let [entry] = &crashes()[..] else { panic!("{:?}", crashes()) };
            assert!(
                entry.location.as_deref().is_some_and(|place| place.contains("crash_history.rs")),
                "{entry:?}"
            );
            assert!(entry.reason[0].contains("as asked"), "{entry:?}");
        })
        .expect("it runs");
}
