//! The requests to a supervisor: S19-S21, S28; and when it ends by itself: S22, S23, S25.
mod common;

use common::*;
use riot_actor::{Pid, Reason, call::CallError, exit, process::wait, receive, send, spawn, this, trap_exit};
use riot_supervisor::{
    AutoShutdown, ChildError, ChildId, ChildKey, ChildKind, ChildShutdown, DeleteChildError, Restart,
    RestartChildError, StartChildError, Supervisor, SupervisorEvent, SupervisorRef, supervisor,
};

#[test]
fn s19_terminate_child_keeps_the_spec_unless_temporary() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .child(child("a"))
            .child(child("b").temporary())
            .start_link()
            .await
            .unwrap();
        notes("+a +b").await;
        let a = pid_of(sup, "a").await;
        assert_eq!(sup.terminate_child("a").await, Ok(()));
        assert_eq!(wait(a).await, Reason::NoProc, "it has been released");
        assert_eq!(sup.terminate_child("a").await, Ok(()));
        assert_eq!(sup.terminate_child("b").await, Ok(()));
        assert_eq!(sup.terminate_child("b").await, Err(ChildError::NotFound));
        assert_eq!(which(sup).await, "-a");
    });
}

#[test]
fn s20_restart_child_starts_one_without_process_in_its_place() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .child(child("a"))
            .child(faulty("b", |tried| tried == 1))
            .child(child("c"))
            .start_link()
            .await
            .unwrap();
        notes("+a +b +c").await;
        let b = pid_of(sup, "b").await;
        assert_eq!(sup.restart_child("b").await, Err(RestartChildError::Running(b)));
        assert_eq!(sup.restart_child("z").await, Err(RestartChildError::NotFound));
        sup.terminate_child("b").await.unwrap();
        notes("-b").await;
        let faulty = Err(RestartChildError::Failed(Reason::other("faulty")));
        assert_eq!(sup.restart_child("b").await, faulty);
        assert_eq!(which(sup).await, "+a -b +c");
        let again = sup.restart_child("b").await.unwrap();
        assert_ne!(again, b);
        notes("!b +b").await;
        assert_eq!(which(sup).await, "+a +b +c");
    });
}

#[test]
fn s21_delete_child_wants_it_stopped_and_start_child_appends() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one().child(child("a")).child(child("b")).start_link().await.unwrap();
        let a = pid_of(sup, "a").await;
        assert_eq!(sup.delete_child("a").await, Err(DeleteChildError::Running(a)));
        assert_eq!(sup.start_child(child("a")).await, Err(StartChildError::AlreadyStarted(a)));
        sup.terminate_child("a").await.unwrap();
        assert_eq!(sup.start_child(child("a")).await, Err(StartChildError::AlreadyPresent));
        assert_eq!(sup.delete_child("a").await, Ok(()));
        assert_eq!(sup.delete_child("a").await, Err(DeleteChildError::NotFound));
        let a = sup.start_child(child("a")).await.unwrap();
        assert_eq!(which(sup).await, "+b +a");
        assert_eq!(pid_of(sup, "a").await, a);
        let faulty = sup.start_child(faulty("f", |_| true)).await;
        assert_eq!(faulty, Err(StartChildError::Failed(Reason::other("faulty"))));
        assert_eq!(which(sup).await, "+b +a");
    });
}

fn significant(id: &'static str) -> riot_supervisor::ChildSpec {
    child(id).transient().significant()
}

async fn with_significant(auto_shutdown: AutoShutdown) -> SupervisorRef {
    trap_exit(true);
    let sup = Supervisor::one_for_all()
        .auto_shutdown(auto_shutdown)
        .intensity(3, secs(3600))
        .child(significant("a"))
        .child(child("b"))
        .child(significant("c"))
        .child(child("d").transient());
    let sup = sup.start_link().await.unwrap();
    notes("+a +b +c +d").await;
    sup
}

#[test]
fn s22_any_significant_child_that_ends_for_good_ends_all() {
    everywhere(|| async {
        let sup = with_significant(AutoShutdown::AnySignificant).await;
        tell(sup, "d", Do::Finish).await;
        settled(sup).await;
        tell(sup, "a", Do::Finish).await;
        notes("-c -b").await;
        assert_eq!(exit_of(sup).await, Reason::Shutdown);
    });
}

#[test]
fn s22_all_significant_children_have_to_end_if_it_says_so() {
    everywhere(|| async {
        let sup = with_significant(AutoShutdown::AllSignificant).await;
        tell(sup, "a", Do::Finish).await;
        settled(sup).await;
        tell(sup, "c", Do::Finish).await;
        notes("-d -b").await;
        assert_eq!(exit_of(sup).await, Reason::Shutdown);
    });
}

#[test]
fn s22_a_temporary_significant_child_counts_though_its_spec_is_gone() {
    everywhere(|| async {
        trap_exit(true);
        let sup =
            Supervisor::dynamic().auto_shutdown(AutoShutdown::AllSignificant).start_link().await.unwrap();
        let mut pids: Vec<Pid> = Vec::new();
        for id in ["a", "b"] {
            pids.push(sup.start_child(child(id).temporary().significant()).await.unwrap());
        }
        sup.start_child(child("c")).await.unwrap();
        notes("+a +b +c").await;
        send(pids[0], Do::Fail);
        wait(pids[0]).await;
        settled(sup).await;
        send(pids[1], Do::Fail);
        notes("-c").await;
        assert_eq!(exit_of(sup).await, Reason::Shutdown);
    });
}

#[test]
fn s23_being_terminated_or_restarted_is_not_ending_by_itself() {
    everywhere(|| async {
        let sup = with_significant(AutoShutdown::AnySignificant).await;
        sup.terminate_child("a").await.unwrap();
        notes("-a").await;
        tell(sup, "c", Do::Fail).await; // abnormal: restarted, and all with it
        notes("-d -b +a +b +c +d").await;
        settled(sup).await;
        assert_eq!(which(sup).await, "+a +b +c +d");
    });
}

#[test]
fn s25_a_supervisor_that_gave_up_is_restarted_if_permanent_and_not_if_transient() {
    for permanent in [true, false] {
        everywhere(move || async move {
            let observer = this();
            let inner = supervisor("inner", move || async move {
                let leaf = riot_supervisor::worker("leaf", move || {
                    let pid = start(observer, "leaf");
                    send(observer, pid);
                    std::future::ready(Ok::<_, Reason>(pid))
                });
                Supervisor::one_for_one().intensity(0, secs(1)).child(leaf).start_link().await
            });
            let inner = if permanent { inner } else { inner.transient() };
            let sup = Supervisor::one_for_one().child(inner).start_link().await.unwrap();
            notes("+leaf").await;
            let first = pid_of(sup, "inner").await;
            let end = wait(first);
            send(receive::<Pid>().await, Do::Fail);
            assert_eq!(end.await, Reason::Shutdown);
            if permanent {
                notes("+leaf").await;
                assert_ne!(pid_of(sup, "inner").await, first);
            } else {
                assert_eq!(which(sup).await, "-inner");
            }
        });
    }
}

#[test]
fn s28_children_are_counted_by_spec_and_by_process() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .child(child("a"))
            .child(child("b"))
            .child(supervisor("s", || Supervisor::dynamic().start_link()))
            .start_link()
            .await
            .unwrap();
        sup.terminate_child("b").await.unwrap();
        let counts = sup.count_children().await.unwrap();
        assert_eq!((counts.specs, counts.active, counts.supervisors, counts.workers), (3, 2, 1, 2));
    });
}

#[test]
fn a_spec_can_be_looked_up_by_id_and_by_pid() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .child(child("a").transient().shutdown(ChildShutdown::Kill))
            .start_link()
            .await
            .unwrap();
        let spec = sup.get_child_spec("a").await.unwrap();
        assert_eq!(
            (spec.restart, spec.shutdown, spec.kind),
            (Restart::Transient, ChildShutdown::Kill, ChildKind::Worker)
        );
        assert_eq!(sup.get_child_spec(pid_of(sup, "a").await).await, Ok(spec));
        assert_eq!(sup.get_child_spec(7).await, Err(ChildError::NotFound));
        assert_eq!(ChildKey::from("a"), ChildKey::Id(ChildId::from("a")));
    });
}

#[test]
fn subscribers_hear_of_starts_and_ends_until_they_end() {
    everywhere(|| async {
        let sup =
            Supervisor::one_for_one().intensity(9, secs(1)).child(child("a")).start_link().await.unwrap();
        let brief = spawn(async move { sup.subscribe().await.map_err(Reason::from) });
        wait(brief).await;
        sup.subscribe().await.unwrap();
        let a = pid_of(sup, "a").await;
        exit(a, Reason::Kill);
        let supervisor = sup.pid();
        let ended = SupervisorEvent::Ended { supervisor, id: "a".into(), pid: a, reason: Reason::Killed };
        assert_eq!(receive::<SupervisorEvent>().await, ended);
        let a = pid_of(sup, "a").await;
        assert_eq!(
            receive::<SupervisorEvent>().await,
            SupervisorEvent::Restarted { supervisor, id: "a".into(), pid: a }
        );
    });
}

#[test]
fn a_start_function_that_asks_its_own_supervisor_is_told_so() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one().start_link().await.unwrap();
        let asks = riot_supervisor::worker("asks", move || async move {
            sup.count_children().await?;
            Ok::<_, CallError>(this())
        });
        let error = sup.start_child(asks).await.unwrap_err();
        assert_eq!(error, StartChildError::Failed(CallError::CallingSelf.into()));
    });
}
