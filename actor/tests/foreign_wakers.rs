//! Awaits that are polled with a waker of a user, as combinators do.
mod common;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    ptr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, RawWaker, RawWakerVTable, Wake, Waker},
    time::{Duration, Instant},
};

use common::*;
use riot_actor::{
    call::{self, CallRequest},
    mailbox::{MailboxOverflow, receive_if, send_async},
    name::wait_for_name,
    process::SpawnOptions,
    receive,
    runtime::blocking,
    send, spawn, this, whereis,
};

/// Wakes its process, and calls into the runtime before it does.
struct CallsThis {
    process: Waker,
    wakes: Counter,
}

impl Wake for CallsThis {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        send(this(), "woken");
        self.wakes.add();
        self.process.wake_by_ref();
    }
}

/// Awaits `body` with such a waker, and returns how often that was used.
async fn with_foreign_waker(body: impl Future<Output = ()>) -> usize {
    let mut body = pin!(body);
    let wakes = Counter::default();
    poll_fn(|cx| {
        let waker = Waker::from(Arc::new(CallsThis { process: cx.waker().clone(), wakes: wakes.clone() }));
        body.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await;
    wakes.get()
}

#[test]
fn c02_a_waker_may_call_the_runtime_when_a_poll_slice_is_used_up() {
    everywhere(|| async {
        let receives = with_foreign_waker(async {
            for number in 0..3000_u32 {
                send(this(), number);
                assert_eq!(receive::<u32>().await, number);
            }
        });
        assert!(receives.await >= 1);
        let guarded = with_foreign_waker(async {
            for number in 0..3000_u32 {
                send(this(), number);
                assert_eq!(receive_if(|received: &u32| *received == number).await, number);
            }
        });
        assert!(guarded.await >= 1);
        let sends = with_foreign_waker(async {
            for number in 0..3000_u32 {
                send_async(this(), number).await.expect("this process lives");
            }
        });
        assert!(sends.await >= 1);
    });
}

#[test]
fn c02_a_call_may_be_polled_by_a_waker_that_calls_the_runtime() {
    everywhere(|| async {
        let echo = spawn(async {
            loop {
                let request = receive::<CallRequest<u32, u32>>().await;
                request.reply.send(request.query);
            }
        });
        with_foreign_waker(async {
            for number in 0..1500_u32 {
                let reply = call::call::<u32, u32>(echo, number, Some(Duration::from_secs(60))).await;
                assert_eq!(reply, Ok(number));
            }
        })
        .await;
    });
}

/// Returns a waker that calls a function when it is cloned, and does nothing else.
#[expect(unsafe_code, reason = "a safe waker runs no code of a user when it is cloned")]
fn calls_when_cloned(call: &'static fn()) -> Waker {
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, |_| (), |_| (), |_| ());
    fn clone(call: *const ()) -> RawWaker {
        // SAFETY: the pointer comes from the reference below, which lives for ever.
        unsafe { (*call.cast::<fn()>())() };
        RawWaker::new(call, &VTABLE)
    }
    // SAFETY: the functions of the table may be called on any thread, as `fn()` may.
    unsafe { Waker::from_raw(RawWaker::new(ptr::from_ref(call).cast(), &VTABLE)) }
}

/// Polls a future once with a waker, and expects it to be pending.
fn poll_once<T>(future: impl Future<Output = T>, waker: &Waker) {
    assert!(pin!(future).poll(&mut Context::from_waker(waker)).is_pending());
}

#[test]
fn c10_a_waker_that_is_cloned_may_use_what_it_waits_for() {
    threaded(|| async {
        const LOOKS: fn() = || assert_eq!(whereis("nobody"), None);
        poll_once(wait_for_name("nobody", None), &calls_when_cloned(&LOOKS));

        static FULL: Mutex<Option<riot_actor::Pid>> = Mutex::new(None);
        const SENDS: fn() = || {
            let full = FULL.lock().unwrap().expect("it is set");
            poll_once(send_async(full, 3_u8), Waker::noop());
        };
        let full = SpawnOptions::new()
            .max_mailbox(1, MailboxOverflow::DropNewest)
            .spawn(std::future::pending::<()>());
        send(full, 1_u8);
        *FULL.lock().unwrap() = Some(full);
        poll_once(send_async(full, 2_u8), &calls_when_cloned(&SENDS));
    });
}

#[test]
fn c10_a_waker_that_is_cloned_holds_up_no_blocking_work() {
    static WOKEN: AtomicBool = AtomicBool::new(false);
    struct Notes;
    impl Wake for Notes {
        fn wake(self: Arc<Self>) {
            WOKEN.store(true, Ordering::SeqCst);
        }
    }
    const WAITS: fn() = || {
        let start = Instant::now();
        while !WOKEN.load(Ordering::SeqCst) {
            assert!(start.elapsed() < secs(20), "the work cannot end while a waker is cloned");
            std::thread::yield_now();
        }
    };
    threaded(|| async {
        WOKEN.store(false, Ordering::SeqCst);
        let (go, begun) = std::sync::mpsc::channel();
        let mut work = pin!(blocking(move || begun.recv()));
        let notes = Waker::from(Arc::new(Notes));
        assert!(work.as_mut().poll(&mut Context::from_waker(&notes)).is_pending());
        go.send(7).expect("the work waits");
        let waits = calls_when_cloned(&WAITS);
        let polled = work.as_mut().poll(&mut Context::from_waker(&waits));
        assert!(polled.is_ready() && WOKEN.load(Ordering::SeqCst));
    });
}
