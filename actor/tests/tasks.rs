//! Tasks: rules K1 to K6.

mod common;

use std::{future::pending, time::Duration};

use common::{everywhere, simulated};
use riot_actor::{
    Pid, Reason, exit, monitor, now,
    process::{info, is_alive, yield_now},
    receive, send, sleep, spawn,
    task::{Task, TaskError},
    this, trap_exit,
};

#[test]
fn k01_the_result_is_the_owners() {
    everywhere(|| async {
        let mut sum = Task::spawn(async { 1 + 2 });
        assert_eq!(sum.wait(None).await, Ok(3));
        assert_eq!(sum.wait(None).await, Err(TaskError::Taken));
        let mine: Task<u8> = Task::spawn(async { 7 });
        let owner = this();
        spawn(async move {
            let mut mine = mine;
            send(owner, mine.wait(None).await);
        });
        assert_eq!(receive::<Result<u8, TaskError>>().await, Err(TaskError::NotOwner));
    });
}

#[test]
fn k02_after_a_timeout_it_runs_on_and_may_be_waited_for_again() {
    simulated(|| async {
        let mut slow = Task::spawn(async {
            sleep(Duration::from_secs(10)).await;
            "done"
        });
        assert_eq!(slow.wait(Some(Duration::from_secs(4))).await, Err(TaskError::Timeout));
        assert_eq!(slow.wait(Some(Duration::from_secs(7))).await, Ok("done"));
    });
}

#[test]
fn k02_a_dropped_handle_discards_the_result_and_nothing_else() {
    everywhere(|| async {
        let owner = this();
        drop(Task::spawn(async move { send(owner, 1_u8) }));
        assert_eq!(receive::<u8>().await, 1, "it ran all the same");
    });
}

#[test]
fn k03_a_failing_task_ends_no_other_process() {
    everywhere(|| async {
        let mut failing: Task<()> = Task::spawn(async { panic!("not today") });
        match failing.wait(None).await {
            Err(TaskError::Exit(Reason::Panic(panic))) => assert_eq!(panic.message, "not today"),
            other => panic!("{other:?}"),
        }
        let mut killed: Task<()> = Task::spawn(pending());
        exit(killed.pid(), Reason::Kill);
        assert_eq!(killed.wait(None).await, Err(TaskError::Exit(Reason::Killed)));
    });
}

#[test]
fn k04_a_task_ends_with_its_owner() {
    everywhere(|| async {
        let watcher = this();
        let owner = spawn(async move {
            let unfinished: Task<()> = Task::spawn(pending());
            send(watcher, unfinished.pid());
            pending::<()>().await;
        });
        let down = monitor(receive::<Pid>().await);
        exit(owner, Reason::Kill);
        assert_eq!(down.down().await.reason, Reason::Shutdown);
    });
}

#[test]
fn k04_one_that_traps_is_killed_after_five_seconds() {
    simulated(|| async {
        let watcher = this();
        spawn(async move {
            let deaf: Task<()> = Task::spawn(async move {
                trap_exit(true);
                send(watcher, this());
                pending().await
            });
            drop(deaf);
            sleep(Duration::from_secs(1)).await;
        });
        let down = monitor(receive::<Pid>().await);
        let start = now();
        assert_eq!(down.down().await.reason, Reason::Killed);
        assert_eq!((now() - start).as_secs(), 6);
    });
}

#[test]
fn k05_shutdown_gives_the_result_or_ends_the_task() {
    simulated(|| async {
        let quick = Task::spawn(async { 1 });
        sleep(Duration::from_millis(1)).await;
        assert_eq!(quick.shutdown(Duration::from_secs(1)).await, Ok(1));

        let unfinished: Task<()> = Task::spawn(pending());
        let pid = unfinished.pid();
        assert_eq!(unfinished.shutdown(Duration::from_secs(1)).await, Err(TaskError::Exit(Reason::Shutdown)));
        assert!(info(pid).is_none(), "it is gone");

        let deaf: Task<()> = Task::spawn(async {
            trap_exit(true);
            pending().await
        });
        sleep(Duration::from_millis(1)).await;
        assert_eq!(deaf.shutdown(Duration::from_secs(1)).await, Err(TaskError::Exit(Reason::Killed)));
    });
}

#[test]
fn k06_neither_result_nor_failure_is_a_message() {
    everywhere(|| async {
        trap_exit(true);
        let mut tasks = [Task::spawn(async { 1 }), Task::spawn(async { panic!("no") })];
        for task in &mut tasks {
            let _ = task.wait(None).await;
        }
        drop(tasks);
        for _ in 0..50 {
            yield_now().await;
        }
        let me = info(this()).expect("it runs");
        assert_eq!((me.mailbox, me.monitored_by.len()), (0, 0));
        assert!(is_alive(this()));
    });
}
