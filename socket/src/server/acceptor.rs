//! Acceptor.Worker: takes clients in, one after the other, and hands each over before it takes the next.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use riot_actor::{Reason, sleep, try_send};

use super::{
    accept_error::{Verdict, verdict},
    connections::Start,
    shared::{Seat, Shared},
};
use crate::{connection::Connection, transport::Listen};

/// How long to wait when the machine is out of descriptors or memory. (Ranch, Thousand Island: the same.)
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts for as long as there is a listener.
pub(crate) async fn run(shared: Arc<Shared>, listener: Arc<dyn Listen>, number: usize) -> Reason {
    loop {
        // The place first: a client there is none for stays with the system.
        let permit = shared.limit.enter().await;
        let accepted = {
            let _turn = shared.turn.enter().await;
            poll_fn(|cx| listener.poll_accept(cx)).await
        };
        match accepted {
            Ok((transport, peer)) => {
                let connection = Connection::new(transport, peer).seated(Seat::new(&shared, permit));
                hand_over(&shared, number, Start { connection }).await;
            }
            Err(error) => {
                shared.counters.accept_errors.fetch_add(1, Ordering::Relaxed);
                match verdict(&error) {
                    Verdict::Skip => {}
                    Verdict::Wait => {
                        shared.warn_of(&error);
                        drop(permit);
                        sleep(PAUSE).await;
                    }
                    Verdict::End => return error.into(),
                }
            }
        }
    }
}

/// To the Connections.Sup that is there now; one that has just ended has a successor soon.
async fn hand_over(shared: &Shared, number: usize, mut start: Start) {
    loop {
        let supervisor = shared.connections_supervisor(number).await;
        match try_send(supervisor, start) {
            Ok(()) => return,
            Err(back) => start = back.into_message(),
        }
        riot_actor::join(&[supervisor]).await;
    }
}
