//! Groups: any number of processes under one name, and events about joining and leaving. A member may have
//! metadata, which members and watchers see: the presence of a user in a room, the load of a worker.
//!
//! ```
//! use riot_actor::{group::{broadcast, join_group}, receive, run, this};
//!
//! run(async {
//!     join_group("room", this());
//!     broadcast("room", "hello").await;
//!     assert_eq!(receive::<&str>().await, "hello");
//! });
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Mutex,
};

pub use super::meta::GroupMeta;
use super::{
    map::NameMap,
    name::{AsName, Seek as _, Sought},
};
use crate::{
    names::name::Name,
    process::{
        notice::MonitorRef,
        pid::{NumberMap, Pid},
    },
    runtime::{context, coop::yield_now, shared::Shared},
    sync::lock::lock,
};

/// The message that [`monitor_group`] delivers for each change of the members.
///
/// See [`monitor_group`] for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupEvent {
    /// The reference that [`monitor_group`] returned.
    pub reference: MonitorRef,
    /// The group.
    pub group: Name,
    /// The member that joined, left or changed.
    pub pid: Pid,
    /// How the group changed.
    pub change: GroupChange,
    /// The metadata of the member: from now on, or, if it left, until now. None if it has joined without.
    pub meta: Option<GroupMeta>,
}

/// How a group changed.
///
/// See [`monitor_group`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupChange {
    /// The process has become a member.
    Joined,
    /// The process has undone its last join, or exited.
    Left,
    /// The member has other metadata.
    Changed,
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

/// Adds `pid` to a group. A process may join several times: it is one member, until each join is undone.
/// Joining a process that has exited does nothing.
///
/// ```
/// # use riot_actor::{group::{broadcast, join_group, members}, receive, run, this};
/// # run(async {
/// join_group("listeners", this());
/// assert_eq!(members("listeners"), [this()]);
/// broadcast("listeners", 42_u8).await;
/// assert_eq!(receive::<u8>().await, 42);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn join_group(group: impl Into<Name>, pid: Pid) {
    let group = group.into();
    context::with_shared("join_group", |shared| shared.groups.join(shared, &group, pid, None));
}

/// Adds `pid` to a group, as [`join_group`] does, with metadata.
///
/// If it is a member already, these take the place of those before, and monitors of the group get a
/// [`GroupChange::Changed`]; a [`join_group`] leaves them as they are.
/// They stay until the last join is undone.
///
/// ```
/// # use riot_actor::{group::{join_group_with, members_with, update_meta}, run, this};
/// # run(async {
/// join_group_with("room", this(), "joe");
/// assert_eq!(members_with::<&str>("room"), [(this(), "joe")]);
/// update_meta("room", this(), "joe, away").expect("it has joined");
/// assert_eq!(members_with::<&str>("room"), [(this(), "joe, away")]);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn join_group_with<M: Send + Sync + 'static>(group: impl Into<Name>, pid: Pid, meta: M) {
    let (group, meta) = (group.into(), GroupMeta::new(meta));
    context::with_shared("join_group_with", |shared| shared.groups.join(shared, &group, pid, Some(meta)));
}

/// Gives a member other metadata. Those who monitor the group get a [`GroupChange::Changed`].
///
/// See [`join_group_with`] for an example.
///
/// # Errors
/// If `pid` is no member of the group.
///
/// # Panics
/// Panics outside a process.
pub fn update_meta<M: Send + Sync + 'static>(
    group: &(impl AsName + ?Sized),
    pid: Pid,
    meta: M,
) -> Result<(), NotJoined> {
    let meta = GroupMeta::new(meta);
    context::with_shared("update_meta", |shared| shared.groups.update_meta(shared, group.seek(), pid, meta))
}

/// Returns the members that have metadata of the type `M`, with a clone of them, in the order in which they
/// became members.
///
/// See [`join_group_with`] for an example.
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn members_with<M: Clone + 'static>(group: &(impl AsName + ?Sized)) -> Vec<(Pid, M)> {
    let metas = context::with_shared("members_with", |shared| {
        let group = group.seek();
        let groups = lock(&shared.groups.0);
        groups.by_name.get(group).map_or_else(Vec::new, Group::metas)
    });
    clones(&metas)
}

/// Clones the metadata of the type `M`, which runs code of the user.
fn clones<M: Clone + 'static>(metas: &[(Pid, GroupMeta)]) -> Vec<(Pid, M)> {
    metas.iter().filter_map(|(pid, meta)| Some((*pid, meta.get::<M>()?.clone()))).collect()
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
pub fn leave_group(group: &(impl AsName + ?Sized), pid: Pid) -> Result<(), NotJoined> {
    context::with_shared("leave_group", |shared| shared.groups.leave(shared, group.seek(), pid))
}

/// Returns the members of a group, each once, in the order in which they became members.
///
/// See [`join_group`] for an example.
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn members(group: &(impl AsName + ?Sized)) -> Vec<Pid> {
    context::with_shared("members", |shared| {
        let group = group.seek();
        lock(&shared.groups.0).by_name.get(group).map(Group::members).unwrap_or_default()
    })
}

/// Returns all groups that have members, with how many, in the order of their names.
///
/// ```
/// # use riot_actor::{group::{groups, join_group}, run, this};
/// # run(async {
/// join_group("listeners", this());
/// join_group(("room", 7), this());
/// let all: Vec<_> = groups().into_iter().map(|(name, size)| (name.to_string(), size)).collect();
/// assert_eq!(all, [(r#"("room", 7)"#.to_owned(), 1), ("listeners".to_owned(), 1)]);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn groups() -> Vec<(Name, usize)> {
    context::with_shared("groups", |shared| shared.groups.sizes())
}

/// Sends a clone of `message` to each member of a group, however often it has joined, and gives way after
/// each 500 of them.
///
/// A process that becomes a member during the call gets none.
///
/// See [`join_group`] for an example.
///
/// # Panics
/// Panics outside a process.
///
/// # Cancel safety
/// Dropping the future leaves out the members that it has not sent to.
pub async fn broadcast<M: Clone + Send + 'static>(group: &(impl AsName + ?Sized), message: M) {
    let mut numbers = context::with_shared("broadcast", |shared| 0..=lock(&shared.groups.0).numbered);
    loop {
        let (members, behind) = context::with_shared("broadcast", |shared| {
            let group = group.seek();
            let groups = lock(&shared.groups.0);
            groups.by_name.get(group).map_or_else(Default::default, |group| group.next_members(numbers))
        });
        for member in members {
            crate::send(member, message.clone());
        }
        numbers = match behind {
            Some(behind) => behind,
            None => return,
        };
        yield_now().await;
    }
}

/// Members that a broadcast sends to in one poll slice.
const PER_SLICE: usize = 500;

/// Returns the members of a group. From then on the caller receives every change of the members as a
/// [`GroupEvent`], in order, none missing and none twice, until it exits or calls [`demonitor_group`].
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
    begin_monitor(group.into(), Group::members)
}

/// Monitors a group, as [`monitor_group`] does, and returns what [`members_with`] does, at the moment from
/// which events come.
///
/// ```
/// # use riot_actor::group::{GroupChange, GroupEvent, join_group_with, monitor_group_with};
/// # use riot_actor::{receive, run, this};
/// # run(async {
/// let (_, present) = monitor_group_with::<u32>("workers");
/// assert_eq!(present, []);
/// join_group_with("workers", this(), 7_u32);
/// let event: GroupEvent = receive().await;
/// let load = event.meta.as_ref().and_then(|meta| meta.get::<u32>());
/// assert_eq!((event.change, load), (GroupChange::Joined, Some(&7)));
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn monitor_group_with<M: Clone + 'static>(group: impl Into<Name>) -> (MonitorRef, Vec<(Pid, M)>) {
    let (reference, metas) = begin_monitor(group.into(), Group::metas);
    (reference, clones(&metas))
}

/// Begins to monitor a group and returns what `read` reads of it at that moment.
fn begin_monitor<R>(name: Name, read: impl FnOnce(&Group) -> R) -> (MonitorRef, R) {
    let this = crate::this();
    context::with_shared("monitor_group", |shared| {
        let reference = shared.next_reference();
        let mut groups = lock(&shared.groups.0);
        shared.attach_relation(this, |relations| relations.add_group(&name));
        groups.watches.insert(reference, (this, name.clone()));
        let group = groups.by_name.get_or_default(name);
        group.watchers.insert((this, reference));
        (reference, read(group))
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
        let watch;
        let mut groups = lock(&shared.groups.0);
        watch = groups.watches.remove_if_of(reference, this);
        let Some((_, name)) = &watch else { return };
        if let Some(group) = groups.by_name.get_mut(name.seek()) {
            group.watchers.remove(&(this, reference));
            groups.forget_if_unused(shared, name, this);
        }
    });
}

#[derive(Default)]
pub(crate) struct Groups(Mutex<AllGroups>);

#[derive(Default)]
struct AllGroups {
    /// Invariant: no group is empty.
    by_name: NameMap<Group>,
    /// The watcher and the group of each reference.
    watches: Watches,
    /// How many processes have become members, of all groups that have ever been.
    numbered: u64,
}

#[derive(Default)]
struct Watches(NumberMap<MonitorRef, (Pid, Name)>);

impl Watches {
    fn insert(&mut self, reference: MonitorRef, watch: (Pid, Name)) {
        self.0.insert(reference, watch);
    }

    fn remove_if_of(&mut self, reference: MonitorRef, watcher: Pid) -> Option<(Pid, Name)> {
        self.0.get(&reference).filter(|(pid, _)| *pid == watcher)?;
        self.0.remove(&reference)
    }
}

#[derive(Default)]
struct Group {
    joined: NumberMap<Pid, Membership>,
    /// The members by their number.
    in_order: BTreeMap<u64, Pid>,
    watchers: BTreeSet<(Pid, MonitorRef)>,
}

struct Membership {
    number: u64,
    /// How often the process has joined and not left; at least once.
    joins: u64,
    meta: Option<GroupMeta>,
}

/// A change that watchers are told.
struct MemberChange {
    change: GroupChange,
    /// The metadata that the event carries.
    meta: Option<GroupMeta>,
    /// Metadata that were replaced. They must be dropped outside the lock.
    _replaced: Option<GroupMeta>,
}

impl Membership {
    fn set_meta(&mut self, meta: GroupMeta) -> MemberChange {
        let _replaced = self.meta.replace(meta.clone());
        MemberChange { change: GroupChange::Changed, meta: Some(meta), _replaced }
    }
}

impl Group {
    fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.watchers.is_empty()
    }

    fn members(&self) -> Vec<Pid> {
        let mut members = Vec::with_capacity(self.in_order.len());
        members.extend(self.in_order.values());
        members
    }

    /// Returns the first members with these numbers, and the numbers of those behind them if there are any.
    fn next_members(&self, numbers: RangeInclusive<u64>) -> (Vec<Pid>, Option<RangeInclusive<u64>>) {
        let last = *numbers.end();
        let mut members = self.in_order.range(numbers);
        let next = members.by_ref().take(PER_SLICE).map(|(_, pid)| *pid).collect();
        (next, members.next().map(|(first, _)| *first..=last))
    }

    /// Returns the members that have metadata, in order.
    fn metas(&self) -> Vec<(Pid, GroupMeta)> {
        let meta = |pid: &Pid| Some((*pid, self.joined.get(pid)?.meta.clone()?));
        self.in_order.values().filter_map(meta).collect()
    }

    /// Adds a join of a process, which becomes the member with this number if it is none.
    fn join(&mut self, pid: Pid, number: u64, meta: Option<GroupMeta>) -> Option<MemberChange> {
        if let Some(membership) = self.joined.get_mut(&pid) {
            membership.joins += 1;
            return meta.map(|meta| membership.set_meta(meta));
        }
        self.joined.insert(pid, Membership { number, joins: 1, meta: meta.clone() });
        self.in_order.insert(number, pid);
        Some(MemberChange { change: GroupChange::Joined, meta, _replaced: None })
    }

    /// Undoes one join.
    fn leave(&mut self, pid: Pid) -> Result<Option<MemberChange>, NotJoined> {
        let membership = self.joined.get_mut(&pid).ok_or(NotJoined)?;
        if membership.joins > 1 {
            membership.joins -= 1;
            return Ok(None);
        }
        Ok(self.remove(pid))
    }

    /// Removes a member with all its joins, if it is one.
    fn remove(&mut self, pid: Pid) -> Option<MemberChange> {
        let Membership { number, meta, .. } = self.joined.remove(&pid)?;
        self.in_order.remove(&number);
        Some(MemberChange { change: GroupChange::Left, meta, _replaced: None })
    }

    /// Removes the watches of a process and returns their references.
    fn remove_watcher(&mut self, pid: Pid) -> Vec<MonitorRef> {
        let all = (pid, MonitorRef(0))..=(pid, MonitorRef(u64::MAX));
        let references: Vec<MonitorRef> = self.watchers.range(all).map(|(_, reference)| *reference).collect();
        for reference in &references {
            self.watchers.remove(&(pid, *reference));
        }
        references
    }

    fn concerns(&self, pid: Pid) -> bool {
        let all = (pid, MonitorRef(0))..=(pid, MonitorRef(u64::MAX));
        self.joined.contains_key(&pid) || self.watchers.range(all).next().is_some()
    }

    /// Sends an event to all watchers, under the lock of all groups, so that all see changes in one order.
    fn tell(&self, shared: &Shared, name: &Name, pid: Pid, told: &MemberChange) {
        for &(watcher, reference) in &self.watchers {
            let (group, change, meta) = (name.clone(), told.change, told.meta.clone());
            shared.tell(watcher, GroupEvent { reference, group, pid, change, meta });
        }
    }
}

impl AllGroups {
    /// Removes a group that is empty, and the note of it in the record of a process that it no longer
    /// concerns.
    fn forget_if_unused(&mut self, shared: &Shared, name: &Name, pid: Pid) {
        let Some(group) = self.by_name.get(name.seek()) else { return };
        if !group.concerns(pid) {
            shared.detach_relation(pid, |relations| relations.remove_group(name));
        }
        if group.is_empty() {
            self.by_name.remove(name.seek());
        }
    }
}

impl Groups {
    // Metadata and keys are values of users. What may hold the last reference to one is declared before the
    // lock is taken, and so dropped after its release.

    fn join(&self, shared: &Shared, name: &Name, pid: Pid, meta: Option<GroupMeta>) {
        let change;
        let mut groups = lock(&self.0);
        // Under the lock: a process that exits later finds the group in its record.
        if shared.attach_relation(pid, |relations| relations.add_group(name)).is_none() {
            return;
        }
        groups.numbered += 1;
        let number = groups.numbered;
        let group = groups.by_name.get_or_default(name.clone());
        change = group.join(pid, number, meta);
        if let Some(change) = &change {
            group.tell(shared, name, pid, change);
        }
    }

    fn update_meta(
        &self,
        shared: &Shared,
        sought: Sought<'_>,
        pid: Pid,
        meta: GroupMeta,
    ) -> Result<(), NotJoined> {
        let (change, name);
        let mut groups = lock(&self.0);
        name = groups.by_name.name(sought).ok_or(NotJoined)?;
        let group = groups.by_name.get_mut(sought).ok_or(NotJoined)?;
        change = group.joined.get_mut(&pid).ok_or(NotJoined)?.set_meta(meta);
        group.tell(shared, &name, pid, &change);
        Ok(())
    }

    fn leave(&self, shared: &Shared, sought: Sought<'_>, pid: Pid) -> Result<(), NotJoined> {
        let (change, name);
        let mut groups = lock(&self.0);
        name = groups.by_name.name(sought).ok_or(NotJoined)?;
        let group = groups.by_name.get_mut(sought).ok_or(NotJoined)?;
        change = group.leave(pid)?;
        if let Some(change) = &change {
            group.tell(shared, &name, pid, change);
            groups.forget_if_unused(shared, &name, pid);
        }
        Ok(())
    }

    fn sizes(&self) -> Vec<(Name, usize)> {
        let mut sizes: Vec<_> = lock(&self.0)
            .by_name
            .entries()
            .map(|(name, group)| (name, group.joined.len()))
            .filter(|(_, size)| *size > 0)
            .collect();
        sizes.sort();
        sizes
    }

    /// Frees memory of groups that no longer exist.
    pub(crate) fn trim(&self) {
        lock(&self.0).by_name.shrink();
    }

    /// Removes a process that is released from the members of a group and from its watchers.
    pub(crate) fn release(&self, shared: &Shared, name: &Name, pid: Pid) {
        let change;
        let mut groups = lock(&self.0);
        let Some(group) = groups.by_name.get_mut(name.seek()) else { return };
        let references = group.remove_watcher(pid);
        change = group.remove(pid);
        if let Some(change) = &change {
            group.tell(shared, name, pid, change);
        }
        if group.is_empty() {
            groups.by_name.remove(name.seek());
        }
        for reference in references {
            groups.watches.remove_if_of(reference, pid);
        }
    }
}
