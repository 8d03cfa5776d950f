//! All processes as a tree, below those that spawned them.

use std::{collections::HashMap, fmt};

use super::info::ProcessInfo;
use crate::{context, pid::Pid, runtime::Shared};

/// Every process, below the one that spawned it. One whose parent has ended stands at the top.
///
/// Printed, it is a line a process:
///
/// ```text
/// <1.0.0> main  waiting  mailbox 0
/// ├─ <1.1.0> counter  waiting  mailbox 3
/// └─ <1.2.0> -  running  mailbox 0
/// ```
#[derive(Clone, Debug)]
pub struct Tree {
    /// The processes at the top, in the order of their places.
    pub roots: Vec<Node>,
}

/// A process in a [`Tree`], and the processes it spawned.
#[derive(Clone, Debug)]
pub struct Node {
    /// The process.
    pub process: ProcessInfo,
    /// Those it spawned that are still there, in the order of their places.
    pub children: Vec<Node>,
}

/// All processes as they are now. Each is looked at by itself, so the tree is no moment's exact picture.
///
/// # Panics
/// Outside a process.
#[must_use]
pub fn tree() -> Tree {
    context::with_shared("tree", |shared| shared.tree())
}

impl Shared {
    pub(crate) fn tree(&self) -> Tree {
        let processes: Vec<_> = self.processes().into_iter().filter_map(|pid| self.info(pid)).collect();
        let present: HashMap<Pid, ()> = processes.iter().map(|process| (process.pid, ())).collect();
        let mut below: HashMap<Option<Pid>, Vec<ProcessInfo>> = HashMap::new();
        for process in processes {
            let parent = process.parent.filter(|parent| present.contains_key(parent));
            below.entry(parent).or_default().push(process);
        }
        Tree { roots: nodes(&mut below, None) }
    }
}

/// A parent is older than its children, so there is no ring to go round in.
fn nodes(below: &mut HashMap<Option<Pid>, Vec<ProcessInfo>>, parent: Option<Pid>) -> Vec<Node> {
    let processes = below.remove(&parent).unwrap_or_default();
    processes
        .into_iter()
        .map(|process| {
            let children = nodes(below, Some(process.pid));
            Node { process, children }
        })
        .collect()
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for root in &self.roots {
            line(f, root, "", "", "")?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, node: &Node, indent: &str, branch: &str, below: &str) -> fmt::Result {
    let process = &node.process;
    write!(f, "{indent}{branch}{} ", process.pid)?;
    match (&process.names[..], &process.label) {
        ([], None) => f.write_str("-")?,
        ([], Some(label)) => f.write_str(label)?,
        (names, label) => {
            if let Some(label) = label {
                write!(f, "{label} ")?;
            }
            f.write_str(&names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "))?;
        }
    }
    writeln!(f, "  {}  mailbox {}", process.state, process.mailbox)?;
    let indent = format!("{indent}{below}");
    for (number, child) in node.children.iter().enumerate() {
        let last = number + 1 == node.children.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        line(f, child, &indent, branch, below)?;
    }
    Ok(())
}
