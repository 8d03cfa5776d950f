//! Values and code of users that panic wherever the runtime touches them: P25, P26.
mod common;

use std::{
    fmt,
    future::{Future, pending, poll_fn},
    sync::Arc,
    task::{Poll, Wake, Waker},
};

use common::*;
use riot_actor::{
    Message, Reason, call,
    call::{CallRequest, ReplyTo},
    exit,
    gen_server::{self, Call, GenServer, Stop},
    link,
    mailbox::{Alias, MailboxOverflow, alias, send_async},
    monitor,
    process::{PanicPayload, SpawnOptions, contain, is_alive, spawn_monitor, wait, yield_now},
    receive, register,
    runtime::{Handle, blocking},
    send, sleep, spawn,
    state_machine::{First, Input, StateMachine, Step},
    task::Task,
    telemetry, this,
    time::{send_after, send_interval},
    timeout, trap_exit,
};

/// A value that panics in whatever is done with it, except while another panic unwinds.
struct Bomb;

fn explode() {
    if !std::thread::panicking() {
        panic!("a bomb");
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        explode();
    }
}

impl PartialEq for Bomb {
    fn eq(&self, _: &Self) -> bool {
        explode();
        true
    }
}

impl fmt::Debug for Bomb {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        explode();
        Ok(())
    }
}

impl fmt::Display for Bomb {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        explode();
        Ok(())
    }
}

impl std::error::Error for Bomb {}

/// A waker that panics when it is woken, and when it is dropped.
impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic!("a waker");
    }
}

fn bad_waker() -> Waker {
    Arc::new(Bomb).into()
}

/// Polls a future once with a waker that panics, then keeps it.
async fn polled_with_a_bad_waker<T>(future: impl Future<Output = T> + Send + 'static) {
    let mut future = Box::pin(future);
    let waker = bad_waker();
    std::mem::forget(future.as_mut().poll(&mut std::task::Context::from_waker(&waker)));
    std::mem::forget(waker);
    std::mem::forget(future);
}

/// Checks that the runtime still does all that it is for.
async fn all_is_well() {
    let other = spawn(async {
        let (from, number) = receive::<(riot_actor::Pid, u32)>().await;
        send(from, number + 1);
    });
    send(other, (this(), 1_u32));
    assert_eq!(receive::<u32>().await, 2);
    wait(other).await;
    sleep(millis(1)).await;
    assert_eq!(blocking(|| 7).await, 7);
}

#[test]
fn p25_a_panic_payload_that_panics_ends_one_process() {
    everywhere_with_crash_reports(|crashes| async move {
        for _ in 0..3 {
            let (_, end) = spawn_monitor(async { std::panic::panic_any(Bomb) });
            let Reason::Panic(panic) = end.down().await.reason else { panic!("another reason") };
            assert!(panic.payload.as_ref().is_some_and(PanicPayload::is::<Bomb>));
            assert!(panic.to_string().starts_with("(payload is no text) at "), "{panic}");
        }
        assert_eq!(crashes.lock().unwrap().len(), 3);
        let (_, end) = spawn_monitor(async { std::panic::panic_any(7_u64) });
        let Reason::Panic(panic) = end.down().await.reason else { panic!("another reason") };
        assert_eq!(panic.payload.as_ref().and_then(PanicPayload::get::<u64>), Some(7));
        assert!(panic.to_string().starts_with("(payload of type u64) at "), "{panic}");
        all_is_well().await;
    });
}

/// A value whose destructor panics with another one of its kind.
struct Endless;

impl Drop for Endless {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::panic_any(Endless);
        }
    }
}

#[test]
fn p26_a_payload_whose_destructor_panics_with_another_ends_somewhere() {
    everywhere(|| async {
        for _ in 0..3 {
            wait(spawn(async { std::panic::panic_any(Endless) })).await;
        }
        let pid = spawn(pending::<()>());
        send(pid, Endless);
        exit(pid, Reason::Kill);
        wait(pid).await;
        assert!(contain(|| drop(Endless)).is_none());
        all_is_well().await;
    });
}

#[test]
fn p25_exit_reasons_that_panic_end_one_process() {
    everywhere_with_crash_reports(|crashes| async move {
        trap_exit(true);
        let reasons = [
            || Reason::other(Bomb),
            || Reason::shutdown_with(Bomb),
            || Reason::from(Bomb),
            || Reason::other((1, Arc::new(Bomb))),
        ];
        for make in reasons {
            let (pid, end) = spawn_monitor(async move {
                link(receive::<riot_actor::Pid>().await);
                make()
            });
            send(pid, this());
            let down = end.down().await;
            assert!(format!("{down:?} {:#}", down.reason).contains("printing the value panicked"));
            let is_error = matches!(down.reason, Reason::Error(_));
            assert_eq!(
                down.reason == make(),
                is_error,
                "errors are compared by their text, which is a notice"
            );
            drop(down);
            drop(receive::<riot_actor::Exit>().await);
            let kept = spawn(pending::<()>());
            exit(kept, make());
            wait(kept).await;
        }
        assert_eq!(crashes.lock().unwrap().iter().filter(|report| !report.by_signal).count(), 3);
        crashes.lock().unwrap().clear();
        all_is_well().await;
    });
}

#[test]
fn p26_messages_that_panic_are_dropped_wherever_they_are() {
    everywhere(|| async {
        // In a mailbox, at a process that is gone, refused, cancelled, and late.
        let pid = spawn(pending::<()>());
        (0..3).for_each(|_| send(pid, Bomb));
        yield_now().await;
        exit(pid, Reason::Kill);
        wait(pid).await;
        send(pid, Bomb);
        drop(Message::new(Bomb));
        drop(Message::new([Bomb, Bomb, Bomb]));
        for overflow in [MailboxOverflow::DropNewest, MailboxOverflow::Exit] {
            let small = SpawnOptions::new().max_mailbox(1, overflow).spawn(pending::<()>());
            (0..3).for_each(|_| send(small, Bomb));
            exit(small, Reason::Kill);
            wait(small).await;
        }
        send_after(millis(1), pid, Bomb);
        sleep(millis(5)).await;
        assert!(riot_actor::mailbox::try_send(pid, Bomb).is_err_and(|error| {
            std::mem::forget(error);
            true
        }));
        let full = SpawnOptions::new().max_mailbox(1, MailboxOverflow::DropNewest).spawn(pending::<()>());
        send(full, ());
        polled_with_a_bad_waker(send_async(full, 7_u8)).await;
        exit(full, Reason::Kill);
        wait(full).await;
        all_is_well().await;
    });
}

#[test]
fn p26_replies_and_results_that_nothing_waits_for_may_panic() {
    everywhere(|| async {
        let server = spawn(async {
            loop {
                receive::<CallRequest<(), Bomb>>().await.reply.send(Bomb);
            }
        });
        let caller = spawn(async move {
            std::mem::forget(call::<(), Bomb>(server, (), None).await);
        });
        exit(caller, Reason::Kill);
        wait(caller).await;
        let waiting = spawn(async { std::mem::forget(blocking(|| Bomb).await) });
        yield_now().await;
        exit(waiting, Reason::Kill);
        wait(waiting).await;
        for _ in 0..200 {
            let waiting = spawn(async { std::mem::forget(blocking(|| Bomb).await) });
            exit(waiting, Reason::Kill);
            wait(waiting).await;
        }
        all_is_well().await;
        exit(server, Reason::Kill);
    });
}

/// A server whose state panics when it is dropped.
struct Armed(Bomb);

impl GenServer for Armed {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(Self(Bomb))
    }
}

/// Is answered with a bomb, after some time.
struct Late;

impl Call<Late> for Armed {
    type Reply = Bomb;
    async fn handle_call(&mut self, _: Late, reply: ReplyTo<Bomb>) {
        sleep(millis(20)).await;
        reply.send(Bomb);
    }
}

/// Stops the server, which answers.
struct StopAnd<R>(R);

impl<R: Send + 'static> Call<StopAnd<R>> for Armed {
    type Reply = R;
    async fn call(&mut self, StopAnd(reply): StopAnd<R>) -> R {
        let _ = &self.0;
        sleep(millis(5)).await;
        gen_server::stop(Reason::shutdown_with(7));
        reply
    }
}

#[test]
fn p26_replies_that_come_too_late_end_no_process() {
    everywhere_with_crash_reports(|crashes| async move {
        let server = Armed::start(()).await.expect("it starts");
        drop(server.send_request(Late).expect("it lives"));
        let late = server.call_timeout(Late, Some(millis(1))).await;
        assert!(late.is_err());
        assert!(timeout(millis(1), server.get_state(|_| Bomb)).await.is_err());
        assert!(timeout(millis(1), server.replace_state(|_| Bomb)).await.is_err());
        assert!(server.get_state(|_| true).await.expect("it lives"));

        let task = Task::spawn(async {
            sleep(millis(1)).await;
            Bomb
        });
        let end = wait(task.pid());
        drop(task);
        assert_eq!(end.await, Reason::Normal);
        drop(Handle::current().run(async {
            sleep(millis(1)).await;
            Bomb
        }));
        sleep(millis(5)).await;

        let end = wait(server.pid());
        drop(server.send_request(StopAnd(Bomb)).expect("it lives"));
        drop(server.send_request(StopAnd(Bomb)).expect("it lives"));
        assert!(end.await.is_clean());
        let crashes = crashes.lock().unwrap();
        assert!(crashes.is_empty(), "{crashes:?}");
    });
}

#[test]
fn p26_replies_and_messages_to_a_runtime_that_is_gone_may_panic() {
    type Left = (Vec<ReplyTo<Bomb>>, Alias<Bomb>);
    let left: Arc<std::sync::Mutex<Option<Left>>> = Arc::default();
    let kept = left.clone();
    riot_actor::run(async move {
        let main = this();
        spawn(async move { std::mem::forget(call::<(), Bomb>(main, (), None).await) });
        spawn(async move {
            let both = (call::<(), Bomb>(main, (), None), call::<(), Bomb>(main, (), None));
            std::mem::forget(futures_lite::future::zip(both.0, both.1).await);
        });
        let mut replies = Vec::new();
        for _ in 0..3 {
            replies.push(receive::<CallRequest<(), Bomb>>().await.reply);
        }
        *kept.lock().unwrap() = Some((replies, alias::<Bomb>()));
    });
    let (replies, bombs) = left.lock().unwrap().take().expect("they are left");
    replies.into_iter().for_each(|reply| reply.send(Bomb));
    bombs.send(Bomb);
    bombs.try_send(Bomb).map_err(std::mem::forget).expect_err("its holder is gone");
    let reason = riot_actor::run(async move { bombs.send(Bomb) });
    assert_eq!(reason, Reason::Normal);
}

/// A state machine whose data panics when it is dropped.
struct ArmedMachine(Bomb);

impl StateMachine for ArmedMachine {
    type Args = ();
    type State = ();
    type Event = ReplyTo<u8>;
    async fn init((): ()) -> Result<First<Self>, Stop> {
        Ok((Self(Bomb), ()).into())
    }
    async fn handle(&mut self, (): &(), input: Input<ReplyTo<u8>>) -> Step<Self> {
        let _ = &self.0;
        if let Input::Event(reply) = input {
            gen_server::stop(Reason::Shutdown);
            reply.send(3);
        }
        Step::stay()
    }
}

#[test]
fn g13_p26_a_state_that_panics_in_its_destructor_loses_neither_reason_nor_reply() {
    everywhere_with_crash_reports(|crashes| async move {
        let server = Armed::start(()).await.expect("it starts");
        let end = wait(server.pid());
        assert_eq!(server.call(StopAnd(3_u8)).await, Ok(3));
        assert_eq!(end.await, Reason::shutdown_with(7));
        let server = Armed::start(()).await.expect("it starts");
        assert_eq!(server.stop(Reason::Normal, None).await, Ok(()));
        assert!(!is_alive(server.pid()));
        let machine = ArmedMachine::start(()).await.expect("it starts");
        let end = wait(machine.pid());
        assert_eq!(machine.ask(|reply| reply).await, Ok(3));
        assert_eq!(end.await, Reason::Shutdown);
        assert!(crashes.lock().unwrap().is_empty());
    });
}

#[test]
fn p25_wakers_that_panic_harm_neither_the_worker_nor_the_one_that_wakes() {
    everywhere(|| async {
        polled_with_a_bad_waker(sleep(millis(1))).await;
        sleep(millis(5)).await;
        let pid = spawn(pending::<()>());
        polled_with_a_bad_waker(wait(pid)).await;
        exit(pid, Reason::Kill);
        wait(pid).await;
        polled_with_a_bad_waker(riot_actor::name::wait_for_name("awaited", None)).await;
        register("awaited", this()).expect("the name is free");
        polled_with_a_bad_waker(blocking(|| std::thread::sleep(millis(1)))).await;
        all_is_well().await;
    });
}

#[test]
fn p25_hooks_that_panic_are_reported() {
    everywhere(|| async {
        struct Captured(Bomb);
        let bomb = Captured(Bomb);
        let handler = telemetry::attach(move |_: &u8| {
            let _ = &bomb.0;
        });
        assert!(telemetry::detach(handler));
        struct Copied(Bomb);
        impl Clone for Copied {
            fn clone(&self) -> Self {
                panic!("a clone: {:p}", &self.0);
            }
        }
        let copies = send_interval(millis(1), this(), Copied(Bomb)).expect("the period is not zero");
        sleep(millis(5)).await;
        assert!(copies.read().is_none(), "an interval whose message cannot be cloned ends");
        let detailed = spawn(async {
            telemetry::crash_detail("bad", || panic!("a detail"));
            telemetry::crash_detail("good", || "a\nb".to_owned());
            Reason::other("end")
        });
        assert_eq!(wait(detailed).await, Reason::other("end"));
        assert_eq!(contain(|| -> u8 { panic!("contained") }), None);
        all_is_well().await;
    });
}

#[test]
fn p26_a_future_that_panics_in_its_destructor_may_also_panic_in_its_poll() {
    everywhere(|| async {
        let body = || {
            let bomb = Bomb;
            poll_fn(move |_| {
                let _ = &bomb;
                Poll::Ready(Reason::other("over"))
            })
        };
        assert_eq!(wait(spawn(body())).await, Reason::other("over"));
        let handle = Handle::current();
        let never_polled = handle.spawn(body());
        exit(never_polled, Reason::Kill);
        wait(never_polled).await;
        all_is_well().await;
    });
}

#[test]
fn p26_what_is_left_at_the_end_of_a_runtime_may_panic() {
    for _ in 0..20 {
        threaded(|| async {
            let holder = spawn(async {
                let _bomb = Bomb;
                pending::<()>().await;
            });
            monitor(holder);
            send(holder, Bomb);
            send_after(secs(1000), holder, Bomb);
            let captured = Bomb;
            telemetry::attach(move |_: &u8| {
                let _ = &captured;
            });
            for _ in 0..3 {
                polled_with_a_bad_waker(sleep(secs(1000))).await;
            }
        });
    }
}

/// An error that prints many pieces and then panics, fails, or ends.
#[derive(PartialEq)]
enum Long {
    Panics,
    Fails,
    Ends,
}

const PIECES: usize = 10_000;

impl fmt::Debug for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..PIECES).try_for_each(|_| f.write_str("1234567890"))?;
        match self {
            Self::Panics => panic!("behind a long text"),
            Self::Fails => Err(fmt::Error),
            Self::Ends => Ok(()),
        }
    }
}

impl fmt::Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Long {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self)
    }
}

/// Counts what is written, and the largest piece of it.
#[derive(Default)]
struct Sizes {
    bytes: usize,
    largest: usize,
}

impl fmt::Write for Sizes {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.bytes += piece.len();
        self.largest = self.largest.max(piece.len());
        Ok(())
    }
}

#[test]
fn p25_a_value_is_printed_in_its_pieces_and_one_that_fails_to_print_is_a_notice() {
    use std::fmt::Write as _;
    riot_actor::run(async {}); // installs the panic hook
    let makes: [fn(Long) -> Reason; 3] =
        [|long| Reason::other(long), |long| Reason::from(long), |long| Reason::shutdown_with(long)];
    for make in makes {
        for long in [Long::Panics, Long::Fails, Long::Ends] {
            let notice = match long {
                Long::Panics => "(printing the value panicked: behind a long text",
                Long::Fails => "(printing the value failed)",
                Long::Ends => "1234567890",
            };
            let reason = make(long);
            // `to_string` and `format!` panic if a formatting fails.
            assert!(reason.to_string().contains(notice) && format!("{reason:?}").contains(notice));
            let mut sizes = Sizes::default();
            write!(sizes, "{reason} {reason:?}").expect("it is written");
            assert!(sizes.bytes >= 20 * PIECES && sizes.largest < 1000, "{}", sizes.largest);
            // With its causes, which have no end.
            assert!(format!("{reason:#}").len() < 11 * PIECES);
        }
    }
    everywhere(|| async {
        for long in [Long::Panics, Long::Fails, Long::Ends] {
            wait(spawn(async { Reason::from(long) })).await;
        }
        all_is_well().await;
    });
}
