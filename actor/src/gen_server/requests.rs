//! Several requests at once: to many servers, and replies in the order in which they come.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use super::{Call, GenServerRef, PendingReply};
use crate::{
    call::CallError,
    runtime::coop,
    time::{clock::time_left, timeout::timeout as with_timeout},
};

/// Waits for the first of several replies, for at most `timeout`; `None` waits forever. Returns its position
/// and the reply, or why there is none.
///
/// It is removed from `pending`, and the others keep their order. The result is none if the time has passed,
/// or if `pending` is empty. Of several replies that are there, the first in `pending` is taken. Each wake-up
/// looks at all of them, so keep to some hundreds. (OTP: `gen_server:receive_response/3`.)
///
/// ```
/// # use riot_actor::{gen_server::{Call, GenServer, Stop, select_reply}, run};
/// # struct Till;
/// # impl GenServer for Till { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Till) } }
/// # impl Call<u32> for Till { type Reply = u32; async fn call(&mut self, n: u32) -> u32 { n + 1 } }
/// # run(async {
/// let (till, other) = (Till::start(()).await?, Till::start(()).await?);
/// let mut pending = vec![till.send_request(1)?, other.send_request(2)?];
/// let mut sum = 0;
/// while let Some((_, reply)) = select_reply(&mut pending, None).await {
///     sum += reply?;
/// }
/// assert_eq!(sum, 5);
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
///
/// # Cancel safety
/// If the future is dropped before it is ready, all replies can still be waited for.
///
/// # Panics
/// Panics when awaited outside a process.
pub async fn select_reply<R: Send>(
    pending: &mut Vec<PendingReply<R>>,
    timeout: Option<Duration>,
) -> Option<(usize, Result<R, CallError>)> {
    if pending.is_empty() {
        return None;
    }
    let first = poll_fn(|cx| poll_first(pending, cx));
    let (at, reply) = match timeout {
        Some(duration) => with_timeout(duration, first).await.ok()?,
        None => first.await,
    };
    drop(pending.remove(at));
    Some((at, reply))
}

fn poll_first<R: Send>(
    pending: &mut [PendingReply<R>],
    cx: &mut Context<'_>,
) -> Poll<(usize, Result<R, CallError>)> {
    // A scan spends one reduction, however many replies it looks at: with one for each, those behind the
    // reductions of a poll slice would never be looked at.
    if coop::poll_proceed(cx).is_pending() {
        return Poll::Pending;
    }
    for (at, reply) in pending.iter_mut().enumerate() {
        // It leaves its waker where the reply will come.
        if let Poll::Ready(reply) = reply.poll_settled(cx) {
            return Poll::Ready((at, reply));
        }
    }
    Poll::Pending
}

/// Calls several servers at once, and waits for all replies for at most `timeout` together; `None` waits
/// forever. Returns a result for each server, in the order of `servers`. (OTP: `gen_server:multi_call/4`.)
///
/// A reply that comes after the time has passed is discarded.
///
/// ```
/// use std::time::Duration;
/// # use riot_actor::{gen_server::{Call, GenServer, Stop, multi_call}, run};
/// # struct Till(u32);
/// # impl GenServer for Till { type Args = u32; async fn init(n: u32) -> Result<Self, Stop> { Ok(Till(n)) } }
/// # #[derive(Clone)] struct Sum;
/// # impl Call<Sum> for Till { type Reply = u32; async fn call(&mut self, _: Sum) -> u32 { self.0 } }
/// # run(async {
/// let tills = [Till::start(3).await?, Till::start(4).await?];
/// let sums = multi_call(&tills, Sum, Some(Duration::from_secs(1))).await;
/// assert_eq!(sums, [Ok(3), Ok(4)]);
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
///
/// # Cancel safety
/// If the future is dropped before it is ready, the requests stay sent, and the replies are discarded.
///
/// # Panics
/// Panics when awaited outside a process.
pub async fn multi_call<S, Q>(
    servers: &[GenServerRef<S>],
    query: Q,
    timeout: Option<Duration>,
) -> Vec<Result<S::Reply, CallError>>
where
    S: Call<Q>,
    Q: Clone + Send + 'static,
{
    let pending: Vec<_> = servers.iter().map(|server| server.send_request(query.clone())).collect();
    let left = time_left(timeout);
    let mut replies = Vec::with_capacity(pending.len());
    for pending in pending {
        replies.push(match pending {
            Ok(mut pending) => pending.wait(left()).await,
            Err(error) => Err(error),
        });
    }
    replies
}
