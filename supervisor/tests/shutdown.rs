//! Stopping: S14-S18, S27.
mod common;

use std::{
    future::{pending, ready},
    sync::mpsc,
};

use common::*;
use riot_actor::{
    Exit, Pid, Reason,
    call::CallError,
    exit,
    mailbox::receive_any,
    monitor, now,
    process::{SpawnOptions, info, is_alive, wait, yield_now},
    receive,
    runtime::Config,
    send, sleep, spawn, spawn_link, this, trap_exit, unlink,
};
use riot_supervisor::{
    ChildShutdown, StartChildError, Supervisor, SupervisorEvent, SupervisorRef, SupervisorStopError,
    supervisor, worker,
};

#[test]
fn s14_shutdown_asks_and_kill_does_not() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .child(child("asked"))
            .child(child("killed").shutdown(ChildShutdown::Kill))
            .start_link()
            .await
            .unwrap();
        notes("+asked +killed").await;
        let (asked, killed) = (pid_of(sup, "asked").await, pid_of(sup, "killed").await);
        let (asked_end, killed_end) = (wait(asked), wait(killed));
        sup.terminate_child("killed").await.unwrap();
        sup.terminate_child("asked").await.unwrap();
        assert_eq!((asked_end.await, killed_end.await), (Reason::Shutdown, Reason::Killed));
        notes("-asked").await;
        settled(sup).await;
    });
}

#[test]
fn s14_a_deaf_child_is_killed_when_its_time_is_up() {
    simulated(|| async {
        let sup = Supervisor::one_for_one()
            .child(deaf("a").shutdown(ChildShutdown::Timeout(secs(7))))
            .child(deaf("default"))
            .start_link()
            .await
            .unwrap();
        sup.subscribe().await.unwrap();
        let pid = pid_of(sup, "a").await;
        let start = now();
        sup.terminate_child("a").await.unwrap();
        assert_eq!((now() - start).as_secs(), 7);
        let SupervisorEvent::ShutdownFailed { pid: reported, reason, .. } =
            receive::<SupervisorEvent>().await
        else {
            panic!()
        };
        assert_eq!((reported, reason), (pid, Reason::Killed));
        sup.terminate_child("default").await.unwrap();
        assert_eq!((now() - start).as_secs(), 12);
    });
}

#[test]
fn s14_infinity_waits_for_a_slow_child() {
    simulated(|| async {
        let slow = worker("slow", || {
            let pid = SpawnOptions::new().link().trap_exit().spawn(async {
                receive::<Exit>().await;
                sleep(secs(3600)).await;
                Reason::Shutdown
            });
            ready(Ok::<_, Reason>(pid))
        });
        let sup = Supervisor::one_for_one().child(slow.shutdown(ChildShutdown::Infinity));
        let sup = sup.start_link().await.unwrap();
        let (start, end) = (now(), wait(pid_of(sup, "slow").await));
        sup.terminate_child("slow").await.unwrap();
        assert_eq!((now() - start).as_secs(), 3600);
        assert_eq!(end.await, Reason::Shutdown);
    });
}

#[test]
fn s14_a_child_that_unlinked_itself_is_waited_for_all_the_same() {
    simulated(|| async {
        let observer = this();
        let stranger = worker("stranger", move || {
            let supervisor = this();
            let pid = SpawnOptions::new().link().trap_exit().spawn(async move {
                unlink(supervisor);
                note(observer, "unlinked");
                receive::<Exit>().await;
                sleep(secs(2)).await;
                note(observer, "-stranger");
            });
            ready(Ok::<_, Reason>(pid))
        });
        let sup = Supervisor::one_for_one().child(stranger).start_link().await.unwrap();
        notes("unlinked").await;
        sup.terminate_child("stranger").await.unwrap();
        notes("-stranger").await;
        settled(sup).await;
    });
}

#[test]
fn s14_a_child_that_crashes_when_asked_is_reported_and_not_restarted() {
    everywhere(|| async {
        let observer = this();
        let clumsy = worker("clumsy", move || {
            note(observer, "+clumsy");
            let pid = SpawnOptions::new().link().trap_exit().spawn(async {
                receive::<Exit>().await;
                Reason::other("tripped")
            });
            ready(Ok::<_, Reason>(pid))
        });
        let sup = Supervisor::one_for_one().child(clumsy).start_link().await.unwrap();
        sup.subscribe().await.unwrap();
        notes("+clumsy").await;
        sup.terminate_child("clumsy").await.unwrap();
        let SupervisorEvent::ShutdownFailed { reason, .. } = receive::<SupervisorEvent>().await else {
            panic!()
        };
        assert_eq!(reason, Reason::other("tripped"));
        settled(sup).await;
        assert_eq!(which(sup).await, "-clumsy");
    });
}

/// Runs on two threads, since one process holds a worker with a poll that does not end.
#[test]
fn s15_two_incarnations_of_a_child_never_coexist() {
    let reason = Config::new().workers(2).run(async {
        let (let_go, held) = mpsc::channel::<()>();
        let (observer, mut held) = (this(), Some(held));
        struct Resource(Pid);
        impl Drop for Resource {
            fn drop(&mut self) {
                note(self.0, "freed");
            }
        }
        let stuck = worker("stuck", move || {
            let held = held.take();
            let pid = spawn_link(async move {
                let _resource = Resource(observer);
                note(observer, "held");
                if let Some(held) = held {
                    held.recv().expect("the test lives");
                }
                pending::<()>().await;
            });
            ready(Ok::<_, Reason>(pid))
        });
        let sup =
            Supervisor::one_for_one().child(stuck.shutdown(ChildShutdown::Kill)).start_link().await.unwrap();
        notes("held").await;
        let first = pid_of(sup, "stuck").await;
        spawn(async move {
            sup.terminate_child("stuck").await.unwrap();
            note(observer, "terminated");
            sup.restart_child("stuck").await.unwrap();
        });
        while is_alive(first) {
            yield_now().await;
        }
        // The child has been killed, and is still in its poll.
        nothing_noted(std::panic::Location::caller()).await;
        let_go.send(()).unwrap();
        notes("freed terminated held").await;
    });
    assert_eq!(reason.unwrap(), Reason::Normal);
}

#[test]
fn s16_static_children_stop_in_reverse_order_each_with_its_own_time() {
    simulated(|| async {
        let sup = Supervisor::one_for_one()
            .child(child("a"))
            .child(deaf("d1").shutdown(ChildShutdown::Timeout(secs(1))))
            .child(child("b"))
            .child(deaf("d2").shutdown(ChildShutdown::Timeout(secs(2))))
            .child(child("c"))
            .start_link()
            .await
            .unwrap();
        notes("+a +b +c").await;
        let start = now();
        sup.stop(Reason::Normal).await.unwrap();
        notes("-c -b -a").await;
        assert_eq!((now() - start).as_secs(), 3);
    });
}

#[test]
fn s16_nothing_is_restarted_meanwhile() {
    simulated(|| async {
        let sup = Supervisor::one_for_one()
            .intensity(10, secs(1))
            .child(child("a"))
            .child(deaf("d").shutdown(ChildShutdown::Timeout(secs(1))))
            .start_link()
            .await
            .unwrap();
        notes("+a").await;
        let (a, end) = (pid_of(sup, "a").await, monitor(sup.pid()));
        spawn(async move { sup.stop(Reason::Normal).await.map_err(Reason::from) });
        sleep(std::time::Duration::from_millis(500)).await;
        send(a, Do::Fail);
        assert_eq!(end.down().await.reason, Reason::Normal);
        nothing_noted(std::panic::Location::caller()).await;
    });
}

#[test]
fn s17_the_exit_of_the_parent_ends_it_with_that_reason_even_normal() {
    for reason in [Reason::Normal, Reason::Shutdown, Reason::other("parent"), Reason::Kill] {
        everywhere(move || {
            let reason = reason.clone();
            async move {
                let observer = this();
                let specs = (child("a"), child("b"));
                let expected = reason.clone();
                spawn(async move {
                    let sup = Supervisor::one_for_one().child(specs.0).child(specs.1);
                    send(observer, sup.start_link().await.unwrap().pid());
                    receive::<Go>().await;
                    reason
                });
                notes("+a +b").await;
                let sup = receive::<Pid>().await;
                let end = monitor(sup);
                send(info(sup).unwrap().parent.unwrap(), Go);
                assert_eq!(end.down().await.reason, expected);
                notes("-b -a").await;
            }
        });
    }
}

#[test]
fn s17_exits_of_others_and_unknown_messages_are_ignored() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one().child(child("a")).start_link().await.unwrap();
        notes("+a").await;
        let stranger = spawn(async move {
            exit(sup.pid(), Reason::other("obey me"));
            exit(sup.pid(), Reason::Shutdown);
            send(sup.pid(), "an unexpected message");
        });
        wait(stranger).await;
        let friend = spawn(async move {
            riot_actor::link(sup.pid());
            Reason::other("a linked stranger")
        });
        wait(friend).await;
        settled(sup).await;
        assert_eq!(which(sup).await, "+a");
    });
}

#[test]
fn s18_a_killed_supervisor_terminates_nothing() {
    everywhere(|| async {
        trap_exit(true);
        let observer = this();
        let orphan = worker("orphan", move || {
            let pid = SpawnOptions::new().link().trap_exit().spawn(async move {
                let reason = receive::<Exit>().await.reason;
                send(observer, reason);
                pending::<()>().await;
            });
            ready(Ok::<_, Reason>(pid))
        });
        let plain = worker("plain", || ready(Ok::<_, Reason>(spawn_link(pending::<()>()))));
        let sup = Supervisor::one_for_one().child(orphan).child(plain).start_link().await.unwrap();
        let (orphan, plain) = (pid_of(sup, "orphan").await, pid_of(sup, "plain").await);
        let end = wait(plain);
        exit(sup.pid(), Reason::Kill);
        assert_eq!(end.await, Reason::Killed);
        assert_eq!(receive::<Reason>().await, Reason::Killed);
        assert!(is_alive(orphan));
        exit(orphan, Reason::Kill);
    });
}

#[test]
fn s27_requests_pending_when_it_ends_hear_its_reason() {
    simulated(|| async {
        let sup = Supervisor::one_for_one()
            .child(deaf("d").shutdown(ChildShutdown::Timeout(secs(10))))
            .start_link()
            .await
            .unwrap();
        let observer = this();
        spawn(async move { sup.stop(Reason::shutdown_with("maintenance")).await.map_err(Reason::from) });
        trap_exit(true);
        sleep(secs(1)).await;
        let late = child("late");
        spawn(async move { send(observer, sup.start_child(late).await) });
        let answer = receive::<Result<Pid, StartChildError>>().await;
        let ended = CallError::Exit(Reason::shutdown_with("maintenance"));
        assert_eq!(answer, Err(StartChildError::Call(ended)));
        assert_eq!(sup.count_children().await, Err(CallError::NoProc));
    });
}

#[test]
fn stop_says_how_it_went() {
    simulated(|| async {
        trap_exit(true);
        let deaf_for =
            |time| Supervisor::one_for_one().child(deaf("d").shutdown(ChildShutdown::Timeout(secs(time))));
        let sup = deaf_for(3).start_link().await.unwrap();
        assert_eq!(sup.stop_timeout(Reason::Shutdown, secs(1)).await, Err(SupervisorStopError::Timeout));
        assert_eq!(sup.stop(Reason::Normal).await, Err(SupervisorStopError::Exit(Reason::Shutdown)));
        let other = spawn_link(async {
            loop {
                drop(receive_any().await)
            }
        });
        let refused = SupervisorRef::new(other).stop(Reason::Normal).await;
        assert_eq!(refused, Err(SupervisorStopError::NotASupervisor));
        assert_eq!(sup.stop(Reason::Normal).await, Err(SupervisorStopError::NoProc));
        let sup = deaf_for(3).start_link().await.unwrap();
        assert_eq!(sup.stop_timeout(Reason::Shutdown, secs(4)).await, Ok(()));
    });
}

#[test]
fn a_tree_stops_from_its_leaves_and_from_the_right() {
    everywhere(|| async {
        let observer = this();
        let inner = move |left: &'static str, right: &'static str| {
            let leaf = move |id| worker(id, move || ready(Ok::<_, Reason>(start(observer, id))));
            move || Supervisor::one_for_one().child(leaf(left)).child(leaf(right)).start_link()
        };
        let sup = Supervisor::one_for_one()
            .child(supervisor("left", inner("a", "b")))
            .child(supervisor("right", inner("c", "d")))
            .start_link()
            .await
            .unwrap();
        notes("+a +b +c +d").await;
        sup.stop(Reason::Normal).await.unwrap();
        notes("-d -c -b -a").await;
    });
}

#[test]
fn the_end_of_the_runtime_stops_a_supervisor_in_order() {
    for seed in 0..50 {
        let (said, heard) = mpsc::channel();
        let reason = riot_actor::simulation::Simulation::new(seed).run(async move {
            let sup = Supervisor::one_for_one().child(child("a")).start_link().await.unwrap();
            let watch = spawn(async move {
                trap_exit(true);
                let reason = wait(sup.pid()).await;
                said.send(reason).unwrap();
            });
            while !info(watch).unwrap().trap_exit {
                yield_now().await;
            }
        });
        assert_eq!(reason, Reason::Normal, "seed {seed}");
        let ended = heard.recv().unwrap();
        // The starter, main, ended normally, and the runtime sent `Shutdown`. Either may arrive first.
        assert!(matches!(ended, Reason::Normal | Reason::Shutdown), "seed {seed}: {ended:?}");
    }
}
