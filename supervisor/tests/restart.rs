//! Restarting: S6-S13, S26.
mod common;

use std::future::{pending, ready};

use common::*;
use riot_actor::{
    Reason, exit, mailbox::receive_if, process::wait, send, sleep, spawn, spawn_link, this, trap_exit,
};
use riot_supervisor::{
    ChildSpec, DeleteChildError, RestartChildError, StartChildError, Supervisor, SupervisorEvent, worker,
};

#[test]
fn s06_permanent_always_transient_after_a_crash_temporary_never() {
    type Make = fn(ChildSpec) -> ChildSpec;
    let (permanent, transient, temporary): (Make, Make, Make) =
        (ChildSpec::permanent, ChildSpec::transient, ChildSpec::temporary);
    for (make, order, restarted, left) in [
        (permanent, Do::Finish, true, "+a"),
        (permanent, Do::Fail, true, "+a"),
        (transient, Do::Finish, false, "-a"),
        (transient, Do::Panic, true, "+a"),
        (temporary, Do::Finish, false, ""),
        (temporary, Do::Panic, false, ""),
    ] {
        everywhere(move || async move {
            let sup = Supervisor::one_for_one().child(make(child("a"))).start_link().await.unwrap();
            notes("+a").await;
            tell(sup, "a", order).await;
            if restarted {
                notes("+a").await;
            }
            settled(sup).await;
            assert_eq!(which(sup).await, left);
        });
    }
}

#[test]
fn s06_a_shutdown_is_clean_and_a_kill_is_not() {
    for (reason, restarted) in
        [(Reason::Shutdown, false), (Reason::shutdown_with("x"), false), (Reason::Kill, true)]
    {
        everywhere(move || {
            let reason = reason.clone();
            async move {
                let sup = Supervisor::one_for_one().child(child("a").transient()).start_link().await.unwrap();
                let pid = pid_of(sup, "a").await;
                exit(pid, reason);
                wait(pid).await;
                assert_eq!(which(sup).await, if restarted { "+a" } else { "-a" });
            }
        });
    }
}

async fn four(sup: Supervisor) -> riot_supervisor::SupervisorRef {
    let sup = sup.child(child("a")).child(child("b")).child(child("c")).child(child("d"));
    let sup = sup.start_link().await.unwrap();
    notes("+a +b +c +d").await;
    sup
}

#[test]
fn s07_one_for_one_restarts_the_ended_one() {
    everywhere(|| async {
        let sup = four(Supervisor::one_for_one()).await;
        tell(sup, "b", Do::Fail).await;
        notes("+b").await;
        settled(sup).await;
        assert_eq!(which(sup).await, "+a +b +c +d");
    });
}

#[test]
fn s07_one_for_all_restarts_all() {
    everywhere(|| async {
        let sup = four(Supervisor::one_for_all()).await;
        tell(sup, "b", Do::Panic).await;
        notes("-d -c -a +a +b +c +d").await;
        settled(sup).await;
    });
}

#[test]
fn s07_rest_for_one_restarts_the_ended_one_and_those_after_it() {
    everywhere(|| async {
        let sup = four(Supervisor::rest_for_one()).await;
        tell(sup, "b", Do::Fail).await;
        notes("-d -c +b +c +d").await;
        settled(sup).await;
    });
}

#[test]
fn s08_a_group_restart_starts_those_without_process_and_drops_the_temporary() {
    everywhere(|| async {
        let sup = Supervisor::rest_for_one()
            .child(child("a"))
            .child(child("before").transient())
            .child(child("b"))
            .child(child("asked"))
            .child(child("brief").temporary())
            .child(child("done").transient())
            .start_link()
            .await
            .unwrap();
        notes("+a +before +b +asked +brief +done").await;
        sup.terminate_child("asked").await.unwrap();
        notes("-asked").await;
        tell(sup, "done", Do::Finish).await;
        tell(sup, "before", Do::Finish).await;
        assert_eq!(which(sup).await, "+a -before +b -asked +brief -done");
        tell(sup, "b", Do::Fail).await;
        notes("-brief +b +asked +done").await;
        settled(sup).await;
        assert_eq!(which(sup).await, "+a -before +b +asked +done");
    });
}

#[test]
fn s09_one_restart_more_than_allowed_is_the_end_with_shutdown() {
    everywhere(|| async {
        trap_exit(true);
        let sup = Supervisor::one_for_one()
            .intensity(2, secs(3600))
            .child(child("a"))
            .child(child("b"))
            .child(child("c"))
            .start_link()
            .await
            .unwrap();
        sup.subscribe().await.unwrap();
        notes("+a +b +c").await;
        tell(sup, "a", Do::Fail).await;
        notes("+a").await;
        tell(sup, "b", Do::Fail).await;
        notes("+b").await;
        tell(sup, "b", Do::Fail).await;
        notes("-c -a").await;
        assert_eq!(exit_of(sup).await, Reason::Shutdown);
        let reached = SupervisorEvent::IntensityReached { supervisor: sup.pid(), id: "b".into() };
        receive_if(|event: &SupervisorEvent| *event == reached).await;
    });
}

#[test]
fn s09_with_none_allowed_the_first_crash_ends_it() {
    everywhere(|| async {
        trap_exit(true);
        let sup = Supervisor::one_for_one()
            .intensity(0, secs(1))
            .child(child("a"))
            .child(child("b"))
            .start_link()
            .await
            .unwrap();
        notes("+a +b").await;
        tell(sup, "a", Do::Fail).await;
        notes("-b").await;
        assert_eq!(exit_of(sup).await, Reason::Shutdown);
    });
}

#[test]
fn s09_by_default_one_in_five_seconds_is_allowed() {
    simulated(|| async {
        trap_exit(true);
        let sup = Supervisor::one_for_one().child(child("a")).start_link().await.unwrap();
        notes("+a").await;
        for _ in 0..10 {
            tell(sup, "a", Do::Fail).await;
            notes("+a").await;
            sleep(secs(6)).await;
        }
        tell(sup, "a", Do::Fail).await;
        notes("+a").await;
        sleep(secs(4)).await;
        tell(sup, "a", Do::Fail).await;
        assert_eq!(exit_of(sup).await, Reason::Shutdown);
    });
}

#[test]
fn s09_a_group_restart_is_one_attempt() {
    everywhere(|| async {
        let sup = four(Supervisor::one_for_all().intensity(1, secs(3600))).await;
        tell(sup, "a", Do::Fail).await;
        notes("-d -c -b +a +b +c +d").await;
        settled(sup).await;
    });
}

#[test]
fn s10_what_is_asked_for_and_what_is_not_restarted_does_not_count() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .intensity(0, secs(3600))
            .child(child("a"))
            .child(child("b").transient())
            .child(child("c").temporary())
            .start_link()
            .await
            .unwrap();
        tell(sup, "b", Do::Finish).await;
        tell(sup, "c", Do::Fail).await;
        for _ in 0..3 {
            sup.terminate_child("a").await.unwrap();
            sup.restart_child("a").await.unwrap();
        }
        sup.restart_child("b").await.unwrap();
        sup.start_child(child("d")).await.unwrap();
        assert_eq!(which(sup).await, "+a +b +d");
    });
}

#[test]
fn s11_a_start_that_fails_for_ever_is_tried_as_often_as_allowed() {
    everywhere(|| async {
        trap_exit(true);
        let sup = Supervisor::one_for_one()
            .intensity(3, secs(3600))
            .child(faulty("a", |tried| tried > 0))
            .start_link()
            .await
            .unwrap();
        notes("+a").await;
        tell(sup, "a", Do::Fail).await;
        notes("!a !a !a").await;
        assert_eq!(exit_of(sup).await, Reason::Shutdown);
        nothing_noted(std::panic::Location::caller()).await;
    });
}

#[test]
fn s11_requests_are_served_between_attempts() {
    everywhere(|| async {
        let tries = Counter::default();
        let (counted, observer) = (tries.clone(), this());
        let never_again = worker("a", move || {
            ready(if counted.add() == 0 { Ok(start(observer, "a")) } else { Err(Reason::other("no")) })
        });
        let sup = Supervisor::one_for_one().intensity(usize::MAX, secs(3600)).child(never_again);
        let sup = sup.start_link().await.unwrap();
        let first = pid_of(sup, "a").await;
        send(first, Do::Fail);
        wait(first).await;
        assert_eq!(which(sup).await, "*a");
        sup.terminate_child("a").await.unwrap();
        assert_eq!(which(sup).await, "-a");
        let after = tries.get();
        sup.count_children().await.unwrap();
        assert_eq!(tries.get(), after, "the retries have ended");
    });
}

#[test]
fn s11_the_retry_delay_lies_between_attempts() {
    simulated(|| async {
        let sup = Supervisor::one_for_one()
            .intensity(10, secs(3600))
            .retry_delay(secs(60))
            .child(faulty("a", |tried| (1..4).contains(&tried)))
            .start_link()
            .await
            .unwrap();
        notes("+a").await;
        tell(sup, "a", Do::Fail).await;
        notes("!a").await;
        let start = riot_actor::now();
        assert_eq!(which(sup).await, "*a");
        notes("!a !a +a").await;
        assert_eq!((riot_actor::now() - start).as_secs(), 180);
    });
}

#[test]
fn s12_one_for_all_begins_anew_after_a_failed_restart() {
    everywhere(|| async {
        let sup = Supervisor::one_for_all()
            .intensity(2, secs(3600))
            .child(child("a"))
            .child(faulty("b", |tried| tried == 1))
            .child(child("c"))
            .start_link()
            .await
            .unwrap();
        notes("+a +b +c").await;
        tell(sup, "c", Do::Fail).await;
        notes("-b -a +a !b -a +a +b +c").await;
        settled(sup).await;
    });
}

#[test]
fn s12_rest_for_one_begins_anew_from_the_one_that_failed() {
    everywhere(|| async {
        let sup = Supervisor::rest_for_one()
            .intensity(2, secs(3600))
            .child(child("a"))
            .child(child("b"))
            .child(faulty("c", |tried| tried == 1))
            .child(child("d"))
            .start_link()
            .await
            .unwrap();
        notes("+a +b +c +d").await;
        tell(sup, "b", Do::Fail).await;
        notes("-d -c +b !c +c +d").await;
        settled(sup).await;
    });
}

#[test]
fn s12_the_child_that_failed_is_the_only_one_restarting() {
    simulated(|| async {
        let sup = Supervisor::rest_for_one()
            .intensity(10, secs(36_000))
            .retry_delay(secs(60))
            .child(child("a"))
            .child(faulty("b", |tried| tried == 1))
            .child(faulty("c", |tried| tried == 1))
            .start_link()
            .await
            .unwrap();
        notes("+a +b +c").await;
        tell(sup, "c", Do::Fail).await;
        notes("!c").await;
        assert_eq!(which(sup).await, "+a +b *c");
        tell(sup, "b", Do::Fail).await;
        notes("!b").await;
        assert_eq!(which(sup).await, "+a *b -c");
        notes("+b +c").await;
        sleep(secs(3600)).await;
        settled(sup).await;
    });
}

#[test]
fn s12_a_restart_that_ignores_leaves_the_child_without_process() {
    everywhere(|| async {
        let mut first = true;
        let once = worker("a", move || {
            ready(Ok::<_, Reason>(
                std::mem::take(&mut first).then(|| spawn_link(async { Reason::other("x") })),
            ))
        });
        let sup = Supervisor::one_for_one().child(once).child(child("b")).start_link().await.unwrap();
        notes("+b").await;
        while which(sup).await != "-a +b" {
            riot_actor::process::yield_now().await;
        }
    });
}

#[test]
fn s13_a_restarting_child_cannot_be_restarted_or_deleted_but_given_up() {
    simulated(|| async {
        let sup = Supervisor::one_for_one()
            .intensity(100, secs(36_000))
            .retry_delay(secs(60))
            .child(faulty("a", |tried| tried > 0))
            .start_link()
            .await
            .unwrap();
        notes("+a").await;
        tell(sup, "a", Do::Fail).await;
        notes("!a").await;
        assert_eq!(sup.restart_child("a").await, Err(RestartChildError::Restarting));
        assert_eq!(sup.delete_child("a").await, Err(DeleteChildError::Restarting));
        assert_eq!(sup.start_child(child("a")).await, Err(StartChildError::AlreadyPresent));
        assert_eq!(sup.terminate_child("a").await, Ok(()));
        assert_eq!(which(sup).await, "-a");
        sleep(secs(3600)).await;
        settled(sup).await;
        sup.delete_child("a").await.unwrap();
    });
}

#[test]
fn s13_a_shutdown_ends_the_retries() {
    simulated(|| async {
        trap_exit(true);
        let sup = Supervisor::one_for_one()
            .intensity(100, secs(36_000))
            .retry_delay(secs(60))
            .child(faulty("a", |tried| tried > 0))
            .start_link()
            .await
            .unwrap();
        notes("+a").await;
        tell(sup, "a", Do::Fail).await;
        notes("!a").await;
        sup.stop(Reason::Normal).await.unwrap();
        sleep(secs(3600)).await;
        nothing_noted(std::panic::Location::caller()).await;
    });
}

/// Returns a child whose start lasts until the supervisor gets `Go`.
fn slow(id: &'static str) -> ChildSpec {
    let observer = this();
    worker(id, move || async move {
        note(observer, format!("~{id}"));
        go().await;
        Ok::<_, Reason>(start(observer, id))
    })
}

#[test]
fn s26_a_child_that_ends_while_another_starts_is_dealt_with_afterwards() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .intensity(2, secs(3600))
            .child(child("a"))
            .child(child("b"))
            .start_link()
            .await
            .unwrap();
        notes("+a +b").await;
        let (a, b) = (pid_of(sup, "a").await, pid_of(sup, "b").await);
        let slow = slow("slow");
        spawn(async move { sup.start_child(slow).await.map(drop) });
        notes("~slow").await;
        for pid in [b, a] {
            let end = wait(pid);
            send(pid, Do::Fail);
            end.await;
        }
        send(sup.pid(), Go);
        notes("+slow +b +a").await;
        settled(sup).await;
    });
}

#[test]
fn s14_s26_two_crashes_are_one_group_restart() {
    everywhere(|| async {
        let sup = Supervisor::one_for_all()
            .intensity(1, secs(3600))
            .child(child("a"))
            .child(child("b"))
            .child(child("c"))
            .start_link()
            .await
            .unwrap();
        notes("+a +b +c").await;
        sup.subscribe().await.unwrap();
        let (a, b) = (pid_of(sup, "a").await, pid_of(sup, "b").await);
        let slow = slow("slow");
        spawn(async move { sup.start_child(slow.temporary()).await.map(drop) });
        notes("~slow").await;
        for pid in [b, a] {
            let end = wait(pid);
            send(pid, Do::Panic);
            end.await;
        }
        send(sup.pid(), Go);
        notes("+slow -slow -c +a +b +c").await;
        settled(sup).await;
        // Both crashes were reported, though one of them caused no restart.
        for pid in [b, a] {
            let is_end = |event: &SupervisorEvent| match event {
                SupervisorEvent::Ended { pid: ended, .. } => *ended == pid,
                _ => false,
            };
            receive_if(is_end).await;
        }
    });
}

#[test]
fn a_signal_of_a_child_that_lives_is_not_its_end() {
    everywhere(|| async {
        let observer = this();
        let sup = Supervisor::one_for_one().start_link().await.unwrap();
        let rebel = worker("rebel", move || {
            let supervisor = this();
            let pid = spawn_link(async move {
                exit(supervisor, Reason::other("obey me"));
                note(observer, "asked");
                pending::<()>().await
            });
            ready(Ok::<_, Reason>(pid))
        });
        let pid = sup.start_child(rebel).await.unwrap();
        notes("asked").await;
        assert_eq!(pid_of(sup, "rebel").await, pid);
    });
}

#[test]
fn a_crash_that_is_part_of_the_parents_shutdown_restarts_nothing() {
    // The exit of the parent arrives after that of the child, and is handled first all the same.
    simulated(|| async {
        trap_exit(true);
        let sup = Supervisor::one_for_one().child(child("a")).start_link().await.unwrap();
        notes("+a").await;
        let a = pid_of(sup, "a").await;
        let slow = slow("slow");
        spawn(async move { sup.start_child(slow).await.map(drop) });
        notes("~slow").await;
        send(a, Do::Fail);
        wait(a).await;
        exit(sup.pid(), Reason::Shutdown);
        send(sup.pid(), Go);
        notes("+slow -slow").await;
        assert_eq!(exit_of(sup).await, Reason::Shutdown);
    });
}
