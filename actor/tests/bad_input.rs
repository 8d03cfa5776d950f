//! Hostile code of users: destructors that panic, wakers that outlive everything, guards and messages that
//! panic.
mod common;

use std::{
    future::{pending, poll_fn},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
};

use common::*;
use riot_actor::{
    Pid, Reason,
    call::CallError,
    exit,
    gen_server::{Call, GenServer, GenServerOptions, Stop},
    mailbox::receive_if,
    monitor,
    process::{info, spawn_monitor, yield_now},
    receive, register,
    runtime::Config,
    send, spawn, this,
    time::send_after,
    whereis,
};

/// Counts its drop, and panics in it.
struct Fragile(Counter);

impl Drop for Fragile {
    fn drop(&mut self) {
        self.0.add();
        panic!("in a destructor");
    }
}

#[test]
fn every_message_of_a_released_process_is_dropped_however_many_of_them_panic() {
    everywhere(|| async {
        let dropped = Counter::default();
        let observer = this();
        let (pid, end) = spawn_monitor(async move {
            register("fragile", this()).unwrap();
            receive::<u8>().await;
            send(observer, ());
            // Some in its mailbox, some among its arrivals.
            receive::<u8>().await;
        });
        (0..5).for_each(|_| send(pid, Fragile(dropped.clone())));
        send(pid, 1_u8);
        receive::<()>().await;
        (0..5).for_each(|_| send(pid, Fragile(dropped.clone())));
        send_after(secs(3600), pid, Fragile(dropped.clone()));
        exit(pid, Reason::other("end"));
        assert_eq!(end.down().await.reason, Reason::other("end"));
        assert_eq!((dropped.get(), whereis("fragile")), (11, None));
    });
}

struct Server(#[expect(dead_code, reason = "it is there to be dropped")] Fragile);
struct Quit;

impl GenServer for Server {
    type Args = Counter;
    async fn init(dropped: Counter) -> Result<Self, Stop> {
        Ok(Self(Fragile(dropped)))
    }
}
impl Call<Quit> for Server {
    type Reply = ();
    async fn handle_call(&mut self, _: Quit, _reply: riot_actor::call::ReplyTo<()>) {
        riot_actor::gen_server::stop(Reason::Normal);
    }
}

#[test]
fn a_state_that_panics_when_it_is_dropped_ends_its_server_and_no_other() {
    everywhere(|| async {
        for kill in [false, true] {
            let dropped = Counter::default();
            let options = GenServerOptions::new().name("server");
            let server = options.start::<Server>(dropped.clone()).await.unwrap();
            let end = monitor(server.pid());
            if kill {
                exit(server.pid(), Reason::Kill);
                assert_eq!(end.down().await.reason, Reason::Killed, "the first cause stands");
            } else {
                let ended = server.call(Quit).await;
                assert!(matches!(ended, Err(CallError::Exit(Reason::Normal))), "{ended:?}");
            }
            assert_eq!((dropped.get(), whereis("server")), (1, None));
        }
    });
}

#[test]
fn a_guard_that_panics_leaves_the_messages_to_be_dropped_once() {
    everywhere(|| async {
        let dropped = Counter::default();
        let seen = dropped.clone();
        let (pid, end) = spawn_monitor(async move {
            receive_if(|_: &Fragile| panic!("in a guard")).await;
        });
        (0..3).for_each(|_| send(pid, Fragile(dropped.clone())));
        let Reason::Panic(panic) = end.down().await.reason else { panic!("it went on") };
        assert_eq!((panic.message.as_str(), seen.get()), ("in a guard", 3));
    });
}

#[test]
fn wakers_on_other_threads_are_harmless_after_the_death_of_process_and_runtime() {
    let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let (kept, in_processes) = (Arc::new(()), wakers.clone());
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (wakers, stop) = (wakers.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut mine = Vec::new();
                let mut woken = 0_u64;
                while !stop.load(Ordering::SeqCst) {
                    mine.extend(wakers.lock().unwrap().iter().map(Waker::clone));
                    mine.truncate(100);
                    mine.iter().for_each(Waker::wake_by_ref);
                    woken += mine.len() as u64;
                    std::thread::yield_now();
                }
                mine.into_iter().for_each(Waker::wake);
                woken
            })
        })
        .collect();
    let held = kept.clone();
    let reason = Config::new().workers(2).run(async move {
        for _ in 0..200 {
            let (wakers, held) = (in_processes.clone(), held.clone());
            let (pid, end) = spawn_monitor(async move {
                let _held = held;
                poll_fn(|cx| {
                    wakers.lock().unwrap().push(cx.waker().clone());
                    Poll::<()>::Pending
                })
                .await;
            });
            yield_now().await;
            exit(pid, Reason::Kill);
            assert_eq!(end.down().await.reason, Reason::Killed);
            // The next process in its slot is woken by none of them.
            let (next, end) = spawn_monitor(async { receive::<()>().await });
            send(next, ());
            assert_eq!(end.down().await.reason, Reason::Normal);
            in_processes.lock().unwrap().truncate(50);
        }
    });
    assert_eq!(reason.unwrap(), Reason::Normal);
    assert_eq!(Arc::strong_count(&kept), 1, "no waker keeps a body");
    stop.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().unwrap();
    }
    wakers.lock().unwrap().drain(..).for_each(Waker::wake);
}

#[test]
fn processes_that_kill_each_other_all_end_once() {
    everywhere(|| async {
        let ends = Counter::default();
        let pids: Vec<Pid> = (0..20)
            .map(|_| {
                let ended = ends.clone();
                spawn(async move {
                    let _end = OnDrop(move || {
                        ended.add();
                    });
                    let others = receive::<Vec<Pid>>().await;
                    for &other in &others {
                        riot_actor::link(other);
                        exit(other, Reason::other(this()));
                    }
                    pending::<()>().await;
                })
            })
            .collect();
        let monitors: Vec<_> = pids.iter().map(|&pid| monitor(pid)).collect();
        while pids.iter().any(|&pid| {
            info(pid).is_some_and(|info| info.state != riot_actor::process::ProcessState::Waiting)
        }) {
            yield_now().await;
        }
        pids.iter().for_each(|&pid| send(pid, pids.clone()));
        for monitor in monitors {
            // By the signal of another process, or by a link with one that has exited.
            assert!(matches!(monitor.down().await.reason, Reason::Other(_) | Reason::NoProc));
        }
        assert_eq!(ends.get(), pids.len());
    });
}
