//! Loom models of tables: writes beside each other, beside reads, and beside the end or the hand-over of the
//! table. `testing/loom_models.rs` says how they are run.

use std::num::NonZeroU32;

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{
    reference::TableCore,
    shards::{IfPresent, RefusedWrite, Shards},
};
use crate::{names::name::Name, process::pid::Pid};

fn model(threads: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(threads);
}

fn shards() -> Arc<Shards<u8, u8>> {
    Arc::new(Shards::new(0, 2))
}

fn insert(shards: &Shards<u8, u8>, key: u8, value: u8) -> Result<(), RefusedWrite<u8>> {
    shards.insert(key, value, IfPresent::Replace).map(drop)
}

#[test]
fn an_entry_that_meets_the_end_of_its_table_is_taken_or_refused() {
    model(|| {
        let table = shards();
        let other = {
            let table = table.clone();
            thread::spawn(move || insert(&table, 1, 1).is_ok())
        };
        let taken = table.close().len;
        let inserted = other.join().unwrap();
        assert_eq!(taken, usize::from(inserted));
        assert_eq!((table.len(), table.entries().len()), (0, 0));
        assert!(matches!(insert(&table, 2, 2), Err(RefusedWrite::Closed)));
    });
}

#[test]
fn an_update_that_meets_the_end_of_its_table_leaves_nothing() {
    model(|| {
        let table = shards();
        assert!(insert(&table, 1, 1).is_ok());
        let other = {
            let table = table.clone();
            thread::spawn(move || drop(table.update(&1, |value| *value += 1)))
        };
        assert_eq!(table.close().len, 1);
        other.join().unwrap();
        assert_eq!((table.len(), table.entries().len()), (0, 0));
    });
}

#[test]
fn no_update_is_lost_and_a_read_sees_one_value_or_the_next() {
    model(|| {
        let table = shards();
        assert!(insert(&table, 1, 0).is_ok());
        let other = {
            let table = table.clone();
            thread::spawn(move || assert!(matches!(table.update(&1, |value| *value += 1), Ok(Some(())))))
        };
        let before = table.get(&1).map(|entry| entry.value);
        assert!(matches!(table.update(&1, |value| *value += 1), Ok(Some(()))));
        let after = table.get(&1).map(|entry| entry.value);
        assert!(before.is_some() && before < after, "{before:?} {after:?}");
        other.join().unwrap();
        assert_eq!(table.get(&1).map(|entry| entry.value), Some(2));
    });
}

#[test]
fn two_insertions_and_a_removal_of_one_key_leave_the_table_as_one_order_does() {
    model(|| {
        let table = shards();
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                assert!(insert(&table, 1, 1).is_ok());
                matches!(table.remove(&1), Ok(Some(_)))
            })
        };
        assert!(insert(&table, 1, 2).is_ok());
        let removed = other.join().unwrap();
        assert!(removed);
        let left = table.entries().len();
        assert!(left <= 1 && left == table.len(), "{left}, and {} are counted", table.len());
    });
}

#[test]
fn an_heir_that_was_told_owns_the_table_with_all_that_was_inserted() {
    model(|| {
        let pid = |index| Pid::new(NonZeroU32::MIN, 0, index);
        let (owner, heir) = (pid(1), pid(2));
        let core = Arc::new(TableCore::new(Name::from("model"), owner, Shards::<u8, u8>::new(0, 2)));
        let told = Arc::new(AtomicBool::new(false));
        let old = {
            let (core, told) = (core.clone(), told.clone());
            thread::spawn(move || {
                assert!(insert(&core.shards, 1, 1).is_ok());
                core.set_owner(Some(heir));
                // The lock of a mailbox, which has a model of its own.
                told.store(true, Ordering::Release);
            })
        };
        if told.load(Ordering::Acquire) {
            assert_eq!(core.owner(), Some(heir));
            assert_eq!(core.shards.get(&1).map(|entry| entry.value), Some(1));
            assert!(matches!(core.shards.update(&1, |value| *value += 1), Ok(Some(()))));
        }
        old.join().unwrap();
        assert_eq!(core.owner(), Some(heir));
        assert_eq!(core.shards.len(), 1);
    });
}
