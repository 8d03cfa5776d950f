//! All processes as a tree, each below the process that spawned it.

use std::{collections::HashMap, fmt};

use crate::process::info::{ProcessInfo, ProcessState};
use crate::{
    process::pid::Pid,
    runtime::{context, shared::Shared},
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
#[derive(Clone, Debug)]
pub struct ProcessTree {
    /// The roots, the oldest first.
    pub roots: Vec<ProcessNode>,
}

/// A process in a [`ProcessTree`], and the processes it spawned.
///
/// See [`tree`] for an example.
#[derive(Clone, Debug)]
pub struct ProcessNode {
    /// The process.
    pub process: ProcessInfo,
    /// The processes that it spawned and that are still there, the oldest first.
    pub children: Vec<ProcessNode>,
}

/// Returns all processes as a tree. Each process is read by itself, so the tree is not the state at one
/// moment. Nothing is asked of a process, so busy and stuck ones are shown like others.
///
/// ```
/// use riot_actor::{process::{SpawnOptions, tree}, run, this};
///
/// run(async {
///     let clerk = SpawnOptions::new().label("clerk").spawn(std::future::pending::<()>());
///     let tree = tree();
///     println!("{tree}");
///     assert_eq!(tree.labelled("clerk"), [clerk]);
///     assert_eq!(tree.find(this()).unwrap().children.len(), 1);
/// });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn tree() -> ProcessTree {
    context::with_shared("tree", |shared| shared.tree())
}

impl ProcessTree {
    /// Iterates over every process, each before those that it spawned.
    pub fn iter(&self) -> impl Iterator<Item = &ProcessNode> {
        self.roots.iter().flat_map(ProcessNode::iter)
    }

    /// Returns a process with those below it.
    #[must_use]
    pub fn find(&self, pid: Pid) -> Option<&ProcessNode> {
        self.iter().find(|node| node.process.pid == pid)
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

impl ProcessNode {
    /// Iterates over this process and all below it, each before those that it spawned.
    pub fn iter(&self) -> impl Iterator<Item = &ProcessNode> {
        let mut left = vec![self];
        std::iter::from_fn(move || {
            let node = left.pop()?;
            left.extend(node.children.iter().rev());
            Some(node)
        })
    }
}

impl Shared {
    pub(crate) fn tree(&self) -> ProcessTree {
        let mut processes: Vec<_> = self.processes().into_iter().filter_map(|pid| self.info(pid)).collect();
        processes.sort_unstable_by_key(|process| process.nth);
        let present: HashMap<Pid, ()> = processes.iter().map(|process| (process.pid, ())).collect();
        let mut below: HashMap<Option<Pid>, Vec<ProcessInfo>> = HashMap::new();
        for process in processes {
            let parent = process.parent.filter(|parent| present.contains_key(parent));
            below.entry(parent).or_default().push(process);
        }
        ProcessTree { roots: nodes(&mut below, None) }
    }
}

/// Makes the nodes below `parent`. A parent is older than its children, so there is no cycle.
fn nodes(below: &mut HashMap<Option<Pid>, Vec<ProcessInfo>>, parent: Option<Pid>) -> Vec<ProcessNode> {
    let processes = below.remove(&parent).unwrap_or_default();
    processes
        .into_iter()
        .map(|process| {
            let children = nodes(below, Some(process.pid));
            ProcessNode { process, children }
        })
        .collect()
}

impl fmt::Display for ProcessTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for root in &self.roots {
            line(f, root, "", "", "")?;
        }
        Ok(())
    }
}

impl fmt::Display for ProcessNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, self, "", "", "")
    }
}

fn line(
    f: &mut fmt::Formatter<'_>,
    node: &ProcessNode,
    indent: &str,
    branch: &str,
    below: &str,
) -> fmt::Result {
    let process = &node.process;
    write!(f, "{indent}{branch}{} ", process.pid)?;
    let label = process.label.as_deref();
    let names = process.names.iter().map(|name| name.as_str());
    let called: Vec<_> = label.into_iter().chain(names.filter(|name| Some(*name) != label)).collect();
    f.write_str(if called.is_empty() { "-" } else { "" })?;
    f.write_str(&called.join(" "))?;
    writeln!(f, "  {}  mailbox {}", process.state, process.mailbox)?;
    let indent = format!("{indent}{below}");
    for (number, child) in node.children.iter().enumerate() {
        let last = number + 1 == node.children.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        line(f, child, &indent, branch, below)?;
    }
    Ok(())
}
