//! Names that are values of any type: R9.

mod common;

use std::{
    collections::HashMap,
    fmt,
    future::pending,
    hash::{Hash, Hasher},
    sync::atomic::{AtomicUsize, Ordering},
};

use common::{leaks::leaves_nothing, *};
use proptest::prelude::*;
use riot_actor::{
    Down, Pid, Reason, exit,
    gen_server::{Call, GenServer, GenServerOptions, GenServerRef, Stop},
    group::{
        GroupEvent, broadcast, demonitor_group, join_group, join_group_with, leave_group, members,
        members_with, monitor_group,
    },
    mailbox::Addr,
    name::{AsName, Key, Name, RegisterError, registered, send_named, unregister, wait_for_name},
    process::{SpawnOptions, info, join, monitor_name, wait},
    receive, register, run,
    runtime::Handle,
    simulation::Simulation,
    spawn, this, whereis,
};

#[derive(PartialEq, Eq, Hash, Debug, Clone, Copy)]
struct Room(u32);

#[test]
fn r09_keys_of_each_type_and_texts_are_names_of_their_own() {
    everywhere(|| async {
        let names = || -> Vec<Name> {
            let tuples = [Name::from((7_u32,)), ("7", 7_u32).into(), (7_u32, "7").into()];
            let keys = [Name::from(Key(7_u32)), Key(7_u64).into(), Key("7").into(), Key(Room(7)).into()];
            [Name::from("7")].into_iter().chain(tuples).chain(keys).collect()
        };
        let holders: Vec<Pid> =
            names().into_iter().map(|name| SpawnOptions::new().name(name).spawn(pending::<()>())).collect();
        for (name, holder) in names().iter().zip(&holders) {
            assert_eq!((whereis(name), Handle::current().whereis(name)), (Some(*holder), Some(*holder)));
            assert_eq!(info(*holder).unwrap().names, std::slice::from_ref(name));
            assert!(matches!(register(name.clone(), this()), Err(RegisterError::NameTaken(_))));
        }
        assert_eq!(
            (whereis("7"), whereis(&(7_u32,)), whereis(&("7", 7_u32))),
            (Some(holders[0]), Some(holders[1]), Some(holders[2]))
        );
        assert_eq!((whereis(&Key(7_u32)), whereis(&Key(7_i32))), (Some(holders[4]), None));
        assert_eq!((whereis(&Key(Room(7))), whereis(&Key(Room(8)))), (Some(holders[7]), None));
        let mut sorted = names();
        sorted.sort();
        assert_eq!(registered(), sorted);
        for holder in holders {
            exit(holder, Reason::Kill);
            wait(holder).await;
        }
        assert_eq!(registered(), []);
        assert_eq!(unregister(&Key(Room(7))).unwrap_err().0, "Room(7)");
        assert_eq!(send_named(&Key(Room(7)), "hello").unwrap_err().message, "hello");
    });
}

#[test]
fn r09_references_monitors_and_waits_take_keys() {
    struct Clerk(Room);
    struct Which;
    impl GenServer for Clerk {
        type Args = Room;
        async fn init(room: Room) -> Result<Self, Stop> {
            Ok(Self(room))
        }
    }
    impl Call<Which> for Clerk {
        type Reply = Room;
        async fn call(&mut self, _: Which) -> Room {
            self.0
        }
    }
    leaves_nothing(|| async {
        let clerk = GenServerRef::<Clerk>::named(Key(Room(7)));
        let waiting = spawn(async {
            wait_for_name(Key(Room(7)), None).await.expect("it waits for ever");
        });
        GenServerOptions::new().name(Key(Room(7))).start::<Clerk>(Room(7)).await.expect("it starts");
        join(&[waiting]).await;
        assert_eq!(clerk.call(Which).await, Ok(Room(7)));
        assert_eq!(clerk.name().key(), Some(&Room(7)));
        let reference = monitor_name(Key(Room(7)));
        clerk.stop(Reason::Normal, None).await.expect("it stops");
        let down: Down = receive().await;
        assert_eq!((down.reference, down.name), (reference, Some(Key(Room(7)).into())));

        register(("me", 1), this()).unwrap();
        Addr::<u8>::named(("me", 1)).send(3).unwrap();
        send_named(&("me", 1), 4_u8).unwrap();
        assert_eq!((receive::<u8>().await, receive::<u8>().await), (3, 4));
    });
}

#[test]
fn r09_groups_take_keys() {
    leaves_nothing(|| async {
        let (reference, nobody) = monitor_group(Key(Room(1)));
        assert_eq!(nobody, []);
        join_group_with(Key(Room(1)), this(), "joe");
        join_group(Key(Room(2)), this());
        assert_eq!(members_with::<&str>(&Key(Room(1))), [(this(), "joe")]);
        assert_eq!(members("Room(1)"), []);
        let event: GroupEvent = receive().await;
        assert_eq!(event.group.key(), Some(&Room(1)));
        broadcast(&Key(Room(2)), 7_u8).await;
        assert_eq!(receive::<u8>().await, 7);
        leave_group(&Key(Room(1)), this()).unwrap();
        leave_group(&Key(Room(2)), this()).unwrap();
        demonitor_group(reference);
        assert_eq!((members(&Key(Room(1))), members(&Key(Room(2)))), (vec![], vec![]));
    });
}

/// A name that is made anew for each use, so that nothing hangs on one allocation.
fn name(nth: usize) -> Name {
    match nth {
        0 => "1".into(),
        1 => Key(1_u8).into(),
        2 => Key("1").into(),
        3 => (1_u8, 1_u8).into(),
        4 => Key(Room(1)).into(),
        _ => Key(Room(2)).into(),
    }
}
const NAMES: usize = 6;
const PROCESSES: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    Register(usize, usize),
    Unregister(usize),
    Kill(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..NAMES, 0..PROCESSES).prop_map(|(name, process)| Step::Register(name, process)),
        3 => (0..NAMES).prop_map(Step::Unregister),
        1 => (0..PROCESSES).prop_map(Step::Kill),
    ]
}

async fn equals_a_map(steps: Vec<Step>) {
    let mut processes: Vec<Pid> = (0..PROCESSES).map(|_| spawn(pending::<()>())).collect();
    let mut model: HashMap<usize, Pid> = HashMap::new();
    for step in steps {
        match step {
            Step::Register(nth, process) => {
                let taken = model.contains_key(&nth);
                assert_eq!(register(name(nth), processes[process]).is_err(), taken);
                model.entry(nth).or_insert(processes[process]);
            }
            Step::Unregister(nth) => {
                assert_eq!(unregister(&name(nth)).is_ok(), model.remove(&nth).is_some());
            }
            Step::Kill(process) => {
                let killed = std::mem::replace(&mut processes[process], spawn(pending::<()>()));
                exit(killed, Reason::Kill);
                wait(killed).await;
                model.retain(|_, holder| *holder != killed);
            }
        }
        for nth in 0..NAMES {
            assert_eq!(whereis(&name(nth)), model.get(&nth).copied());
        }
        assert_eq!(registered().len(), model.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn r09_texts_and_keys_equal_a_map(steps in prop::collection::vec(step(), 0..60), seed: u64) {
        let reason = Simulation::new(seed).run(equals_a_map(steps));
        prop_assert_eq!(reason, Reason::Normal);
    }
}

/// A key that uses names and groups in everything that is done with it.
struct Busy(u32);

static USED: AtomicUsize = AtomicUsize::new(0);

fn uses_names() {
    // The last key is dropped when no process runs.
    if riot_actor::process::try_this().is_some() {
        assert!(whereis("busy").is_none() && registered().len() < 10 && members("busy").is_empty());
        register("busy", this()).ok();
        join_group("busy", this());
        leave_group("busy", this()).unwrap();
        unregister("busy").ok();
        USED.fetch_add(1, Ordering::Relaxed);
    }
}

impl PartialEq for Busy {
    fn eq(&self, other: &Self) -> bool {
        uses_names();
        self.0 == other.0
    }
}
impl Eq for Busy {}
impl Hash for Busy {
    fn hash<H: Hasher>(&self, _: &mut H) {
        uses_names();
    }
}
impl fmt::Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uses_names();
        writeln!(f, "Busy({})", self.0)
    }
}
impl Drop for Busy {
    fn drop(&mut self) {
        uses_names();
    }
}

#[test]
fn r09_keys_are_used_under_no_lock() {
    on_one_worker(|| async {
        for round in 0..3 {
            let holder = spawn(async {
                receive::<()>().await;
            });
            for number in 0..3 {
                register(Key(Busy(number)), holder).unwrap();
                join_group(Key(Busy(number)), holder);
                assert_eq!(
                    (whereis(&Key(Busy(number))), members(&Key(Busy(number)))),
                    (Some(holder), vec![holder])
                );
                let (reference, _) = monitor_group(Key(Busy(10 + number)));
                demonitor_group(reference);
                join_group_with(Key(Busy(20)), this(), round);
                leave_group(&Key(Busy(20)), this()).unwrap();
            }
            unregister(&Key(Busy(0))).unwrap();
            assert_eq!(riot_actor::log::printable(Name::from(Key(Busy(9)))), r"Busy(9)\n");
            riot_actor::send(holder, ());
            wait(holder).await;
            assert_eq!(whereis(&Key(Busy(1))), None);
        }
        assert!(USED.load(Ordering::Relaxed) > 100);
    });
}

/// A key that panics where it is told to.
struct Bomb(Fuse);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fuse {
    Hash,
    Eq,
    Debug,
    Drop,
}

impl Bomb {
    fn burn(&self, fuse: Fuse) {
        assert!(self.0 != fuse || std::thread::panicking(), "a bomb");
    }
}
impl PartialEq for Bomb {
    fn eq(&self, other: &Self) -> bool {
        self.burn(Fuse::Eq);
        self.0 == other.0
    }
}
impl Eq for Bomb {}
impl Hash for Bomb {
    fn hash<H: Hasher>(&self, _: &mut H) {
        self.burn(Fuse::Hash);
    }
}
impl fmt::Debug for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.burn(Fuse::Debug);
        f.write_str("Bomb")
    }
}
impl Drop for Bomb {
    fn drop(&mut self) {
        self.burn(Fuse::Drop);
    }
}

async fn panics(body: impl FnOnce() + Send + 'static) -> bool {
    matches!(wait(spawn(async move { body() })).await, Reason::Panic(_))
}

#[test]
fn r09_a_panic_in_a_key_is_that_of_the_caller() {
    everywhere(|| async {
        assert!(panics(|| drop(register(Key(Bomb(Fuse::Hash)), this()))).await);
        assert!(panics(|| drop(register(Key(Bomb(Fuse::Debug)), this()))).await);
        assert_eq!(registered(), []);
        // The first is compared with none.
        let holder = spawn(async {
            register(Key(Bomb(Fuse::Eq)), this()).unwrap();
            receive::<()>().await;
        });
        while registered().is_empty() {
            riot_actor::process::yield_now().await;
        }
        assert!(panics(|| assert_eq!(whereis(&Key(Bomb(Fuse::Eq))), None)).await);
        assert!(panics(|| join_group(Key(Bomb(Fuse::Eq)), this())).await);
        riot_actor::send(holder, ());
        assert_eq!(wait(holder).await, Reason::Normal);
        assert_eq!(registered(), []);

        // The destructor runs in the release of the holder.
        let holder = SpawnOptions::new().name(Key(Bomb(Fuse::Drop))).spawn(async {});
        assert_eq!(wait(holder).await, Reason::Normal);
        assert_eq!(registered(), []);
    });
}

#[test]
fn r09_what_looks_a_name_up_takes_every_form_of_text() {
    fn found(name: &(impl AsName + ?Sized)) -> bool {
        whereis(name) == Some(this())
    }
    run(async {
        register("main", this()).unwrap();
        let text = String::from("main");
        let borrowed: &str = &text;
        assert!(found("main") && found(&text) && found(borrowed) && found(&borrowed));
        assert!(found(&std::borrow::Cow::Borrowed("main")) && found(&Name::from("main")));
    });
}
