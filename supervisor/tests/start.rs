//! Starting: S1-S5, S24, and what is left when it fails.
mod common;

use std::{
    future::{pending, ready},
    time::Duration,
};

use common::*;
use riot_actor::{
    Exit, Pid, Reason,
    call::CallError,
    exit,
    mailbox::{receive_if, receive_timeout},
    monitor,
    process::{info, processes, wait},
    receive, send, sleep, spawn, spawn_link, this,
    time::TimedOut,
    trap_exit, whereis,
};
use riot_supervisor::{
    AutoShutdown, FailedToStart, Ignore, SpecError, StartChildError, Supervisor, SupervisorEvent,
    SupervisorStartError, process, worker,
};

#[test]
fn s01_a_supervisor_traps_exits_and_serves_one_request_at_a_time() {
    simulated(|| async {
        let sup = Supervisor::one_for_one().start_link().await.unwrap();
        assert!(info(sup.pid()).unwrap().trap_exit);
        let observer = this();
        let slow = worker("slow", move || async move {
            note(observer, "begun");
            go().await;
            Ok::<_, Reason>(spawn_link(pending::<()>()))
        });
        spawn(async move { sup.start_child(slow).await.map(drop) });
        notes("begun").await;
        assert_eq!(sup.with_timeout(secs(1)).count_children().await, Err(CallError::Timeout));
        send(sup.pid(), Go);
        assert_eq!(sup.count_children().await.unwrap().active, 1);
    });
}

#[test]
fn s02_children_start_in_order_and_are_listed_in_it() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .child(child("a"))
            .child(child("b"))
            .child(child("c"))
            .start_link()
            .await
            .unwrap();
        notes("+a +b +c").await;
        assert_eq!(which(sup).await, "+a +b +c");
    });
}

#[test]
fn s03_a_failed_start_stops_those_before_it_and_is_the_result() {
    everywhere(|| async {
        let before = processes().len();
        let result = Supervisor::one_for_one()
            .name("sup")
            .child(child("a"))
            .child(child("b"))
            .child(faulty("c", |_| true))
            .child(child("d"))
            .start_link()
            .await;
        let failed = FailedToStart { id: "c".into(), reason: Reason::other("faulty") };
        assert_eq!(result.unwrap_err(), SupervisorStartError::Child(failed));
        // The supervisor has been released by now: no name, no process, no message. This process lives on.
        assert_eq!(whereis("sup"), None);
        assert_eq!(processes().len(), before);
        assert_eq!(receive_timeout::<Exit>(Duration::ZERO).await, Err(TimedOut));
        notes("+a +b !c -b -a").await;
    });
}

#[test]
fn s03_a_failed_start_of_a_supervisor_below_is_told_by_name() {
    everywhere(|| async {
        trap_exit(true);
        let result = Supervisor::one_for_one()
            .child(riot_supervisor::supervisor("inner", || {
                let broken = worker("broken", || ready(Err::<Pid, _>(Reason::other("no luck"))));
                Supervisor::one_for_one().child(broken).start_link()
            }))
            .start_link()
            .await;
        let text = result.unwrap_err().to_string();
        assert!(text.contains("inner") && text.contains("broken") && text.contains("no luck"), "{text}");
        assert_eq!(receive_timeout::<Exit>(Duration::ZERO).await, Err(TimedOut));
    });
}

#[test]
fn s03_nothing_starts_if_the_description_contradicts_itself() {
    everywhere(|| async {
        let of = |sup: Supervisor| async { sup.start_link().await.unwrap_err() };
        let twice = Supervisor::one_for_one().child(child("a")).child(child("a"));
        assert_eq!(of(twice).await, SupervisorStartError::Invalid(SpecError::DuplicateId("a".into())));
        let not_dynamic = Supervisor::one_for_one().child(child("a")).max_children(3);
        assert_eq!(of(not_dynamic).await, SupervisorStartError::Invalid(SpecError::MaxChildrenOfStatic));
        let dynamic = Supervisor::dynamic().child(child("a"));
        assert_eq!(of(dynamic).await, SupervisorStartError::Invalid(SpecError::ChildOfDynamic("a".into())));
        nothing_noted(std::panic::Location::caller()).await;
    });
}

#[test]
#[should_panic(expected = "the period of the restart intensity is zero")]
fn s03_a_period_of_zero_panics_in_the_builder() {
    let _ = Supervisor::one_for_one().intensity(1, Duration::ZERO);
}

#[test]
#[should_panic(expected = "max_children is zero")]
fn s03_room_for_no_child_panics_in_the_builder() {
    let _ = Supervisor::dynamic().max_children(0);
}

#[test]
fn s04_a_start_that_ignores_keeps_the_spec_but_not_of_a_temporary_child() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .child(worker("kept", || ready(Ok::<_, Reason>(Ignore))))
            .child(worker("dropped", || ready(Ok::<_, Reason>(Ignore))).temporary())
            .child(child("c"))
            .start_link()
            .await
            .unwrap();
        assert_eq!(which(sup).await, "-kept +c");
    });
}

#[test]
fn s04_a_panic_in_a_start_function_is_a_failed_start() {
    everywhere(|| async {
        let panics =
            || worker("p", || async { if true { panic!("no fuel") } else { Ok::<_, Reason>(this()) } });
        let SupervisorStartError::Child(failed) =
            Supervisor::one_for_one().child(panics()).start_link().await.unwrap_err()
        else {
            panic!("another error")
        };
        let Reason::Panic(panic) = failed.reason else { panic!("another reason") };
        assert_eq!(panic.message, "no fuel");
        assert!(panic.location.as_ref().unwrap().contains("start.rs"));

        let sup = Supervisor::dynamic().start_link().await.unwrap();
        assert!(matches!(sup.start_child(panics()).await, Err(StartChildError::Failed(Reason::Panic(_)))));
    });
}

#[test]
fn s05_a_child_is_linked_whatever_its_start_function_did() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .child(worker("a", || ready(Ok::<_, Reason>(spawn(pending::<()>())))))
            .start_link()
            .await
            .unwrap();
        let first = pid_of(sup, "a").await;
        assert!(info(first).unwrap().links.contains(&sup.pid()));
        exit(first, Reason::Kill);
        wait(first).await;
        assert_ne!(pid_of(sup, "a").await, first);
    });
}

#[test]
fn s05_a_child_that_died_before_it_was_linked_counts_as_ended_once() {
    for linked in [true, false] {
        everywhere(move || async move {
            let sup = Supervisor::one_for_one().start_link().await.unwrap();
            sup.subscribe().await.unwrap();
            let stillborn = worker("a", move || async move {
                let body = async { Reason::other("stillborn") };
                let pid = if linked { spawn_link(body) } else { spawn(body) };
                wait(pid).await;
                Ok::<_, Reason>(pid)
            });
            sup.start_child(stillborn.temporary()).await.unwrap();
            let ended = |event: &SupervisorEvent| matches!(event, SupervisorEvent::Ended { .. });
            let SupervisorEvent::Ended { reason, .. } = receive_if(ended).await else { unreachable!() };
            assert_eq!(reason, if linked { Reason::other("stillborn") } else { Reason::NoProc });
            assert_eq!(which(sup).await, "");
            let again = riot_actor::timeout(Duration::ZERO, receive_if(ended)).await;
            assert_eq!(again, Err(TimedOut));
        });
    }
}

#[test]
fn s24_a_significant_child_needs_an_auto_shutdown_and_an_end() {
    everywhere(|| async {
        let permanent = Supervisor::one_for_one()
            .auto_shutdown(AutoShutdown::AnySignificant)
            .child(child("a").significant());
        assert_eq!(
            permanent.start_link().await.unwrap_err(),
            SupervisorStartError::Invalid(SpecError::SignificantPermanent("a".into()))
        );
        let meaningless = SpecError::SignificantWithoutAutoShutdown("a".into());
        let never = Supervisor::one_for_one().child(child("a").transient().significant());
        assert_eq!(never.start_link().await.unwrap_err(), SupervisorStartError::Invalid(meaningless.clone()));
        let sup = Supervisor::dynamic().start_link().await.unwrap();
        let late = sup.start_child(child("a").transient().significant()).await;
        assert_eq!(late, Err(StartChildError::Invalid(meaningless)));
        nothing_noted(std::panic::Location::caller()).await;
    });
}

#[test]
fn init_runs_in_the_supervisors_process() {
    everywhere(|| async {
        let observer = this();
        let sup = Supervisor::init(move || async move {
            send(observer, this());
            Ok::<_, Reason>(Supervisor::one_for_one().child(process("a", pending::<()>)))
        })
        .label("Acceptor.Sup")
        .name("acceptors")
        .start_link()
        .await
        .unwrap();
        assert_eq!(receive::<Pid>().await, sup.pid());
        assert_eq!(whereis("acceptors"), Some(sup.pid()));
        assert_eq!(info(sup.pid()).unwrap().label.as_deref(), Some("Acceptor.Sup"));
        let child = pid_of(sup, "a").await;
        assert_eq!(info(child).unwrap().label.as_deref(), Some("a"));
    });
}

#[test]
fn a_failed_init_is_the_result_and_leaves_nothing() {
    for trapping in [false, true] {
        everywhere(move || async move {
            trap_exit(trapping);
            let before = processes().len();
            let result = Supervisor::init(|| async { Err::<Supervisor, _>(Reason::other("port taken")) })
                .name("sup")
                .start_link()
                .await;
            assert_eq!(result.unwrap_err(), SupervisorStartError::Init(Reason::other("port taken")));
            assert_eq!((whereis("sup"), processes().len()), (None, before));
            let killed = Supervisor::init(|| async {
                exit(this(), Reason::Kill);
                Ok::<_, Reason>(Supervisor::dynamic())
            });
            assert_eq!(killed.start_link().await.unwrap_err(), SupervisorStartError::Init(Reason::Killed));
            let panics = Supervisor::init(|| async {
                if true { panic!("oh") } else { Err::<Supervisor, _>(Reason::Normal) }
            });
            assert!(matches!(panics.start_link().await, Err(SupervisorStartError::Init(Reason::Panic(_)))));
            assert_eq!(receive_timeout::<Exit>(Duration::ZERO).await, Err(TimedOut));
        });
    }
}

#[test]
fn a_name_that_is_taken_keeps_init_from_running() {
    everywhere(|| async {
        let first = Supervisor::dynamic().name("sup").start_link().await.unwrap();
        let observer = this();
        let second = Supervisor::init(move || async move {
            note(observer, "init");
            Ok::<_, Reason>(Supervisor::dynamic())
        });
        let result = second.name("sup").start_link().await;
        assert_eq!(result.unwrap_err(), SupervisorStartError::AlreadyStarted(first.pid()));
        settled(first).await;
    });
}

#[test]
fn a_starter_that_dies_takes_the_supervisor_with_it_once_it_is_up() {
    simulated(|| async {
        let observer = this();
        let starter = spawn(async move {
            let sup = Supervisor::init(move || async move {
                send(observer, this());
                sleep(secs(1)).await;
                let child = worker("a", move || ready(Ok::<_, Reason>(start(observer, "a"))));
                Ok::<_, Reason>(Supervisor::one_for_one().child(child))
            });
            sup.start_link().await.map(drop)
        });
        let sup = receive::<Pid>().await;
        exit(starter, Reason::other("gone"));
        assert_eq!(monitor(sup).down().await.reason, Reason::other("gone"));
        notes("+a -a").await;
    });
}

#[test]
fn a_start_that_is_given_up_shuts_the_supervisor_down() {
    simulated(|| async {
        let observer = this();
        let slow = Supervisor::init(move || async move {
            send(observer, this());
            sleep(secs(10)).await;
            Ok::<_, Reason>(Supervisor::dynamic())
        });
        assert!(riot_actor::timeout(secs(1), slow.start_link()).await.is_err());
        trap_exit(true); // since the supervisor is linked by the time it ends
        let sup = receive::<Pid>().await;
        assert_eq!(monitor(sup).down().await.reason, Reason::Shutdown);
    });
}
