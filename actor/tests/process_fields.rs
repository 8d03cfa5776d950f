//! The fields of `info` and `summaries` that show what a process does (OB-2).
mod common;

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    task::Poll,
    time::Instant,
};

use common::*;
use riot_actor::{
    Pid, Reason, call,
    call::CallRequest,
    exit,
    gen_server::{Call, GenServer, GenServerRef, Stop},
    mailbox::{receive_if, receive_timeout},
    now,
    process::{
        ProcessInfo, ProcessState, SpawnOptions, WaitingFor, info, join, spawn_monitor, summaries, wait,
        yield_now,
    },
    receive,
    runtime::{Handle, blocking},
    send,
    simulation::interleave,
    sleep, spawn, spawn_link,
    task::Task,
    this,
    time::sleep_until,
    timeout,
};

/// Waits until a process is parked, and returns what it waits for.
async fn parked(pid: Pid) -> WaitingFor {
    loop {
        let info = info(pid).expect("it lives");
        if info.state == ProcessState::Waiting {
            let seen = summaries().into_iter().find(|process| process.pid == pid).expect("it lives");
            if seen.state == ProcessState::Waiting {
                assert_eq!(seen.waiting_for.is_some(), info.waiting_for.is_some());
            }
            return info.waiting_for.expect("a parked process waits for something");
        }
        assert_eq!(info.waiting_for, None);
        yield_now().await;
    }
}

/// Waits until a process is parked in a wait that is accepted.
async fn parked_in(pid: Pid, wanted: impl Fn(&WaitingFor) -> bool) -> WaitingFor {
    loop {
        let waits_for = parked(pid).await;
        if wanted(&waits_for) {
            return waits_for;
        }
        yield_now().await;
    }
}

fn seen(pid: Pid) -> ProcessInfo {
    info(pid).expect("it lives")
}

#[test]
fn ob02_slices_and_messages_are_counted() {
    everywhere(|| async {
        let main = this();
        let clerk = spawn(async move {
            for _ in 0..3 {
                yield_now().await;
            }
            for _ in 0..5 {
                receive::<u8>().await;
            }
            receive_if(|number: &u16| *number == 7).await;
            receive::<&str>().await;
            send(main, ());
            receive::<u64>().await;
        });
        parked(clerk).await;
        let before = seen(clerk);
        assert_eq!((before.slices, before.received, before.last_message), (4, 0, None));
        (0..5_u8).for_each(|number| send(clerk, number));
        send(clerk, 6_u16);
        send(clerk, 7_u16);
        parked_in(clerk, |_| seen(clerk).received == 6).await;
        assert_eq!(seen(clerk).last_message, Some("u16"));
        send(clerk, "end");
        receive::<()>().await;
        parked(clerk).await;
        let after = seen(clerk);
        assert_eq!((after.received, after.last_message, after.mailbox), (7, Some("&str"), 1));
        assert!(after.slices > before.slices && after.slices <= before.slices + 9, "{}", after.slices);
        let summary = summaries().into_iter().find(|process| process.pid == clerk).expect("it lives");
        assert_eq!((summary.slices, summary.received), (after.slices, after.received));
    });
}

#[test]
fn ob02_a_process_in_the_slot_of_another_begins_anew() {
    everywhere(|| async {
        for _ in 0..100 {
            let before = spawn(async { _ = receive::<u8>().await });
            send(before, 1_u8);
            wait(before).await;
            let after = spawn(pending::<()>());
            let info = seen(after);
            assert_eq!((info.received, info.last_message), (0, None));
            assert!(info.slices <= 1);
            exit(after, Reason::Kill);
        }
    });
}

const MACRO_LINE: u32 = line!() + 3;

async fn by_macro() {
    riot_actor::receive! {
        _number: u8 => {}
    }
}

#[test]
fn ob02_a_receive_shows_its_place() {
    everywhere(|| async {
        let first = line!() + 2;
        let waits: [(Pid, u32); 5] = [
            (spawn(async { _ = receive::<u8>().await }), first),
            (spawn(async { _ = receive_if(|_: &u8| false).await }), first + 1),
            (spawn(async { _ = receive_timeout::<u8>(secs(3600)).await }), first + 2),
            (spawn(async { _ = riot_actor::mailbox::receive_any().await }), first + 3),
            (spawn(by_macro()), MACRO_LINE),
        ];
        for (pid, line) in waits {
            let WaitingFor::Receive { at, .. } = parked(pid).await else { panic!("{:?}", seen(pid)) };
            assert!(at.file().ends_with("process_fields.rs"), "{at}");
            assert_eq!(at.line(), line);
            exit(pid, Reason::Kill);
        }
    });
}

struct Till;

struct Count(u32);

impl GenServer for Till {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(Self)
    }
}

impl Call<Count> for Till {
    type Reply = u32;
    async fn call(&mut self, Count(number): Count) -> u32 {
        pending::<()>().await;
        number
    }
}

#[test]
fn ob02_a_call_shows_the_process_the_request_and_the_time() {
    everywhere(|| async {
        let callee = spawn(async {
            loop {
                let CallRequest::<u8, u8> { reply, .. } = receive().await;
                receive::<()>().await;
                reply.send(1);
            }
        });
        for limit in [None, Some(secs(3600))] {
            let called = now();
            let caller = spawn(async move {
                for _ in 0..2 {
                    assert_eq!(call::<u8, u8>(callee, 1, limit).await, Ok(1));
                }
                pending::<()>().await;
            });
            let waits_for = parked_in(caller, |wait| matches!(wait, WaitingFor::Call { .. })).await;
            let WaitingFor::Call { to, request, since, id, .. } = waits_for else { unreachable!() };
            assert_eq!((to, request), (callee, "u8"));
            assert!(since <= now() && since + secs(1) > called, "{since:?} {called:?}");
            // The same call has the same id, the next one another.
            let WaitingFor::Call { id: again, .. } = parked(caller).await else { panic!("it waits") };
            assert_eq!(id, again);
            let before = seen(caller).slices;
            send(callee, ());
            while seen(caller).slices == before {
                yield_now().await;
            }
            let WaitingFor::Call { id: next, .. } = parked(caller).await else { panic!("it waits") };
            assert_ne!(id, next);
            send(callee, ());
            assert_eq!(parked_in(caller, |wait| *wait == WaitingFor::Foreign).await, WaitingFor::Foreign);
        }
        let till: GenServerRef<Till> = Till::start(()).await.expect("it starts");
        let caller = spawn(async move { _ = till.call(Count(1)).await });
        let waits_for = parked(caller).await;
        let WaitingFor::Call { to, request, .. } = waits_for else { panic!("{waits_for:?}") };
        assert_eq!(to, Pid::from(till));
        assert!(request.ends_with("Count"), "{request}");
        exit(till.into(), Reason::Kill);
    });
}

#[test]
fn ob02_of_several_waits_the_last_polled_is_shown() {
    everywhere(|| async {
        let callee = spawn(pending::<()>());
        let several = |call_last: bool| async move {
            let mut called = Box::pin(call::<u8, u8>(callee, 1, None));
            let mut received = Box::pin(receive::<u8>());
            poll_fn(move |cx| {
                for is_call in [!call_last, call_last] {
                    let pending = match is_call {
                        true => called.as_mut().poll(cx).is_pending(),
                        false => received.as_mut().poll(cx).is_pending(),
                    };
                    assert!(pending);
                }
                Poll::<()>::Pending
            })
            .await;
        };
        for call_last in [false, true] {
            let pid = spawn(several(call_last));
            for _ in 0..3 {
                let waits_for = parked(pid).await;
                assert_eq!(matches!(waits_for, WaitingFor::Call { .. }), call_last, "{waits_for:?}");
                assert_eq!(matches!(waits_for, WaitingFor::Receive { .. }), !call_last, "{waits_for:?}");
                // Polled again, the call still knows what it waits for.
                let before = seen(pid).slices;
                send(pid, "wakes, and is not received");
                while seen(pid).slices == before {
                    yield_now().await;
                }
            }
            exit(pid, Reason::Kill);
        }
    });
}

#[test]
fn ob02_two_open_calls_of_a_process_show_the_one_polled_last() {
    everywhere(|| async {
        let callees = [spawn(pending::<()>()), spawn(pending::<()>())];
        let pid = spawn(async move {
            let mut first = Box::pin(call::<u8, u8>(callees[0], 1, None));
            let mut second = Box::pin(call::<u16, u8>(callees[1], 1, Some(secs(3600))));
            poll_fn(move |cx| {
                assert!(first.as_mut().poll(cx).is_pending() && second.as_mut().poll(cx).is_pending());
                Poll::<()>::Pending
            })
            .await;
        });
        let WaitingFor::Call { to, request, .. } = parked(pid).await else { panic!("{:?}", seen(pid)) };
        assert_eq!((to, request), (callees[1], "u16"));
    });
}

#[test]
fn ob02_timers_joins_and_foreign_waits_are_told_apart() {
    everywhere(|| async {
        let until = now() + secs(3600);
        let other = spawn(pending::<()>());
        let sleeper = spawn(sleep_until(until));
        assert_eq!(parked(sleeper).await.to_string(), "timer");
        let WaitingFor::Timer { until: Some(shown), .. } = parked(sleeper).await else { panic!() };
        assert_eq!(shown, until);
        let forever = spawn(sleep(std::time::Duration::MAX));
        assert!(matches!(parked(forever).await, WaitingFor::Timer { until: None, .. }));
        for joining in [
            spawn(async move { _ = wait(other).await }),
            spawn(async move { join(&[other]).await }),
            spawn(async move { _ = Task::spawn(pending::<()>()).wait(None).await }),
        ] {
            assert_eq!(parked(joining).await, WaitingFor::Join);
        }
        assert_eq!(parked(other).await, WaitingFor::Foreign);
        let bounded = spawn(async { _ = timeout(secs(3600), receive::<u8>()).await });
        assert!(matches!(parked(bounded).await, WaitingFor::Receive { .. }));
        // A later wait replaces an earlier one.
        let both = spawn(async {
            receive::<u8>().await;
            pending::<()>().await;
        });
        assert!(matches!(parked(both).await, WaitingFor::Receive { .. }));
        send(both, 1_u8);
        assert_eq!(parked_in(both, |_| seen(both).received == 1).await, WaitingFor::Foreign);
    });
}

#[test]
fn ob02_blocking_work_is_shown() {
    threaded(|| async {
        let (done, wait_for_it) = std::sync::mpsc::channel::<()>();
        let pid = spawn(async move { blocking(move || _ = wait_for_it.recv()).await });
        assert_eq!(parked(pid).await, WaitingFor::Blocking);
        drop(done);
        wait(pid).await;
    });
}

/// A future of a known size.
struct Sized<const N: usize>([u8; N]);

impl<const N: usize> Future for Sized<N> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<()> {
        if self.0[0] == 1 { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[test]
fn ob02_a_process_shows_its_future_and_the_place_that_spawned_it() {
    everywhere(|| async {
        let handle = Handle::current();
        let first = line!() + 2;
        let pids = [
            spawn(Sized([0; 100])),
            spawn_link(Sized([0; 100])),
            spawn_monitor(Sized([0; 100])).0,
            SpawnOptions::new().spawn(Sized([0; 100])),
            SpawnOptions::new().name("named").try_spawn(Sized([0; 100])).unwrap(),
            SpawnOptions::new().spawn_monitor(Sized([0; 100])).0,
            handle.spawn(Sized([0; 100])),
            handle.spawn_with(SpawnOptions::new(), Sized([0; 100])).unwrap(),
        ];
        for (line, pid) in (first..).zip(pids) {
            let info = seen(pid);
            assert_eq!(info.future_bytes, 100);
            assert!(info.initial_function.ends_with("Sized<100>"), "{}", info.initial_function);
            let place = info.spawned_at.expect("it was spawned here");
            assert!(place.file().ends_with("process_fields.rs") && place.line() == line, "{place} {line}");
        }
        let (task, line) = (Task::spawn(pending::<()>()), line!());
        let place = seen(task.pid()).spawned_at.expect("it was spawned here");
        assert_eq!((place.file().ends_with("process_fields.rs"), place.line()), (true, line));
        assert_eq!(seen(this()).spawned_at, None, "the runtime has spawned main");
        pids.into_iter().for_each(|pid| exit(pid, Reason::Kill));
    });
}

#[test]
fn ob02_fields_are_seen_while_a_process_does_not_give_way() {
    threaded(|| async {
        let (go_on, wait_for_it) = std::sync::mpsc::channel::<()>();
        let busy = spawn(async move {
            receive::<u8>().await;
            wait_for_it.recv().expect("it is told");
            receive::<u8>().await;
        });
        send(busy, 1_u8);
        let info = loop {
            let info = seen(busy);
            if info.received == 1 && info.state == ProcessState::Running {
                break info;
            }
            yield_now().await;
        };
        assert_eq!((info.last_message, info.waiting_for), (Some("u8"), None));
        assert!(info.slices >= 1);
        // The watchdog samples it, without anything on the worker.
        let began = Instant::now();
        let _sampling = Handle::current().sample_busy();
        let estimate = loop {
            let estimate = seen(busy).busy.expect("there is a watchdog");
            if estimate >= millis(100) {
                break estimate;
            }
            assert!(began.elapsed() < secs(60), "only {estimate:?}");
            sleep(millis(1)).await;
        };
        assert!(estimate <= began.elapsed() + secs(1), "{estimate:?} of {:?}", began.elapsed());
        go_on.send(()).expect("it waits");
        parked(busy).await;
        let idle = seen(busy).busy;
        assert!(idle >= Some(estimate));
        exit(busy, Reason::Kill);
    });
    simulated(|| async { assert_eq!(seen(this()).busy, None) });
}

#[test]
fn ob02_busy_times_of_two_processes_are_in_proportion() {
    fn work(for_millis: u64) {
        let began = Instant::now();
        while began.elapsed() < millis(for_millis) {
            std::hint::spin_loop();
        }
    }
    on_one_worker(|| async {
        let workers = [3, 1].map(|share| {
            spawn(async move {
                loop {
                    work(share);
                    yield_now().await;
                }
            })
        });
        let began = Instant::now();
        loop {
            let [three, one] = workers.map(|pid| seen(pid).busy.expect("there is a watchdog"));
            if three >= millis(600) && one >= three / 10 && one <= three {
                break;
            }
            assert!(began.elapsed() < secs(60), "{three:?} {one:?}");
            yield_now().await;
        }
        workers.into_iter().for_each(|pid| exit(pid, Reason::Kill));
    });
}

#[test]
fn ob02_a_wait_is_shown_also_where_others_run_in_the_middle_of_a_poll() {
    simulated(|| async {
        let others: Vec<Pid> = (0..5).map(|_| spawn(async { yield_now().await })).collect();
        let pid = spawn(async {
            let mut received = Box::pin(receive::<u8>());
            poll_fn(move |cx| {
                assert!(received.as_mut().poll(cx).is_pending());
                interleave();
                Poll::<()>::Pending
            })
            .await;
        });
        assert!(matches!(parked(pid).await, WaitingFor::Receive { .. }), "{:?}", seen(pid));
        join(&others).await;
    });
}
