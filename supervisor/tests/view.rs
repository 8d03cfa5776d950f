//! The supervision tree in shared memory. S35.

use std::time::Duration;

use riot_actor::{
    Pid, Reason, exit,
    process::yield_now,
    receive, send,
    simulation::Simulation,
    sleep, spawn,
    telemetry::{FollowedBy, crashes},
};
use riot_supervisor::{
    ChildState, MAX_LISTED_CHILDREN, Restart, Supervisor, SupervisorNode, SupervisorRef, children_of,
    process, supervision_tree, supervisor, worker,
};

fn node_of(pid: Pid) -> SupervisorNode {
    supervision_tree().into_iter().find(|node| node.pid == pid).expect("it is a supervisor")
}

/// Checks that the view of a supervisor is what it answers itself.
async fn check(supervisor: SupervisorRef) {
    // Whatever was done is done by then: the clock of a simulation moves when all processes wait.
    sleep(Duration::from_millis(1)).await;
    let told = supervisor.which_children().await.expect("it answers");
    let state = supervisor.get_state().await.expect("it answers");
    let node = node_of(supervisor.pid());
    let children = told.iter().map(|child| (child.id.clone(), child.state, child.kind, child.restart));
    let seen: Vec<_> = node
        .children
        .iter()
        .map(|child| (child.id.clone(), child.state, child.kind, child.restart))
        .collect();
    assert_eq!(seen, children.collect::<Vec<_>>());
    assert_eq!((node.strategy, node.max_restarts), (state.strategy, state.max_restarts));
    assert_eq!((node.period, node.restarts_used), (state.period, state.recent_restarts));
    assert_eq!((node.is_suspended, node.child_count), (state.is_suspended, told.len()));
}

/// Runs until it is told how to end.
async fn obedient() -> Reason {
    receive::<Reason>().await
}

async fn act(top: SupervisorRef, step: u64) {
    let children = top.which_children().await.expect("it answers");
    let Some(child) = children.get(usize::try_from(step / 8).unwrap() % children.len().max(1)).cloned()
    else {
        return;
    };
    match (step % 8, child.pid()) {
        (0 | 1, Some(pid)) => exit(pid, Reason::Kill),
        (2, Some(pid)) => send(pid, Reason::Normal),
        (3, Some(pid)) => send(pid, Reason::error("as asked")),
        (4, _) => drop(top.terminate_child(child.id).await),
        (5, _) => drop(top.restart_child(child.id).await),
        (6, _) => drop(top.delete_child(child.id).await),
        _ => drop(top.start_child(process(step, obedient).restart(restart(step / 3))).await),
    }
}

fn restart(step: u64) -> Restart {
    [Restart::Permanent, Restart::Transient, Restart::Temporary][usize::try_from(step % 3).unwrap()]
}

#[test]
fn s35_the_view_of_a_supervisor_is_what_it_answers() {
    Simulation::sweep(0..150, || async {
        let steps: Vec<u64> = (0..40).map(|_| riot_actor::runtime::random()).collect();
        for shape in [Supervisor::one_for_one(), Supervisor::one_for_all(), Supervisor::rest_for_one()] {
            let mut shape = shape.intensity(1_000, Duration::from_secs(5));
            for number in 0..4 {
                shape = shape.child(process(number, obedient).restart(restart(number)));
            }
            let top = shape.start_link().await.unwrap();
            check(top).await;
            for &step in &steps {
                act(top, step).await;
                check(top).await;
            }
        }
        let pool = Supervisor::dynamic().intensity(1_000, Duration::from_secs(5)).start_link().await.unwrap();
        for &step in &steps {
            let child = pool.start_child(process(step, obedient).restart(restart(step))).await.unwrap();
            match step % 4 {
                0 => exit(child, Reason::Kill),
                1 => send(child, Reason::error("as asked")),
                2 => drop(pool.terminate_child(child).await),
                _ => {}
            }
            check(pool).await;
        }
    });
}

#[test]
fn s35_restarts_of_each_child_and_of_the_period_are_counted() {
    Simulation::sweep(0..50, || async {
        let top = Supervisor::one_for_one()
            .intensity(3, Duration::from_secs(5))
            .child(process("a", obedient))
            .child(process("b", obedient))
            .start_link()
            .await
            .unwrap();
        for _ in 0..2 {
            exit(node_of(top.pid()).children[1].pid().expect("it runs"), Reason::Kill);
            sleep(Duration::from_millis(100)).await;
        }
        let node = node_of(top.pid());
        assert_eq!(node.children.iter().map(|child| child.restarts).collect::<Vec<_>>(), [0, 2]);
        assert_eq!((node.restarts_used, node.max_restarts), (2, 3));
        sleep(Duration::from_secs(6)).await;
        assert_eq!(node_of(top.pid()).restarts_used, 0, "the period is over");
    });
}

#[test]
fn s35_a_supervisor_that_is_busy_is_shown() {
    Simulation::sweep(0..50, || async {
        let slow = worker("slow", || async {
            sleep(Duration::from_secs(3600)).await;
            Ok::<Pid, Reason>(spawn(obedient()))
        });
        let starting = spawn(async move {
            let top = Supervisor::one_for_one().child(process("first", obedient)).child(slow);
            let _ = top.start_link().await;
        });
        while supervision_tree().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_secs(1)).await;
        let [node] = &supervision_tree()[..] else { panic!("{:?}", supervision_tree()) };
        let states: Vec<_> = node.children.iter().map(|child| child.state).collect();
        assert!(matches!(states[..], [ChildState::Running(_), ChildState::Stopped]), "{states:?}");
        exit(starting, Reason::Kill);
        while !supervision_tree().is_empty() {
            sleep(Duration::from_secs(1)).await;
        }
    });
}

#[test]
fn s35_children_of_a_dynamic_supervisor_are_counted_and_listed_by_page() {
    Simulation::sweep(0..5, || async {
        let pool = Supervisor::dynamic().start_link().await.unwrap();
        for number in 0..1_000 {
            pool.start_child(process(number, obedient)).await.unwrap();
        }
        let node = node_of(pool.pid());
        assert_eq!((node.child_count, node.children.len()), (1_000, MAX_LISTED_CHILDREN));
        let ids = |skip, limit| {
            let page = children_of(pool.pid(), skip, limit).expect("it is a supervisor");
            page.iter().map(|child| child.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(ids(998, 10), ["998", "999"]);
        assert_eq!(ids(0, usize::MAX).len(), MAX_LISTED_CHILDREN);
        assert_eq!(children_of(riot_actor::this(), 0, 1), None);
    });
}

#[test]
fn s35_the_tree_has_paths_and_its_order_is_that_of_starts() {
    Simulation::sweep(0..50, || async {
        let inner = || Supervisor::one_for_one().child(process("leaf", obedient)).start_link();
        let middle = move || {
            Supervisor::rest_for_one()
                .child(supervisor("x", inner))
                .child(supervisor("y", inner))
                .start_link()
        };
        let _first = Supervisor::one_for_one().child(supervisor("m", middle)).start_link().await.unwrap();
        let _second = Supervisor::dynamic().start_link().await.unwrap();
        let paths: Vec<String> = supervision_tree()
            .iter()
            .map(|node| {
                let ids: Vec<String> = node.path.iter().map(ToString::to_string).collect();
                format!("{} {} {}", node.depth, node.strategy, ids.join("/"))
            })
            .collect();
        let expected =
            ["0 one_for_one ", "1 rest_for_one m", "2 one_for_one m/x", "2 one_for_one m/y", "0 dynamic "];
        assert_eq!(paths, expected);
    });
}

#[test]
fn s35_a_chain_of_ten_thousand_supervisors_is_shown() {
    riot_actor::run(async {
        let mut last: SupervisorRef = Supervisor::dynamic().start_link().await.unwrap();
        for _ in 0..10_000 {
            let next = Supervisor::dynamic().start_link().await.unwrap();
            riot_actor::unlink(next.pid());
            let pid = next.pid();
            last.start_child(supervisor("next", move || async move { Ok::<Pid, Reason>(pid) }))
                .await
                .unwrap();
            last = next;
            yield_now().await;
        }
        let tree = supervision_tree();
        let deepest = tree.last().expect("there are many");
        assert_eq!((tree.len(), deepest.depth, deepest.path.len()), (10_001, 10_000, 32));
    });
}

#[test]
fn s35_the_crash_history_tells_what_a_supervisor_did() {
    Simulation::sweep(0..50, || async {
        let top = Supervisor::one_for_all()
            .child(process("a", obedient))
            .child(process("b", obedient).temporary())
            .start_link()
            .await
            .unwrap();
        let pool = Supervisor::dynamic().start_link().await.unwrap();
        pool.start_child(process("c", obedient)).await.unwrap();
        for supervisor in [top, pool] {
            let crashing = node_of(supervisor.pid()).children[0].pid().expect("it runs");
            send(crashing, Reason::error("as asked"));
            sleep(Duration::from_millis(100)).await;
            let restarted = node_of(supervisor.pid()).children[0].pid().expect("it runs again");
            let all = crashes();
            let entry = all.iter().find(|entry| entry.pid == crashing).expect("it has crashed");
            assert!(
                matches!(entry.followed_by, FollowedBy::Restarted { pid, .. } if pid == restarted),
                "{entry:?}"
            );
        }
    });
}
