//! Acceptor.Worker: accepts clients one after the other, and hands each over before it accepts the next.

use std::{
    collections::BTreeMap,
    future::{pending, poll_fn},
    io::{self, IoSlice},
    pin::pin,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use parking_lot::Mutex;
use riot_actor::{Reason, mailbox::try_send, sleep, timeout};

use super::{
    accept_error::AcceptErrorKind,
    connections::Start,
    overflow::ConnectionOverflow,
    reaper::ServerSet,
    semaphore::{Permit, Semaphore},
    state::Shared,
    telemetry::{ListenerStopReason, ListenerStopped},
};
use crate::{
    connection::Connection,
    transport::{Address, Listen, Shutdown, Transport},
};

/// The pause after an accept that failed for want of descriptors or memory: 100 ms, as in Ranch and Thousand
/// Island.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// The pause after such an accept if connections give way, in which they can close: 10 ms.
const SHORT_PAUSE: Duration = Duration::from_millis(10);

/// The time in which a connection that gives way has to close, before another one gives way too: 100 ms.
const REAP_INTERVAL: Duration = Duration::from_millis(100);

/// Bounds the clients that are sent away before that pause.
const MAX_SHED: usize = 1024;

/// A listening socket and the acceptors that share it. They take turns, so that a new client wakes one
/// process.
pub(super) struct SharedListener {
    /// `None` once the drain has taken it over.
    listener: Mutex<Option<Arc<dyn Listen>>>,
    /// A client that was accepted and waited for a permit when the server closed.
    unserved: Mutex<Option<Accepted>>,
    turn: Arc<Semaphore>,
    /// Wakers of the acceptors, by their numbers.
    acceptors: Mutex<BTreeMap<usize, Waker>>,
    address: Address,
    server: Weak<Shared>,
}

/// A client as the listener gives it.
pub(super) type Accepted = (Arc<dyn Transport>, Address);

/// An accepted client.
pub(super) struct Client {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) peer: Address,
    /// `None` if the server is full.
    pub(super) permit: Option<Permit>,
}

/// Accepts clients until the listener fails. Once the server closes, does nothing more, and holds neither a
/// client nor the listener.
pub(super) async fn run(shared: Arc<Shared>, listener: Arc<SharedListener>, number: usize) -> Reason {
    if let Err(error) = accept_clients(&shared, &listener, number).await {
        return error.into();
    }
    pending().await
}

/// Accepts clients until the server closes.
async fn accept_clients(shared: &Arc<Shared>, listener: &SharedListener, number: usize) -> io::Result<()> {
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    listener.acceptors.lock().insert(number, waker);
    let servers = ServerSet::current()?;
    let Some(listening) = listener.listener.lock().clone() else { return Ok(()) };
    while let Some(client) = listener.next(&*listening, shared, &servers).await? {
        if let Some(start) = start(shared, number, client) {
            hand_over(shared, number, start).await;
        }
    }
    Ok(())
}

/// Returns what a Connections.Sup is asked for a client: to serve it, or to refuse it if it has no permit;
/// `None` if the client is closed at once.
pub(super) fn start(shared: &Arc<Shared>, number: usize, client: Client) -> Option<Start> {
    let Client { transport, peer, permit } = client;
    let connection = Connection::new(transport, peer);
    if let Some(permit) = permit {
        return Some(Start::serve(shared, connection, number, permit));
    }
    shared.statistics.refused.fetch_add(1, Relaxed);
    shared.reached_limit();
    let ConnectionOverflow::Answer(_) = shared.overflow else { return None };
    let permit = shared.refusals.try_acquire()?;
    Some(Start::refuse(shared, connection, number, permit))
}

impl SharedListener {
    pub(super) fn new(listener: Arc<dyn Listen>, address: Address, server: &Arc<Shared>) -> Self {
        Self {
            listener: Mutex::new(Some(listener)),
            unserved: Mutex::default(),
            turn: Semaphore::new(1),
            acceptors: Mutex::default(),
            address,
            server: Arc::downgrade(server),
        }
    }

    /// Emits that the server listens no more on this address.
    fn emit_stopped(&self, reason: ListenerStopReason) {
        if let Some(server) = self.server.upgrade() {
            let address = &self.address;
            server.emit(|server| ListenerStopped { server, address: address.clone(), reason });
        }
    }

    /// Takes the listener from the acceptors of a server that closes, once none of them is accepting, and the
    /// client that one of them has accepted and not served.
    pub(super) async fn take_over(&self) -> Option<(Arc<dyn Listen>, Option<Accepted>)> {
        let acceptors = std::mem::take(&mut *self.acceptors.lock());
        acceptors.into_values().for_each(Waker::wake);
        let _turn = self.turn.acquire().await;
        let listener = self.listener.lock().take()?;
        self.emit_stopped(ListenerStopReason::Draining);
        Some((listener, self.unserved.lock().take()))
    }

    /// Waits for a client; there is none once the server closes. Fails only if the listener does.
    async fn next(
        &self,
        listening: &dyn Listen,
        shared: &Arc<Shared>,
        servers: &ServerSet,
    ) -> io::Result<Option<Client>> {
        let _turn = self.turn.acquire().await;
        loop {
            let error = match accept(listening, shared).await {
                Ok(Some(Client { permit: None, transport, peer }))
                    if shared.overflow == ConnectionOverflow::ReapOldestIdle =>
                {
                    let permit = reaped_permit(shared).await;
                    if permit.is_none() {
                        *self.unserved.lock() = Some((transport, peer));
                        return Ok(None);
                    }
                    return Ok(Some(Client { transport, peer, permit }));
                }
                Ok(client) => return Ok(client),
                Err(error) => error,
            };
            match shared.accept_failed(&error) {
                AcceptErrorKind::Connection => {}
                AcceptErrorKind::Exhausted => {
                    if servers.give_way().await > 0 {
                        sleep(SHORT_PAUSE).await;
                    } else {
                        shed(listening, shared).await;
                        sleep(PAUSE).await;
                    }
                }
                AcceptErrorKind::Listener => return Err(error),
            }
        }
    }
}

impl Drop for SharedListener {
    fn drop(&mut self) {
        if self.listener.get_mut().is_some() {
            let is_suspended = self.server.upgrade().is_some_and(|server| server.suspended.load(Relaxed));
            let reason = if is_suspended { ListenerStopReason::Suspended } else { ListenerStopReason::Ended };
            self.emit_stopped(reason);
        }
    }
}

/// Accepts the next client, unless the server closes. Where clients wait for a permit, the permit is acquired
/// first. It is released again while there is no client.
async fn accept(listening: &dyn Listen, shared: &Shared) -> io::Result<Option<Client>> {
    let mut acquire = shared.permits.start_acquire();
    let mut told = false;
    poll_fn(|cx| {
        if shared.is_closing() {
            return Poll::Ready(Ok(None));
        }
        let permit = match shared.overflow {
            ConnectionOverflow::Wait => match acquire.poll(cx) {
                Poll::Ready(permit) => Some(permit),
                Poll::Pending => return wait_for_permit(shared, &mut told),
            },
            ConnectionOverflow::Close
            | ConnectionOverflow::Answer(_)
            | ConnectionOverflow::ReapOldestIdle => shared.permits.try_acquire(),
        };
        let (transport, peer) = ready!(listening.poll_accept(cx))?;
        Poll::Ready(Ok(Some(Client { transport, peer, permit })))
    })
    .await
}

/// Counts and logs, once for each client, that the server is full.
#[cold]
fn wait_for_permit<T>(shared: &Shared, told: &mut bool) -> Poll<T> {
    if !std::mem::replace(told, true) {
        shared.reached_limit();
    }
    Poll::Pending
}

/// Sends waiting clients away, unless the policy lets them wait. Called when the program has run out of
/// descriptors: the clients would wait without knowing for how long.
async fn shed(listening: &dyn Listen, shared: &Shared) {
    match &shared.overflow {
        ConnectionOverflow::Wait | ConnectionOverflow::ReapOldestIdle => {}
        ConnectionOverflow::Close | ConnectionOverflow::Answer(_) => {
            send_away(listening, shared).await;
        }
    }
}

/// Sends waiting clients away, one after the other, through the descriptor in reserve. Returns how many.
pub(super) async fn send_away(listening: &dyn Listen, shared: &Shared) -> usize {
    let answer: &[u8] = match &shared.overflow {
        ConnectionOverflow::Answer(answer) => answer,
        _ => &[],
    };
    poll_fn(|cx| {
        let shed = shared.reserve.lend(|| {
            for number in 0..MAX_SHED {
                let Poll::Ready(Ok((transport, _))) = listening.poll_accept(cx) else { return number };
                shared.statistics.refused.fetch_add(1, Relaxed);
                send_answer(&*transport, answer, cx);
            }
            MAX_SHED
        });
        Poll::Ready(shed)
    })
    .await
}

/// Waits for the permit of a client that came while the server was full: idle connections give way, one after
/// the other. There is none once the server closes.
async fn reaped_permit(shared: &Arc<Shared>) -> Option<Permit> {
    loop {
        shared.reap_oldest_idle().await;
        let mut acquire = pin!(timeout(REAP_INTERVAL, shared.permits.acquire()));
        let acquired = poll_fn(|cx| {
            if shared.is_closing() {
                return Poll::Ready(None);
            }
            acquire.as_mut().poll(cx).map(Some)
        });
        if let Ok(permit) = acquired.await? {
            return Some(permit);
        }
    }
}

/// Sends as much of the answer as the buffers of a new connection take, which is all of it.
fn send_answer(transport: &dyn Transport, answer: &[u8], cx: &mut Context<'_>) {
    if !answer.is_empty()
        && let Poll::Ready(Ok(_)) = transport.poll_write(cx, &[IoSlice::new(answer)])
    {
        let _ = transport.shutdown(Shutdown::Write);
    }
}

/// Sends a client to the Connections.Sup in charge. If that has just ended, its successor gets the client.
pub(super) async fn hand_over(shared: &Shared, number: usize, mut start: Start) {
    loop {
        let supervisor = shared.table.supervisor(shared.table.shard_of(number)).await;
        match try_send(supervisor, start) {
            Ok(()) => return,
            Err(back) => start = back.into_message(),
        }
        riot_actor::process::join(&[supervisor]).await;
    }
}
