//! Process-local values and ancestors: rule OU8.

mod common;

use std::{
    cell::{Cell, RefCell},
    future::pending,
    sync::Arc,
};

use common::{leaks::leaves_nothing, *};
use riot_actor::{
    Exit, Pid, Reason, exit,
    gen_server::{Call, GenServer, Stop},
    process::{ProcessLocal, SpawnOptions, ancestors, catch_panic, spawn_monitor, wait, yield_now},
    process_local, receive,
    runtime::{Handle, blocking},
    send,
    simulation::interleave,
    spawn, spawn_link,
    task::Task,
    telemetry::crash_detail,
    this, trap_exit,
};

process_local! {
    static USER: String;
    /// The one that children have, too.
    static TENANT: u32, inherited;
    static COUNT: Cell<u32>;
    pub(crate) static TRAIL: RefCell<Vec<&'static str>>, inherited;
    static TOKEN: Token;
    static SHARED: Arc<()>, inherited;
    static BOMB: Bomb, inherited;
    static OTHER_BOMB: DropBomb
}

/// A value that panics when it is cloned.
struct Bomb;

impl Clone for Bomb {
    fn clone(&self) -> Self {
        panic!("a clone")
    }
}

/// A value that panics when it is dropped.
struct DropBomb;

impl Drop for DropBomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a destructor");
        }
    }
}

/// Asserts in a process of its own, and shows its failure.
async fn in_child(body: impl Future<Output = ()> + Send + 'static) {
    assert_eq!(wait(spawn(body)).await, Reason::Normal);
}

#[test]
fn ou08_each_process_has_a_value_of_its_own_or_none() {
    leaves_nothing(|| async {
        assert_eq!((USER.get(), USER.with(String::len), USER.take()), (None, None, None));
        USER.set("joe".to_owned());
        USER.set("ann".to_owned());
        in_child(async {
            assert_eq!(USER.get(), None, "it is not inherited");
            USER.set("sue".to_owned());
            yield_now().await;
            assert_eq!(USER.take().as_deref(), Some("sue"));
            assert_eq!(USER.get(), None);
        })
        .await;
        assert_eq!(USER.with(|user| user.len()), Some(3));
        assert_eq!(USER.take().as_deref(), Some("ann"));
        assert_eq!(USER.take(), None);

        COUNT.set(Cell::new(0));
        for n in 0..100 {
            assert_eq!(COUNT.with(|count| count.replace(n + 1)), Some(n));
            interleave();
            yield_now().await;
        }
    });
}

struct Server(Option<u32>);
struct Get;

impl GenServer for Server {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(Self(TENANT.get()))
    }
}

impl Call<Get> for Server {
    type Reply = Option<u32>;
    async fn call(&mut self, _: Get) -> Option<u32> {
        self.0
    }
}

#[test]
fn ou08_spawned_processes_inherit_clones_however_they_are_spawned() {
    leaves_nothing(|| async {
        TENANT.set(7);
        TRAIL.set(RefCell::new(vec!["main"]));
        let tell = |main: Pid| async move { send(main, TENANT.get()) };
        let main = this();
        spawn(tell(main));
        spawn_link(tell(main));
        spawn_monitor(tell(main)).1.down().await;
        SpawnOptions::new().name("named").spawn(tell(main));
        SpawnOptions::new()
            .name("second")
            .link()
            .label("x")
            .pinned()
            .spawn_monitor(tell(main))
            .1
            .down()
            .await;
        spawn(async move { in_child(tell(main)).await });
        for _ in 0..6 {
            assert_eq!(receive::<Option<u32>>().await, Some(7));
        }
        assert_eq!(Task::spawn(async { TENANT.get() }).wait(None).await, Ok(Some(7)));
        let server = Server::start(()).await.expect("it starts");
        TENANT.set(8);
        assert_eq!(server.call(Get).await, Ok(Some(7)), "a clone from when it was spawned");
        server.stop(Reason::Normal, None).await.expect("it stops");

        // Every process changes its own.
        in_child(async {
            TRAIL.with(|trail| trail.borrow_mut().push("child"));
            in_child(async {
                assert_eq!(TRAIL.take().map(RefCell::into_inner), Some(vec!["main", "child"]));
                in_child(async { assert!(TRAIL.take().is_none(), "it was taken away") }).await;
            })
            .await;
        })
        .await;
        assert_eq!(TRAIL.take().map(RefCell::into_inner), Some(vec!["main"]));
        TENANT.take();
        in_child(async { assert_eq!(TENANT.get(), None) }).await;
    });
}

#[test]
fn ou08_a_process_without_a_spawner_inherits_nothing() {
    leaves_nothing(|| async {
        TENANT.set(7);
        let (handle, main) = (Handle::current(), this());
        handle.spawn(async move { send(main, (TENANT.get(), ancestors())) });
        assert_eq!(receive::<(Option<u32>, Vec<Pid>)>().await, (None, vec![]));
    });
}

#[test]
fn ou08_values_are_dropped_in_the_release_in_their_process_after_the_body() {
    leaves_nothing(|| async {
        trap_exit(true);
        let held = Token::new("held");
        let value = Token::new("value");
        let message = Token::new("message");
        let child = spawn_link(async move {
            let _held = held;
            TOKEN.set(value);
            pending::<()>().await;
        });
        send(child, message);
        while riot_actor::process::info(child).is_some_and(|info| info.state.to_string() != "waiting") {
            yield_now().await;
        }
        exit(child, Reason::Kill);
        for what in ["held", "message", "value"] {
            assert_eq!(receive::<Dropped>().await, Dropped(what, Some(child)));
        }
        assert_eq!(receive::<Exit>().await.reason, Reason::Killed);

        // Replacing a value drops the one before at once, in the caller.
        TOKEN.set(Token::new("first"));
        TOKEN.set(Token::new("second"));
        assert_eq!(receive::<Dropped>().await, Dropped("first", Some(this())));
        drop(TOKEN.take());
        assert_eq!(receive::<Dropped>().await, Dropped("second", Some(this())));
    });
}

#[test]
fn ou08_a_process_of_many_messages_drops_its_values_itself() {
    leaves_nothing(|| async {
        let value = Token::new("value");
        let child = spawn(async move {
            TOKEN.set(value);
            pending::<()>().await;
        });
        (0..3_000_u32).for_each(|number| send(child, number));
        yield_now().await;
        while riot_actor::process::info(child).is_some_and(|info| info.state.to_string() != "waiting") {
            yield_now().await;
        }
        exit(child, Reason::Shutdown);
        assert_eq!(receive::<Dropped>().await, Dropped("value", Some(child)));
        wait(child).await;
    });
}

#[test]
fn ou08_what_a_process_inherits_is_dropped_if_it_never_runs() {
    leaves_nothing(|| async {
        let value = Arc::new(());
        SHARED.set(value.clone());
        let child = spawn(async {});
        exit(child, Reason::Kill);
        wait(child).await;
        let holder = SpawnOptions::new().name("taken").spawn(pending::<()>());
        assert!(SpawnOptions::new().name("taken").try_spawn(async {}).is_err());
        exit(holder, Reason::Kill);
        wait(holder).await;
        assert_eq!(Arc::strong_count(&value), 2, "this one and that of the store");
        drop(SHARED.take());
        assert_eq!(Arc::strong_count(&value), 1);
    });
}

#[test]
fn ou08_the_next_process_of_a_slot_begins_with_nothing() {
    leaves_nothing(|| async {
        for _ in 0..10 {
            in_child(async {
                assert_eq!((USER.get(), TENANT.get()), (None, None));
                USER.set("x".to_owned());
                TENANT.set(1);
            })
            .await;
        }
    });
}

#[test]
fn ou08_values_that_panic_change_nothing_else() {
    leaves_nothing(|| async {
        let observer = Token::new("after a bomb");
        let child = spawn(async move {
            BOMB.set(Bomb);
            TENANT.set(7);
            OTHER_BOMB.set(DropBomb);
            TOKEN.set(observer);
            // The value that cannot be cloned is left out.
            in_child(async { assert_eq!((BOMB.take().is_some(), TENANT.get()), (false, Some(7))) }).await;
            assert!(BOMB.with(|_| ()).is_some());
            Reason::other("done")
        });
        let end = wait(child);
        assert_eq!(receive::<Dropped>().await, Dropped("after a bomb", Some(child)));
        assert_eq!(end.await, Reason::other("done"), "a destructor does not change the reason");

        // A closure that panics is a panic of its process, and leaves the value.
        USER.set("joe".to_owned());
        let panic = catch_panic(async { USER.with(|_| panic!("in a closure")) }).await.unwrap_err();
        assert_eq!(panic.message, "in a closure");
        assert_eq!(USER.take().as_deref(), Some("joe"));
    });
}

/// Uses the store whenever the store uses it.
struct Busy(Pid);

impl Clone for Busy {
    fn clone(&self) -> Self {
        // The process that is spawned here inherits a clone, too.
        if let Some(tenant) = TENANT.take() {
            BUSY.set(Self(self.0));
            assert_eq!(BUSY.with(|busy| busy.0), Some(self.0));
            spawn(async {});
            TENANT.set(tenant);
        }
        Self(self.0)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let found = BUSY.with(|busy| busy.0);
        TENANT.with(|_| interleave());
        send(self.0, found);
    }
}

process_local! { static BUSY: Busy, inherited; }

#[test]
fn ou08_closures_clones_and_destructors_may_use_the_store() {
    leaves_nothing(|| async {
        let main = this();
        USER.set("joe".to_owned());
        TENANT.set(1);
        // In a closure: the same value, another one, a new one, a process.
        let in_closure = USER.with(|user| {
            assert_eq!(USER.get().as_ref(), Some(user));
            assert_eq!(USER.with(|again| again == user), Some(true));
            USER.set("ann".to_owned());
            TENANT.set(2);
            spawn(async move { send(main, TENANT.get()) });
            interleave();
            user.clone()
        });
        assert_eq!((in_closure.as_deref(), USER.get().as_deref()), (Some("joe"), Some("ann")));
        assert_eq!(receive::<Option<u32>>().await, Some(2));
        assert!(TENANT.with(|_| TENANT.with(|_| spawn_link(async {}))).flatten().is_some());

        // It cannot be taken from below a closure.
        let panic = catch_panic(async { USER.with(|_| USER.take()) }).await.unwrap_err();
        assert!(panic.message.contains("`USER` was taken inside a `with`"), "{}", panic.message);
        assert_eq!(USER.with(|_| COUNT.take()).map(|count| count.is_none()), Some(true));
        assert_eq!(USER.take().as_deref(), Some("ann"));

        in_child(async move {
            TENANT.set(3);
            BUSY.set(Busy(main));
            let clone = BUSY.get();
            drop(clone);
            in_child(async { assert!(BUSY.with(|_| ()).is_some()) }).await;
        })
        .await;
        // In every destructor the store is there, but for that of its own release.
        let mut found = Vec::new();
        while let Ok(one) = riot_actor::mailbox::receive_timeout::<Option<Pid>>(secs(0)).await {
            found.push(one);
        }
        assert!(found.iter().all(|found| found.is_none_or(|pid| pid == main)));
        assert!(found.contains(&None) && found.contains(&Some(main)), "{found:?}");
    });
}

/// Sets a value when it is dropped.
struct Sets(&'static ProcessLocal<Sets>, Pid);

impl Drop for Sets {
    fn drop(&mut self) {
        let Self(key, observer) = *self;
        if USER.get().is_some() {
            return;
        }
        let set = std::panic::catch_unwind(|| USER.set("late".to_owned()));
        let panic = set.expect_err("it is refused");
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        send(observer, (text, key.with(|_| ()).is_none() && USER.get().is_none()));
    }
}

process_local! { static SETS: Sets }

#[test]
fn ou08_a_destructor_of_a_value_finds_no_values_and_sets_none() {
    leaves_nothing(|| async {
        let main = this();
        in_child(async move { SETS.set(Sets(&SETS, main)) }).await;
        let (text, is_empty) = receive::<(String, bool)>().await;
        assert!(text.contains("`USER` was set while its process drops its values"), "{text}");
        assert!(is_empty);
    });
}

/// Sets a value when it is dropped with its body, or as a message.
struct SetsUser(Pid);

impl Drop for SetsUser {
    fn drop(&mut self) {
        TOKEN.set(Token { what: "set in a destructor", observer: self.0 });
    }
}

#[test]
fn ou08_a_value_set_in_the_release_is_dropped_in_it() {
    leaves_nothing(|| async {
        let main = this();
        for unread in [1, 1_500] {
            let body = SetsUser(main);
            let child = spawn(async move {
                let _body = body;
                receive::<()>().await;
            });
            (0..unread).for_each(|_| send(child, SetsUser(main)));
            send(child, ());
            let end = wait(child);
            // The one of the body, and those of the messages that the process drops itself.
            let dropped = receive::<Dropped>().await;
            assert_eq!(dropped.0, "set in a destructor");
            end.await;
        }
        while riot_actor::process::processes().len() > 2 {
            yield_now().await;
        }
    });
}

#[test]
fn ou08_outside_a_process_there_are_no_values() {
    let nothing = || {
        assert_eq!((USER.get(), USER.with(String::len), USER.take()), (None, None, None));
        let panic = std::panic::catch_unwind(|| USER.set("joe".to_owned())).expect_err("it panics");
        let text = panic.downcast_ref::<String>().expect("it has a text");
        assert!(text.contains("`USER` was set outside a process"), "{text}");
    };
    nothing();
    leaves_nothing(move || async move {
        USER.set("joe".to_owned());
        let handle = Handle::current();
        std::thread::spawn(move || handle.enter(nothing)).join().expect("it does not panic");
        assert_eq!(USER.get().as_deref(), Some("joe"));
    });
    threaded(move || async move {
        USER.set("joe".to_owned());
        blocking(nothing).await;
    });
}

#[test]
fn ou08_values_that_are_left_at_the_end_of_a_runtime_are_dropped_in_their_process() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    struct InProcess(Arc<std::sync::Mutex<Vec<bool>>>);
    impl Drop for InProcess {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(riot_actor::process::try_this().is_some());
        }
    }
    process_local! { static LEFT: InProcess }
    let left = seen.clone();
    everywhere(move || {
        let left = left.clone();
        async move {
            LEFT.set(InProcess(left.clone()));
            spawn(async move {
                LEFT.set(InProcess(left));
                pending::<()>().await;
            });
            yield_now().await;
        }
    });
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 50 && seen.iter().all(|in_process| *in_process), "{seen:?}");
}

/// Spawns `depth` processes, one by the other, each of which ends at once; the last one tells its ancestors.
fn chain(depth: usize, path: Vec<Pid>, main: Pid) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let found = ancestors();
        let expected: Vec<Pid> = path.iter().rev().take(8).copied().collect();
        assert_eq!(found, expected);
        let mut path = path;
        path.push(this());
        if depth == 0 {
            // When all of them are gone.
            for &pid in &path[2..path.len() - 1] {
                wait(pid).await;
            }
            assert_eq!(ancestors(), expected);
            send(main, "done");
        } else {
            spawn(chain(depth - 1, path, main));
        }
    })
}

#[test]
fn ou08_ancestors_are_the_last_eight_spawners_also_when_they_are_gone() {
    leaves_nothing(|| async {
        let main = this();
        let above = ancestors();
        assert_eq!(above.len(), 1, "the process that runs the tests");
        for depth in [0, 1, 2, 7, 8, 9, 30] {
            spawn(chain(depth, vec![above[0], main], main));
            assert_eq!(receive::<&str>().await, "done");
        }
        let many: Vec<Pid> = (0..100).map(|_| spawn(chain(3, vec![above[0], main], main))).collect();
        for _ in &many {
            assert_eq!(receive::<&str>().await, "done");
        }
    });
    assert!(std::panic::catch_unwind(ancestors).is_err(), "outside a process");
}

#[test]
fn ou08_details_of_a_crash_report_see_the_values() {
    everywhere_with_crash_reports(|crashes| async move {
        for fails in [false, true] {
            let crashing = spawn(async move {
                USER.set("joe".to_owned());
                crash_detail("user", || format!("{:?}", USER.get()));
                assert!(fails, "by a panic");
                Err::<(), _>(Reason::other("by an error"))
            });
            let _ = wait(crashing).await;
            let report = crashes.lock().unwrap().pop().unwrap();
            assert_eq!(report.details, [("user", "Some(\"joe\")".to_owned())], "{:?}", report.reason);
        }
    });
}
