//! Members of groups with metadata: rule OU12.

mod common;

use std::{collections::BTreeMap, future::pending, time::Duration};

use common::leaks::leaves_nothing;
use proptest::prelude::*;
use riot_actor::{
    Pid, Reason, exit,
    group::{
        GroupChange, GroupEvent, NotJoined, broadcast, demonitor_group, join_group, join_group_with,
        leave_group, members, members_with, monitor_group, monitor_group_with, update_meta,
    },
    mailbox::receive_timeout,
    monitor,
    process::{spawn_monitor, wait, yield_now},
    receive, send,
    simulation::{Simulation, interleave},
    spawn, this,
};

async fn kill(pid: Pid) {
    let down = monitor(pid);
    exit(pid, Reason::Kill);
    down.down().await;
}

/// Takes the events that are there: the member, the change, and the metadata if they are a text.
async fn events() -> Vec<(Pid, GroupChange, Option<String>)> {
    let mut events = Vec::new();
    while let Ok(event) = receive_timeout::<GroupEvent>(Duration::ZERO).await {
        let meta = event.meta.as_ref().and_then(|meta| meta.get::<String>()).cloned();
        events.push((event.pid, event.change, meta));
    }
    events
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn ou12_members_have_metadata_that_all_see() {
    leaves_nothing(|| async {
        let [joe, ann, plain, number] = [(); 4].map(|()| spawn(pending::<()>()));
        assert_eq!(members_with::<String>("room"), []);
        join_group_with("room", joe, text("joe"));
        join_group("room", plain);
        join_group_with("room", ann, text("ann"));
        join_group_with("room", number, 7_u32);
        assert_eq!(members("room"), [joe, plain, ann, number]);
        assert_eq!(members_with::<String>("room"), [(joe, text("joe")), (ann, text("ann"))]);
        assert_eq!(members_with::<u32>("room"), [(number, 7)]);
        assert_eq!(update_meta("room", ann, text("ann, away")), Ok(()));
        assert_eq!(update_meta("room", plain, text("plain")), Ok(()));
        assert_eq!(update_meta("room", number, text("seven")), Ok(()), "of another type");
        let all = members_with::<String>("room");
        let expected = [(joe, "joe"), (plain, "plain"), (ann, "ann, away"), (number, "seven")];
        assert_eq!(all, expected.map(|(pid, meta)| (pid, text(meta))));
        assert_eq!(members_with::<u32>("room"), []);
        assert_eq!(update_meta("room", this(), text("x")), Err(NotJoined));
        assert_eq!(update_meta("unknown", ann, text("x")), Err(NotJoined));
        for pid in [joe, ann, plain, number] {
            kill(pid).await;
        }
        assert_eq!(members_with::<String>("room"), []);
        join_group_with("room", joe, text("joe"));
        assert_eq!(members_with::<String>("room"), [], "joining the dead does nothing");
    });
}

#[test]
fn ou12_watchers_hear_of_joins_leaves_and_changes_with_the_metadata() {
    leaves_nothing(|| async {
        let (reference, _) = monitor_group("room");
        let joe = spawn(pending::<()>());
        join_group_with("room", joe, text("joe"));
        update_meta("room", joe, text("joe, away")).expect("it is a member");
        join_group("room", joe);
        join_group_with("room", joe, text("joe, back"));
        leave_group("room", joe).expect("it is a member");
        leave_group("room", joe).expect("it is a member");
        leave_group("room", joe).expect("it is a member");
        join_group("room", joe);
        update_meta("room", joe, text("late")).expect("it is a member");
        kill(joe).await;
        let expected = [
            (GroupChange::Joined, Some("joe")),
            (GroupChange::Changed, Some("joe, away")),
            (GroupChange::Changed, Some("joe, back")),
            (GroupChange::Left, Some("joe, back")),
            (GroupChange::Joined, None),
            (GroupChange::Changed, Some("late")),
            (GroupChange::Left, Some("late")),
        ];
        assert_eq!(events().await, expected.map(|(change, meta)| (joe, change, meta.map(text))));
        demonitor_group(reference);
        join_group_with("room", this(), text("main"));
        assert_eq!(events().await, []);
        leave_group("room", this()).expect("it is a member");
    });
}

#[test]
fn ou12_a_broadcast_sends_one_copy_a_member_however_often_it_joined() {
    leaves_nothing(|| async {
        for meta in [1_u8, 2, 3] {
            join_group_with("room", this(), meta);
        }
        join_group("room", this());
        broadcast("room", 'x').await;
        assert_eq!(receive::<char>().await, 'x');
        assert!(receive_timeout::<char>(Duration::ZERO).await.is_err());
        assert_eq!(members_with::<u8>("room"), [(this(), 3)]);
        for _ in 0..4 {
            assert_eq!(leave_group("room", this()), Ok(()));
        }
        assert_eq!((leave_group("room", this()), members("room")), (Err(NotJoined), vec![]));
    });
}

#[test]
fn ou12_a_list_and_the_events_after_it_are_exact() {
    leaves_nothing(|| async {
        let writers: Vec<_> = (0..4_u32)
            .map(|nth| {
                spawn_monitor(async move {
                    for time in 0..10_u32 {
                        join_group_with("room", this(), nth * 1000 + time);
                        interleave();
                        update_meta("room", this(), nth * 1000 + 500 + time).expect("it is a member");
                        yield_now().await;
                        if (time + nth) % 3 == 0 {
                            while leave_group("room", this()).is_ok() {}
                        }
                    }
                    receive::<()>().await;
                })
            })
            .collect();
        yield_now().await;
        let (_, present) = monitor_group_with::<u32>("room");
        let mut shown: BTreeMap<Pid, u32> = present.into_iter().collect();
        for (pid, end) in writers {
            send(pid, ());
            end.down().await;
        }
        // All events are there, because the processes have left with their release.
        while let Ok(event) = receive_timeout::<GroupEvent>(Duration::ZERO).await {
            let meta = *event.meta.as_ref().and_then(|meta| meta.get::<u32>()).expect("all have some");
            match event.change {
                GroupChange::Joined => assert_eq!(shown.insert(event.pid, meta), None),
                GroupChange::Changed => assert!(shown.insert(event.pid, meta).is_some()),
                GroupChange::Left => assert_eq!(shown.remove(&event.pid), Some(meta)),
            }
        }
        assert_eq!(shown, BTreeMap::new());
    });
}

/// Uses the group when it is cloned or dropped, and panics when it is dropped.
struct Busy(Pid);

impl Clone for Busy {
    fn clone(&self) -> Self {
        assert!(members("busy").len() < 10);
        Self(self.0)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        _ = members("busy");
        _ = update_meta("busy", self.0, 1_u8);
        send(self.0, "dropped");
        assert!(std::thread::panicking(), "a destructor");
    }
}

#[test]
fn ou12_metadata_may_use_the_group_and_panic() {
    leaves_nothing(|| async {
        let main = this();
        let member = spawn(pending::<()>());
        join_group_with("busy", member, Busy(main));
        assert_eq!(riot_actor::process::contain(|| drop(members_with::<Busy>("busy"))), None, "a bomb");
        join_group_with("busy", member, Busy(main));
        update_meta("busy", member, Busy(main)).expect("it is a member");
        leave_group("busy", member).expect("it is a member");
        assert_eq!(members("busy"), [member]);
        kill(member).await;
        // One was a clone.
        for _ in 0..4 {
            assert_eq!(receive::<&str>().await, "dropped");
        }
        let gone = spawn(async {});
        wait(gone).await;
        join_group_with("busy", gone, Busy(main));
        assert_eq!(update_meta("unknown", gone, Busy(main)), Err(NotJoined));
        for _ in 0..2 {
            assert_eq!(receive::<&str>().await, "dropped");
        }
        assert_eq!(members("busy"), []);
    });
}

/// A step of a random program for one of four processes.
#[derive(Clone, Copy, Debug)]
enum Step {
    Join(usize),
    JoinWith(usize, u8),
    Update(usize, u8),
    Leave(usize),
    Kill(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (who, meta) = (0..4_usize, any::<u8>());
    prop_oneof![
        2 => who.clone().prop_map(Step::Join),
        4 => (who.clone(), meta).prop_map(|(who, meta)| Step::JoinWith(who, meta)),
        4 => (who.clone(), meta).prop_map(|(who, meta)| Step::Update(who, meta)),
        4 => who.clone().prop_map(Step::Leave),
        1 => who.prop_map(Step::Kill),
    ]
}

async fn equals_the_model(steps: Vec<Step>) {
    /// The members in order, with their joins and metadata.
    type Model = Vec<(Pid, u32, Option<u8>)>;
    let mut model = Model::new();
    let mut pids: Vec<Pid> = (0..4).map(|_| spawn(pending::<()>())).collect();
    monitor_group("g");
    for step in steps {
        let at = |model: &Model, pid| model.iter().position(|member| member.0 == pid);
        let mut expected = Vec::new();
        match step {
            Step::Join(who) | Step::JoinWith(who, _) => {
                let pid = pids[who];
                let meta = if let Step::JoinWith(_, meta) = step { Some(meta) } else { None };
                match meta {
                    Some(meta) => join_group_with("g", pid, meta),
                    None => join_group("g", pid),
                }
                match at(&model, pid) {
                    Some(at) => {
                        model[at].1 += 1;
                        if meta.is_some() {
                            model[at].2 = meta;
                            expected.push((pid, GroupChange::Changed, meta));
                        }
                    }
                    None => {
                        model.push((pid, 1, meta));
                        expected.push((pid, GroupChange::Joined, meta));
                    }
                }
            }
            Step::Update(who, meta) => {
                let pid = pids[who];
                let updated = update_meta("g", pid, meta);
                let at = at(&model, pid);
                assert_eq!(updated, at.map(drop).ok_or(NotJoined));
                if let Some(at) = at {
                    model[at].2 = Some(meta);
                    expected.push((pid, GroupChange::Changed, Some(meta)));
                }
            }
            Step::Leave(who) => {
                let pid = pids[who];
                let left = leave_group("g", pid);
                let at = at(&model, pid);
                assert_eq!(left, at.map(drop).ok_or(NotJoined));
                if let Some(at) = at {
                    model[at].1 -= 1;
                    if model[at].1 == 0 {
                        let (_, _, meta) = model.remove(at);
                        expected.push((pid, GroupChange::Left, meta));
                    }
                }
            }
            Step::Kill(who) => {
                let pid = std::mem::replace(&mut pids[who], spawn(pending::<()>()));
                kill(pid).await;
                if let Some(at) = at(&model, pid) {
                    let (_, _, meta) = model.remove(at);
                    expected.push((pid, GroupChange::Left, meta));
                }
            }
        }
        let mut told = Vec::new();
        while let Ok(event) = receive_timeout::<GroupEvent>(Duration::ZERO).await {
            let meta = event.meta.as_ref().and_then(|meta| meta.get::<u8>()).copied();
            told.push((event.pid, event.change, meta));
        }
        assert_eq!(told, expected);
        assert_eq!(members("g"), model.iter().map(|member| member.0).collect::<Vec<_>>());
        let with: Vec<_> = model.iter().filter_map(|member| Some((member.0, member.2?))).collect();
        assert_eq!(members_with::<u8>("g"), with);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn ou12_members_equal_a_list(steps in prop::collection::vec(step(), 0..80), seed: u64) {
        prop_assert_eq!(Simulation::new(seed).run(equals_the_model(steps)), Reason::Normal);
    }
}
