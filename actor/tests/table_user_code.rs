//! Code of users that is run by a table: it runs under no lock, and may panic. Rule OU11.

mod common;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use common::{leaks::leaves_nothing, *};
use riot_actor::{
    Reason,
    process::{catch_panic, spawn_monitor, wait, yield_now},
    simulation::interleave,
    spawn,
    table::{Table, TableError, TableRef},
};

/// Asserts in a process of its own, and shows its failure.
async fn in_child(body: impl Future<Output = ()> + Send + 'static) {
    assert_eq!(wait(spawn(body)).await, Reason::Normal);
}

fn filled() -> Table<u32, u32> {
    let table = Table::new("filled").public();
    (0..100).for_each(|number| table.insert(number, number).expect("there is room"));
    table
}

/// A key and a value that use a table in everything that is done with them.
#[derive(Debug)]
struct Busy(u32, Option<TableRef<Busy, Busy>>);

thread_local! { static USES: std::cell::Cell<bool> = const { std::cell::Cell::new(false) } }

impl Busy {
    fn uses(&self) {
        if let Some(table) = &self.1
            && !USES.replace(true)
        {
            let probe = Busy(self.0, None);
            let same = table.with(&probe, |value| value.0 == self.0);
            assert_ne!(same, Some(false));
            interleave();
            assert!(table.len() < 100);
            USES.set(false);
        }
    }
}

impl Clone for Busy {
    fn clone(&self) -> Self {
        self.uses();
        Self(self.0, self.1.clone())
    }
}
impl Drop for Busy {
    fn drop(&mut self) {
        self.uses();
        // Writes that find the same parts of the table, except in the closure of an update.
        if let Some(table) = &self.1
            && self.0 >= 50
        {
            let removed = table.delete(&Busy(self.0 - 50, None));
            assert!(matches!(removed, Ok(_) | Err(TableError::Gone | TableError::NotOwner)));
        }
    }
}
impl PartialEq for Busy {
    fn eq(&self, other: &Self) -> bool {
        if self.0 >= 10 {
            self.uses();
        }
        self.0 == other.0
    }
}
impl Eq for Busy {}
impl Hash for Busy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn ou11_code_of_users_runs_under_no_lock() {
    leaves_nothing(|| async {
        in_child(async {
            let table = Table::<Busy, Busy>::new("busy");
            let busy = |number| Busy(number, Some(table.reference()));
            for number in (0..4).chain(50..54) {
                table.insert(Busy(number, None), busy(number)).expect("there is room");
            }
            table.insert(busy(51), busy(51)).expect("it is the owner");
            assert!(!table.contains(&Busy(1, None)), "a destructor has removed it");
            assert_eq!(table.get(&busy(52)).map(|value| value.0), Some(52));
            drop(table.remove(&Busy(53, None)).expect("it is the owner"));
            assert!(table.delete(&Busy(0, None)).expect("it is the owner"));
            assert_eq!(table.snapshot().len(), table.len());
            let shown = table.with(&Busy(52, None), |value| {
                table.insert(Busy(52, None), Busy(52, None)).expect("it is the owner");
                table.with(&Busy(52, None), |again| (value.1.is_some(), again.1.is_some()))
            });
            assert_eq!(shown, Some(Some((true, false))));
            let made = table.get_or_insert_with(Busy(40, None), || {
                table.insert(Busy(40, None), Busy(40, None)).expect("it is the owner");
                Busy(41, None)
            });
            assert_eq!(made.map(|value| value.0), Ok(40), "the first stays");
        })
        .await;
    });
}

#[test]
fn ou11_the_closure_of_an_update_may_read_and_not_write_and_may_panic() {
    leaves_nothing(|| async {
        let table = filled();
        let other = Table::<u32, u32>::new("other");
        let read = table.update(&1, |one| {
            *one += 10;
            (table.get(&1), table.get(&2), table.len(), other.get(&1))
        });
        assert_eq!(read, Ok(Some((Some(1), Some(2), 100, None))), "reads get the value from before");
        assert_eq!(table.get(&1), Some(11));
        let in_update = |write: Box<dyn FnOnce() + Send>| {
            let table = table.reference();
            async move {
                let panic = catch_panic(async {
                    table.update(&1, |one| {
                        *one = 0;
                        write()
                    })
                })
                .await;
                panic.expect_err("it panics").message
            }
        };
        for to in [table.reference(), other.reference()] {
            let [a, b, c, d] = [(); 4].map(|()| to.clone());
            let writes: [Box<dyn FnOnce() + Send>; 4] = [
                Box::new(move || _ = a.insert(5, 5)),
                Box::new(move || _ = b.remove(&5)),
                Box::new(move || _ = c.update(&5, |_| ())),
                Box::new(move || _ = d.get_or_insert_with(5000, || 1)),
            ];
            for write in writes {
                let message = in_update(write).await;
                assert!(message.contains("written to inside the closure"), "{message}");
            }
        }
        assert_eq!(in_update(Box::new(|| panic!("on the way"))).await, "on the way");
        assert_eq!(table.get(&1), Some(11), "it stays");
        assert_eq!(table.update(&1, |one| *one += 1), Ok(Some(())));
        assert_eq!(table.insert(1, 1), Ok(()));
    });
}

/// A value whose destructor removes its entry from an index, and counts what was refused.
#[derive(Clone)]
struct Indexed(u32, TableRef<u32, u32>, Counter);

impl Drop for Indexed {
    fn drop(&mut self) {
        if let Err(refused) = self.1.delete(&self.0) {
            assert_eq!(refused, TableError::InUpdate);
            self.2.add();
        }
    }
}

#[test]
fn ou11_values_of_an_update_may_write_where_they_are_dropped() {
    leaves_nothing(|| async {
        in_child(async {
            let index = Table::<u32, u32>::new("index");
            let filled = || (0..10).for_each(|number| index.insert(number, 0).expect("there is room"));
            let refused = Counter::default();
            let value = |number| Indexed(number, index.reference(), refused.clone());
            let table = Table::<u32, Indexed>::new("indexed");
            table.insert(1, value(1)).expect("there is room");

            filled();
            let panic = catch_panic(async { table.update(&1, |_| panic!("on the way")) }).await;
            assert_eq!(panic.expect_err("it panics").message, "on the way");
            assert!(!index.contains(&1), "the clone was dropped where writes are allowed");

            // A local value is dropped while the closure unwinds.
            filled();
            let panic = catch_panic(async {
                table.update(&1, |_| {
                    let _local = value(2);
                    panic!("on the way")
                })
            });
            assert_eq!(panic.await.expect_err("it panics").message, "on the way");
            assert_eq!((refused.get(), index.contains(&2)), (1, true));

            // The destructor runs inside the closure, where it panics.
            let panic = catch_panic(async { table.update(&1, |one| *one = value(3)) }).await;
            let message = panic.expect_err("it panics").message;
            assert!(message.contains("written to inside the closure"), "{message}");
            assert_eq!(table.with(&1, |one| one.0), Some(1), "it stays");

            // What the closure returns is dropped by the caller, and the value from before by the update.
            filled();
            let old = table.update(&1, |one| std::mem::replace(one, value(4))).expect("it is the owner");
            assert!(!index.contains(&1), "the value from before");
            filled();
            drop(old);
            assert!(!index.contains(&1));
            assert!(matches!(table.update(&2, |_| ()), Ok(None)));
            assert_eq!(refused.get(), 1);
        })
        .await;
    });
}

/// A value that panics when it is dropped.
#[derive(Clone)]
struct Bomb(Counter);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.add();
        assert!(std::thread::panicking(), "a bomb");
    }
}

#[test]
fn ou11_values_that_panic_when_they_are_dropped_harm_nothing() {
    leaves_nothing(|| async {
        for many in [3, 1_500] {
            let dropped = Counter::default();
            let counted = dropped.clone();
            let (owner, end) = spawn_monitor(async move {
                let table = Table::<u32, Bomb>::new("bombs");
                for number in 0..many {
                    table.insert(number, Bomb(counted.clone())).expect("there is room");
                }
                table.insert(0, Bomb(counted.clone())).expect("there is room");
                assert!(table.delete(&1).expect("it is the owner"));
                assert_eq!(table.len() as u32, many - 1);
            });
            assert_eq!(end.down().await.reason, Reason::Normal, "{owner}");
            while dropped.get() as u32 <= many {
                yield_now().await;
            }
            assert_eq!(dropped.get() as u32, many + 1);
        }
    });
}

/// A key that panics when it is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct BombKey(u32);

impl Drop for BombKey {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "the key {}", self.0);
    }
}

#[test]
fn ou11_keys_that_panic_when_they_are_dropped_harm_nothing() {
    leaves_nothing(|| async {
        in_child(async {
            let probe = std::mem::ManuallyDrop::new(BombKey(1));
            let table = Table::<BombKey, u32>::new("keys").max_entries(1);
            assert_eq!(table.insert(BombKey(1), 1), Ok(()));
            assert_eq!(table.insert(BombKey(2), 2), Err(TableError::Full(2)));
            assert_eq!(table.get_or_insert_with(BombKey(2), || 2), Err(TableError::Full(2)));
            assert_eq!(table.insert(BombKey(1), 3), Ok(()));
            assert_eq!(table.get_or_insert_with(BombKey(1), || 4), Ok(3));
            assert_eq!(table.update(&*probe, |value| *value += 1), Ok(Some(())));
            assert_eq!(table.remove(&*probe), Ok(Some(4)));
            assert_eq!(table.insert(BombKey(1), 5), Ok(()));
            assert_eq!(table.delete(&*probe), Ok(true));
            assert_eq!(table.insert(BombKey(1), 6), Ok(()));
            let reference = table.reference();
            in_child(async move {
                assert_eq!(reference.insert(BombKey(1), 1), Err(TableError::NotOwner));
                assert_eq!(reference.get_or_insert_with(BombKey(1), || 1), Err(TableError::NotOwner));
            })
            .await;
        })
        .await;
    });
}

#[test]
fn ou11_the_values_of_many_tables_are_dropped_in_slices() {
    simulated(|| async {
        for (tables, values) in [(20, 400), (1_200, 3)] {
            let dropped = Counter::default();
            let counted = dropped.clone();
            let owner = spawn(async move {
                for _ in 0..tables {
                    let table = Table::<usize, Arc<OnDrop<Box<dyn FnMut() + Send + Sync>>>>::new("of many");
                    for number in 0..values {
                        let counted = counted.clone();
                        let count: Box<dyn FnMut() + Send + Sync> = Box::new(move || _ = counted.add());
                        table.insert(number, Arc::new(OnDrop(count))).expect("there is room");
                    }
                }
            });
            wait(owner).await;
            assert!(dropped.get() < tables * values, "others run in between");
            while dropped.get() < tables * values {
                yield_now().await;
            }
        }
    });
}

#[test]
fn ou11_the_values_of_a_large_table_are_dropped_in_slices() {
    simulated(|| async {
        let dropped = Counter::default();
        let counted = dropped.clone();
        let owner = spawn(async move {
            let table = Table::<u32, Arc<OnDrop<Box<dyn FnMut() + Send + Sync>>>>::new("large");
            for number in 0..5_000 {
                let counted = counted.clone();
                let count: Box<dyn FnMut() + Send + Sync> = Box::new(move || _ = counted.add());
                table.insert(number, Arc::new(OnDrop(count))).expect("there is room");
            }
        });
        wait(owner).await;
        assert!(dropped.get() < 5_000, "others run in between");
        while dropped.get() < 5_000 {
            yield_now().await;
        }
    });
}
