//! The supervision tree of a server.

use std::{sync::Arc, time::Duration};

use riot_actor::{Pid, process::SpawnOptions, this};
use riot_supervisor::{ChildShutdown, Supervisor, SupervisorInit, SupervisorStartError, supervisor, worker};

use super::{acceptor, connections, drainer, state::Shared};

/// The first child of Server.Sup.
pub(super) const CONNECTIONS: &str = "Connections.Sup.Sup";
/// The second child of Server.Sup.
pub(super) const ACCEPTORS: &str = "Acceptor.Sup";

/// Returns the restart intensity of a supervisor with this number of equal children, as Ranch does.
fn intensity(children: usize) -> (usize, Duration) {
    (1 + children.next_power_of_two().ilog2() as usize, Duration::from_secs(5))
}

/// Returns Server.Sup. Connections start before the acceptors, which hand clients over to them, and stop
/// after them. A shutdown stops Drain.Worker first, which drains the whole server before it ends.
pub(super) fn tree(shared: &Arc<Shared>, supervisors: usize) -> Supervisor {
    let connections = {
        let top = SupervisorGuard(shared.clone());
        move || {
            let SupervisorGuard(shared) = &top;
            shared.set_supervisor(this());
            let (shared, starting) = (shared.clone(), connections(shared, supervisors).start_link());
            async move {
                let supervisor = starting.await?;
                shared.set_connections(supervisor.pid());
                Ok::<_, SupervisorStartError>(supervisor)
            }
        }
    };
    let acceptors = {
        let shared = shared.clone();
        move || acceptors(shared.clone()).start_link()
    };
    let drainer = {
        let shared = shared.clone();
        move || {
            let body = drainer::run(shared.clone(), this());
            let pid = SpawnOptions::new().label("Drain.Worker").trap_exit().link().spawn(body);
            async move { Ok::<Pid, riot_actor::Reason>(pid) }
        }
    };
    Supervisor::rest_for_one()
        .label("Server.Sup")
        .child(supervisor(CONNECTIONS, connections))
        .child(supervisor(ACCEPTORS, acceptors))
        // Drain.Worker keeps the deadline of the drain.
        .child(worker("Drain.Worker", drainer).shutdown(ChildShutdown::Infinity))
}

/// Clears the pid of Server.Sup when that ends, so that handles see it from any thread. Held by Server.Sup.
struct SupervisorGuard(Arc<Shared>);

impl Drop for SupervisorGuard {
    fn drop(&mut self) {
        self.0.clear_supervisor();
    }
}

/// Returns the supervisor between Server.Sup and each Connections.Sup, as in Ranch. It replaces one that
/// crashes without a restart of the acceptors, which would close the listening socket.
fn connections(shared: &Arc<Shared>, supervisors: usize) -> Supervisor {
    let (max_restarts, period) = intensity(supervisors);
    let children = (0..supervisors).map(|number| {
        let shared = shared.clone();
        supervisor(format!("Connections.Sup.{number}"), move || {
            let body = connections::run(shared.clone(), this(), number);
            let options = SpawnOptions::new().label("Connections.Sup").priority(shared.priority);
            let pid = options.trap_exit().link().spawn(body);
            async move { Ok::<Pid, riot_actor::Reason>(pid) }
        })
        // Connections.Sup keeps its own deadline, and kills connections that have not finished.
        .shutdown(ChildShutdown::Infinity)
    });
    children
        .fold(Supervisor::one_for_one().label(CONNECTIONS).intensity(max_restarts, period), Supervisor::child)
}

/// Returns Acceptor.Sup. It binds in its own process, so it owns the listening sockets, which are closed with
/// it.
fn acceptors(shared: Arc<Shared>) -> SupervisorInit {
    Supervisor::init(move || async move {
        #[cfg(feature = "tokio")]
        if shared.is_inside_tokio && !riot_actor::runtime::has_tokio() {
            return Err(std::io::Error::other(riot_actor::runtime::TOKIO_ADVICE));
        }
        let listeners_open = shared.open().await?;
        let workers = shared.acceptors();
        let (max_restarts, period) = intensity(workers);
        let children = (0..workers).map(|number| {
            let (shared, listener) = (shared.clone(), listeners_open[number % listeners_open.len()].clone());
            worker(format!("Acceptor.Worker.{number}"), move || {
                let body = acceptor::run(shared.clone(), listener.clone(), number);
                let options = SpawnOptions::new().label("Acceptor.Worker").priority(shared.priority);
                let pid = options.link().spawn(body);
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
