//! The tree of a running system, to be looked at.
//!
//! It asks no process anything: a child is who is linked with the process that spawned it. So it shows supervisors
//! that are busy as well, and what workers have spawned for themselves.

use std::fmt;

use riot_actor::{Name, Pid, State, info};

/// A process and those below it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tree {
    /// The process.
    pub pid: Pid,
    /// What it calls itself.
    pub label: Option<String>,
    /// The names it holds.
    pub names: Vec<Name>,
    /// What it is doing.
    pub state: State,
    /// Messages in its mailbox.
    pub mailbox: usize,
    /// Its children, the oldest first.
    pub children: Vec<Tree>,
}

/// The tree below `pid`, as it is now; none if there is no such process. Processes that come or go meanwhile may be
/// missing.
///
/// ```
/// use riot_actor::{Reason, run};
/// use riot_supervisor::{Supervisor, process, tree};
///
/// let reason = run(async {
///     let sup = Supervisor::one_for_one()
///         .label("Server.Sup")
///         .child(process("acceptor", || std::future::pending::<()>()))
///         .child(process("logger", || std::future::pending::<()>()))
///         .start_link()
///         .await?;
///     let tree = tree(sup.pid()).expect("it runs");
///     println!("{tree}");
///     // Server.Sup <1.1.0>
///     // ├── acceptor <1.2.0>
///     // └── logger <1.3.0>
///     assert_eq!(tree.children.len(), 2);
///     Ok::<_, Reason>(())
/// });
/// # assert_eq!(reason, Reason::Normal);
/// ```
///
/// # Panics
/// Outside a process.
#[must_use]
pub fn tree(pid: Pid) -> Option<Tree> {
    let seen = info(pid)?;
    let mut children: Vec<_> = seen
        .links
        .iter()
        .filter_map(|&linked| info(linked))
        .filter(|linked| linked.parent == Some(pid))
        .map(|child| (child.nth, child.pid))
        .collect();
    children.sort_unstable();
    Some(Tree {
        pid,
        label: seen.label.map(Into::into),
        names: seen.names,
        state: seen.state,
        mailbox: seen.mailbox,
        // A parent is older than its children, so this comes to an end.
        children: children.into_iter().filter_map(|(_, child)| tree(child)).collect(),
    })
}

impl Tree {
    fn write(&self, f: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        write!(f, "{} {}", self.label.as_deref().unwrap_or("-"), self.pid)?;
        for name in &self.names {
            write!(f, " {name}")?;
        }
        if self.mailbox > 0 {
            write!(f, " ({} waiting)", self.mailbox)?;
        }
        for (nth, child) in self.children.iter().enumerate() {
            let (branch, below) = if nth + 1 == self.children.len() {
                ("└── ", "    ")
            } else {
                ("├── ", "│   ")
            };
            write!(f, "\n{indent}{branch}")?;
            child.write(f, &format!("{indent}{below}"))?;
        }
        Ok(())
    }
}

/// One line a process: label, pid, names, and messages that wait.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "")
    }
}
