//! Observation: the tree, the counters of the scheduler, traces.
mod common;

use std::sync::{Arc, Mutex};

use common::*;
use riot_actor::{
    Pid, Reason, exit,
    mailbox::{alias, receive_if},
    process::{SpawnOptions, tree, wait, yield_now},
    receive, run, send, sleep, spawn, spawn_link,
    stats::scheduler_stats,
    telemetry, this,
    time::send_after,
    trace::{TraceEvent, TraceFlags, trace},
};

#[test]
fn a_tree_shows_every_process_below_the_one_that_spawned_it() {
    everywhere(|| async {
        let observer = this();
        let shop = SpawnOptions::new().label("shop").name("corner").spawn(async move {
            for label in ["clerk", "clerk", "till"] {
                let pid = SpawnOptions::new().label(label).spawn(std::future::pending::<()>());
                send(observer, (label, pid));
            }
            std::future::pending::<()>().await;
        });
        let mut spawned = Vec::new();
        for _ in 0..3 {
            spawned.push(receive::<(&str, Pid)>().await.1);
        }
        spawn(std::future::pending::<()>());
        let tree = tree();
        assert_eq!(tree.labelled("clerk"), spawned[..2]);
        assert_eq!(tree.labelled("free"), []);
        let below = tree.find(shop).unwrap();
        let order: Vec<Pid> = below.iter().map(|node| node.process.pid).collect();
        assert_eq!(order, [shop, spawned[0], spawned[1], spawned[2]]);
        assert_eq!(tree.iter().count(), 6);
        let lines: Vec<String> = below.to_string().lines().map(str::to_owned).collect();
        assert!(lines[0].contains("shop corner") && lines[3].starts_with("└─ "), "{below}");
        assert!(tree.to_string().contains("│  "), "{tree}");
        exit(shop, Reason::Kill);
        wait(shop).await;
        let tree = riot_actor::process::tree();
        assert!(tree.find(shop).is_none());
        assert_eq!(tree.roots().count(), 4, "children of one that is gone stand at the top");
    });
}

#[test]
fn a_tree_can_be_as_deep_as_there_are_processes() {
    const DEPTH: usize = 100_000;
    fn below(levels: usize, told: Pid) -> Pid {
        spawn(async move {
            match levels {
                0 => send(told, this()),
                _ => _ = below(levels - 1, told),
            }
            std::future::pending::<()>().await;
        })
    }
    threaded(|| async {
        let top = below(DEPTH - 1, this());
        let lowest: Pid = receive().await;
        let handle = riot_actor::runtime::Handle::current();
        let tree = riot_actor::runtime::blocking(move || handle.tree()).await;
        let chain = tree.find(top).unwrap();
        assert_eq!(chain.iter().count(), DEPTH);
        assert_eq!(chain.iter().last().map(|node| (node.process.pid, node.depth)), Some((lowest, DEPTH)));
        let mut levels = std::iter::successors(Some(chain), |level| level.children().next());
        assert_eq!(levels.by_ref().map(|level| level.children().count()).sum::<usize>(), DEPTH - 1);
        // A clone, a drop and a `Debug` of it do not recurse either.
        assert!(format!("{:?}", tree.clone()).len() > DEPTH);
        let printed = chain.to_string();
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), DEPTH);
        assert!(
            lines[2].starts_with("   └─ <") && lines[32].starts_with(&format!("{}└─ <", "   ".repeat(31)))
        );
        assert!(lines[33].starts_with(&format!("{}(33) <", "   ".repeat(32))), "{:?}", lines[33]);
        assert!(lines[DEPTH - 1].contains("(99999) <"), "{:?}", lines[DEPTH - 1]);
    });
}

#[test]
fn a_label_cannot_forge_a_line_of_a_tree() {
    simulated(|| async {
        let forged = "shop\n<1.9.0> forged \u{1b}[31m";
        let pid = SpawnOptions::new().label(forged).name("a\nb").spawn(std::future::pending::<()>());
        let printed = tree().find(pid).unwrap().to_string();
        assert_eq!(printed.lines().count(), 1, "{printed}");
        assert!(!printed.contains('\u{1b}'), "{printed}");
    });
}

#[test]
fn the_scheduler_counts_what_it_does() {
    threaded(|| async {
        let before = scheduler_stats();
        assert_eq!(before.workers.len(), 2);
        let timer = send_after(secs(3600), this(), ());
        let ended: Vec<Pid> = (0..100).map(|_| spawn(yield_now())).collect();
        for &pid in &ended {
            wait(pid).await;
        }
        // A sleep is counted when it is over, and this may run on another worker than the one that slept.
        let slept = |stats: &riot_actor::stats::SchedulerStats| {
            stats.workers.iter().any(|worker| worker.parks > 0 && worker.asleep >= millis(1))
        };
        while !slept(&scheduler_stats()) {
            sleep(millis(2)).await;
        }
        let after = scheduler_stats();
        let turns =
            |stats: &riot_actor::stats::SchedulerStats| stats.workers.iter().map(|w| w.slices).sum::<u64>();
        assert!(turns(&after) - turns(&before) >= 200, "{before:?} {after:?}");
        assert_eq!((after.spawned - before.spawned, after.processes), (100, before.processes));
        assert_eq!((after.timers, after.injected), (before.timers + 1, 0));
        assert!(after.workers.iter().all(|worker| worker.asleep <= after.age), "{after:?}");
        timer.cancel();
        assert_eq!(scheduler_stats().timers, before.timers);
    });
    simulated(|| async {
        let before = scheduler_stats();
        wait(spawn(async {})).await;
        assert!(before.workers.is_empty() && scheduler_stats().spawned == before.spawned + 1);
    });
}

type Events = Arc<Mutex<Vec<TraceEvent>>>;

/// Collects the events of one process.
fn keep(of: Pid) -> (telemetry::HandlerId, Events) {
    let events = Events::default();
    let kept = events.clone();
    let handler = telemetry::attach(move |event: &TraceEvent| {
        let concerned = match event {
            TraceEvent::Spawned { pid, .. }
            | TraceEvent::Exited { pid, .. }
            | TraceEvent::Received { pid, .. }
            | TraceEvent::In { pid }
            | TraceEvent::Out { pid } => *pid,
            TraceEvent::Sent { to, .. } => *to,
            _ => return,
        };
        if concerned == of {
            // The handler itself is not traced, else this would never end.
            send(concerned, "traced");
            kept.lock().unwrap().push(event.clone());
        }
    });
    (handler, events)
}

#[test]
fn a_trace_shows_what_a_process_does_in_its_order() {
    simulated(|| async {
        let main = this();
        let pid = spawn(async {
            receive::<u8>().await;
            receive_if(|wanted: &u16| *wanted == 7).await;
            Reason::other("end")
        });
        let (handler, events) = keep(pid);
        assert_eq!(
            trace(TraceFlags::PROCS | TraceFlags::SEND | TraceFlags::RECEIVE | TraceFlags::RUNNING),
            TraceFlags::NOTHING
        );
        send(pid, 7_u16);
        send(pid, 1_u8);
        wait(pid).await;
        trace(TraceFlags::NOTHING);
        let mut seen = std::mem::take(&mut *events.lock().unwrap());
        seen.retain(|event| !matches!(event, TraceEvent::In { .. } | TraceEvent::Out { .. }));
        let sent = |message| TraceEvent::Sent { from: Some(main), to: pid, message };
        let received = |message| TraceEvent::Received { pid, message };
        let exited = TraceEvent::Exited { pid, reason: Reason::other("end") };
        assert_eq!(seen, [sent("u16"), sent("u8"), received("u8"), received("u16"), exited]);
        assert!(telemetry::detach(handler));
    });
}

#[test]
fn a_trace_shows_messages_by_an_alias() {
    simulated(|| async {
        let main = this();
        let numbers = alias::<u32>();
        let sender = numbers.clone();
        let (handler, events) = keep(main);
        trace(TraceFlags::SEND);
        let from = spawn(async move { sender.send(1) });
        wait(from).await;
        trace(TraceFlags::NOTHING);
        let sent = TraceEvent::Sent { from: Some(from), to: main, message: "u32" };
        assert_eq!(*events.lock().unwrap(), [sent]);
        assert!(telemetry::detach(handler));
    });
}

#[test]
fn a_trace_shows_poll_slices_and_spawns() {
    simulated(|| async {
        let main = this();
        let all: Events = Events::default();
        let kept = all.clone();
        telemetry::attach(move |event: &TraceEvent| kept.lock().unwrap().push(event.clone()));
        trace(TraceFlags::PROCS | TraceFlags::RUNNING);
        let pid = spawn_link(yield_now());
        wait(pid).await;
        trace(TraceFlags::NOTHING);
        let seen = std::mem::take(&mut *all.lock().unwrap());
        assert_eq!(seen[0], TraceEvent::Spawned { pid, parent: Some(main) });
        let turns: Vec<_> = seen
            .iter()
            .filter(|event| **event == TraceEvent::In { pid } || **event == TraceEvent::Out { pid })
            .collect();
        let (begins, ends) = (&TraceEvent::In { pid }, &TraceEvent::Out { pid });
        assert_eq!(turns, [begins, ends, begins, ends]);
        spawn(async {});
        assert!(all.lock().unwrap().is_empty(), "it is off");
    });
}

#[test]
fn a_handler_of_traces_that_panics_is_detached() {
    run(async {
        let handler = telemetry::attach(|_: &TraceEvent| panic!("no more"));
        trace(TraceFlags::SEND);
        send(this(), 1);
        send(this(), 2);
        assert!(!telemetry::detach(handler));
        assert_eq!(receive::<i32>().await, 1);
    });
}
