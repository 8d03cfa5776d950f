//! Children that come and go: S29.
mod common;

use std::{
    future::{pending, ready},
    sync::Arc,
    time::{Duration, Instant},
};

use common::*;
use riot_actor::{
    Reason, now,
    process::{is_alive, processes, wait},
    receive,
    runtime::Config,
    send, spawn, spawn_link, this, trap_exit,
};
use riot_supervisor::{
    ChildError, ChildShutdown, DeleteChildError, Ignore, RestartChildError, StartChildError, Supervisor,
    process, worker,
};

#[test]
fn s29_children_need_no_unique_id_and_are_addressed_by_pid() {
    everywhere(|| async {
        let sup = Supervisor::dynamic().start_link().await.unwrap();
        let first = sup.start_child(child("same")).await.unwrap();
        let second = sup.start_child(child("same")).await.unwrap();
        notes("+same +same").await;
        assert_eq!(sup.terminate_child(first).await, Ok(()));
        assert!(!is_alive(first) && is_alive(second));
        assert_eq!(sup.terminate_child(first).await, Err(ChildError::NotFound));
        let stranger = spawn(pending::<()>());
        assert_eq!(sup.terminate_child(stranger).await, Err(ChildError::NotFound));
        assert_eq!(sup.terminate_child("same").await, Err(ChildError::NotFound));
        assert_eq!(sup.restart_child("same").await, Err(RestartChildError::NotFound));
        assert_eq!(sup.delete_child("same").await, Err(DeleteChildError::NotFound));
        assert_eq!(which(sup).await, "+same");
    });
}

#[test]
fn s29_a_restarted_child_has_a_new_pid_and_the_others_notice_nothing() {
    everywhere(|| async {
        let sup = Supervisor::dynamic().start_link().await.unwrap();
        let crashing = sup.start_child(child("a").transient()).await.unwrap();
        let other = sup.start_child(child("b")).await.unwrap();
        notes("+a +b").await;
        let end = wait(crashing);
        send(crashing, Do::Fail);
        end.await;
        notes("+a").await;
        let children = sup.which_children().await.unwrap();
        let again = children[0].pid().unwrap();
        assert!(again != crashing && children[1].pid() == Some(other));
        send(again, Do::Finish);
        wait(again).await;
        assert_eq!(which(sup).await, "+b");
        assert_eq!(sup.terminate_child(again).await, Err(ChildError::NotFound));
    });
}

#[test]
fn s29_a_child_that_ignores_is_not_kept() {
    everywhere(|| async {
        let sup = Supervisor::dynamic().start_link().await.unwrap();
        let ignores = worker("i", || ready(Ok::<_, Reason>(Ignore)));
        assert_eq!(sup.start_child(ignores).await, Err(StartChildError::Ignored));
        assert_eq!(which(sup).await, "");
        // A restart that ignores drops the child as well.
        let mut first = true;
        let once = worker("once", move || {
            let run = std::mem::take(&mut first);
            ready(Ok::<_, Reason>(run.then(|| spawn_link(async { Reason::other("x") }))))
        });
        let pid = sup.start_child(once).await.unwrap();
        wait(pid).await;
        assert_eq!(which(sup).await, "");
    });
}

#[test]
fn s29_max_children_counts_the_restarting_ones() {
    simulated(|| async {
        let sup = Supervisor::dynamic()
            .max_children(2)
            .intensity(100, secs(36_000))
            .retry_delay(secs(60))
            .start_link()
            .await
            .unwrap();
        let faulty = sup.start_child(faulty("f", |tried| tried > 0)).await.unwrap();
        send(faulty, Do::Fail);
        notes("+f !f").await;
        assert_eq!(which(sup).await, "*f");
        sup.start_child(child("a")).await.unwrap();
        assert_eq!(sup.start_child(child("b")).await, Err(StartChildError::MaxChildren));
        // A restarting child is addressed by the pid it had.
        assert_eq!(sup.terminate_child(faulty).await, Ok(()));
        sup.start_child(child("b")).await.unwrap();
        notes("+a +b").await;
        riot_actor::sleep(secs(3600)).await;
        settled(sup).await;
        assert_eq!(which(sup).await, "+a +b");
    });
}

#[test]
fn s29_start_arguments_of_temporary_children_are_not_retained() {
    everywhere(|| async {
        let sup = Supervisor::dynamic().start_link().await.unwrap();
        let arguments = Arc::new(());
        let kept = arguments.clone();
        let spec = worker("t", move || {
            let _used = &kept;
            ready(Ok::<_, Reason>(spawn_link(pending::<()>())))
        });
        sup.start_child(spec.temporary()).await.unwrap();
        assert_eq!(Arc::strong_count(&arguments), 1);
    });
}

#[test]
fn s16_dynamic_children_stop_all_at_once() {
    simulated(|| async {
        let sup = Supervisor::dynamic().start_link().await.unwrap();
        for time in [3, 1, 2, 1] {
            sup.start_child(deaf("d").shutdown(ChildShutdown::Timeout(secs(time)))).await.unwrap();
        }
        let last = sup.start_child(deaf("d").shutdown(ChildShutdown::Timeout(secs(1)))).await.unwrap();
        sup.start_child(child("a")).await.unwrap();
        notes("+a").await;
        let (start, end) = (now(), wait(last));
        let observer = this();
        spawn(async move {
            end.await;
            send(observer, now());
        });
        sup.stop(Reason::Normal).await.unwrap();
        assert_eq!((now() - start).as_secs(), 3);
        assert_eq!((receive::<Instant>().await - start).as_secs(), 1, "each has its own time");
        notes("-a").await;
    });
}

#[test]
fn s09_a_dynamic_supervisor_gives_up_as_well() {
    everywhere(|| async {
        trap_exit(true);
        let sup = Supervisor::dynamic().intensity(1, secs(3600)).start_link().await.unwrap();
        sup.start_child(child("bystander")).await.unwrap();
        let a = sup.start_child(child("a")).await.unwrap();
        notes("+bystander +a").await;
        send(a, Do::Fail);
        notes("+a").await;
        send(sup.which_children().await.unwrap()[1].pid().unwrap(), Do::Fail);
        notes("-bystander").await;
        assert_eq!(exit_of(sup).await, Reason::Shutdown);
    });
}

/// Returns the time of starting, finding and stopping a child among `count`, and the time per child of
/// stopping all `count`. Each is the best of several tries, the one least disturbed by other work.
async fn costs(count: u32) -> (Duration, Duration) {
    let sup = Supervisor::dynamic().start_link().await.unwrap();
    for nth in 0..count {
        sup.start_child(process(nth, pending::<()>).temporary()).await.unwrap();
    }
    assert_eq!(sup.count_children().await.unwrap().active, count as usize);
    let mut single = Duration::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        for nth in 0..100_u32 {
            let pid = sup.start_child(process(nth, pending::<()>).temporary()).await.unwrap();
            sup.get_child_spec(pid).await.unwrap();
            sup.terminate_child(pid).await.unwrap();
        }
        single = single.min(start.elapsed() / 100);
    }
    let start = Instant::now();
    sup.stop(Reason::Normal).await.unwrap();
    let stop = start.elapsed() / count;
    assert_eq!(processes(), [this()]);
    (single, stop)
}

/// Code that goes through all children costs a hundred times as much with a hundred times as many; caches
/// alone cost a few times as much.
#[test]
fn s29_what_one_child_costs_does_not_depend_on_how_many_there_are() {
    let reason = Config::new().workers(1).run(async {
        let mut few = costs(1_000).await;
        for _ in 0..5 {
            let again = costs(1_000).await;
            few = (few.0.min(again.0), few.1.min(again.1));
        }
        let many = costs(100_000).await;
        assert!(many.0 < few.0 * 20, "{many:?} among many, {few:?} among few");
        assert!(many.1 < few.1 * 30, "{many:?} among many, {few:?} among few");
    });
    assert_eq!(reason.unwrap(), Reason::Normal);
}
