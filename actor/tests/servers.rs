//! Generic servers: rules G1 to G23.

mod common;

use std::{future::pending, time::Duration};

use common::{everywhere, simulated};
use riot_actor::{
    Exit, Message, Pid, Reason,
    call::{CallError, ReplyTo},
    exit, gen_server,
    gen_server::{
        Call, Cast, GenServer, GenServerOptions, GenServerRef, GenServerStartError, GenServerStopError, Stop,
    },
    link,
    mailbox::receive_timeout,
    monitor, now,
    process::{info, is_alive, processes, yield_now},
    receive,
    runtime::shutdown,
    send, sleep, spawn, this, trap_exit, whereis,
};

/// Says everything that happens to it to a watcher.
struct Talker {
    watcher: Pid,
    seen: Vec<String>,
}

/// What a [`Talker`] is to do in its `init`.
#[derive(Clone, Copy)]
enum Init {
    Fine,
    Trap,
    Ignore,
    Fail,
    Panic,
    Hang,
    Continue,
    Idle(u64),
}

#[derive(Debug, PartialEq)]
struct Said(String);

/// Tells a parent to end.
struct End;

impl Talker {
    fn say(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.seen.push(text.clone());
        send(self.watcher, Said(text));
    }
}

impl GenServer for Talker {
    type Args = (Pid, Init);

    async fn init((watcher, init): Self::Args) -> Result<Self, Stop> {
        match init {
            Init::Fine => {}
            Init::Trap => drop(trap_exit(true)),
            Init::Ignore => return Err(Stop::Ignore),
            Init::Fail => return Err(Reason::other("no luck").into()),
            Init::Panic => panic!("bad luck"),
            Init::Hang => pending().await,
            Init::Continue => {
                gen_server::continue_with("first of all");
                sleep(Duration::from_millis(1)).await;
            }
            Init::Idle(millis) => gen_server::idle_timeout(Duration::from_millis(millis)),
        }
        Ok(Talker { watcher, seen: Vec::new() })
    }

    async fn handle_info(&mut self, message: Message) {
        match message.downcast::<Exit>() {
            Ok(exit) => self.say(format!("exit {}", exit.reason)),
            Err(message) => self.say(format!("info {}", message.downcast::<u32>().unwrap())),
        }
    }

    async fn handle_continue(&mut self, message: Message) {
        self.say(format!("continue {}", message.downcast::<&str>().unwrap()));
    }

    async fn handle_timeout(&mut self) {
        self.say("timeout");
    }

    async fn terminate(&mut self, reason: &Reason) {
        self.say(format!("terminate {reason}"));
    }
}

struct Log;
impl Call<Log> for Talker {
    type Reply = Vec<String>;
    async fn call(&mut self, _: Log) -> Vec<String> {
        self.seen.clone()
    }
}

struct Note(&'static str);
impl Cast<Note> for Talker {
    async fn cast(&mut self, Note(text): Note) {
        self.say(text);
    }
}

/// Waits, and then answers.
struct Slow(u64);
impl Call<Slow> for Talker {
    type Reply = u64;
    async fn call(&mut self, Slow(millis): Slow) -> u64 {
        sleep(Duration::from_millis(millis)).await;
        millis
    }
}

struct StopWith(Reason);
impl Call<StopWith> for Talker {
    type Reply = &'static str;
    async fn call(&mut self, StopWith(reason): StopWith) -> &'static str {
        gen_server::stop(reason);
        "stopping"
    }
}

struct Crash;
impl Cast<Crash> for Talker {
    async fn cast(&mut self, _: Crash) {
        self.say("crashing");
        panic!("as asked");
    }
}

/// Has somebody else answer.
struct Delegate(Option<Pid>);
impl Call<Delegate> for Talker {
    type Reply = u32;
    async fn handle_call(&mut self, Delegate(to): Delegate, reply: ReplyTo<u32>) {
        if let Some(to) = to {
            send(to, reply);
        }
    }
}

struct After(&'static str, u64);
impl Cast<After> for Talker {
    async fn cast(&mut self, After(text, millis): After) {
        gen_server::continue_with(text);
        gen_server::idle_timeout(Duration::from_millis(millis));
    }
}

async fn talker(init: Init) -> GenServerRef<Talker> {
    Talker::start_link((this(), init)).await.expect("it starts")
}

async fn said() -> String {
    receive::<Said>().await.0
}

async fn nothing_in_the_mailbox() {
    yield_now().await;
    assert_eq!(info(this()).expect("it runs").mailbox, 0);
}

#[test]
fn g01_start_returns_what_init_came_to() {
    everywhere(|| async {
        assert!(is_alive(Talker::start((this(), Init::Fine)).await.expect("it starts").pid()));
        let start = |init| Talker::start((this(), init));
        assert_eq!(start(Init::Ignore).await, Err(GenServerStartError::Ignored));
        assert_eq!(start(Init::Fail).await, Err(GenServerStartError::Failed(Reason::other("no luck"))));
        match start(Init::Panic).await {
            Err(GenServerStartError::Failed(Reason::Panic(panic))) => assert_eq!(panic.message, "bad luck"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn g01_killed_in_init_is_a_failed_start() {
    everywhere(|| async {
        let me = this();
        spawn(async move {
            loop {
                let victim = processes()
                    .into_iter()
                    .find(|&pid| info(pid).is_some_and(|info| info.label.as_deref() == Some("Talker")));
                match victim {
                    Some(victim) => return exit(victim, Reason::Kill),
                    None => yield_now().await,
                }
            }
        });
        let start = Talker::start_link((me, Init::Hang)).await;
        assert_eq!(start, Err(GenServerStartError::Failed(Reason::Killed)));
        nothing_in_the_mailbox().await;
    });
}

#[test]
fn g02_after_a_failed_start_the_name_is_free_and_nothing_is_in_the_mailbox() {
    everywhere(|| async {
        for traps in [false, true] {
            trap_exit(traps);
            for init in [Init::Ignore, Init::Fail, Init::Panic] {
                let options = GenServerOptions::new().name("talker");
                assert!(options.start_link::<Talker>((this(), init)).await.is_err());
                assert_eq!(whereis("talker"), None);
                assert_eq!(processes(), [this()]);
                nothing_in_the_mailbox().await;
            }
        }
    });
}

#[test]
fn g03_the_name_is_taken_before_init() {
    everywhere(|| async {
        let first = GenServerOptions::new().name("talker").start::<Talker>((this(), Init::Fine)).await;
        let first = first.expect("it starts").pid();
        let second = GenServerOptions::new().name("talker").start::<Talker>((this(), Init::Panic)).await;
        assert_eq!(second, Err(GenServerStartError::AlreadyStarted(first)), "its init did not run");
    });
}

#[test]
fn g04_a_start_that_takes_too_long_is_killed_and_awaited() {
    simulated(|| async {
        let start = now();
        let options = GenServerOptions::new().name("talker").timeout(Duration::from_secs(3));
        let started = options.start_link::<Talker>((this(), Init::Hang)).await;
        assert_eq!(started, Err(GenServerStartError::Timeout));
        assert_eq!((now() - start).as_secs(), 3);
        assert_eq!((whereis("talker"), processes()), (None, vec![this()]));
        nothing_in_the_mailbox().await;
    });
}

#[test]
fn g05_a_server_whose_starter_ends_during_init_ends_too() {
    everywhere(|| async {
        let watcher = this();
        let starter = spawn(async move {
            let _ = Talker::start_link((watcher, Init::Hang)).await;
        });
        while processes().len() < 3 {
            yield_now().await;
        }
        let server =
            processes().into_iter().find(|&pid| pid != watcher && pid != starter).expect("it is there");
        let down = monitor(server);
        exit(starter, Reason::other("gone"));
        assert_eq!(down.down().await.reason, Reason::other("gone"));
    });
}

#[test]
fn g06_what_comes_during_init_is_handled_after_it_and_a_continue_before_that() {
    everywhere(|| async {
        let watcher = this();
        spawn(async move {
            let server = loop {
                match whereis("talker") {
                    Some(pid) => break pid,
                    None => yield_now().await,
                }
            };
            send(server, 1_u32);
            send(server, 2_u32);
        });
        let options = GenServerOptions::new().name("talker");
        options.start_link::<Talker>((watcher, Init::Continue)).await.expect("it starts");
        let order = [said().await, said().await, said().await];
        assert_eq!(order, ["continue first of all", "info 1", "info 2"]);
    });
}

#[test]
fn g07_a_call_is_answered_or_says_why_not() {
    simulated(|| async {
        let server = talker(Init::Fine).await;
        assert_eq!(server.call(Slow(4_000)).await, Ok(4_000));
        assert_eq!(server.call(Slow(6_000)).await, Err(CallError::Timeout), "five seconds by default");
        assert_eq!(server.call_timeout(Slow(60_000), None).await, Ok(60_000));
        server.stop(Reason::Normal, None).await.expect("it stops");
        assert_eq!(server.call(Log).await, Err(CallError::NoProc));
    });
}

#[test]
fn g08_a_reply_that_is_there_at_the_last_moment_counts() {
    everywhere(|| async {
        let server = talker(Init::Fine).await;
        let mut pending = server.send_request(Log).expect("it lives");
        // A second call is answered after the first, so the first reply is there.
        server.call(Log).await.expect("it answers");
        assert_eq!(pending.wait(Some(Duration::ZERO)).await, Ok(vec![]));
    });
}

#[test]
fn g09_a_late_reply_is_never_seen() {
    simulated(|| async {
        let server = talker(Init::Fine).await;
        let late = server.call_timeout(Slow(2_000), Some(Duration::from_secs(1))).await;
        assert_eq!(late, Err(CallError::Timeout));
        sleep(Duration::from_secs(5)).await;
        nothing_in_the_mailbox().await;
        drop(server.send_request(Slow(10)).expect("it lives"));
        assert_eq!(server.call(Log).await, Ok(vec![]));
        nothing_in_the_mailbox().await;
    });
}

#[test]
fn g10_a_server_that_ends_without_replying_gives_its_true_reason() {
    everywhere(|| async {
        for reason in [Reason::Normal, Reason::other("tired")] {
            let server = Talker::start((this(), Init::Fine)).await.expect("it starts");
            let mut unanswered = server.send_request(Delegate(None)).expect("it lives");
            let mut unserved = {
                server.cast(Note("before"));
                assert_eq!(server.call(StopWith(reason.clone())).await, Ok("stopping"));
                unanswered.wait(None).await
            };
            assert_eq!(unserved, Err(CallError::Exit(reason.clone())));
            unserved = unanswered.wait(None).await;
            assert!(unserved.is_err(), "an answer is there once");
        }
    });
}

#[test]
fn g11_casts_calls_and_messages_of_one_client_keep_their_order() {
    everywhere(|| async {
        let server = talker(Init::Fine).await;
        server.cast(Note("one"));
        send(server.pid(), 2_u32);
        let mut log = server.send_request(Log).expect("it lives");
        server.cast(Note("three"));
        assert_eq!(log.wait(None).await, Ok(vec!["one".into(), "info 2".into()]));
        assert_eq!(server.call(Log).await.map(|log| log.len()), Ok(3));
    });
}

#[test]
fn g12_the_right_to_answer_may_move_and_dropped_it_answers_nothing() {
    simulated(|| async {
        let server = talker(Init::Fine).await;
        let delegate = spawn(async {
            let reply: ReplyTo<u32> = receive().await;
            sleep(Duration::from_secs(1)).await;
            reply.send(42);
        });
        assert_eq!(server.call(Delegate(Some(delegate))).await, Ok(42));
        assert_eq!(server.call(Delegate(None)).await, Err(CallError::Timeout));
    });
}

#[test]
fn g13_a_server_that_stops_with_a_reply_terminates_first_and_ends_after() {
    everywhere(|| async {
        let server = Talker::start((this(), Init::Fine)).await.expect("it starts");
        let down = monitor(server.pid());
        assert_eq!(server.call(StopWith(Reason::Shutdown)).await, Ok("stopping"));
        // The words of `terminate` were sent before the reply.
        let said: Said = receive_timeout(Duration::ZERO).await.expect("it is there");
        assert_eq!(said.0, "terminate shutdown");
        assert_eq!(down.down().await.reason, Reason::Shutdown);
    });
}

#[test]
fn g14_terminate_runs_when_a_handler_panics_and_when_the_parent_of_a_trapping_server_ends() {
    everywhere(|| async {
        let server = Talker::start((this(), Init::Fine)).await.expect("it starts");
        server.cast(Crash);
        assert_eq!(said().await, "crashing");
        assert!(said().await.starts_with("terminate panic: as asked"));

        let watcher = this();
        let parent = spawn(async move {
            let server = Talker::start_link((watcher, Init::Trap)).await.expect("it starts");
            send(watcher, server.pid());
            let End = receive().await;
        });
        let down = monitor(receive::<Pid>().await);
        send(parent, End);
        assert_eq!(said().await, "terminate normal");
        assert_eq!(down.down().await.reason, Reason::Normal);
    });
}

#[test]
fn g14_terminate_does_not_run_on_a_kill_nor_without_trapping() {
    everywhere(|| async {
        for (init, reason) in [(Init::Trap, Reason::Kill), (Init::Fine, Reason::other("go"))] {
            let server = Talker::start((this(), init)).await.expect("it starts");
            let down = monitor(server.pid());
            exit(server.pid(), reason);
            down.down().await;
            nothing_in_the_mailbox().await;
        }
    });
}

#[test]
fn g15_a_panic_in_terminate_replaces_the_reason() {
    struct Sore;
    impl GenServer for Sore {
        type Args = ();
        async fn init((): ()) -> Result<Self, Stop> {
            Ok(Sore)
        }
        async fn terminate(&mut self, _: &Reason) {
            panic!("not like this");
        }
    }
    everywhere(|| async {
        let server = Sore::start(()).await.expect("it starts");
        match server.stop(Reason::Normal, None).await {
            Err(GenServerStopError::Exit(Reason::Panic(panic))) => assert_eq!(panic.message, "not like this"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn g16_an_exit_of_anyone_but_the_parent_is_information() {
    everywhere(|| async {
        let server = talker(Init::Trap).await;
        let pid = server.pid();
        spawn(async move {
            link(pid);
            Reason::other("a stranger")
        });
        assert_eq!(said().await, "exit \"a stranger\"");
        assert!(is_alive(pid));
    });
}

#[test]
fn g16_one_that_does_not_trap_outlives_its_parents_normal_end() {
    everywhere(|| async {
        let watcher = this();
        spawn(
            async move { send(watcher, Talker::start_link((watcher, Init::Fine)).await.expect("it starts")) },
        );
        let server: GenServerRef<Talker> = receive().await;
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!(server.call(Log).await, Ok(vec![]));
    });
}

#[test]
fn g17_what_is_no_call_and_no_cast_goes_to_handle_info_which_by_default_goes_on() {
    struct Plain;
    struct Ask;
    impl GenServer for Plain {
        type Args = ();
        async fn init((): ()) -> Result<Self, Stop> {
            trap_exit(true);
            Ok(Self)
        }
    }
    impl Call<Ask> for Plain {
        type Reply = ();
        async fn call(&mut self, _: Ask) {}
    }
    everywhere(|| async {
        let plain = Plain::start(()).await.unwrap();
        let child = spawn(async {});
        send(plain.pid(), "a message");
        send(plain.pid(), child);
        exit(plain.pid(), Reason::Shutdown);
        assert_eq!(plain.call(Ask).await, Ok(()), "it goes on");
        assert_eq!(info(plain.pid()).unwrap().mailbox, 0, "nothing is left behind");

        let talker = talker(Init::Trap).await;
        send(talker.pid(), 7_u32);
        assert_eq!(said().await, "info 7");
    });
}

#[test]
fn g18_a_timeout_comes_if_nothing_else_does() {
    simulated(|| async {
        let start = now();
        let server = talker(Init::Idle(500)).await;
        assert_eq!(said().await, "timeout");
        assert!((500..=501).contains(&(now() - start).as_millis()));

        server.cast(After("go", 500));
        assert_eq!(said().await, "continue go");
        sleep(Duration::from_millis(400)).await;
        server.cast(Note("something"));
        assert_eq!(said().await, "something");
        assert!(receive_timeout::<Said>(Duration::from_secs(10)).await.is_err(), "a message cancels it");
    });
}

#[test]
fn g18_with_no_time_messages_already_there_come_first_and_cancel_it() {
    everywhere(|| async {
        let server = talker(Init::Fine).await;
        server.suspend().await.expect("it lives");
        server.cast(After("go", 0));
        server.cast(Note("waiting"));
        server.resume().await.expect("it lives");
        assert_eq!([said().await, said().await], ["continue go", "waiting"]);
        assert_eq!(server.call(Log).await.map(|log| log.len()), Ok(2));
    });
}

#[test]
fn g19_stop_returns_after_the_release() {
    simulated(|| async {
        let server = Talker::start((this(), Init::Fine)).await.expect("it starts");
        assert_eq!(server.stop(Reason::Shutdown, None).await, Ok(()));
        assert_eq!(info(server.pid()).map(|info| info.pid), None);
        assert_eq!(server.stop(Reason::Shutdown, None).await, Err(GenServerStopError::NoProc));

        let busy = Talker::start((this(), Init::Fine)).await.expect("it starts");
        let _pending = busy.send_request(Slow(5_000)).expect("it lives");
        let stopped = busy.stop(Reason::Normal, Some(Duration::from_secs(1))).await;
        assert_eq!(stopped, Err(GenServerStopError::Timeout));
        assert!(monitor(busy.pid()).down().await.reason.is_clean(), "the stop goes on");
    });
}

#[test]
fn g20_handlers_are_not_reentrant() {
    simulated(|| async {
        let server = talker(Init::Fine).await;
        let mut slow = server.send_request(Slow(1_000)).expect("it lives");
        server.cast(Note("behind"));
        assert!(receive_timeout::<Said>(Duration::from_millis(999)).await.is_err());
        assert_eq!(slow.wait(None).await, Ok(1_000));
        assert_eq!(said().await, "behind");
    });
}

#[test]
fn g21_a_call_inside_a_server_leaves_its_messages_where_they_are() {
    struct Middle(GenServerRef<Talker>, Vec<u32>);
    struct Through;
    impl GenServer for Middle {
        type Args = GenServerRef<Talker>;
        async fn init(inner: GenServerRef<Talker>) -> Result<Self, Stop> {
            Ok(Middle(inner, Vec::new()))
        }
        async fn handle_info(&mut self, message: Message) {
            self.1.push(message.downcast().unwrap());
        }
    }
    impl Call<Through> for Middle {
        type Reply = (u64, Vec<u32>);
        async fn call(&mut self, _: Through) -> (u64, Vec<u32>) {
            (self.0.call(Slow(10)).await.expect("it answers"), self.1.clone())
        }
    }
    everywhere(|| async {
        let middle = Middle::start_link(talker(Init::Fine).await).await.expect("it starts");
        let mut first = middle.send_request(Through).expect("it lives");
        (0..5_u32).for_each(|n| send(middle.pid(), n));
        assert_eq!(first.wait(None).await, Ok((10, vec![])));
        assert_eq!(middle.call(Through).await, Ok((10, vec![0, 1, 2, 3, 4])));
    });
}

#[test]
fn g22_requests_may_be_awaited_in_any_order() {
    everywhere(|| async {
        let server = talker(Init::Fine).await;
        let mut requests: Vec<_> =
            [1, 2, 3].into_iter().map(|n| server.send_request(Slow(n)).expect("it lives")).collect();
        for (n, request) in requests.iter_mut().enumerate().rev() {
            assert_eq!(request.wait(None).await, Ok(n as u64 + 1));
        }
    });
}

#[test]
fn g23_a_suspended_server_handles_nothing_but_can_be_looked_at_and_obeys_its_parent() {
    everywhere(|| async {
        let server = talker(Init::Fine).await;
        server.suspend().await.expect("it lives");
        server.cast(Note("later"));
        assert_eq!(server.get_state(|state| state.seen.len()).await, Ok(0));
        assert!(receive_timeout::<Said>(Duration::from_millis(20)).await.is_err());
        server.resume().await.expect("it lives");
        assert_eq!(said().await, "later");

        let watcher = this();
        let parent = spawn(async move {
            let server = Talker::start_link((watcher, Init::Trap)).await.expect("it starts");
            server.suspend().await.expect("it lives");
            send(watcher, server.pid());
            let End = receive().await;
        });
        let down = monitor(receive::<Pid>().await);
        send(parent, End);
        assert_eq!(down.down().await.reason, Reason::Normal);
    });
}

#[test]
fn the_runtime_that_ends_counts_as_a_parent() {
    simulated(|| async {
        Talker::start((this(), Init::Trap)).await.expect("it starts");
        shutdown(Reason::Normal);
    });
}
