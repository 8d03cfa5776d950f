//! Tables: rule OU11. (`table_user_code.rs` has code of users that is run by
//! a table, and `tables_model.rs` a model.)

mod common;

use std::{
    future::pending,
    hash::{Hash, Hasher},
    time::Duration,
};

use common::{leaks::leaves_nothing, *};
use riot_actor::{
    Down, Exit, Pid, Reason, exit, link,
    mailbox::receive_timeout,
    monitor,
    process::{catch_panic, is_alive, spawn_monitor, wait, yield_now},
    receive,
    runtime::{Config, Handle, blocking},
    send,
    simulation::{Simulation, interleave},
    spawn,
    table::{MAX_ENTRIES, Table, TableError, TableInfo, TableRef, TableTransfer, tables},
    this, trap_exit,
};

type Numbers = TableRef<u32, u32>;

/// Asserts in a process of its own, and shows its failure.
async fn in_child(body: impl Future<Output = ()> + Send + 'static) {
    assert_eq!(wait(spawn(body)).await, Reason::Normal);
}

/// Starts a process that makes a table, tells of it, and waits to be ended.
async fn owner_of(make: impl FnOnce() -> Table<u32, u32> + Send + 'static) -> (Pid, Numbers) {
    let main = this();
    let owner = spawn(async move {
        send(main, make().reference());
        receive::<()>().await;
    });
    (owner, receive::<Numbers>().await)
}

#[test]
fn ou11_the_owner_writes_and_all_read() {
    leaves_nothing(|| async {
        let table = Table::<String, Vec<u32>>::new("numbers");
        assert_eq!((table.len(), table.is_empty(), table.get("a")), (0, true, None));
        assert_eq!(table.insert("a".to_owned(), vec![1]), Ok(()));
        assert_eq!(table.insert("a".to_owned(), vec![1, 2]), Ok(()));
        assert_eq!(table.insert("b".to_owned(), vec![]), Ok(()));
        assert_eq!((table.len(), table.get("a")), (2, Some(vec![1, 2])));
        assert_eq!(table.owner(), Some(this()));
        let reader = table.reference();
        in_child(async move {
            assert!(reader.contains("a") && !reader.contains("c"));
            assert_eq!(reader.with("a", Vec::len), Some(2));
            assert_eq!(reader.with("c", Vec::len), None);
            let refused = Err(TableError::NotOwner);
            assert_eq!(reader.insert("c".to_owned(), vec![]), refused);
            assert_eq!(reader.remove("a"), Err(TableError::NotOwner));
            assert_eq!(reader.delete("a"), Err(TableError::NotOwner));
            assert_eq!(reader.update("a", |_| ()), Err(TableError::NotOwner));
            let made = reader.get_or_insert_with("a".to_owned(), || unreachable!("it is not called"));
            assert_eq!(made, Err(TableError::NotOwner));
        })
        .await;
        let reader = table.reference();
        let thread = std::thread::spawn(move || (reader.get("a"), reader.insert("x".to_owned(), vec![])));
        assert_eq!(thread.join().expect("it ends"), (Some(vec![1, 2]), Err(TableError::NotOwner)));

        assert_eq!(table.update("a", |a| a.pop()), Ok(Some(Some(2))));
        assert_eq!(table.update("c", |c| c.pop()), Ok(None));
        assert_eq!(table.get_or_insert_with("a".to_owned(), || unreachable!("it is there")), Ok(vec![1]));
        assert_eq!(table.get_or_insert_with("d".to_owned(), || vec![4]), Ok(vec![4]));
        let mut all = table.snapshot();
        all.sort();
        assert_eq!(all, [("a".to_owned(), vec![1]), ("b".to_owned(), vec![]), ("d".to_owned(), vec![4])]);
        assert_eq!(table.remove("a"), Ok(Some(vec![1])));
        assert_eq!(
            (table.remove("a"), table.delete("b"), table.delete("b")),
            (Ok(None), Ok(true), Ok(false))
        );
        assert_eq!((table.len(), table.get("a"), table.get("b")), (1, None, None));
    });
    threaded(|| async {
        let table = Table::<u8, u8>::new("numbers").public();
        table.insert(1, 1).expect("it is there");
        let reference = table.reference();
        blocking(move || {
            assert_eq!(reference.get(&1), Some(1));
            reference.insert(2, 2).expect("it is public");
        })
        .await;
        assert_eq!(table.get(&2), Some(2));
    });
    assert!(std::panic::catch_unwind(|| Table::<u8, u8>::new("outside")).is_err());
}

#[test]
fn ou11_a_public_table_is_written_to_by_all_and_no_write_is_lost() {
    leaves_nothing(|| async {
        let table = Table::<u32, u32>::new("counts").public();
        let (writers, times) = (8, 40);
        let ends: Vec<_> = (0..writers)
            .map(|nth| {
                let counts = table.reference();
                spawn_monitor(async move {
                    for time in 0..times {
                        counts.get_or_insert_with(time % 4, || 0).expect("there is room");
                        interleave();
                        assert!(counts.update(&(time % 4), |count| *count += 1).expect("it lives").is_some());
                        counts.insert(1000 + nth, time).expect("there is room");
                        if time % 7 == 0 {
                            yield_now().await;
                        }
                        let own = counts.remove(&(1000 + nth)).expect("it lives");
                        assert_eq!(own, Some(time));
                    }
                })
            })
            .map(|(_, end)| end)
            .collect();
        for end in ends {
            assert_eq!(end.down().await.reason, Reason::Normal);
        }
        let mut all = table.snapshot();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3].map(|key| (key, writers * times / 4)));
        assert_eq!(table.len(), 4);
    });
}

#[test]
fn ou11_a_full_table_gives_the_value_back() {
    leaves_nothing(|| async {
        let table = Table::<u32, String>::new("small").max_entries(2);
        let text = |text: &str| text.to_owned();
        assert_eq!((table.insert(1, text("a")), table.insert(2, text("b"))), (Ok(()), Ok(())));
        assert_eq!(table.insert(3, text("c")), Err(TableError::Full(text("c"))));
        assert_eq!(table.insert(1, text("d")), Ok(()), "it takes no more room");
        assert_eq!(table.get_or_insert_with(1, || text("e")), Ok(text("d")));
        assert_eq!(table.get_or_insert_with(3, || text("e")), Err(TableError::Full(text("e"))));
        assert_eq!((table.len(), table.get(&1), table.get(&3)), (2, Some(text("d")), None));
        assert_eq!(table.remove(&2), Ok(Some(text("b"))));
        assert_eq!(table.insert(3, text("c")), Ok(()));
        let table = table.max_entries(1);
        assert_eq!(table.insert(4, text("d")), Err(TableError::Full(text("d"))));
        assert_eq!(table.len(), 2, "what is there stays");

        // Exact also where many write.
        let crowd = Table::<u32, u32>::new("crowd").max_entries(50).public();
        let ends: Vec<_> = (0..4)
            .map(|nth| {
                let crowd = crowd.reference();
                spawn_monitor(async move {
                    let inserted = (0..30).filter(|n| crowd.insert(nth * 30 + n, 0).is_ok()).count();
                    assert!(inserted <= 50);
                    interleave();
                    assert!(crowd.len() <= 50);
                })
            })
            .map(|(_, end)| end)
            .collect();
        for end in ends {
            assert_eq!(end.down().await.reason, Reason::Normal);
        }
        assert_eq!((crowd.len(), crowd.snapshot().len()), (50, 50));
    });
    on_one_worker(|| async {
        let table = Table::<usize, ()>::new("default");
        (0..MAX_ENTRIES).for_each(|number| table.insert(number, ()).expect("there is room"));
        assert_eq!(table.insert(MAX_ENTRIES, ()), Err(TableError::Full(())));
        let panic = catch_panic(async { table.max_entries(0) }).await.unwrap_err();
        assert!(panic.message.contains("at least one entry"));
    });
}

fn assert_gone(table: &Numbers) {
    assert_eq!((table.len(), table.get(&1), table.contains(&1), table.owner()), (0, None, false, None));
    assert_eq!((table.with(&1, |_| ()), table.snapshot()), (None, vec![]));
    assert_eq!(table.insert(1, 1), Err(TableError::Gone));
    assert_eq!(table.remove(&1), Err(TableError::Gone));
    assert_eq!(table.delete(&1), Err(TableError::Gone));
    assert_eq!(table.update(&1, |_| ()), Err(TableError::Gone));
    assert_eq!(table.get_or_insert_with(1, || 1), Err(TableError::Gone));
}

fn filled(public: bool) -> Table<u32, u32> {
    let table = Table::new("filled");
    (0..100).for_each(|number| table.insert(number, number).expect("there is room"));
    if public { table.public() } else { table }
}

#[test]
fn ou11_a_table_ends_with_its_owner() {
    leaves_nothing(|| async {
        for public in [false, true] {
            for reason in [None, Some(Reason::Kill)] {
                let (owner, table) = owner_of(move || filled(public)).await;
                assert_eq!((table.len(), table.get(&7)), (100, Some(7)));
                let down = monitor(owner);
                match reason {
                    Some(reason) => exit(owner, reason),
                    None => send(owner, ()),
                }
                down.down().await;
                assert_gone(&table);
                assert!(tables().is_empty());
                let thread = std::thread::spawn(move || assert_gone(&table));
                thread.join().expect("it is gone there, too");
            }
        }
    });
    // Also with the runtime of its owner.
    let (tell, told) = std::sync::mpsc::channel();
    threaded(move || {
        let tell = tell.clone();
        async move { tell.send(filled(true).reference()).expect("it is heard") }
    });
    assert_gone(&told.recv().expect("it was told"));
}

#[test]
fn ou11_writes_that_meet_the_end_of_the_owner_are_there_or_refused() {
    leaves_nothing(|| async {
        let (owner, table) = owner_of(|| filled(true)).await;
        let (_, writer) = {
            let table = table.clone();
            spawn_monitor(async move {
                for number in 1000.. {
                    let before = is_alive(owner);
                    match table.insert(number, number) {
                        Ok(()) => {}
                        Err(TableError::Gone) => return assert!(!is_alive(owner)),
                        Err(error) => panic!("{before} {error}"),
                    }
                    if number % 50 == 0 {
                        yield_now().await;
                    }
                    if number % 100 == 99 {
                        (number - 99..=number).for_each(|number| _ = table.delete(&number));
                    }
                }
            })
        };
        yield_now().await;
        exit(owner, Reason::Shutdown);
        assert_eq!(writer.down().await.reason, Reason::Normal);
        wait(owner).await;
        assert_gone(&table);
    });
}

#[test]
fn ou11_an_heir_gets_the_table_and_is_told_before_links_and_monitors() {
    leaves_nothing(|| async {
        trap_exit(true);
        let main = this();
        for public in [false, true] {
            let (owner, table) = owner_of(move || filled(public).heir(main)).await;
            link(owner);
            let _down = monitor(owner);
            let of = |owner| tables().into_iter().rfind(|info| info.owner == owner).expect("it lives");
            assert_eq!(of(owner).heir, Some(main));
            send(owner, ());
            let transfer = receive_any_transfer().await;
            assert_eq!((transfer.from, transfer.table.owner()), (owner, Some(main)));
            receive::<Exit>().await;
            receive::<Down>().await;
            assert_eq!((table.len(), table.owner()), (100, Some(main)));
            assert_eq!(transfer.table.insert(1000, 1), Ok(()));
            assert_eq!(table.remove(&1000), Ok(Some(1)), "a reference serves the new owner, too");
            let other = table.clone();
            let expected = if public { Ok(()) } else { Err(TableError::NotOwner) };
            in_child(async move { assert_eq!(other.insert(1000, 1), expected) }).await;
            let info = of(main);
            assert_eq!((info.owner, info.heir, info.is_public), (main, None, public));
            // An heir that exits first changes nothing.
            let next = spawn(pending::<()>());
            let held = transfer.table.heir(next);
            assert_eq!(of(main).heir, Some(next));
            exit(next, Reason::Kill);
            wait(next).await;
            drop(held);
            assert_eq!(table.len(), if public { 101 } else { 100 });
        }
    });
}

async fn receive_any_transfer() -> TableTransfer<u32, u32> {
    let first = riot_actor::mailbox::receive_any().await;
    first.downcast().expect("the transfer comes first")
}

#[test]
fn ou11_an_heir_may_pass_the_table_on_and_one_that_is_gone_gets_none() {
    leaves_nothing(|| async {
        let main = this();
        // A chain of heirs.
        let heirs: Vec<Pid> = (0..5)
            .map(|_| {
                spawn(async move {
                    let next: Pid = receive().await;
                    let TableTransfer { table, .. } = receive::<TableTransfer<u32, u32>>().await;
                    let table = table.heir(next);
                    table.insert(table.len() as u32, 0).expect("it is the owner");
                })
            })
            .collect();
        let nexts = heirs[1..].iter().copied().chain([main]);
        heirs.iter().zip(nexts).for_each(|(heir, next)| send(*heir, next));
        let first = heirs[0];
        let (owner, table) = owner_of(move || filled(false).heir(first)).await;
        send(owner, ());
        let transfer = receive_any_transfer().await;
        assert_eq!((transfer.from, table.len(), table.owner()), (heirs[4], 105, Some(main)));

        // Heirs that are gone, condemned, of another runtime, or the owner itself.
        let gone = spawn(async {});
        wait(gone).await;
        let condemned = spawn(async move {
            send(main, ());
            while !std::thread::panicking() && is_alive(this()) {
                interleave();
                std::thread::yield_now();
                if receive_timeout::<()>(Duration::ZERO).await.is_ok() {
                    break;
                }
            }
        });
        receive::<()>().await;
        for heir in [gone, this()] {
            let (owner, table) =
                owner_of(move || filled(false).heir(if heir == main { this() } else { heir })).await;
            exit(owner, Reason::Kill);
            wait(owner).await;
            assert_gone(&table);
        }
        let (owner, table) = owner_of(move || filled(false).heir(condemned)).await;
        exit(condemned, Reason::Kill);
        exit(owner, Reason::Kill);
        wait(owner).await;
        wait(condemned).await;
        assert_gone(&table);
    });
}

#[test]
fn ou11_an_owner_and_its_heir_that_end_together_leave_nothing() {
    leaves_nothing(|| async {
        for _ in 0..20 {
            let heir = spawn(pending::<()>());
            let (owner, table) = owner_of(move || filled(true).heir(heir)).await;
            let killer = spawn(async move { exit(heir, Reason::Kill) });
            send(owner, ());
            wait(killer).await;
            wait(owner).await;
            wait(heir).await;
            assert_gone(&table);
        }
    });
}

#[test]
fn ou11_a_table_made_while_its_owner_is_released_is_gone() {
    leaves_nothing(|| async {
        let (main, reason) = (this(), Reason::Kill);
        let child = spawn(async move {
            let _on_drop = OnDrop(move || {
                let table = filled_or_refused();
                send(main, table);
            });
            pending::<()>().await;
        });
        yield_now().await;
        exit(child, reason);
        if wait(child).await == Reason::Killed {
            // A process that never ran has no locals to drop.
            while let Ok(table) = receive_timeout::<Numbers>(Duration::ZERO).await {
                assert_gone(&table);
            }
        }
    });
}

fn filled_or_refused() -> Numbers {
    let table = Table::new("late").public();
    assert_eq!(table.insert(1, 1), Err(TableError::Gone));
    table.reference()
}

/// A key whose hash is that of all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Colliding(u32);

impl Hash for Colliding {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[test]
fn ou11_keys_whose_hashes_are_equal_are_told_apart() {
    leaves_nothing(|| async {
        let table = Table::<Colliding, u32>::new("colliding");
        for number in 0..20 {
            table.insert(Colliding(number), number).expect("there is room");
        }
        table.insert(Colliding(3), 30).expect("there is room");
        assert_eq!(table.update(&Colliding(4), |four| *four *= 10), Ok(Some(())));
        assert_eq!(table.remove(&Colliding(0)), Ok(Some(0)));
        for number in 1..20 {
            let expected = if matches!(number, 3 | 4) { 10 * number } else { number };
            assert_eq!(table.get(&Colliding(number)), Some(expected));
        }
        assert_eq!((table.len(), table.snapshot().len()), (19, 19));
        for number in 1..20 {
            assert_eq!(table.delete(&Colliding(number)), Ok(true));
        }
        assert!(table.is_empty() && table.snapshot().is_empty());
    });
}

#[test]
fn ou11_the_order_of_a_snapshot_depends_on_the_seed_alone() {
    let order = |seed| {
        let (tell, told) = std::sync::mpsc::channel();
        let reason = Simulation::new(seed).run(async move {
            let table = filled(false);
            (0..50).for_each(|number| _ = table.delete(&(2 * number)));
            tell.send(table.snapshot()).expect("it is heard");
        });
        assert_eq!(reason, Reason::Normal);
        told.recv().expect("it was told")
    };
    for seed in 0..20 {
        assert_eq!(order(seed), order(seed));
    }
    assert_ne!(order(1), order(2));
}

#[test]
fn ou11_tables_are_listed() {
    leaves_nothing(|| async {
        let main = this();
        let heir = spawn(pending::<()>());
        let table = filled(true).heir(heir).max_entries(101);
        let (owner, _other) = owner_of(|| Table::new("of another")).await;
        let list = tables();
        assert_eq!(Handle::current().tables(), list);
        let shown =
            |info: &TableInfo| (info.name.to_string(), info.owner, info.heir, info.is_public, info.entries);
        assert_eq!(shown(&list[0]), ("filled".to_owned(), main, Some(heir), true, 100));
        assert_eq!(shown(&list[1]), ("of another".to_owned(), owner, None, false, 0));
        assert_eq!((list[0].max_entries, list[1].max_entries, list.len()), (101, MAX_ENTRIES, 2));
        let handle = Handle::current();
        let seen = std::thread::spawn(move || handle.tables()).join().expect("it ends");
        assert_eq!(seen, list);
        assert_eq!(table.name().as_str(), "filled");
        send(owner, ());
        wait(owner).await;
        assert_eq!(tables().len(), 1);
        exit(heir, Reason::Kill);
        wait(heir).await;
    });
}

#[test]
fn ou11_a_process_with_many_names_and_tables_gives_its_tables_back() {
    leaves_nothing(|| async {
        let main = this();
        let owner = spawn(async move {
            let made: Vec<Numbers> =
                (0..1_200).map(|_| Table::new("one of many").public().reference()).collect();
            send(main, made);
            receive::<()>().await;
        });
        let made: Vec<Numbers> = receive().await;
        assert_eq!(tables().len(), 1_200);
        send(owner, ());
        wait(owner).await;
        assert!(tables().is_empty());
        made.iter().take(3).for_each(assert_gone);
    });
}

#[test]
fn ou11_nothing_is_made_for_a_table_that_has_ended() {
    leaves_nothing(|| async {
        let (owner, numbers) = owner_of(|| Table::new("ended").public()).await;
        send(owner, ());
        wait(owner).await;
        let made = numbers.get_or_insert_with(1, || panic!("it is asked for a value"));
        assert_eq!(made, Err(TableError::Gone));
    });
}

#[test]
fn ou11_many_threads_read_and_write_at_once() {
    let reason = Config::new().workers(4).run(async {
        let table = Table::<u64, u64>::new("shared").max_entries(512).public();
        let threads: Vec<_> = (0..4_u64)
            .map(|nth| {
                let table = table.reference();
                std::thread::spawn(move || {
                    for round in 0..2_000_u64 {
                        let key = (round * 7 + nth) % 64;
                        let value = round << 8 | key;
                        table.insert(key, value).expect("there is room");
                        if let Some(seen) = table.get(&((key + 1) % 64)) {
                            assert_eq!(seen & 0xff, (key + 1) % 64, "a value of another key");
                        }
                        if round % 3 == 0 {
                            table.remove(&key).expect("it lives");
                        }
                        _ = table.update(&key, |value| *value += 256);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        assert_eq!(table.len(), table.snapshot().len());
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
}
