//! No duration makes a public function of a supervisor panic or wait for the wrong time: T11 of processes.

mod common;

use std::{fs, time::Duration};

use common::*;
use riot_actor::{Reason, mailbox::receive_timeout, simulation::Simulation, trap_exit};
use riot_supervisor::{Backoff, ChildShutdown, Started, Supervisor, SupervisorRef, process_with_start};

const EDGES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_nanos(u64::MAX),
    Duration::from_secs(i64::MAX as u64),
    Duration::from_secs(u64::MAX),
    Duration::MAX,
];

async fn restarts_late(what: &str, sup: Supervisor, delay: Duration) {
    let sup = sup.intensity(usize::MAX, secs(1)).child(faulty("f", |tried| tried == 1));
    let sup = sup.start_link().await.expect("it starts");
    notes("+f").await;
    tell(sup, "f", Do::Fail).await;
    notes("!f").await;
    let restarted = receive_timeout::<Note>(secs(86_400)).await;
    assert_eq!(restarted.is_ok(), delay < secs(1), "{what} of {delay:?}");
    sup.stop(Reason::Normal).await.expect("it stops");
    forget_notes().await;
}

async fn forget_notes() {
    riot_actor::sleep(secs(1)).await;
    while receive_timeout::<Note>(Duration::ZERO).await.is_ok() {}
}

async fn is_asked(sup: SupervisorRef, edge: Duration) {
    let answer = sup.with_timeout(edge).which_children().await;
    assert!(answer.is_ok() || edge < secs(1), "{answer:?}");
    let stopped = sup.stop_timeout(Reason::Normal, edge).await;
    assert!(stopped.is_ok() || edge < secs(1), "{stopped:?}");
    forget_notes().await;
}

#[test]
fn durations_of_any_length_are_accepted() {
    Simulation::sweep(1..1 + 3, || async {
        trap_exit(true);
        for edge in EDGES {
            restarts_late("retry_delay", Supervisor::one_for_one().retry_delay(edge), edge).await;
            let quiet = Backoff::new().quiet(edge).first(secs(1) / 100).max(secs(1) / 2).every_restart();
            restarts_late("quiet", Supervisor::one_for_one().backoff(quiet), Duration::ZERO).await;
            if !edge.is_zero() {
                // With every seed, the delay that is rounded up included.
                for seed in 0..20 {
                    let backoff = Backoff::new().first(edge).max(edge).seed(seed);
                    restarts_late("backoff", Supervisor::one_for_one().backoff(backoff), edge).await;
                }
                let backoff = Backoff::new().first(Duration::from_nanos(1)).max(edge);
                restarts_late("max", Supervisor::one_for_one().backoff(backoff), Duration::ZERO).await;
                let sup = Supervisor::one_for_one().intensity(1, edge).child(child("a"));
                let sup = sup.start_link().await.expect("it starts");
                notes("+a").await;
                tell(sup, "a", Do::Fail).await;
                notes("+a").await;
                is_asked(sup, edge).await;
            }
            let timed = process_with_start("timed", |started: Started| async { started.ok() });
            let timed = timed.temporary().start_timeout(edge);
            let sup = Supervisor::dynamic().start_link().await.expect("it starts");
            let started = sup.start_child(timed).await;
            assert!(started.is_ok() || edge < secs(1), "{started:?}");
            sup.stop(Reason::Normal).await.expect("it stops");
            for shutdown in [ChildShutdown::Timeout(edge), ChildShutdown::Timeout(edge / 2)] {
                let sup = Supervisor::one_for_one().child(child("b").shutdown(shutdown));
                let sup = sup.start_link().await.expect("it starts");
                notes("+b").await;
                is_asked(sup, edge).await;
            }
        }
    });
}

/// Functions whose durations are tried above.
const TRIED: [&str; 9] = [
    "first",
    "intensity",
    "max",
    "quiet",
    "retry_delay",
    "shutdown",
    "start_timeout",
    "stop_timeout",
    "with_timeout",
];

#[test]
fn every_public_function_that_takes_a_time_is_tried() {
    let mut names = vec!["shutdown".to_owned()]; // inside a `ChildShutdown`
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("it is a folder") {
        let text = fs::read_to_string(entry.expect("it can be read").path()).expect("it is text");
        for (at, _) in text.match_indices("pub ") {
            let rest = text[at + 4..].trim_start_matches("async ");
            let Some(signature) = rest.strip_prefix("fn ") else { continue };
            let arguments = signature.split(['{', ';']).next().unwrap_or_default();
            let arguments = arguments.split(") -> ").next().unwrap_or_default();
            if arguments.contains("Duration") || arguments.contains("Instant") {
                names.push(arguments[..arguments.find(['(', '<']).unwrap_or(0)].to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    assert_eq!(names, TRIED);
}
