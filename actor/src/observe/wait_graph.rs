//! The processes that wait for replies of each other, and the rings of them, which wait for ever.
//!
//! A process waits for one reply at a time, so a node has one edge at most, and a ring is found by following
//! the edges. Processes are read one after the other while others run: a ring is taken from two looks, and
//! counts only if each of its calls was the same at both.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    iter,
    ops::Range,
    sync::Arc,
    time::Instant,
};

use crate::{
    names::name::Name,
    process::{
        look::ProcessLook,
        pid::Pid,
        top::Portions,
        waiting::{CallId, WaitingFor},
    },
    runtime::{context, coop::yield_now, handle::Handle, shared::Shared},
};

/// A process that waits for the reply of another one, or that another one waits for.
///
/// See [`wait_graph`] for an example.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WaitNode {
    /// The process.
    pub pid: Pid,
    /// The names it holds; none once it is released.
    pub names: Vec<Name>,
    /// The label; none once it is released.
    pub label: Option<String>,
}

/// A process that waits for the reply of another one.
///
/// See [`wait_graph`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitEdge {
    /// The process that waits.
    pub from: Pid,
    /// The process that it has called.
    pub to: Pid,
    /// The type of the request.
    pub request: &'static str,
    /// When the request was sent, by the clock of the runtime.
    pub since: Instant,
    /// Tells this wait from all others of the process.
    pub id: CallId,
}

/// The processes that wait for replies of each other. Made by [`wait_graph`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WaitGraph {
    /// The processes at the ends of the edges, each once: in the order of the edges, the one that waits
    /// first.
    pub nodes: Vec<WaitNode>,
    /// The calls that are waited for, in the order of the process table.
    pub edges: Vec<WaitEdge>,
    /// The rings: the edges of each in the order of the calls, beginning with the process that stands
    /// first in the process table.
    pub rings: Vec<Vec<WaitEdge>>,
}

/// Returns the processes that wait for the replies of calls, and the rings among them. Each process of a ring
/// waits for the next one, so none of them goes on before a call ends in time.
///
/// A ring is reported after a second look that has found the same calls: no ring is reported that never was
/// one. A process that awaits several things at once shows the one that was polled last, and its ring can end
/// by another one. Rings over [deferred replies](crate::call::ReplyTo) or plain messages are not seen.
///
/// All processes are looked at, and the caller gives way after each 1 024 of them. A process that begins or
/// ends a call meanwhile may be missing or shown.
///
/// ```
/// use riot_actor::{call, process::{wait_graph, yield_now}, run, spawn, this};
///
/// struct Reserve;
///
/// run(async {
///     let server = this();
///     let client = spawn(async move {
///         let _reply = call::call::<Reserve, ()>(server, Reserve, None).await;
///     });
///     while wait_graph().await.edges.is_empty() {
///         yield_now().await;
///     }
///     let graph = wait_graph().await;
///     assert_eq!((graph.edges[0].from, graph.edges[0].to), (client, server));
///     assert!(graph.edges[0].request.ends_with("Reserve"));
///     assert_eq!((graph.nodes.len(), graph.rings.len()), (2, 0));
/// });
/// ```
///
/// # Cancel safety
/// Dropping the future has no effect.
///
/// # Panics
/// Panics when awaited outside a process; a plain thread uses [`Handle::wait_graph`].
pub async fn wait_graph() -> WaitGraph {
    let mut scan = GraphScan::new(context::with_shared("wait_graph", Arc::clone));
    while scan.step() == GraphStep::More {
        yield_now().await;
    }
    scan.graph
}

impl Handle {
    /// Returns the processes that wait for replies, as [`wait_graph`] does, from a plain thread. No lock is
    /// held for longer than one process.
    #[must_use]
    pub fn wait_graph(&self) -> WaitGraph {
        let mut scan = GraphScan::new(self.shared.clone());
        while scan.step() == GraphStep::More {}
        scan.graph
    }
}

/// Whether a scan is over.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GraphStep {
    More,
    Done,
}

struct GraphScan {
    shared: Arc<Shared>,
    portions: Portions,
    /// The nodes of edges before this one are listed.
    listed: usize,
    /// The nodes that are listed.
    known: HashSet<Pid>,
    graph: WaitGraph,
}

impl GraphScan {
    fn new(shared: Arc<Shared>) -> Self {
        let portions = Portions::new(&shared);
        Self { shared, portions, listed: 0, known: HashSet::new(), graph: WaitGraph::default() }
    }

    fn step(&mut self) -> GraphStep {
        let graph = &mut self.graph;
        if let Some(portion) = self.portions.next() {
            self.shared.calls_of(portion, |edge| graph.edges.push(edge));
            if self.portions.is_done() {
                graph.rings = self.shared.confirmed_rings(&graph.edges);
            }
            return GraphStep::More;
        }
        // An `info` takes longer than a look at a wait.
        let from = self.listed;
        self.listed = (from + 256).min(graph.edges.len());
        for edge in &graph.edges[from..self.listed] {
            for pid in [edge.from, edge.to] {
                if self.known.insert(pid) {
                    graph.nodes.push(self.shared.wait_node(pid));
                }
            }
        }
        if self.listed < graph.edges.len() { GraphStep::More } else { GraphStep::Done }
    }
}

impl Shared {
    /// Shows `f` the calls that processes in these slots wait for.
    fn calls_of(&self, slots: Range<u32>, mut f: impl FnMut(WaitEdge)) {
        self.looks_of(slots, |look| _ = edge_of(look).map(&mut f));
    }

    /// Returns the call that a process waits for.
    fn call_of(&self, pid: Pid) -> Option<WaitEdge> {
        let mut found = None;
        self.calls_of(pid.index()..pid.index() + 1, |edge| found = Some(edge));
        found.filter(|edge| edge.from == pid)
    }

    /// Returns the rings among these edges whose calls are still the same.
    pub(crate) fn confirmed_rings(&self, edges: &[WaitEdge]) -> Vec<Vec<WaitEdge>> {
        let is_same = |edge: &WaitEdge| self.call_of(edge.from).as_ref() == Some(edge);
        let targets: Vec<(Pid, Pid)> = edges.iter().map(|edge| (edge.from, edge.to)).collect();
        let rings = rings_of(&targets).into_iter();
        let rings = rings.map(|ring| ring.into_iter().map(|nth| edges[nth]).collect::<Vec<_>>());
        rings.filter(|ring| ring.iter().all(is_same)).collect()
    }

    fn wait_node(&self, pid: Pid) -> WaitNode {
        let info = self.info(pid);
        let (names, label) = info.map(|info| (info.names, info.label)).unwrap_or_default();
        WaitNode { pid, names, label: label.map(|label| label.into_owned()) }
    }
}

/// Returns the call that a process waits for, as it was looked at.
pub(crate) fn edge_of(look: ProcessLook) -> Option<WaitEdge> {
    match look.waiting_for? {
        WaitingFor::Call { to, request, since, id } => {
            Some(WaitEdge { from: look.pid, to, request, since, id })
        }
        _ => None,
    }
}

/// Returns the rings among edges, of which each source has one at most: the positions of the edges of each
/// ring, beginning with the smallest one, in the order of these.
fn rings_of<T: Copy + Eq + Hash>(edges: &[(T, T)]) -> Vec<Vec<usize>> {
    let at: HashMap<T, usize> = edges.iter().enumerate().map(|(nth, &(from, _))| (from, nth)).collect();
    // The walk that has visited an edge first.
    let mut visited: Vec<Option<usize>> = vec![None; edges.len()];
    let mut rings = Vec::new();
    for start in 0..edges.len() {
        let mut next = Some(start);
        while let Some(nth) = next.filter(|&nth| visited[nth].is_none()) {
            visited[nth] = Some(start);
            next = at.get(&edges[nth].1).copied();
        }
        // The walk has come back to an edge of its own: all edges of a ring are reached from it.
        let Some(first) = next.filter(|&nth| visited[nth] == Some(start)) else { continue };
        let follow = |&nth: &usize| at.get(&edges[nth].1).copied().filter(|&nth| nth != first);
        let mut ring: Vec<usize> = iter::successors(Some(first), follow).collect();
        let smallest = (0..ring.len()).min_by_key(|&place| ring[place]).unwrap_or(0);
        ring.rotate_left(smallest);
        rings.push(ring);
    }
    rings.sort_unstable_by_key(|ring| ring[0]);
    rings
}

#[cfg(all(test, not(riot_loom)))]
mod tests {
    use proptest::{prelude::*, test_runner::Config};

    use super::*;
    use crate::{
        call::call, process::reason::Reason, receive, runtime::context::with_shared, send,
        simulation::Simulation, sleep, spawn,
    };
    use std::time::Duration;

    /// Returns the rings by the plainest rule: a source is in a ring if the way from it comes back to it.
    fn rings_of_model(edges: &[(u8, u8)]) -> Vec<Vec<usize>> {
        let position = |from: u8| edges.iter().position(|edge| edge.0 == from);
        let mut rings: Vec<Vec<usize>> = Vec::new();
        for start in 0..edges.len() {
            let (mut way, mut next) = (vec![start], position(edges[start].1));
            while let Some(nth) = next.filter(|nth| !way.contains(nth)) {
                way.push(nth);
                next = position(edges[nth].1);
            }
            if next == Some(start) && way.iter().all(|&nth| nth >= start) {
                rings.push(way);
            }
        }
        rings
    }

    proptest! {
        #![proptest_config(Config::with_cases(10_000))]
        #[test]
        fn rings_of_random_graphs_equal_a_model(
            targets in prop::collection::hash_map(0_u8..40, 0_u8..40, 0..40),
        ) {
            let edges: Vec<(u8, u8)> = targets.into_iter().collect();
            prop_assert_eq!(rings_of(&edges), rings_of_model(&edges));
        }
    }

    #[test]
    fn chains_and_calls_into_a_ring_are_no_part_of_it() {
        assert!(rings_of(&[(1, 2), (2, 3), (3, 4)]).is_empty());
        assert_eq!(rings_of(&[(9, 3), (1, 2), (2, 3), (3, 2), (5, 5)]), [vec![2, 3], vec![4]]);
    }

    #[test]
    fn a_ring_of_earlier_calls_is_none_at_the_second_look() {
        let reason = Simulation::new(1).run(async {
            let ask = || async {
                let to: Pid = receive().await;
                loop {
                    _ = call::<u8, ()>(to, 7, Some(Duration::from_secs(1))).await;
                }
            };
            let (a, b) = (spawn(ask()), spawn(ask()));
            send(a, b);
            send(b, a);
            let look = || {
                with_shared("test", |shared| {
                    let mut edges = Vec::new();
                    shared.calls_of(0..shared.table.len(), |edge| edges.push(edge));
                    let rings = shared.confirmed_rings(&edges);
                    (edges, rings.len())
                })
            };
            sleep(Duration::from_millis(500)).await;
            let (before, rings) = look();
            assert_eq!((before.len(), rings), (2, 1));
            sleep(Duration::from_secs(1)).await;
            let (after, rings) = look();
            assert_eq!((after.len(), rings), (2, 1), "they have called each other again");
            let confirmed = with_shared("test", |shared| shared.confirmed_rings(&before));
            assert!(confirmed.is_empty(), "these calls have ended");
        });
        assert_eq!(reason, Reason::Normal);
    }
}
