//! Groups: any number of processes under one name, and events about joining and leaving.
//!
//! ```
//! use riot_actor::{group::{broadcast, join_group}, receive, run, this};
//!
//! run(async {
//!     join_group("room", this());
//!     broadcast("room", "hello");
//!     assert_eq!(receive::<&str>().await, "hello");
//! });
//! ```

use std::{collections::HashMap, sync::Mutex};

use crate::{
    names::name::Name,
    process::{
        notice::MonitorRef,
        pid::{NumberMap, Pid},
    },
    runtime::{context, shared::Shared},
    sync::lock::lock,
};

/// The message that [`monitor_group`] delivers for each change.
///
/// See [`monitor_group`] for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupEvent {
    /// The reference that [`monitor_group`] returned.
    pub reference: MonitorRef,
    /// The group.
    pub group: Name,
    /// The member that joined or left.
    pub pid: Pid,
    /// Whether it joined or left.
    pub change: GroupChange,
}

/// How a group changed.
///
/// See [`monitor_group`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupChange {
    /// The process joined; one event for each join.
    Joined,
    /// The process left or exited; one event for each join undone.
    Left,
}

/// The error of leaving a group more often than joining it.
///
/// See [`leave_group`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJoined;

impl std::fmt::Display for NotJoined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the process is not in this group")
    }
}
impl std::error::Error for NotJoined {}

/// Adds `pid` to a group. A process may join several times, and is a member as often. Joining a process that
/// has exited does nothing.
///
/// ```
/// # use riot_actor::{group::{broadcast, join_group, members}, receive, run, this};
/// # run(async {
/// join_group("listeners", this());
/// assert_eq!(members("listeners"), [this()]);
/// broadcast("listeners", 42_u8);
/// assert_eq!(receive::<u8>().await, 42);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn join_group(group: impl Into<Name>, pid: Pid) {
    let group = group.into();
    context::with_shared("join_group", |shared| shared.groups.join(shared, &group, pid));
}

/// Undoes one [`join_group`].
///
/// ```
/// # use riot_actor::{group::{NotJoined, join_group, leave_group}, run, this};
/// # run(async {
/// join_group("listeners", this());
/// assert_eq!(leave_group("listeners", this()), Ok(()));
/// assert_eq!(leave_group("listeners", this()), Err(NotJoined));
/// # });
/// ```
///
/// # Errors
/// If there is none to undo.
///
/// # Panics
/// Panics outside a process.
pub fn leave_group(group: &str, pid: Pid) -> Result<(), NotJoined> {
    context::with_shared("leave_group", |shared| shared.groups.leave(shared, group, pid))
}

/// Returns the members of a group, once for each join, in the order in which they joined.
///
/// See [`join_group`] for an example.
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn members(group: &str) -> Vec<Pid> {
    context::with_shared("members", |shared| {
        lock(&shared.groups.0).get(group).map(|group| group.members.clone()).unwrap_or_default()
    })
}

/// Sends a clone of `message` to each member of a group, one for each join.
///
/// See [`join_group`] for an example.
///
/// # Panics
/// Panics outside a process.
pub fn broadcast<M: Clone + Send + 'static>(group: &str, message: M) {
    for member in members(group) {
        crate::send(member, message.clone());
    }
}

/// Returns the members of a group. From then on the caller receives every change as a [`GroupEvent`], in
/// order, none missing and none twice, until it exits or calls [`demonitor_group`].
///
/// ```
/// # use riot_actor::{group::{GroupChange, GroupEvent, join_group, monitor_group}, receive, run, this};
/// # run(async {
/// let (reference, members) = monitor_group("listeners");
/// assert!(members.is_empty());
/// join_group("listeners", this());
/// let event: GroupEvent = receive().await;
/// assert_eq!((event.reference, event.change), (reference, GroupChange::Joined));
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn monitor_group(group: impl Into<Name>) -> (MonitorRef, Vec<Pid>) {
    let (this, name) = (crate::this(), group.into());
    context::with_shared("monitor_group", |shared| {
        let reference = shared.next_reference();
        let mut groups = lock(&shared.groups.0);
        shared.attach_relation(this, |relations| relations.add_group(&name));
        let group = groups.entry(name).or_default();
        group.watchers.insert(reference, this);
        (reference, group.members.clone())
    })
}

/// Ends a [`monitor_group`]; events already in the mailbox stay there.
///
/// ```
/// # use riot_actor::{group::{demonitor_group, monitor_group}, run};
/// # run(async {
/// let (reference, _) = monitor_group("listeners");
/// demonitor_group(reference);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn demonitor_group(reference: MonitorRef) {
    let this = crate::this();
    context::with_shared("demonitor_group", |shared| {
        lock(&shared.groups.0).retain(|_, group| {
            if group.watchers.get(&reference) == Some(&this) {
                group.watchers.remove(&reference);
            }
            !group.is_empty()
        });
    });
}

#[derive(Default)]
pub(crate) struct Groups(Mutex<HashMap<Name, Group>>);

#[derive(Default)]
struct Group {
    members: Vec<Pid>,
    watchers: NumberMap<MonitorRef, Pid>,
}

impl Group {
    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.watchers.is_empty()
    }

    /// Sends an event to all watchers, under the lock of all groups, so that all see changes in one order.
    fn tell(&self, shared: &Shared, name: &Name, pid: Pid, change: GroupChange) {
        for (&reference, &watcher) in &self.watchers {
            let event = GroupEvent { reference, group: name.clone(), pid, change };
            shared.tell(watcher, event);
        }
    }
}

impl Groups {
    fn join(&self, shared: &Shared, name: &Name, pid: Pid) {
        let mut groups = lock(&self.0);
        // Under the lock: a process that exits later finds the group in its record.
        if shared.attach_relation(pid, |relations| relations.add_group(name)).is_none() {
            return;
        }
        let group = groups.entry(name.clone()).or_default();
        group.members.push(pid);
        group.tell(shared, name, pid, GroupChange::Joined);
    }

    fn leave(&self, shared: &Shared, name: &str, pid: Pid) -> Result<(), NotJoined> {
        let mut groups = lock(&self.0);
        let (name, mut group) = groups.remove_entry(name).ok_or(NotJoined)?;
        let at = group.members.iter().rposition(|&member| member == pid);
        if let Some(at) = at {
            group.members.remove(at);
            group.tell(shared, &name, pid, GroupChange::Left);
        }
        if !group.is_empty() {
            groups.insert(name, group);
        }
        at.map(drop).ok_or(NotJoined)
    }

    /// Removes a process that is released from a group, once for each join, and from its watchers.
    pub(crate) fn release(&self, shared: &Shared, name: &Name, pid: Pid) {
        let mut groups = lock(&self.0);
        let Some(group) = groups.get_mut(name) else { return };
        group.watchers.retain(|_, watcher| *watcher != pid);
        let before = group.members.len();
        group.members.retain(|&member| member != pid);
        for _ in group.members.len()..before {
            group.tell(shared, name, pid, GroupChange::Left);
        }
        if group.is_empty() {
            groups.remove(name);
        }
    }
}
