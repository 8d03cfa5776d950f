//! The graph of the processes that wait for replies, and its rings (OB-4).
mod common;

use std::{
    future::{pending, poll_fn},
    panic::catch_unwind,
    task::Poll,
    time::Duration,
};

use common::*;
use riot_actor::{
    Pid, Reason, call,
    call::CallRequest,
    exit, now,
    process::{SpawnOptions, WaitGraph, wait, wait_graph, yield_now},
    receive,
    runtime::{Handle, blocking},
    send,
    simulation::Simulation,
    sleep, spawn,
};

struct Ask;

/// A process that calls the process it is told of, once.
fn caller(label: String) -> Pid {
    SpawnOptions::new().label(label).spawn(async {
        let to: Pid = receive().await;
        let _reply = call::call::<Ask, ()>(to, Ask, None).await;
    })
}

fn callers(count: usize) -> Vec<Pid> {
    (0..count).map(|nth| caller(format!("caller {nth}"))).collect()
}

/// Waits until the graph has this many edges.
async fn graph_of(edges: usize) -> WaitGraph {
    loop {
        let graph = wait_graph().await;
        if graph.edges.len() == edges {
            return graph;
        }
        yield_now().await;
    }
}

async fn end(pids: &[Pid]) {
    for &pid in pids {
        let end = wait(pid);
        exit(pid, Reason::Kill);
        end.await;
    }
}

fn a_ring_is_found(size: usize) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    move || {
        Box::pin(async move {
            let before = now();
            let pids = callers(size);
            // One more calls into the ring, and is no part of it.
            let outside = caller("outside".to_owned());
            send(outside, pids[0]);
            for (nth, &pid) in pids.iter().enumerate() {
                send(pid, pids[(nth + 1) % size]);
            }
            let graph = graph_of(size + 1).await;
            let [ring] = &graph.rings[..] else { panic!("one ring: {:?}", graph.rings) };
            let members: Vec<Pid> = ring.iter().map(|edge| edge.from).collect();
            assert_eq!(members.len(), size);
            assert_eq!(graph.nodes.len(), size + 1);
            for (nth, edge) in ring.iter().enumerate() {
                assert_eq!(edge.to, members[(nth + 1) % size]);
                assert!(edge.request.ends_with("wait_graph::Ask") && edge.since <= now());
                assert!(edge.since + Duration::from_millis(20) >= before, "coarse, and not older");
                let node = graph.nodes.iter().find(|node| node.pid == edge.from).expect("it is a node");
                let place = pids.iter().position(|&pid| pid == edge.from).expect("it is one of them");
                assert_eq!(node.label, Some(format!("caller {place}")));
            }
            // The end of one of them ends the ring, and its caller hears of it.
            end(&pids[..1]).await;
            assert!(wait_graph().await.rings.is_empty());
            end(&pids[1..]).await;
            end(&[outside]).await;
        })
    }
}

#[test]
fn ob04_a_ring_of_two_or_three_is_found() {
    (2..=3).for_each(|size| everywhere(a_ring_is_found(size)));
}

#[test]
fn ob04_a_ring_of_a_hundred_is_found() {
    everywhere_few(a_ring_is_found(100));
}

#[test]
fn ob04_a_chain_is_no_ring() {
    everywhere(|| async {
        let pids = callers(10);
        pids.windows(2).for_each(|pair| send(pair[0], pair[1]));
        let graph = graph_of(9).await;
        assert!(graph.rings.is_empty());
        assert_eq!(graph.nodes.len(), 10);
        end(&pids).await;
    });
}

#[test]
fn ob04_calls_back_and_forth_that_are_answered_are_never_a_ring() {
    everywhere(|| async {
        // Each of the two serves the other between its own calls, so edges stand in both directions, and
        // never at once.
        let serve = |first: bool| async move {
            let other: Pid = receive().await;
            let mut asks = first;
            for _ in 0..50 {
                if asks {
                    call::call::<Ask, ()>(other, Ask, None).await.expect("the other answers");
                } else {
                    receive::<CallRequest<Ask, ()>>().await.reply.send(());
                }
                asks = !asks;
            }
        };
        let (a, b) = (spawn(serve(true)), spawn(serve(false)));
        let ends = [wait(a), wait(b)];
        send(a, b);
        send(b, a);
        let watch = spawn(async {
            loop {
                assert!(wait_graph().await.rings.is_empty());
                yield_now().await;
            }
        });
        let watched = wait(watch);
        for end in ends {
            assert_eq!(end.await, Reason::Normal);
        }
        exit(watch, Reason::Shutdown);
        assert_eq!(watched.await, Reason::Shutdown, "no ring was seen");
    });
}

#[test]
fn ob04_the_end_of_a_call_in_time_ends_the_ring() {
    simulated(|| async {
        let ask = |timeout: u64| async move {
            let to: Pid = receive().await;
            _ = call::call::<Ask, ()>(to, Ask, Some(Duration::from_secs(timeout))).await;
        };
        let (a, b) = (spawn(ask(5)), spawn(ask(6)));
        send(a, b);
        send(b, a);
        sleep(Duration::from_secs(4)).await;
        assert_eq!(wait_graph().await.rings.len(), 1);
        sleep(Duration::from_secs(1)).await;
        assert!(wait_graph().await.edges.is_empty(), "the callee of the other one has ended");
    });
}

#[test]
fn ob04_a_plain_thread_sees_the_same() {
    threaded(|| async {
        let pids = callers(2);
        send(pids[0], pids[1]);
        send(pids[1], pids[0]);
        let inside = graph_of(2).await;
        let handle = Handle::current();
        let outside = blocking(move || handle.wait_graph()).await;
        assert_eq!((&inside.edges, &inside.rings), (&outside.edges, &outside.rings));
        end(&pids).await;
    });
}

#[test]
fn ob04_a_simulation_that_cannot_go_on_lists_the_ring() {
    let stuck = || {
        Simulation::new(1).run(async {
            let pids = callers(2);
            send(pids[0], pids[1]);
            send(pids[1], pids[0]);
            pending::<()>().await;
        })
    };
    let panic = catch_unwind(stuck).expect_err("no process can run");
    let text = panic.downcast_ref::<String>().expect("a text");
    let ring = text.lines().find(|line| line.contains("ring of calls:")).expect("it lists the ring");
    assert_eq!(ring.matches("wait_graph::Ask").count(), 2, "{ring}");
}

#[test]
fn ob04_a_call_that_was_given_up_is_no_edge() {
    simulated(|| async {
        let server = spawn(pending::<()>());
        let in_time = spawn(async move {
            _ = call::call::<Ask, ()>(server, Ask, Some(Duration::from_secs(1))).await;
            pending::<()>().await;
        });
        let dropped = spawn(async move {
            let mut asked = Box::pin(call::call::<Ask, ()>(server, Ask, None));
            assert!(poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx).is_pending())).await);
            drop(asked);
            pending::<()>().await;
        });
        sleep(Duration::from_millis(500)).await;
        let from: Vec<Pid> = wait_graph().await.edges.iter().map(|edge| edge.from).collect();
        assert_eq!(from, [in_time]);
        sleep(Duration::from_secs(1)).await;
        assert!(wait_graph().await.edges.is_empty());
        end(&[server, in_time, dropped]).await;
    });
}
