//! Awaits that are polled with a waker of a user, as combinators do.
mod common;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use common::*;
use riot_actor::{
    call::{self, CallRequest},
    mailbox::{receive_if, send_async},
    receive, send, spawn, this,
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
