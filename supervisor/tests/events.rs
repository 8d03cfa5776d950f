//! The events that subscribers and handlers get: S34.
mod common;

use std::sync::{Arc, Mutex};

use common::*;
use riot_actor::{
    Reason, exit,
    process::{is_alive, wait},
    receive, send, telemetry, trap_exit,
};
use riot_supervisor::{ChildShutdown, Supervisor, SupervisorEvent, SupervisorRef};

#[test]
fn s34_every_event_reaches_a_subscriber_in_the_order_of_what_happened() {
    simulated(|| async {
        trap_exit(true);
        let sup = Supervisor::rest_for_one().intensity(2, secs(3600)).start_link().await.unwrap();
        sup.subscribe().await.unwrap();
        let supervisor = sup.pid();
        let a = sup.start_child(faulty("a", |tried| tried == 1)).await.unwrap();
        let b = sup.start_child(child("b")).await.unwrap();
        let deaf = sup.start_child(deaf("deaf").shutdown(ChildShutdown::Timeout(secs(1)))).await.unwrap();
        send(a, Do::Fail);
        notes("+a +b -b !a +a +b").await;
        let crashing = pid_of(sup, "b").await;
        let (a2, deaf2) = (pid_of(sup, "a").await, pid_of(sup, "deaf").await);
        send(crashing, Do::Fail);
        assert_eq!(exit_of(sup).await, Reason::Shutdown);
        let expected = [
            SupervisorEvent::Started { supervisor, id: "a".into(), pid: a },
            SupervisorEvent::Started { supervisor, id: "b".into(), pid: b },
            SupervisorEvent::Started { supervisor, id: "deaf".into(), pid: deaf },
            SupervisorEvent::Ended { supervisor, id: "a".into(), pid: a, reason: Reason::other("failed") },
            SupervisorEvent::ShutdownFailed {
                supervisor,
                id: "deaf".into(),
                pid: deaf,
                reason: Reason::Killed,
            },
            SupervisorEvent::StartFailed { supervisor, id: "a".into(), reason: Reason::other("faulty") },
            SupervisorEvent::Restarted { supervisor, id: "a".into(), pid: a2 },
            SupervisorEvent::Restarted { supervisor, id: "b".into(), pid: crashing },
            SupervisorEvent::Restarted { supervisor, id: "deaf".into(), pid: deaf2 },
            SupervisorEvent::Ended {
                supervisor,
                id: "b".into(),
                pid: crashing,
                reason: Reason::other("failed"),
            },
            SupervisorEvent::IntensityReached { supervisor, id: "b".into() },
            SupervisorEvent::ShutdownFailed {
                supervisor,
                id: "deaf".into(),
                pid: deaf2,
                reason: Reason::Killed,
            },
        ];
        for expected in expected {
            assert_eq!(receive::<SupervisorEvent>().await, expected);
        }
    });
}

#[test]
fn s34_a_restart_by_request_is_a_start() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one().child(child("a")).start_link().await.unwrap();
        sup.subscribe().await.unwrap();
        sup.terminate_child("a").await.unwrap();
        let pid = sup.restart_child("a").await.unwrap();
        // A child that ended as it was asked to causes no event.
        assert_eq!(
            receive::<SupervisorEvent>().await,
            SupervisorEvent::Started { supervisor: sup.pid(), id: "a".into(), pid }
        );
    });
}

#[test]
fn s34_a_dynamic_supervisor_reports_as_well() {
    everywhere(|| async {
        let sup = Supervisor::dynamic().intensity(9, secs(1)).start_link().await.unwrap();
        sup.subscribe().await.unwrap();
        let (supervisor, id) = (sup.pid(), || "a".into());
        let first = sup.start_child(child("a").transient()).await.unwrap();
        let end = wait(first);
        exit(first, Reason::Kill);
        end.await;
        let second = sup.which_children().await.unwrap()[0].pid().unwrap();
        send(second, Do::Finish);
        for expected in [
            SupervisorEvent::Started { supervisor, id: id(), pid: first },
            SupervisorEvent::Ended { supervisor, id: id(), pid: first, reason: Reason::Killed },
            SupervisorEvent::Restarted { supervisor, id: id(), pid: second },
            SupervisorEvent::Ended { supervisor, id: id(), pid: second, reason: Reason::Normal },
        ] {
            assert_eq!(receive::<SupervisorEvent>().await, expected);
        }
    });
}

#[test]
fn s34_handlers_see_the_events_of_all_supervisors_and_end_none_by_a_panic() {
    everywhere(|| async {
        let seen: Arc<Mutex<Vec<SupervisorEvent>>> = Arc::default();
        let kept = seen.clone();
        telemetry::attach(move |event: &SupervisorEvent| kept.lock().unwrap().push(event.clone()));
        telemetry::attach(|_: &SupervisorEvent| panic!("a handler"));
        let first = Supervisor::dynamic().start_link().await.unwrap();
        let second = Supervisor::dynamic().start_link().await.unwrap();
        first.subscribe().await.unwrap();
        let a = first.start_child(child("a")).await.unwrap();
        let b = second.start_child(child("b")).await.unwrap();
        assert!(is_alive(a) && is_alive(b));
        let started = |supervisor: SupervisorRef, id: &str, pid| SupervisorEvent::Started {
            supervisor: supervisor.pid(),
            id: id.into(),
            pid,
        };
        assert_eq!(*seen.lock().unwrap(), [started(first, "a", a), started(second, "b", b)]);
        assert_eq!(receive::<SupervisorEvent>().await, started(first, "a", a));
        first.stop(Reason::Normal).await.unwrap();
        second.stop(Reason::Normal).await.unwrap();
    });
}
