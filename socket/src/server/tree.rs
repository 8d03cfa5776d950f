//! The tree: who supervises whom.

use std::{sync::Arc, time::Duration};

use riot_actor::{Pid, process::SpawnOptions, this};
use riot_supervisor::{ChildShutdown, Supervisor, SupervisorInit, supervisor, worker};

use super::{acceptor, connections, state::Shared};

/// The children of Server.Sup, in their order.
pub(super) const CONNECTIONS: &str = "Connections.Sup.Sup";
pub(super) const ACCEPTORS: &str = "Acceptor.Sup";

/// How often and in what time a child may be restarted beside `children` like it. (Ranch: the same.)
fn intensity(children: usize) -> (usize, Duration) {
    (1 + children.next_power_of_two().ilog2() as usize, Duration::from_secs(5))
}

/// Server.Sup. Connections come first: acceptors have to hand over to somebody, and stop first.
pub(super) fn tree(shared: &Arc<Shared>, supervisors: usize) -> Supervisor {
    let connections = {
        let top = Top(shared.clone());
        move || {
            let Top(shared) = &top;
            shared.set_supervisor(this());
            connections(shared, supervisors).start_link()
        }
    };
    let acceptors = {
        let shared = shared.clone();
        move || acceptors(shared.clone()).start_link()
    };
    Supervisor::rest_for_one()
        .label("Server.Sup")
        .child(supervisor(CONNECTIONS, connections))
        .child(supervisor(ACCEPTORS, acceptors))
}

/// Held by Server.Sup: when that is no more, whoever has a handle to the server can see it from any thread.
struct Top(Arc<Shared>);

impl Drop for Top {
    fn drop(&mut self) {
        self.0.clear_supervisor();
    }
}

/// A supervisor between Server.Sup and each Connections.Sup, as in Ranch: so one that dies is replaced without a
/// restart of the acceptors behind it, who would close the listening socket.
fn connections(shared: &Arc<Shared>, supervisors: usize) -> Supervisor {
    let (max_restarts, period) = intensity(supervisors);
    let children = (0..supervisors).map(|number| {
        let shared = shared.clone();
        supervisor(format!("Connections.Sup.{number}"), move || {
            let body = connections::run(shared.clone(), this(), number);
            let pid = SpawnOptions::new().label("Connections.Sup").trap_exit().link().spawn(body);
            async move { Ok::<Pid, riot_actor::Reason>(pid) }
        })
        // It keeps its own time, and kills what has not finished.
        .shutdown(ChildShutdown::Infinity)
    });
    children
        .fold(Supervisor::one_for_one().label(CONNECTIONS).intensity(max_restarts, period), Supervisor::child)
}

/// Acceptor.Sup binds in its own process, so the listening sockets are its own and end with it.
fn acceptors(shared: Arc<Shared>) -> SupervisorInit {
    Supervisor::init(move || async move {
        let doors = shared.open().await?;
        let workers = shared.acceptors();
        let (max_restarts, period) = intensity(workers);
        let children = (0..workers).map(|number| {
            let (shared, door) = (shared.clone(), doors[number % doors.len()].clone());
            worker(format!("Acceptor.Worker.{number}"), move || {
                let body = acceptor::run(shared.clone(), door.clone(), number);
                let pid = SpawnOptions::new().label("Acceptor.Worker").link().spawn(body);
                shared.add_acceptor(pid);
                async move { Ok::<Pid, riot_actor::Reason>(pid) }
            })
            .shutdown(ChildShutdown::Kill)
        });
        let supervisor = Supervisor::one_for_one().label(ACCEPTORS).intensity(max_restarts, period);
        Ok::<_, std::io::Error>(children.fold(supervisor, Supervisor::child))
    })
    .label(ACCEPTORS)
}
