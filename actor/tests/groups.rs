//! Groups, and waiting for names: rules R5 to R8.

mod common;

use std::{future::pending, time::Duration};

use common::{everywhere, simulated};
use proptest::prelude::*;
use riot_actor::{
    Pid, Reason, exit,
    group::{
        GroupChange, GroupEvent, NotJoined, broadcast, demonitor_group, groups, join_group, leave_group,
        members, monitor_group,
    },
    mailbox::receive_timeout,
    monitor,
    name::wait_for_name,
    now,
    process::{MonitorRef, info},
    receive, register,
    runtime::Config,
    send,
    simulation::Simulation,
    sleep, spawn, this,
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
fn r06_joins_count_and_a_member_is_listed_once() {
    everywhere(|| async {
        let other = spawn(pending::<()>());
        join_group("g", this());
        join_group("g", other);
        join_group("g", this());
        assert_eq!(members("g"), [this(), other]);
        broadcast("g", 1_u8).await;
        assert_eq!(receive::<u8>().await, 1);
        assert!(receive_timeout::<u8>(Duration::ZERO).await.is_err(), "one copy, however often it joined");
        assert_eq!(leave_group("g", this()), Ok(()));
        assert_eq!(members("g"), [this(), other], "one join is left");
        assert_eq!(leave_group("g", this()), Ok(()));
        assert_eq!(leave_group("g", this()), Err(NotJoined));
        assert_eq!(leave_group("unknown", this()), Err(NotJoined));
        assert_eq!(members("g"), [other]);
        join_group("g", this());
        assert_eq!(members("g"), [other, this()], "it has become a member anew");
        assert_eq!(members("unknown"), []);
        join_group("g", other);
        kill(other).await;
        assert_eq!(members("g"), [this()], "death removes all joins");
        join_group("g", other);
        assert_eq!(members("g"), [this()], "joining the dead does nothing");
    });
}

/// A step of a random program: a process joins, leaves, exits, watches or stops to watch one of three groups.
#[derive(Clone, Copy, Debug)]
enum Step {
    Join(usize, usize),
    Leave(usize, usize),
    Kill(usize),
    Watch(usize),
    Unwatch(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (process, group) = (0..6_usize, 0..3_usize);
    prop_oneof![
        6 => (process.clone(), group.clone()).prop_map(|(process, group)| Step::Join(process, group)),
        6 => (process.clone(), group.clone()).prop_map(|(process, group)| Step::Leave(process, group)),
        1 => process.prop_map(Step::Kill),
        1 => group.clone().prop_map(Step::Watch),
        1 => group.prop_map(Step::Unwatch),
    ]
}

const GROUPS: [&str; 3] = ["a", "b", "c"];

/// The plain model: a list of joins for each group.
#[derive(Default)]
struct Model {
    joins: [Vec<Pid>; 3],
    watches: [Vec<MonitorRef>; 3],
    events: Vec<(MonitorRef, Pid, GroupChange)>,
}

impl Model {
    fn members(&self, group: usize) -> Vec<Pid> {
        let mut members: Vec<Pid> = Vec::new();
        for pid in &self.joins[group] {
            if !members.contains(pid) {
                members.push(*pid);
            }
        }
        members
    }

    fn change(&mut self, group: usize, pid: Pid, change: impl FnOnce(&mut Vec<Pid>)) {
        let before = self.joins[group].contains(&pid);
        change(&mut self.joins[group]);
        let after = self.joins[group].contains(&pid);
        let change = match (before, after) {
            (false, true) => GroupChange::Joined,
            (true, false) => GroupChange::Left,
            _ => return,
        };
        self.events.extend(self.watches[group].iter().map(|reference| (*reference, pid, change)));
    }
}

async fn equals_the_model(steps: Vec<Step>) {
    let (mut model, mut pids) = (Model::default(), Vec::new());
    pids.resize_with(6, || spawn(pending::<()>()));
    for step in steps {
        match step {
            Step::Join(process, group) => {
                let pid = pids[process];
                join_group(GROUPS[group], pid);
                model.change(group, pid, |joins| joins.push(pid));
            }
            Step::Leave(process, group) => {
                let pid = pids[process];
                let at = model.joins[group].iter().rposition(|joined| *joined == pid);
                let expected = at.map(drop).ok_or(NotJoined);
                assert_eq!(leave_group(GROUPS[group], pid), expected);
                if let Some(at) = at {
                    model.change(group, pid, |joins| _ = joins.remove(at));
                }
            }
            Step::Kill(process) => {
                let pid = std::mem::replace(&mut pids[process], spawn(pending::<()>()));
                kill(pid).await;
                for group in 0..3 {
                    model.change(group, pid, |joins| joins.retain(|joined| *joined != pid));
                }
            }
            Step::Watch(group) => {
                let (reference, present) = monitor_group(GROUPS[group]);
                assert_eq!(present, model.members(group));
                model.watches[group].push(reference);
            }
            Step::Unwatch(group) => {
                if let Some(reference) = model.watches[group].pop() {
                    demonitor_group(reference);
                }
            }
        }
        for (group, name) in GROUPS.iter().enumerate() {
            assert_eq!(members(name), model.members(group));
            let size = groups().iter().find(|(group, _)| group.as_str() == *name).map(|(_, size)| *size);
            assert_eq!(size.unwrap_or(0), model.members(group).len());
        }
        let mut events = Vec::new();
        while let Ok(event) = receive_timeout::<GroupEvent>(Duration::ZERO).await {
            events.push((event.reference, event.pid, event.change));
        }
        // A process that exits leaves its groups in any order.
        let mut expected = std::mem::take(&mut model.events);
        events.sort_unstable_by_key(|(reference, pid, _)| (*reference, *pid));
        expected.sort_unstable_by_key(|(reference, pid, _)| (*reference, *pid));
        assert_eq!(events, expected);
    }
    for pid in pids {
        kill(pid).await;
    }
    assert!(GROUPS.iter().all(|name| members(name).is_empty()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn r06_r07_groups_equal_a_list_of_joins(steps in prop::collection::vec(step(), 0..60), seed: u64) {
        let reason = Simulation::new(seed).run(equals_the_model(steps));
        prop_assert_eq!(reason, Reason::Normal);
    }
}

#[test]
fn r06_leaving_costs_the_same_for_any_number_of_members() {
    // With a scan for each, this takes minutes.
    common::on_one_worker(|| async {
        let pids: Vec<Pid> = (0..50_000).map(|_| spawn(pending::<()>())).collect();
        for _ in 0..2 {
            pids.iter().for_each(|&pid| join_group("crowd", pid));
        }
        assert_eq!(members("crowd"), pids);
        let began = std::time::Instant::now();
        for &pid in pids.iter().chain(&pids) {
            leave_group("crowd", pid).expect("it has joined twice");
        }
        assert_eq!(members("crowd"), []);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
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
        let expected = [(late, GroupChange::Joined), (early, GroupChange::Left), (late, GroupChange::Left)];
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
