//! All processes as a tree, each below the process that spawned it.

use std::{collections::HashMap, fmt};

use crate::process::info::{ProcessInfo, ProcessState};
use crate::{
    guard::text::printable,
    process::pid::Pid,
    runtime::{context, handle::Handle, shared::Shared},
};

/// Every process, below the one that spawned it. A process whose parent has exited is a root.
///
/// Printed, it has one line for each process:
///
/// ```text
/// <1.0.0> main  waiting  mailbox 0
/// ├─ <1.1.0> counter  waiting  mailbox 3
/// └─ <1.2.0> -  running  mailbox 0
/// ```
///
/// Levels below the 32nd are not indented further: their depth stands before the pid, as in `(33) <1.40.0>`.
#[derive(Clone, Debug)]
pub struct ProcessTree {
    nodes: Vec<ProcessNode>,
}

/// A process in a [`ProcessTree`].
///
/// See [`tree`] for an example.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessNode {
    /// The process.
    pub process: ProcessInfo,
    /// The number of processes above it, 0 for a root.
    pub depth: usize,
    /// The number of nodes from this one to the last one below it.
    size: usize,
}

/// A process in a [`ProcessTree`], and all below it. Printed, it has one line for each.
///
/// See [`tree`] for an example.
#[derive(Clone, Copy, Debug)]
pub struct ProcessSubtree<'a> {
    /// Invariant: not empty, and the first node is above all others.
    nodes: &'a [ProcessNode],
}

/// Returns all processes as a tree. Each process is read by itself, so the tree is not the state at one
/// moment. Nothing is asked of a process, so busy and stuck ones are shown like others.
///
/// Reading takes one poll slice, some 300 ns for each process: with more than some ten thousand processes,
/// call [`Handle::tree`] in [`blocking`](crate::runtime::blocking).
///
/// ```
/// use riot_actor::{process::{SpawnOptions, tree}, run, this};
///
/// run(async {
///     let clerk = SpawnOptions::new().label("clerk").spawn(std::future::pending::<()>());
///     let tree = tree();
///     println!("{tree}");
///     assert_eq!(tree.labelled("clerk"), [clerk]);
///     assert_eq!(tree.find(this()).unwrap().children().count(), 1);
/// });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn tree() -> ProcessTree {
    context::with_shared("tree", |shared| shared.tree())
}

impl Handle {
    /// Returns all processes as a tree, as [`tree`] does, from a plain thread.
    ///
    /// ```
    /// use riot_actor::{run, runtime::{Handle, blocking}, this};
    ///
    /// run(async {
    ///     let (this, handle) = (this(), Handle::current());
    ///     let tree = blocking(move || handle.tree()).await;
    ///     assert!(tree.find(this).is_some());
    /// });
    /// ```
    #[must_use]
    pub fn tree(&self) -> ProcessTree {
        self.shared.tree()
    }
}

impl ProcessTree {
    /// Iterates over every process, each before those that it spawned.
    pub fn iter(&self) -> impl Iterator<Item = &ProcessNode> {
        self.nodes.iter()
    }

    /// Iterates over the processes that have no parent, the oldest first.
    pub fn roots(&self) -> impl Iterator<Item = ProcessSubtree<'_>> {
        siblings(&self.nodes)
    }

    /// Returns a process with those below it.
    #[must_use]
    pub fn find(&self, pid: Pid) -> Option<ProcessSubtree<'_>> {
        let at = self.nodes.iter().position(|node| node.process.pid == pid)?;
        siblings(&self.nodes[at..]).next()
    }

    /// Returns the processes with this label, without those that are exiting.
    #[must_use]
    pub fn labelled(&self, label: &str) -> Vec<Pid> {
        let labelled = |node: &&ProcessNode| {
            node.process.label.as_deref() == Some(label) && node.process.state != ProcessState::Exiting
        };
        self.iter().filter(labelled).map(|node| node.process.pid).collect()
    }
}

impl<'a> ProcessSubtree<'a> {
    /// Returns the process on top.
    #[must_use]
    pub fn process(&self) -> &'a ProcessInfo {
        &self.nodes[0].process
    }

    /// Iterates over this process and all below it, each before those that it spawned.
    pub fn iter(&self) -> impl Iterator<Item = &'a ProcessNode> + use<'a> {
        self.nodes.iter()
    }

    /// Iterates over the processes that it spawned and that are still there, the oldest first.
    pub fn children(&self) -> impl Iterator<Item = ProcessSubtree<'a>> + use<'a> {
        siblings(&self.nodes[1..])
    }
}

/// Iterates over the subtrees that stand one behind the other in `nodes`.
fn siblings(mut nodes: &[ProcessNode]) -> impl Iterator<Item = ProcessSubtree<'_>> {
    std::iter::from_fn(move || {
        let (subtree, behind) = nodes.split_at(nodes.first()?.size);
        nodes = behind;
        Some(ProcessSubtree { nodes: subtree })
    })
}

impl Shared {
    /// Reads all processes. Nothing here recurses: a chain of processes can be as long as the table.
    pub(crate) fn tree(&self) -> ProcessTree {
        let mut processes: Vec<_> = self.processes().into_iter().filter_map(|pid| self.info(pid)).collect();
        // A parent stands before its children.
        processes.sort_unstable_by_key(|process| process.nth);
        let nth: HashMap<Pid, usize> =
            processes.iter().enumerate().map(|(nth, process)| (process.pid, nth)).collect();
        let parents: Vec<Option<usize>> = processes
            .iter()
            .enumerate()
            .map(|(own, process)| nth.get(&process.parent?).copied().filter(|parent| *parent < own))
            .collect();
        let mut nodes: Vec<(usize, ProcessNode)> =
            processes.into_iter().map(|process| (0, ProcessNode { process, depth: 0, size: 1 })).collect();
        for own in (0..nodes.len()).rev() {
            if let Some(parent) = parents[own] {
                nodes[parent].1.size += nodes[own].1.size;
            }
        }
        // The place behind all children placed so far, of each node and of no node.
        let mut behind = vec![0; nodes.len()];
        let mut behind_roots = 0;
        for own in 0..nodes.len() {
            let place = parents[own].map_or(&mut behind_roots, |parent| &mut behind[parent]);
            let at = *place;
            *place += nodes[own].1.size;
            behind[own] = at + 1;
            nodes[own].0 = at;
            nodes[own].1.depth = parents[own].map_or(0, |parent| nodes[parent].1.depth + 1);
        }
        nodes.sort_unstable_by_key(|(at, _)| *at);
        ProcessTree { nodes: nodes.into_iter().map(|(_, node)| node).collect() }
    }
}

impl fmt::Display for ProcessTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.roots().try_for_each(|root| root.fmt(f))
    }
}

/// Levels that are indented.
const MAX_INDENTED: usize = 32;

impl fmt::Display for ProcessSubtree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The places behind the node that is written, and behind each one above it.
        let mut ends: Vec<usize> = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let depth = node.depth - self.nodes[0].depth;
            ends.truncate(depth);
            ends.push(at + node.size);
            for (level, pair) in (1..=MAX_INDENTED).zip(ends.windows(2)) {
                // The last child ends where its parent does.
                f.write_str(match (level == depth, pair[0] == pair[1]) {
                    (true, false) => "├─ ",
                    (true, true) => "└─ ",
                    (false, false) => "│  ",
                    (false, true) => "   ",
                })?;
            }
            if depth > MAX_INDENTED {
                write!(f, "({depth}) ")?;
            }
            node.process.fmt_line(f)?;
        }
        Ok(())
    }
}

impl ProcessInfo {
    fn fmt_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.pid)?;
        let label = self.label.as_deref();
        let names = self.names.iter().map(|name| name.as_str());
        let called: Vec<_> = label.into_iter().chain(names.filter(|name| Some(*name) != label)).collect();
        f.write_str(if called.is_empty() { "-" } else { "" })?;
        f.write_str(&printable(called.join(" ")))?;
        writeln!(f, "  {}  mailbox {}", self.state, self.mailbox)
    }
}
