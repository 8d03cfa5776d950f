//! Start functions whose destructors panic end no supervisor: rule P25 of processes, for supervisors S32.

mod common;

use common::*;
use riot_actor::{Pid, Reason, process::is_alive, spawn_link, this, trap_exit};
use riot_supervisor::{AutoShutdown, ChildSpec, Ignore, Supervisor, SupervisorRef, process, task, worker};

/// A value whose destructor panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a bomb");
        }
    }
}

/// A child whose start function holds a bomb.
fn armed(id: &'static str) -> ChildSpec {
    let bomb = Bomb;
    worker(id, move || {
        let _armed = &bomb;
        async { Ok::<Pid, Reason>(spawn_link(std::future::pending::<()>())) }
    })
}

fn failing(id: &'static str) -> ChildSpec {
    let bomb = Bomb;
    worker(id, move || {
        let _armed = &bomb;
        async { Err::<Pid, Reason>(Reason::other("no start")) }
    })
}

fn ignoring(id: &'static str) -> ChildSpec {
    let bomb = Bomb;
    worker(id, move || {
        let _armed = &bomb;
        async { Ok::<Ignore, Reason>(Ignore) }
    })
}

async fn is_well(sup: SupervisorRef) {
    assert!(is_alive(sup.pid()));
    sup.which_children().await.expect("it answers");
}

#[test]
fn s32_specs_that_a_static_supervisor_drops_end_nothing() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .auto_shutdown(AutoShutdown::AllSignificant)
            .child(armed("keep"))
            .child(armed("brief").temporary())
            .child(ignoring("none").temporary());
        let sup = sup.start_link().await.expect("it starts");
        is_well(sup).await;
        // Ended, terminated, deleted, refused, failed, and never valid.
        sup.terminate_child("brief").await.expect("it runs");
        sup.start_child(armed("asked")).await.expect("it starts");
        sup.terminate_child("asked").await.expect("it runs");
        sup.delete_child("asked").await.expect("it is stopped");
        sup.start_child(armed("keep")).await.expect_err("it is known");
        sup.start_child(failing("failed")).await.expect_err("it fails");
        sup.start_child(armed("significant").significant()).await.expect_err("it is permanent");
        is_well(sup).await;
        sup.stop(Reason::Normal).await.expect("it stops as it should");
    });
}

#[test]
fn s32_specs_that_a_dynamic_supervisor_drops_end_nothing() {
    everywhere(|| async {
        let pool = Supervisor::dynamic().max_children(2).start_link().await.expect("it starts");
        let first = pool.start_child(armed("a").transient()).await.expect("it starts");
        pool.start_child(armed("b")).await.expect("it starts");
        pool.start_child(armed("c")).await.expect_err("it is full");
        pool.terminate_child(first).await.expect("it runs");
        pool.start_child(failing("d")).await.expect_err("it fails");
        pool.start_child(ignoring("e")).await.expect_err("it ignores");
        is_well(pool).await;
        pool.stop(Reason::Normal).await.expect("it stops as it should");
    });
}

#[test]
fn s32_bodies_and_descriptions_that_are_dropped_end_nothing() {
    everywhere(|| async {
        trap_exit(true);
        // A description that is refused, and one whose start fails: the error is that of the description.
        let twice = Supervisor::one_for_one().child(armed("a")).child(armed("a"));
        let error = twice.start_link().await.expect_err("two with one id");
        assert!(error.to_string().contains('a'), "{error}");
        let failed = Supervisor::one_for_one().child(armed("a")).child(failing("b")).start_link().await;
        assert!(failed.expect_err("it fails").to_string().contains("b"));
        // In the process of the user, too.
        drop(armed("dropped"));
        let (bomb, main) = (Bomb, this());
        let body = move || {
            let _armed = &bomb;
            async move { assert!(is_alive(main)) }
        };
        let sup = Supervisor::one_for_one().child(process("p", body).temporary()).start_link().await;
        is_well(sup.expect("it starts")).await;
        let bomb = Bomb;
        let once = Supervisor::dynamic().start_link().await.expect("it starts");
        once.start_child(task("t", move || {
            let _armed = &bomb;
            async {}
        }))
        .await
        .expect("it starts");
        is_well(once).await;
    });
}
