//! Acceptor.Worker: takes clients in, one after the other, and hands each over before it takes the next.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

use riot_actor::{Reason, mailbox::try_send, sleep};

use super::{
    accept_error::{Verdict, verdict},
    connections::Start,
    overflow::ConnectionOverflow,
    semaphore::{Limit, Permit},
    state::Shared,
};
use crate::{
    connection::Connection,
    transport::{Address, Listen, Shutdown, Transport},
};

/// How long to wait when the machine is out of descriptors or memory. (Ranch, Thousand Island: the same.)
const PAUSE: Duration = Duration::from_millis(100);

/// Clients sent away at most before that pause.
const SHED_MAX: usize = 1024;

/// A listening socket and those who accept from it. They take turns: whom it wakes is one process.
pub(super) struct Door {
    listener: Arc<dyn Listen>,
    turn: Arc<Limit>,
}

/// A client that was taken in.
struct Client {
    transport: Arc<dyn Transport>,
    peer: Address,
    /// None if there was no place.
    place: Option<Permit>,
}

/// Accepts for as long as there is a listener.
pub(super) async fn run(shared: Arc<Shared>, door: Arc<Door>, number: usize) -> Reason {
    loop {
        let client = match door.next(&shared).await {
            Ok(client) => client,
            Err(error) => return error.into(),
        };
        let connection = Connection::new(client.transport, client.peer);
        match client.place {
            Some(place) => hand_over(&shared, number, Start::serve(&shared, connection, number, place)).await,
            None => {
                shared.counters.refused.fetch_add(1, Relaxed);
                if let ConnectionOverflow::Answer(_) = shared.overflow
                    && let Some(turn) = shared.answering.try_enter()
                {
                    hand_over(&shared, number, Start::refuse(&shared, connection, number, turn)).await;
                }
            }
        }
    }
}

impl Door {
    pub(super) fn new(listener: Arc<dyn Listen>) -> Self {
        Self { listener, turn: Limit::new(1) }
    }

    /// Waits for a client, through everything that goes wrong but the end of the listener.
    async fn next(&self, shared: &Arc<Shared>) -> io::Result<Client> {
        let _turn = self.turn.enter().await;
        loop {
            let error = match self.accept(shared).await {
                Ok(client) => return Ok(client),
                Err(error) => error,
            };
            let verdict = verdict(&error);
            shared.count_accept_error(verdict);
            match verdict {
                Verdict::Skip => {}
                Verdict::Exhausted => {
                    shared.warn_of(&error);
                    self.shed(shared).await;
                    sleep(PAUSE).await;
                }
                Verdict::End => return Err(error),
            }
        }
    }

    /// Takes the next client in. A place for it comes first, if it has to wait for one outside; nobody keeps a place
    /// while there is no client.
    async fn accept(&self, shared: &Shared) -> io::Result<Client> {
        let mut waiting = shared.limit.wait();
        poll_fn(|cx| {
            let place = match shared.overflow {
                ConnectionOverflow::Wait => Some(ready!(waiting.poll(cx))),
                ConnectionOverflow::Close | ConnectionOverflow::Answer(_) => shared.limit.try_enter(),
            };
            let (transport, peer) = ready!(self.listener.poll_accept(cx))?;
            Poll::Ready(Ok(Client { transport, peer, place }))
        })
        .await
    }

    /// Out of descriptors: the clients outside would not know for how long. Those that are not to wait are sent away,
    /// one after the other, through the descriptor in reserve.
    async fn shed(&self, shared: &Shared) {
        let answer: &[u8] = match &shared.overflow {
            ConnectionOverflow::Wait => return,
            ConnectionOverflow::Close => &[],
            ConnectionOverflow::Answer(answer) => answer,
        };
        poll_fn(|cx| {
            shared.reserve.lend(|| {
                for _ in 0..SHED_MAX {
                    let Poll::Ready(Ok((transport, _))) = self.listener.poll_accept(cx) else { break };
                    shared.counters.refused.fetch_add(1, Relaxed);
                    tell(&*transport, answer, cx);
                }
            });
            Poll::Ready(())
        })
        .await;
    }
}

/// Says what fits into the buffers of a connection nothing was sent on yet: that is, all of it.
fn tell(transport: &dyn Transport, answer: &[u8], cx: &mut Context<'_>) {
    if !answer.is_empty()
        && let Poll::Ready(Ok(_)) = transport.poll_write(cx, &[IoSlice::new(answer)])
    {
        let _ = transport.shutdown(Shutdown::Write);
    }
}

/// To the Connections.Sup that is there now; one that has just ended has a successor soon.
async fn hand_over(shared: &Shared, number: usize, mut start: Start) {
    loop {
        let supervisor = shared.places.supervisor(shared.places.of_acceptor(number)).await;
        match try_send(supervisor, start) {
            Ok(()) => return,
            Err(back) => start = back.into_message(),
        }
        riot_actor::process::join(&[supervisor]).await;
    }
}
