//! Plain threads and other executors reach a runtime through a handle: HA1 to HA4.
mod common;

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use common::{millis, secs};
use futures_lite::future::block_on;
use riot_actor::{
    Pid, Reason,
    call::{CallError, CallRequest},
    driver::{self, Driver, Unpark},
    exit,
    gen_server::{Call, Cast, GenServer, GenServerOptions, GenServerRef, Stop},
    process::SpawnOptions,
    receive, register,
    runtime::{Config, Handle, Running, RuntimeId},
    send,
    simulation::Simulation,
    sleep, spawn, this,
};

fn start() -> Running {
    Config::new().workers(2).start(std::future::pending::<()>()).expect("it starts")
}

fn end(running: Running) {
    running.handle().shutdown(Reason::Normal);
    assert_eq!(running.wait().expect("it ends"), Reason::Normal);
}

/// Adds one to a number, and counts what it was told.
struct Clerk(Arc<AtomicU32>);

struct Note;
struct Hang;

impl GenServer for Clerk {
    type Args = Arc<AtomicU32>;
    async fn init(noted: Arc<AtomicU32>) -> Result<Self, Stop> {
        Ok(Self(noted))
    }
}

impl Call<u32> for Clerk {
    type Reply = u32;
    async fn call(&mut self, number: u32) -> u32 {
        number + 1
    }
}

impl Call<Hang> for Clerk {
    type Reply = ();
    async fn call(&mut self, Hang: Hang) {
        std::future::pending().await
    }
}

impl Cast<Note> for Clerk {
    async fn cast(&mut self, Note: Note) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn start_clerk(handle: &Handle, noted: &Arc<AtomicU32>) -> GenServerRef<Clerk> {
    let noted = noted.clone();
    handle.run(async { Clerk::start(noted).await }).wait().expect("it runs").expect("it starts")
}

#[test]
fn ha01_names_messages_timers_and_ends_are_reached_from_a_thread() {
    let running = start();
    let handle = running.handle();
    let named = handle.run(async {
        SpawnOptions::new().name("echo").spawn(async {
            loop {
                let (to, text) = receive::<(Pid, &str)>().await;
                send(to, text);
            }
        })
    });
    let echo = named.wait().expect("it runs");
    assert_eq!((handle.whereis("echo"), handle.whereis("nobody")), (Some(echo), None));
    assert!(handle.is_alive(echo));
    let summary = handle.summaries().into_iter().find(|process| process.pid == echo).expect("it is there");
    assert_eq!((summary.mailbox, summary.relations.links), (0, 0));
    assert!(handle.send_named("nobody", 1).is_err());
    let caller = handle.clone();
    let heard = handle.run(async move {
        caller.send_named("echo", (this(), "named")).expect("it is there");
        let named = receive::<&str>().await;
        caller.send_after(millis(1), echo, (this(), "later"));
        (named, receive::<&str>().await)
    });
    assert_eq!(heard.wait(), Ok(("named", "later")));
    let waits = handle.wait(echo);
    handle.exit(echo, Reason::Kill);
    assert_eq!(waits.wait(), Ok(Reason::Killed));
    assert_eq!(handle.wait(echo).wait(), Ok(Reason::NoProc));
    assert!(!handle.is_alive(echo));
    end(running);
}

#[test]
fn ha02_calls_from_threads_from_tokio_and_from_another_executor() {
    let running = start();
    let (handle, noted) = (running.handle().clone(), Arc::default());
    let clerk = start_clerk(&handle, &noted);
    assert_eq!(handle.call_server(clerk, 1).wait(), Ok(2));
    assert_eq!(block_on(handle.call_server(clerk, 2)), Ok(3));
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(tokio.block_on(handle.call_server(clerk, 3)), Ok(4));
    handle.cast(clerk, Note);
    assert_eq!(handle.call_server(clerk, 4).wait(), Ok(5), "behind the cast");
    assert_eq!(noted.load(SeqCst), 1);
    let (tell, told) = std::sync::mpsc::channel();
    let plain = handle.spawn(async move {
        register("plain", this()).expect("it is free");
        tell.send(()).expect("the test waits");
        loop {
            let CallRequest { query, reply, .. } = receive::<CallRequest<u8, u8>>().await;
            reply.send(query * 2);
        }
    });
    told.recv().expect("it is registered");
    assert_eq!(handle.call::<u8, u8>(plain, 4, Some(secs(5))).wait(), Ok(8));
    assert_eq!(handle.call_named::<u8, u8>("plain", 5).wait(), Ok(10));
    assert_eq!(handle.call_named::<u8, u8>("nobody", 5).wait(), Err(CallError::NoProc));
    end(running);
}

#[test]
fn ha02_a_call_that_is_not_answered_ends_in_time_or_with_its_callee() {
    let running = start();
    let (handle, noted) = (running.handle().clone(), Arc::default());
    let silent = handle.spawn(std::future::pending::<()>());
    let began = Instant::now();
    assert_eq!(handle.call::<u8, u8>(silent, 1, Some(millis(30))).wait(), Err(CallError::Timeout));
    assert_eq!(block_on(handle.call::<u8, u8>(silent, 1, Some(millis(30)))), Err(CallError::Timeout));
    assert!(began.elapsed() >= millis(60));
    let clerk = start_clerk(&handle, &noted);
    let hangs = handle.call_server(clerk, Hang);
    handle.exit(clerk.pid(), Reason::Kill);
    assert_eq!(hangs.wait(), Err(CallError::Exit(Reason::Killed)));
    // Dropped, the reply is discarded.
    drop(handle.call::<u8, u8>(silent, 1, None));
    end(running);
}

#[test]
fn ha02_waiting_inside_a_process_says_what_to_do() {
    let running = start();
    let handle = running.handle().clone();
    let inside = running.handle().run(async move { handle.call::<u8, u8>(this(), 1, None).wait() });
    let Err(CallError::Exit(Reason::Panic(panic))) = inside.wait() else { panic!("it panics") };
    assert!(panic.message.contains("a process awaits it instead"), "{}", panic.message);
    end(running);
}

#[test]
fn ha02_each_call_gets_one_reply_or_error_while_the_server_is_restarted() {
    let each = if std::env::var_os("RIOT_SOAK").is_some() { 100_000 } else { 2_000 };
    let running = start();
    let handle = running.handle().clone();
    let (replies, errors) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let restarting = handle.spawn(async {
        loop {
            let clerk = GenServerOptions::new().name("clerk").start::<Clerk>(Arc::default()).await;
            sleep(millis(1)).await;
            if let Ok(clerk) = clerk {
                exit(clerk.pid(), Reason::Kill);
                riot_actor::process::wait(clerk.pid()).await;
            }
        }
    });
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (handle, replies, errors) = (handle.clone(), replies.clone(), errors.clone());
            thread::spawn(move || {
                for number in 0..each {
                    let pid = loop {
                        match handle.whereis("clerk") {
                            Some(pid) => break pid,
                            None => thread::yield_now(),
                        }
                    };
                    match handle.call_server(GenServerRef::<Clerk>::new(pid), number).wait() {
                        Ok(reply) => {
                            assert_eq!(reply, number + 1);
                            replies.fetch_add(1, SeqCst);
                        }
                        Err(CallError::NoProc | CallError::Exit(_)) => _ = errors.fetch_add(1, SeqCst),
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    assert_eq!(replies.load(SeqCst) + errors.load(SeqCst), 8 * each as usize);
    assert!(replies.load(SeqCst) > 0);
    handle.exit(restarting, Reason::Kill);
    end(running);
}

#[test]
fn ha03_a_future_runs_as_a_process_and_gives_its_result() {
    let running = start();
    let handle = running.handle();
    let result = handle.run(async {
        let main = this();
        spawn(async move { send(main, 7_u8) });
        receive::<u8>().await
    });
    assert_eq!(result.wait(), Ok(7));
    let crashed = handle.run(async { panic!("no luck") as u8 });
    assert!(matches!(crashed.wait(), Err(CallError::Exit(Reason::Panic(_)))));
    end(running);
}

#[test]
fn ha03_after_the_end_nothing_hangs_and_nothing_panics() {
    let running = start();
    let (handle, noted) = (running.handle().clone(), Arc::default());
    let clerk = start_clerk(&handle, &noted);
    let hangs: Vec<_> = (0..10).map(|_| handle.call_server(clerk, Hang)).collect();
    let waits = handle.wait(clerk.pid());
    // Others begin while the runtime ends.
    let calling = {
        let handle = handle.clone();
        thread::spawn(move || while handle.call_server(clerk, Hang).wait() != Err(CallError::NoProc) {})
    };
    let running_futures = {
        let handle = handle.clone();
        thread::spawn(move || while handle.run(std::future::ready(1)).wait() != Err(CallError::NoProc) {})
    };
    end(running);
    for reply in hangs {
        assert!(matches!(reply.wait(), Err(CallError::Exit(_))));
    }
    assert!(waits.wait().is_ok());
    calling.join().expect("no panic");
    running_futures.join().expect("no panic");
    assert_eq!(handle.call_server(clerk, 1).wait(), Err(CallError::NoProc));
    assert_eq!(handle.run(async { 1 }).wait(), Err(CallError::NoProc));
    assert_eq!(handle.wait(clerk.pid()).wait(), Ok(Reason::NoProc));
    assert_eq!((handle.whereis("clerk"), handle.is_alive(clerk.pid())), (None, false));
    handle.cast(clerk, Note);
    handle.send(clerk.pid(), 1);
    let _ = handle.send_after(millis(1), clerk.pid(), 1);
    handle.exit(clerk.pid(), Reason::Kill);
}

#[test]
fn ha04_a_runtime_is_started_without_blocking() {
    let running = Config::new().workers(1).start(async { Reason::other("done") }).expect("it starts");
    assert_eq!(running.wait().expect("it ends"), Reason::other("done"));
    // Inside a tokio program, whose thread is not held up.
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio.block_on(async {
        let running = start();
        assert_eq!(running.handle().run(async { 1 }).await, Ok(1));
        running.handle().shutdown(Reason::Normal);
        tokio::task::spawn_blocking(|| running.wait().expect("it ends")).await.unwrap();
    });
}

#[test]
fn ha02_the_time_of_a_call_passes_by_the_clock_of_the_runtime() {
    let reason = Simulation::new(1).run(async {
        // The virtual clock is an hour ahead of the real one.
        sleep(secs(3600)).await;
        let slow = spawn(async {
            loop {
                let CallRequest { query, reply, .. } = receive::<CallRequest<u32, u32>>().await;
                sleep(secs(2)).await;
                reply.send(query + 1);
            }
        });
        let began = riot_actor::now();
        let handle = Handle::current();
        assert_eq!(handle.call::<u32, u32>(slow, 1, Some(secs(3))).await, Ok(2));
        assert_eq!(handle.call::<u32, u32>(slow, 1, Some(secs(1))).await, Err(CallError::Timeout));
        let took = riot_actor::now() - began;
        assert!(took >= secs(3) && took < secs(3) + millis(10), "{took:?}");
    });
    assert_eq!(reason, Reason::Normal);
}

#[test]
fn ha04_after_the_end_a_handle_that_is_kept_keeps_no_driver() {
    struct Told(mpsc::Sender<()>, Box<dyn Driver>);
    impl Driver for Told {
        fn park(&mut self, timeout: Option<Duration>) {
            self.1.park(timeout);
        }
        fn dispatch(&mut self) {
            self.1.dispatch();
        }
        fn unparker(&self) -> Arc<dyn Unpark> {
            self.1.unparker()
        }
    }
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
            panic!("in the drop of a driver");
        }
    }
    let (tell, told) = mpsc::channel();
    let running = start();
    let handle = running.handle().clone();
    let installed = handle.run(async move {
        driver::install(|| Ok((Told(tell, Box::<Parks>::default()), ()))).unwrap();
        RuntimeId::current().unwrap()
    });
    let id = installed.wait().unwrap();
    assert!(id.handle().is_some());
    end(running);
    assert_eq!(told.try_recv(), Ok(()));
    assert!(id.handle().is_none());
    drop(handle);
}

/// Sleeps until it is unparked, as the driver of a worker does.
#[derive(Default)]
struct Parks(Arc<Permit>);

#[derive(Default)]
struct Permit(Mutex<bool>, Condvar);

impl Driver for Parks {
    fn park(&mut self, timeout: Option<Duration>) {
        let granted = self.0.0.lock().unwrap();
        let timeout = timeout.unwrap_or(secs(3600));
        *self.0.1.wait_timeout_while(granted, timeout, |granted| !*granted).unwrap().0 = false;
    }
    fn dispatch(&mut self) {}
    fn unparker(&self) -> Arc<dyn Unpark> {
        self.0.clone()
    }
}

impl Unpark for Permit {
    fn unpark(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }
}
