//! Groups, and waiting for names: rules R5 to R8.

mod common;

use std::{future::pending, time::Duration};

use common::{everywhere, simulated};
use riot_actor::{
    Pid, Reason, exit,
    group::{
        GroupChange, GroupEvent, NotJoined, broadcast, demonitor_group, join_group, leave_group, members,
        monitor_group,
    },
    mailbox::receive_timeout,
    monitor,
    name::wait_for_name,
    now,
    process::info,
    receive, register,
    runtime::Config,
    send, sleep, spawn, this,
    time::TimedOut,
};

async fn kill(pid: Pid) {
    let down = monitor(pid);
    exit(pid, Reason::Kill);
    down.down().await;
}

#[test]
fn r05_wait_for_name_returns_at_once_if_held_and_else_when_registered() {
    everywhere(|| async {
        register("held", this()).expect("it is free");
        assert_eq!(wait_for_name("held", None).await, Ok(this()));

        let me = this();
        for _ in 0..3 {
            spawn(async move { send(me, wait_for_name("later", None).await.expect("it waits for ever")) });
        }
        let holder = spawn(async {
            sleep(Duration::from_millis(2)).await;
            register("later", this()).expect("it is free");
            pending::<()>().await;
        });
        for _ in 0..3 {
            assert_eq!(receive::<Pid>().await, holder, "all waiters wake");
        }
    });
}

#[test]
fn r05_it_returns_the_holder_even_if_that_has_ended_and_gives_up_in_time() {
    simulated(|| async {
        let me = this();
        spawn(async move { send(me, wait_for_name("short", None).await.expect("it waits for ever")) });
        sleep(Duration::from_millis(1)).await;
        let short = spawn(async { register("short", this()).expect("it is free") });
        assert_eq!(receive::<Pid>().await, short);

        let start = now();
        assert_eq!(wait_for_name("never", Some(Duration::from_secs(3))).await, Err(TimedOut));
        assert_eq!((now() - start).as_secs(), 3);
        register("never", this()).expect("nobody waits any more, and it is free");
    });
}

#[test]
fn r06_joins_count_and_a_member_is_listed_once_for_each() {
    everywhere(|| async {
        let other = spawn(pending::<()>());
        join_group("g", this());
        join_group("g", other);
        join_group("g", this());
        assert_eq!(members("g"), [this(), other, this()]);
        broadcast("g", 1_u8);
        assert_eq!((receive::<u8>().await, receive::<u8>().await), (1, 1), "one copy for each join");
        assert_eq!(leave_group("g", this()), Ok(()));
        assert_eq!(leave_group("g", this()), Ok(()));
        assert_eq!(leave_group("g", this()), Err(NotJoined));
        assert_eq!(leave_group("unknown", this()), Err(NotJoined));
        assert_eq!(members("g"), [other]);
        assert_eq!(members("unknown"), []);
        kill(other).await;
        assert_eq!(members("g"), [], "death removes all");
        join_group("g", other);
        assert_eq!(members("g"), [], "joining the dead does nothing");
    });
}

#[test]
fn r07_a_monitor_of_a_group_hears_every_change_in_order() {
    everywhere(|| async {
        let early = spawn(pending::<()>());
        join_group("g", early);
        let (reference, present) = monitor_group("g");
        assert_eq!(present, [early]);
        let late = spawn(pending::<()>());
        join_group("g", late);
        join_group("g", late);
        leave_group("g", early).expect("it is in");
        kill(late).await;
        let expected = [
            (late, GroupChange::Joined),
            (late, GroupChange::Joined),
            (early, GroupChange::Left),
            (late, GroupChange::Left),
            (late, GroupChange::Left),
        ];
        for expected in expected {
            let event = receive::<GroupEvent>().await;
            assert_eq!((event.reference, (event.pid, event.change)), (reference, expected));
        }
        demonitor_group(reference);
        join_group("g", early);
        assert!(receive_timeout::<GroupEvent>(Duration::ZERO).await.is_err());
        assert_eq!(info(this()).expect("it runs").mailbox, 0);
    });
}

#[test]
fn r08_names_and_groups_of_two_runtimes_are_apart() {
    let other = std::thread::spawn(|| {
        Config::new().workers(1).run(async {
            register("same", this()).expect("it is free here");
            join_group("same", this());
            assert_eq!(members("same"), [this()]);
        })
    });
    everywhere(|| async {
        register("same", this()).expect("it is free here");
        join_group("same", this());
        assert_eq!(members("same"), [this()]);
    });
    assert_eq!(other.join().expect("it does not panic").expect("it runs"), Reason::Normal);
}
