//! All tables of a runtime: what observers see, and what becomes of a table when its owner exits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::{Table, TableTransfer, reference::TableCore, reference::TableRef, shards::Remains};
use crate::{
    names::name::Name,
    process::pid::Pid,
    runtime::{
        context,
        handle::Handle,
        kernel::remains::{AnyRemains, LeftValues},
        shared::Shared,
    },
    sync::{atomic::Ordering, lock::lock},
};

/// A table as it was at one moment.
///
/// See [`tables`] for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableInfo {
    /// The name. Several tables may have the same one.
    pub name: Name,
    /// The process that it belongs to.
    pub owner: Pid,
    /// The process that inherits it.
    pub heir: Option<Pid>,
    /// Whether all processes may write to it.
    pub is_public: bool,
    /// The number of entries.
    pub entries: usize,
    /// The bound of the number of entries.
    pub max_entries: usize,
}

/// Returns all tables that have an owner, in the order in which they were made.
///
/// ```
/// # use riot_actor::{run, table::{Table, tables}, this};
/// # run(async {
/// let _sessions = Table::<u32, String>::new("sessions").max_entries(10);
/// let [sessions] = &tables()[..] else { panic!("there is one") };
/// assert_eq!((sessions.name.as_str(), sessions.owner, sessions.entries), ("sessions", this(), 0));
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn tables() -> Vec<TableInfo> {
    context::with_shared("tables", |shared| shared.tables.list())
}

impl Handle {
    /// Returns all tables that have an owner, as [`tables`] does, from a plain thread.
    #[must_use]
    pub fn tables(&self) -> Vec<TableInfo> {
        self.shared.tables.list()
    }
}

/// All tables of a runtime. The lock is taken before that of a record, never after it.
#[derive(Default)]
pub(crate) struct Tables(Mutex<AllTables>);

#[derive(Default)]
struct AllTables {
    by_id: BTreeMap<u64, Arc<dyn AnyTable>>,
    last_id: u64,
}

/// A table of any type.
trait AnyTable: Send + Sync {
    /// Returns what can be seen of the table; none if it has no owner.
    fn info(&self) -> Option<TableInfo>;
    fn heir(&self) -> Option<Pid>;
    /// Sets the owner, and that there is no heir.
    fn set_owner(&self, owner: Option<Pid>);
    fn tell_heir(self: Arc<Self>, shared: &Shared, heir: Pid, from: Pid);
    /// Takes the entries, so that there are none from here on.
    fn close(&self) -> Box<dyn AnyRemains>;
}

impl<K: Send + Sync, V: Send + Sync> AnyRemains for Remains<K, V> {
    fn len(&self) -> usize {
        self.len
    }
    fn drop_some(&mut self, some: usize) -> bool {
        Self::drop_some(self, some)
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> AnyTable for TableCore<K, V> {
    fn info(&self) -> Option<TableInfo> {
        Some(TableInfo {
            name: self.name.clone(),
            owner: self.owner()?,
            heir: self.heir(),
            is_public: self.is_public.load(Ordering::Relaxed),
            entries: self.shards.len(),
            max_entries: self.shards.max_entries(),
        })
    }

    fn heir(&self) -> Option<Pid> {
        self.heir()
    }

    fn set_owner(&self, owner: Option<Pid>) {
        self.set_heir(None);
        self.set_owner(owner);
    }

    fn tell_heir(self: Arc<Self>, shared: &Shared, heir: Pid, from: Pid) {
        let table = Table(TableRef(self));
        shared.tell(heir, TableTransfer { table, from });
    }

    fn close(&self) -> Box<dyn AnyRemains> {
        Box::new(self.shards.close())
    }
}

impl Tables {
    fn list(&self) -> Vec<TableInfo> {
        let all: Vec<_> = lock(&self.0).by_id.values().cloned().collect();
        all.iter().filter_map(|table| table.info()).collect()
    }

    /// Makes a table that belongs to a process. If that is being released, the table ends at once.
    pub(super) fn add<K, V>(
        &self,
        shared: &Shared,
        owner: Pid,
        make: impl FnOnce() -> Arc<TableCore<K, V>>,
    ) -> Arc<TableCore<K, V>>
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        let mut all = lock(&self.0);
        all.last_id += 1;
        let id = all.last_id;
        let table = make();
        // Under the lock: a process that exits later finds the table in its record.
        if shared.attach_relation(owner, |relations| relations.others().tables.push(id)).is_some() {
            all.by_id.insert(id, table.clone());
        } else {
            table.set_owner(None);
            let nothing = table.shards.close();
            debug_assert_eq!(nothing.len, 0, "it is new");
        }
        table
    }

    /// Gives a table of a process that is released to its heir, or ends it. Its values go to `ended`.
    pub(crate) fn release(&self, shared: &Shared, id: u64, owner: Pid, ended: &mut LeftValues) {
        let mut all = lock(&self.0);
        let Some(table) = all.by_id.get(&id).cloned() else { return };
        if let Some(heir) = table.heir().filter(|heir| *heir != owner)
            && shared.attach_relation(heir, |relations| relations.others().tables.push(id)).is_some()
        {
            table.set_owner(Some(heir));
            drop(all);
            return table.tell_heir(shared, heir, owner);
        }
        all.by_id.remove(&id);
        table.set_owner(None);
        drop(all);
        ended.add(table.close());
    }
}
