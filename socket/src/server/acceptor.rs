//! Acceptor.Worker: accepts clients one after the other, and hands each over before it accepts the next.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

use riot_actor::{Reason, mailbox::try_send, sleep, timeout};

use super::{
    accept_error::{AcceptErrorKind, classify},
    connections::Start,
    overflow::ConnectionOverflow,
    reaper::ServerSet,
    semaphore::{Permit, Semaphore},
    state::Shared,
};
use crate::{
    connection::Connection,
    transport::{Address, Listen, Shutdown, Transport},
};

/// The pause after an accept that failed for want of descriptors or memory: 100 ms, as in Ranch and Thousand
/// Island.
const PAUSE: Duration = Duration::from_millis(100);

/// The pause after such an accept if connections give way, in which they can close: 10 ms.
const SHORT_PAUSE: Duration = Duration::from_millis(10);

/// The time in which a connection that gives way has to close, before another one gives way too: 100 ms.
const REAP_INTERVAL: Duration = Duration::from_millis(100);

/// Bounds the clients that are sent away before that pause.
const MAX_SHED: usize = 1024;

/// A listening socket and the acceptors that share it. They take turns, so that a new client wakes one
/// process.
pub(super) struct SharedListener {
    listener: Arc<dyn Listen>,
    turn: Arc<Semaphore>,
}

/// An accepted client.
struct Client {
    transport: Arc<dyn Transport>,
    peer: Address,
    /// `None` if the server is full.
    permit: Option<Permit>,
}

/// Accepts clients until the listener fails.
pub(super) async fn run(shared: Arc<Shared>, listener: Arc<SharedListener>, number: usize) -> Reason {
    let servers = match ServerSet::current() {
        Ok(servers) => servers,
        Err(error) => return error.into(),
    };
    loop {
        let client = match listener.next(&shared, &servers).await {
            Ok(client) => client,
            Err(error) => return error.into(),
        };
        let connection = Connection::new(client.transport, client.peer);
        match client.permit {
            Some(permit) => {
                hand_over(&shared, number, Start::serve(&shared, connection, number, permit)).await
            }
            None => {
                shared.statistics.refused.fetch_add(1, Relaxed);
                if let ConnectionOverflow::Answer(_) = shared.overflow
                    && let Some(permit) = shared.refusals.try_acquire()
                {
                    hand_over(&shared, number, Start::refuse(&shared, connection, number, permit)).await;
                }
            }
        }
    }
}

impl SharedListener {
    pub(super) fn new(listener: Arc<dyn Listen>) -> Self {
        Self { listener, turn: Semaphore::new(1) }
    }

    /// Waits for a client. Fails only if the listener does.
    async fn next(&self, shared: &Arc<Shared>, servers: &ServerSet) -> io::Result<Client> {
        let _turn = self.turn.acquire().await;
        loop {
            let error = match self.accept(shared).await {
                Ok(Client { permit: None, transport, peer })
                    if shared.overflow == ConnectionOverflow::ReapOldestIdle =>
                {
                    let permit = Some(reaped_permit(shared).await);
                    return Ok(Client { transport, peer, permit });
                }
                Ok(client) => return Ok(client),
                Err(error) => error,
            };
            let kind = classify(&error);
            shared.statistics.count_accept_error(kind);
            match kind {
                AcceptErrorKind::Connection => {}
                AcceptErrorKind::Exhausted => {
                    shared.warn_accept_error(&error);
                    if servers.give_way().await > 0 {
                        sleep(SHORT_PAUSE).await;
                    } else {
                        self.shed(shared).await;
                        sleep(PAUSE).await;
                    }
                }
                AcceptErrorKind::Listener => return Err(error),
            }
        }
    }

    /// Accepts the next client. Where clients wait for a permit, the permit is acquired first. It is released
    /// again while there is no client.
    async fn accept(&self, shared: &Shared) -> io::Result<Client> {
        let mut acquire = shared.permits.start_acquire();
        poll_fn(|cx| {
            let permit = match shared.overflow {
                ConnectionOverflow::Wait => Some(ready!(acquire.poll(cx))),
                ConnectionOverflow::Close
                | ConnectionOverflow::Answer(_)
                | ConnectionOverflow::ReapOldestIdle => shared.permits.try_acquire(),
            };
            let (transport, peer) = ready!(self.listener.poll_accept(cx))?;
            Poll::Ready(Ok(Client { transport, peer, permit }))
        })
        .await
    }

    /// Sends waiting clients away, one after the other, through the descriptor in reserve. Called when the
    /// program has run out of descriptors: the clients would wait without knowing for how long.
    async fn shed(&self, shared: &Shared) {
        let answer: &[u8] = match &shared.overflow {
            ConnectionOverflow::Wait | ConnectionOverflow::ReapOldestIdle => return,
            ConnectionOverflow::Close => &[],
            ConnectionOverflow::Answer(answer) => answer,
        };
        poll_fn(|cx| {
            shared.reserve.lend(|| {
                for _ in 0..MAX_SHED {
                    let Poll::Ready(Ok((transport, _))) = self.listener.poll_accept(cx) else { break };
                    shared.statistics.refused.fetch_add(1, Relaxed);
                    send_answer(&*transport, answer, cx);
                }
            });
            Poll::Ready(())
        })
        .await;
    }
}

/// Waits for the permit of a client that came while the server was full: idle connections give way, one after
/// the other.
async fn reaped_permit(shared: &Arc<Shared>) -> Permit {
    loop {
        shared.reap_oldest_idle().await;
        if let Ok(permit) = timeout(REAP_INTERVAL, shared.permits.acquire()).await {
            return permit;
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
async fn hand_over(shared: &Shared, number: usize, mut start: Start) {
    loop {
        let supervisor = shared.table.supervisor(shared.table.shard_of(number)).await;
        match try_send(supervisor, start) {
            Ok(()) => return,
            Err(back) => start = back.into_message(),
        }
        riot_actor::process::join(&[supervisor]).await;
    }
}
