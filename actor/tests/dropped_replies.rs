//! A request that is dropped without a reply: G12, OU4.
mod common;

use std::{future::pending, panic::AssertUnwindSafe};

use common::{leaks::leaves_nothing, secs, simulated, talker::*, threaded};
use riot_actor::{
    Pid, Reason, call,
    call::{CALL_TIMEOUT, CallError, CallRequest, ReplyTo},
    exit, gen_server,
    gen_server::{Call, GenServer, GenServerRef, Stop},
    now,
    process::{exit_self, wait},
    receive,
    runtime::Handle,
    send,
    simulation::Simulation,
    sleep, spawn, this,
};

/// The use of the right to reply that the callee makes.
#[derive(Clone, Copy, Debug)]
enum Do {
    Drop,
    /// Drops it, and waits before it goes on.
    DropAndWait,
    SendToNoProcess,
    SendTo(Pid),
    DropAndPanic,
    /// Panics while the right is a local variable.
    Panic,
    PanicAndGoOn,
    DropAndExit,
    DropAndReturn,
    Reply,
}

type Request = CallRequest<Do, u32>;

/// A plain process that is called.
async fn callee() {
    loop {
        let CallRequest { query, reply, .. } = receive::<Request>().await;
        match query {
            Do::Drop => drop(reply),
            Do::DropAndWait => {
                drop(reply);
                sleep(secs(1_000)).await;
            }
            Do::SendToNoProcess => {
                let gone = spawn(async {});
                wait(gone).await;
                send(gone, reply);
            }
            Do::SendTo(pid) => send(pid, reply),
            Do::DropAndPanic => {
                drop(reply);
                panic!("after the drop");
            }
            Do::Panic => {
                let _reply = reply;
                panic!("with the reply");
            }
            Do::PanicAndGoOn => {
                let caught = std::panic::catch_unwind(AssertUnwindSafe(|| {
                    let _reply = reply;
                    panic!("with the reply, and goes on");
                }));
                assert!(caught.is_err());
            }
            Do::DropAndExit => {
                drop(reply);
                exit_self(Reason::other("exits")).await;
            }
            Do::DropAndReturn => return drop(reply),
            Do::Reply => reply.send(7),
        }
    }
}

async fn ask(what: Do) -> Result<u32, CallError> {
    call::<Do, u32>(spawn(callee()), what, None).await
}

#[test]
fn g12_ou04_a_request_that_is_dropped_is_told_at_once() {
    leaves_nothing(|| async {
        let server = spawn(callee());
        for what in [Do::Drop, Do::SendToNoProcess, Do::PanicAndGoOn] {
            assert_eq!(call::<Do, u32>(server, what, None).await, Err(CallError::Dropped), "{what:?}");
            assert_eq!(call::<Do, u32>(server, Do::Reply, None).await, Ok(7), "it lives");
        }
        let before = now();
        assert_eq!(call::<Do, u32>(server, Do::DropAndWait, None).await, Err(CallError::Dropped));
        assert!(now() - before < secs(500), "it is told before the callee goes on");
        exit(server, Reason::Kill);
    });
}

#[test]
fn g12_ou04_the_exit_of_the_callee_is_told_even_if_it_dropped_the_request_before() {
    leaves_nothing(|| async {
        for what in [Do::Panic, Do::DropAndPanic] {
            let answer = ask(what).await;
            assert!(matches!(answer, Err(CallError::Exit(Reason::Panic(_)))), "{what:?}: {answer:?}");
        }
        assert_eq!(ask(Do::DropAndExit).await, Err(CallError::Exit(Reason::other("exits"))));
        assert_eq!(ask(Do::DropAndReturn).await, Err(CallError::Exit(Reason::Normal)));
    });
}

#[test]
fn g12_ou04_another_process_that_drops_a_request_is_told_of_and_the_callee_lives() {
    leaves_nothing(|| async {
        let server = spawn(callee());
        let panics = || async {
            let _reply: ReplyTo<u32> = receive().await;
            panic!("as asked");
        };
        let drops = || async { drop(receive::<ReplyTo<u32>>().await) };
        for other in [spawn(drops()), spawn(panics())] {
            assert_eq!(call::<Do, u32>(server, Do::SendTo(other), None).await, Err(CallError::Dropped));
        }
        // It is in a mailbox that is dropped.
        let never = spawn(pending::<()>());
        let killer = spawn(async move {
            sleep(secs(1)).await;
            exit(never, Reason::Kill);
        });
        assert_eq!(call::<Do, u32>(server, Do::SendTo(never), None).await, Err(CallError::Dropped));
        wait(killer).await;
        assert_eq!(call::<Do, u32>(server, Do::Reply, None).await, Ok(7));
        // The callee has gone before the other process drops it.
        let (late, main) = (this(), this());
        let keeper = spawn(async move {
            let reply: ReplyTo<u32> = receive().await;
            exit(server, Reason::Kill);
            wait(server).await;
            drop(reply);
            send(late, "dropped");
        });
        let answer = call::<Do, u32>(server, Do::SendTo(keeper), None).await;
        assert_eq!(answer, Err(CallError::Exit(Reason::Killed)));
        assert_eq!((receive::<&str>().await, main), ("dropped", this()));
    });
}

/// A server that stops, crashes or goes on after it has dropped a request.
struct Dropper;

#[derive(Clone, Copy, Debug)]
enum Then {
    GoOn,
    Stop,
    StopBefore,
    Panic,
}

impl GenServer for Dropper {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(Dropper)
    }
    async fn terminate(&mut self, _: &Reason) {
        sleep(secs(1)).await;
    }
}

impl Call<Then> for Dropper {
    type Reply = u32;
    async fn handle_call(&mut self, then: Then, reply: ReplyTo<u32>) {
        match then {
            Then::GoOn => {}
            Then::Stop => {
                drop(reply);
                gen_server::stop(Reason::Shutdown);
            }
            Then::StopBefore => gen_server::stop(Reason::Shutdown),
            Then::Panic => {
                let _reply = reply;
                panic!("as asked");
            }
        }
    }
}

#[test]
fn g12_ou04_a_server_that_stops_tells_its_reason() {
    leaves_nothing(|| async {
        let server = Dropper::start(()).await.expect("it starts");
        assert_eq!(server.call(Then::GoOn).await, Err(CallError::Dropped));
        assert_eq!(server.call(Then::Stop).await, Err(CallError::Exit(Reason::Shutdown)));
        let server = Dropper::start(()).await.expect("it starts");
        assert_eq!(server.call(Then::StopBefore).await, Err(CallError::Exit(Reason::Shutdown)));
        let server = Dropper::start(()).await.expect("it starts");
        let answer = server.call(Then::Panic).await;
        assert!(matches!(answer, Err(CallError::Exit(Reason::Panic(_)))), "{answer:?}");
        // A request that waits in the state of a server.
        let talker = talker(Init::Fine).await;
        let mut kept = talker.send_request(Keep).expect("it lives");
        talker.stop(Reason::Normal, None).await.expect("it stops");
        assert_eq!(kept.wait(None).await, Err(CallError::Exit(Reason::Normal)));
        while let Ok(Report(_)) = riot_actor::mailbox::receive_timeout(std::time::Duration::ZERO).await {}
    });
}

#[test]
fn g12_ou04_a_request_to_a_server_of_another_type_is_dropped() {
    leaves_nothing(|| async {
        let server = Dropper::start(()).await.expect("it starts");
        let wrong = GenServerRef::<Talker>::new(server.pid());
        assert_eq!(wrong.call(Log).await, Err(CallError::Dropped));
        let mut wrong = wrong.send_request(Log).expect("it is sent");
        assert_eq!(wrong.wait(None).await, Err(CallError::Dropped));
        assert_eq!(server.call(Then::Stop).await, Err(CallError::Exit(Reason::Shutdown)));
    });
}

#[test]
fn g12_ou04_every_kind_of_call_is_told() {
    leaves_nothing(|| async {
        let server = Dropper::start(()).await.expect("it starts");
        let handle = Handle::current();
        assert_eq!(handle.call_server(server, Then::GoOn).await, Err(CallError::Dropped));
        let mut requests = [server.send_request(Then::GoOn), server.send_request(Then::GoOn)]
            .map(|request| request.expect("it lives"));
        for request in &mut requests {
            assert_eq!(request.wait(None).await, Err(CallError::Dropped));
        }
        server.stop(Reason::Normal, None).await.expect("it stops");
        // Two calls of one process at a time, of which one does not wait in place.
        let server = spawn(callee());
        let both = futures_join(
            call::<Do, u32>(server, Do::Drop, None),
            call::<Do, u32>(server, Do::SendToNoProcess, Some(CALL_TIMEOUT)),
        );
        assert_eq!(both.await, (Err(CallError::Dropped), Err(CallError::Dropped)));
        exit(server, Reason::Kill);
    });
}

async fn futures_join<A, B>(a: impl Future<Output = A> + Send, b: impl Future<Output = B> + Send) -> (A, B) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(move |cx| {
        use std::task::Poll;
        if first.is_none()
            && let Poll::Ready(value) = a.as_mut().poll(cx)
        {
            first = Some(value);
        }
        if second.is_none()
            && let Poll::Ready(value) = b.as_mut().poll(cx)
        {
            second = Some(value);
        }
        if first.is_some() && second.is_some() {
            return Poll::Ready((first.take().expect("it is there"), second.take().expect("it is there")));
        }
        Poll::Pending
    })
    .await
}

#[test]
fn g12_ou04_a_thread_may_drop_the_right_to_reply() {
    threaded(|| async {
        let server = spawn(async {
            loop {
                let CallRequest::<(), u32> { reply, .. } = receive().await;
                std::thread::spawn(move || drop(reply)).join().expect("it does not panic");
            }
        });
        for _ in 0..100 {
            assert_eq!(call::<(), u32>(server, (), None).await, Err(CallError::Dropped));
        }
        exit(server, Reason::Kill);
    });
}

#[test]
fn g12_ou04_a_call_that_was_given_up_is_not_told() {
    simulated(|| async {
        let server = spawn(callee());
        let keeper = spawn(async {
            let reply: ReplyTo<u32> = receive().await;
            sleep(secs(10)).await;
            drop(reply);
        });
        assert_eq!(call::<Do, u32>(server, Do::SendTo(keeper), Some(secs(1))).await, Err(CallError::Timeout));
        // Its next call is another one.
        assert_eq!(call::<Do, u32>(server, Do::Reply, None).await, Ok(7));
        wait(keeper).await;
        assert_eq!(call::<Do, u32>(server, Do::Reply, None).await, Ok(7));
        exit(server, Reason::Kill);
    });
}

#[test]
fn g12_ou04_the_drop_and_the_end_may_race() {
    Simulation::sweep(0..1_000, || async {
        let server = spawn(callee());
        let keeper = spawn(async { drop(receive::<ReplyTo<u32>>().await) });
        let killer = spawn(async move { exit(server, Reason::other("ends")) });
        match call::<Do, u32>(server, Do::SendTo(keeper), None).await {
            Err(CallError::Dropped) => {}
            Err(CallError::Exit(reason)) => assert_eq!(reason, Reason::other("ends")),
            // It had ended before the call.
            Err(CallError::NoProc) => {}
            other => panic!("{other:?}"),
        }
        wait(killer).await;
        exit(keeper, Reason::Kill);
    });
}
