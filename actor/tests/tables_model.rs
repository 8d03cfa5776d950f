//! Tables beside a plain map, under random programs and seeds: rule OU11.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use riot_actor::{
    Pid, Reason, exit,
    process::wait,
    receive, send,
    simulation::Simulation,
    spawn,
    table::{Table, TableError, TableRef, TableTransfer, tables},
    this,
};

/// A step of a random program.
#[derive(Clone, Debug)]
enum Step {
    Insert(usize, u8, u8),
    Remove(usize, u8),
    Update(usize, u8, u8),
    GetOrInsert(usize, u8, u8),
    Heir(usize),
    EndOwner,
}

fn step() -> impl Strategy<Value = Step> {
    let (who, key, value) = (0..3_usize, 0..12_u8, any::<u8>());
    prop_oneof![
        6 => (who.clone(), key.clone(), value).prop_map(|(who, key, value)| Step::Insert(who, key, value)),
        3 => (who.clone(), key.clone()).prop_map(|(who, key)| Step::Remove(who, key)),
        3 => (who.clone(), key.clone(), value).prop_map(|(who, key, value)| Step::Update(who, key, value)),
        2 => (who.clone(), key, value).prop_map(|(who, key, value)| Step::GetOrInsert(who, key, value)),
        1 => who.prop_map(Step::Heir),
        1 => Just(Step::EndOwner),
    ]
}

type Act = Box<dyn FnOnce(&TableRef<u8, u8>) -> String + Send>;

/// A process that acts on the table when it is told to, and keeps the tables that it inherits.
fn actor(table: Arc<Mutex<Option<TableRef<u8, u8>>>>, main: Pid) -> Pid {
    spawn(async move {
        let mut owned: Option<Table<u8, u8>> = None;
        riot_actor::receive! { Make(public, max_entries) => {
            let made = Table::new("model").max_entries(max_entries);
            let made = if public { made.public() } else { made };
            *table.lock().unwrap() = Some(made.reference());
            owned = Some(made);
            send(main, "made".to_owned());
        }, Idle => {} }
        loop {
            riot_actor::receive! {
                act: Act => {
                    let reference = table.lock().unwrap().clone().expect("it was made");
                    send(main, act(&reference));
                },
                SetHeir(heir) => {
                    owned = owned.map(|owned| owned.heir(heir));
                    send(main, "set".to_owned());
                },
                transfer: TableTransfer<u8, u8> => owned = Some(transfer.table),
            }
        }
    })
}

struct Make(bool, usize);
struct Idle;
struct SetHeir(Pid);

async fn equals_the_model(steps: Vec<Step>, public: bool, max_entries: usize) {
    let main = this();
    let place = Arc::new(Mutex::new(None));
    let pids: Vec<Pid> = (0..3).map(|_| actor(place.clone(), main)).collect();
    send(pids[0], Make(public, max_entries));
    pids[1..].iter().for_each(|pid| send(*pid, Idle));
    receive::<String>().await;
    let table = place.lock().unwrap().clone().expect("it was made");
    let mut model: HashMap<u8, u8> = HashMap::new();
    let (mut owner, mut heir, mut live) = (Some(0), None, [true; 3]);
    for step in steps {
        let (who, act, expected): (usize, Act, String) = match step {
            Step::Heir(next) => {
                if let Some(owner) = owner {
                    send(pids[owner], SetHeir(pids[next]));
                    receive::<String>().await;
                    heir = Some(next);
                }
                continue;
            }
            Step::EndOwner => {
                let Some(before) = owner else { continue };
                exit(pids[before], Reason::Kill);
                wait(pids[before]).await;
                live[before] = false;
                owner = heir.take().filter(|&heir| live[heir]);
                if owner.is_none() {
                    model.clear();
                }
                assert_eq!(table.owner(), owner.map(|owner| pids[owner]));
                continue;
            }
            Step::Insert(who, key, value) => {
                let fits = model.contains_key(&key) || model.len() < max_entries;
                let expected = match refused(who, owner, public) {
                    Some(refused) => Err(refused),
                    None if !fits => Err(TableError::Full(value)),
                    None => {
                        if live[who] {
                            model.insert(key, value);
                        }
                        Ok(())
                    }
                };
                let act: Act = Box::new(move |table| format!("{:?}", table.insert(key, value)));
                (who, act, format!("{expected:?}"))
            }
            Step::Remove(who, key) => {
                let expected = match refused(who, owner, public) {
                    Some(refused) => Err(refused),
                    None if live[who] => Ok(model.remove(&key)),
                    None => Ok(None),
                };
                (who, Box::new(move |table| format!("{:?}", table.remove(&key))), format!("{expected:?}"))
            }
            Step::Update(who, key, by) => {
                let expected = match refused(who, owner, public) {
                    Some(refused) => Err(refused),
                    None if live[who] => Ok(model.get_mut(&key).map(|value| {
                        *value = value.wrapping_add(by);
                        *value
                    })),
                    None => Ok(None),
                };
                let change = move |value: &mut u8| {
                    *value = value.wrapping_add(by);
                    *value
                };
                (
                    who,
                    Box::new(move |table| format!("{:?}", table.update(&key, change))),
                    format!("{expected:?}"),
                )
            }
            Step::GetOrInsert(who, key, value) => {
                let expected = match (refused(who, owner, public), model.get(&key)) {
                    (Some(refused), _) => Err(refused),
                    (None, Some(present)) => Ok(*present),
                    (None, None) if model.len() >= max_entries => Err(TableError::Full(value)),
                    (None, None) => {
                        if live[who] {
                            model.insert(key, value);
                        }
                        Ok(value)
                    }
                };
                let act: Act =
                    Box::new(move |table| format!("{:?}", table.get_or_insert_with(key, || value)));
                (who, act, format!("{expected:?}"))
            }
        };
        if live[who] {
            send(pids[who], act);
            assert_eq!(receive::<String>().await, expected);
        }
        let mut all = table.snapshot();
        all.sort_unstable();
        let mut expected: Vec<(u8, u8)> = model.iter().map(|(key, value)| (*key, *value)).collect();
        expected.sort_unstable();
        assert_eq!((all, table.len()), (expected, model.len()));
        for key in 0..12 {
            assert_eq!(
                (table.get(&key), table.contains(&key)),
                (model.get(&key).copied(), model.contains_key(&key))
            );
        }
    }
    for pid in pids {
        exit(pid, Reason::Kill);
        wait(pid).await;
    }
    assert!(tables().is_empty() && table.is_empty());
}

fn refused(who: usize, owner: Option<usize>, public: bool) -> Option<TableError<u8>> {
    match owner {
        None => Some(TableError::Gone),
        Some(owner) if !public && owner != who => Some(TableError::NotOwner),
        Some(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn ou11_tables_equal_a_map(
        steps in prop::collection::vec(step(), 0..80),
        public: bool,
        max_entries in 1..10_usize,
        seed: u64,
    ) {
        let reason = Simulation::new(seed).run(equals_the_model(steps, public, max_entries));
        prop_assert_eq!(reason, Reason::Normal);
    }
}
