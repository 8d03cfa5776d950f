//! Restarts that are delayed after a crash: rule S31.

mod common;

use std::time::Duration;

use common::*;
use riot_actor::{Reason, now, process::processes, sleep, spawn_link, this, trap_exit};
use riot_supervisor::{
    Backoff, ChildState, DeleteChildError, RestartChildError, Supervisor, SupervisorRef, worker,
};

fn delayed(sup: Supervisor) -> Supervisor {
    let backoff = Backoff::new().first(secs(1)).max(secs(8)).quiet(secs(100)).seed(7).every_restart();
    sup.intensity(100, secs(36_000)).backoff(backoff)
}

async fn four(sup: Supervisor) -> SupervisorRef {
    let sup = ["a", "b", "c", "d"].into_iter().fold(delayed(sup), |sup, id| sup.child(child(id)));
    let sup = sup.start_link().await.expect("it starts");
    notes("+a +b +c +d").await;
    sup
}

#[test]
fn s31_every_crash_in_a_row_delays_longer_and_a_quiet_time_ends_the_row() {
    simulated(|| async {
        let sup = four(Supervisor::one_for_one()).await;
        for longest in [1, 2, 4, 8, 8] {
            let before = now();
            tell(sup, "b", Do::Fail).await;
            assert_eq!(which(sup).await, "+a *b +c +d");
            notes("+b").await;
            let gap = now() - before;
            assert!(gap >= secs(longest) / 2 && gap <= secs(longest) + Duration::from_millis(10), "{gap:?}");
        }
        // Each child has its own row; a permanent one that ends as it should is delayed as well.
        let before = now();
        tell(sup, "c", Do::Finish).await;
        notes("+c").await;
        assert!(now() - before <= Duration::from_millis(1_010));
        sleep(secs(120)).await;
        let before = now();
        tell(sup, "b", Do::Panic).await;
        notes("+b").await;
        assert!(now() - before <= Duration::from_millis(1_010));
        settled(sup).await;
    });
}

#[test]
fn s31_without_the_option_a_crash_is_restarted_at_once() {
    simulated(|| async {
        let backoff = Backoff::new().first(secs(1)).max(secs(8));
        let sup = Supervisor::one_for_one().backoff(backoff).child(child("a")).start_link().await.unwrap();
        notes("+a").await;
        let before = now();
        tell(sup, "a", Do::Fail).await;
        notes("+a").await;
        assert!(now() - before < Duration::from_millis(10));
    });
}

#[test]
fn s31_failed_starts_after_a_delayed_crash_are_in_the_same_row() {
    simulated(|| async {
        let sup = delayed(Supervisor::one_for_one()).child(faulty("f", |tried| matches!(tried, 1 | 2)));
        let sup = sup.start_link().await.unwrap();
        notes("+f").await;
        let before = now();
        tell(sup, "f", Do::Fail).await;
        notes("!f !f +f").await;
        let gap = now() - before;
        assert!(gap >= Duration::from_millis(3_500) && gap <= Duration::from_millis(7_050), "{gap:?}");
    });
}

#[test]
fn s31_dependent_children_stop_at_once_and_start_after_the_delay() {
    simulated(|| async {
        let sup = four(Supervisor::rest_for_one()).await;
        let before = now();
        tell(sup, "b", Do::Fail).await;
        notes("-d -c").await;
        assert!(now() - before < Duration::from_millis(10));
        assert_eq!(which(sup).await, "+a *b -c -d");
        notes("+b +c +d").await;
        assert!(now() - before >= Duration::from_millis(500));
        // The end of an earlier one takes the delayed restart of a later one over.
        tell(sup, "c", Do::Fail).await;
        notes("-d").await;
        tell(sup, "a", Do::Fail).await;
        notes("-b").await;
        assert_eq!(which(sup).await, "*a -b -c -d");
        notes("+a +b +c +d").await;
        sleep(secs(60)).await;
        settled(sup).await;

        let sup = four(Supervisor::one_for_all()).await;
        tell(sup, "b", Do::Fail).await;
        notes("-d -c -a").await;
        assert_eq!(which(sup).await, "-a *b -c -d");
        notes("+a +b +c +d").await;
        settled(sup).await;
    });
}

#[test]
fn s31_temporary_children_in_the_range_are_dropped_at_once() {
    simulated(|| async {
        let sup = delayed(Supervisor::rest_for_one())
            .child(child("a"))
            .child(child("brief").temporary())
            .child(child("b"));
        let sup = sup.start_link().await.unwrap();
        notes("+a +brief +b").await;
        tell(sup, "a", Do::Fail).await;
        notes("-b -brief").await;
        assert_eq!(which(sup).await, "*a -b");
        notes("+a +b").await;
        settled(sup).await;
    });
}

#[test]
fn s31_meanwhile_it_can_be_terminated_and_not_restarted_or_deleted() {
    simulated(|| async {
        let sup = four(Supervisor::one_for_one()).await;
        tell(sup, "b", Do::Fail).await;
        assert_eq!(sup.restart_child("b").await, Err(RestartChildError::Restarting));
        assert_eq!(sup.delete_child("b").await, Err(DeleteChildError::Restarting));
        sup.terminate_child("b").await.unwrap();
        sleep(secs(3600)).await;
        settled(sup).await;
        assert_eq!(which(sup).await, "+a -b +c +d");
        sup.restart_child("b").await.unwrap();
        notes("+b").await;
    });
}

#[test]
fn s31_a_shutdown_waits_for_no_delay() {
    simulated(|| async {
        trap_exit(true);
        let backoff = Backoff::new().first(secs(600)).max(secs(600)).every_restart();
        let sup = Supervisor::one_for_all().backoff(backoff).child(child("a")).child(child("b"));
        let sup = sup.start_link().await.unwrap();
        notes("+a +b").await;
        tell(sup, "b", Do::Fail).await;
        notes("-a").await;
        let before = now();
        sup.stop(Reason::Normal).await.unwrap();
        assert!(now() - before < Duration::from_millis(10));
        sleep(secs(3600)).await;
        nothing_noted(std::panic::Location::caller()).await;
        assert_eq!(processes(), [this()]);
    });
}

#[test]
fn s31_a_delayed_restart_counts_when_it_is_made() {
    simulated(|| async {
        trap_exit(true);
        let backoff = Backoff::new().first(secs(4)).max(secs(4)).every_restart().seed(1);
        // Two to four seconds lie between attempts: never two in one second, always two in ten.
        for (period, gives_up) in [(1, false), (10, true)] {
            let sup = Supervisor::one_for_one().intensity(1, secs(period)).backoff(backoff.clone());
            let sup = sup.child(child("a")).start_link().await.unwrap();
            notes("+a").await;
            tell(sup, "a", Do::Fail).await;
            notes("+a").await;
            tell(sup, "a", Do::Fail).await;
            if gives_up {
                assert_eq!(exit_of(sup).await, Reason::Shutdown);
            } else {
                notes("+a").await;
            }
        }
    });
}

#[test]
fn s31_dynamic_children_are_delayed_too() {
    simulated(|| async {
        let pool = delayed(Supervisor::dynamic()).max_children(2).start_link().await.unwrap();
        let (observer, start) = (this(), |observer| async move { Ok::<_, Reason>(start(observer, "a")) });
        let pid = pool.start_child(worker("a", move || start(observer))).await.unwrap();
        pool.start_child(worker("b", move || async move {
            Ok::<_, Reason>(spawn_link(std::future::pending::<()>()))
        }))
        .await
        .unwrap();
        notes("+a").await;
        let before = now();
        riot_actor::send(pid, Do::Fail);
        riot_actor::process::wait(pid).await;
        let children = pool.which_children().await.unwrap();
        assert!(children.iter().any(|child| child.state == ChildState::Restarting));
        assert!(pool.start_child(child("c")).await.is_err(), "it counts");
        notes("+a").await;
        assert!(now() - before >= Duration::from_millis(500));
    });
}
