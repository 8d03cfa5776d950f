//! Typed and named children, synchronous starts, requests about a supervisor, retries: OU1, OU2, OU6, OU7,
//! OU13.
mod common;

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{Do, everywhere, faulty, notes, secs, simulated, tell};
use riot_actor::{
    Exit, Pid, Reason,
    call::CallError,
    exit, gen_server,
    gen_server::{Call, GenServer, GenServerOptions, GenServerRef, Stop},
    mailbox::{Addr, MailboxOverflow, receive_if, receive_timeout},
    now,
    process::{info, is_alive, processes, wait, yield_now},
    receive,
    runtime::{Config, shutdown},
    send,
    simulation::Simulation,
    sleep, spawn, this, trap_exit, whereis,
};
use riot_supervisor::{
    Backoff, ChildState, FailedToStart, RestartChildError, Retry, SpecError, StartChildError, Started,
    Supervisor, SupervisorEvent, SupervisorRef, SupervisorSettings, SupervisorStartError,
    SupervisorStopError, process, process_with_start, server, supervisor, task, worker,
};

struct Db(u32);
struct Get;

impl GenServer for Db {
    type Args = u32;
    async fn init(number: u32) -> Result<Self, Stop> {
        if number == 0 { Err(Reason::other("zero").into()) } else { Ok(Db(number)) }
    }
}
impl Call<Get> for Db {
    type Reply = u32;
    async fn call(&mut self, _: Get) -> u32 {
        self.0
    }
}
struct Crash;
impl gen_server::Cast<Crash> for Db {
    async fn cast(&mut self, _: Crash) {
        panic!("as asked");
    }
}

struct Other;
impl GenServer for Other {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(Other)
    }
}

#[test]
fn ou02_a_child_is_found_by_its_id_as_the_type_of_its_spec() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .child(server::<Db>("db", || 7))
            .child(worker("by hand", || Db::start_link(8)))
            .child(supervisor("pool", || Supervisor::dynamic().start_link()))
            .child(process("clock", pending::<()>))
            .child(worker("ignored", || async { Ok::<Option<GenServerRef<Db>>, Reason>(None) }))
            .start_link()
            .await
            .unwrap();
        let db: GenServerRef<Db> = sup.child("db").await.unwrap();
        assert_eq!(db.call(Get).await, Ok(7));
        assert_eq!(sup.child::<GenServerRef<Db>>("by hand").await.unwrap().call(Get).await, Ok(8));
        let pool: SupervisorRef = sup.child("pool").await.unwrap();
        assert_eq!(pool.count_children().await.unwrap().specs, 0);
        for id in ["db", "by hand", "pool", "clock"] {
            assert!(sup.child::<Pid>(id).await.is_some(), "every child has a pid");
        }
        assert_eq!(sup.child::<GenServerRef<Other>>("db").await, None);
        assert_eq!(sup.child::<SupervisorRef>("db").await, None);
        assert_eq!(sup.child::<GenServerRef<Db>>("clock").await, None);
        assert_eq!(sup.child::<GenServerRef<Db>>("ignored").await, None, "it has no process");
        assert_eq!(sup.child::<Pid>("nothing").await, None);
        // What is started by request has the type of its spec too.
        let extra = sup.start_child(server::<Db>("extra", || 9).transient()).await.unwrap();
        assert_eq!(extra.call(Get).await, Ok(9));
        let nested =
            sup.start_child(supervisor("nested", || Supervisor::dynamic().start_link())).await.unwrap();
        let job: Pid = nested.start_child(task("job", pending::<()>)).await.unwrap();
        assert_eq!(nested.child::<Pid>("job").await, Some(job));
        // The spec keeps its type over a restart.
        sup.terminate_child("extra").await.unwrap();
        assert_eq!(sup.child::<GenServerRef<Db>>("extra").await, None);
        sup.restart_child("extra").await.unwrap();
        assert_eq!(sup.child::<GenServerRef<Db>>("extra").await.unwrap().call(Get).await, Ok(9));
        sup.stop(Reason::Normal).await.unwrap();
        assert_eq!(sup.child::<Pid>("db").await, None, "nor if there is no supervisor");
    });
}

#[test]
fn ou02_a_server_has_the_name_and_the_options_of_its_spec_at_every_start() {
    everywhere(|| async {
        let options = GenServerOptions::new().name("bounded").max_mailbox(1, MailboxOverflow::DropNewest);
        let sup = Supervisor::one_for_one()
            .intensity(5, secs(5))
            .child(server::<Db>("db", || 7).named())
            .child(server::<Db>(8, || 8).name("eight"))
            .child(server::<Db>("options", || 9).options(options))
            .start_link()
            .await
            .unwrap();
        for (name, number) in [("db", 7), ("eight", 8), ("bounded", 9)] {
            let named = GenServerRef::<Db>::named(name);
            let before = named.server().unwrap();
            assert_eq!(named.call(Get).await, Ok(number));
            let end = wait(before.pid());
            before.cast(Crash);
            end.await;
            while named.server().is_err() {
                yield_now().await;
            }
            assert_eq!(named.call(Get).await, Ok(number), "{name} has its name again");
        }
        let taken = sup.start_child(server::<Db>("second", || 7).name("db")).await;
        assert!(matches!(taken, Err(StartChildError::Failed(_))), "{taken:?}");
        sup.stop(Reason::Normal).await.unwrap();
    });
}

#[test]
fn ou01_a_supervisor_is_asked_by_name_also_after_its_restart() {
    everywhere(|| async {
        trap_exit(true);
        let named = SupervisorRef::named("jobs");
        let job = || task("job", pending::<()>);
        assert_eq!(named.start_child(job()).await, Err(StartChildError::Call(CallError::NoProc)));
        assert_eq!(named.stop(Reason::Normal).await, Err(SupervisorStopError::NoProc));
        assert_eq!(named.child::<Pid>("job").await, None);
        let jobs = || supervisor("jobs", || Supervisor::dynamic().name("jobs").start_link());
        let top = Supervisor::one_for_one().child(jobs()).start_link().await.unwrap();
        let first = named.start_child(job()).await.unwrap();
        assert_eq!(named.child::<Pid>("job").await, Some(first));
        let old = named.supervisor().unwrap();
        let end = wait(old.pid());
        exit(old.pid(), Reason::Kill);
        end.await;
        while named.supervisor().is_err() {
            yield_now().await;
        }
        named.start_child(job()).await.unwrap();
        assert_eq!(named.count_children().await.unwrap().active, 1);
        assert_eq!(named.which_children().await.unwrap().len(), 1);
        assert_eq!(named.restart_child("job").await, Err(RestartChildError::NotFound));
        assert_eq!(named.get_state().await.unwrap().strategy, "dynamic");
        assert_eq!(named.statistics().await.unwrap().starts, 1);
        top.stop(Reason::Normal).await.unwrap();
    });
}

#[test]
fn ou06_a_suspended_supervisor_restarts_nothing_and_obeys_its_parent() {
    everywhere(|| async {
        let sup = Supervisor::rest_for_one()
            .intensity(3, secs(5))
            .child(server::<Db>("db", || 7))
            .start_link()
            .await
            .unwrap();
        let db: GenServerRef<Db> = sup.child("db").await.unwrap();
        sup.suspend().await.unwrap();
        let end = wait(db.pid());
        db.cast(Crash);
        end.await;
        let state = sup.get_state().await.unwrap();
        assert_eq!((state.strategy, state.max_restarts, state.period), ("rest_for_one", 3, secs(5)));
        assert!(state.is_suspended && state.recent_restarts == 0);
        assert_eq!(state.children[0].state, ChildState::Running(db.pid()), "it has not looked at the exit");
        let status = sup.get_status().await.unwrap();
        assert!(status.is_suspended && status.mailbox == 1 && status.state.contains("rest_for_one"));
        sup.resume().await.unwrap();
        let again: GenServerRef<Db> = sup.child("db").await.unwrap();
        assert_eq!(again.call(Get).await, Ok(7));
        let statistics = sup.statistics().await.unwrap();
        let (starts, restarts) = (statistics.starts, statistics.restarts);
        assert_eq!((starts, restarts, statistics.failed_starts, statistics.ends), (1, 1, 0, 1));
        assert_eq!(sup.get_state().await.unwrap().recent_restarts, 1);
        // A suspended supervisor stops when it is asked to, and ends with its parent.
        sup.suspend().await.unwrap();
        sup.stop(Reason::Normal).await.unwrap();
        assert!(!is_alive(again.pid()));
        let main = this();
        let parent = spawn(async move {
            let sup = Supervisor::dynamic().start_link().await.unwrap();
            sup.suspend().await.unwrap();
            send(main, sup);
            pending::<()>().await;
        });
        let sup: SupervisorRef = receive().await;
        let end = wait(sup.pid());
        exit(parent, Reason::Shutdown);
        assert_eq!(end.await, Reason::Shutdown);
    });
}

#[test]
fn ou06_the_settings_of_a_supervisor_change_while_it_runs() {
    everywhere(|| async {
        trap_exit(true);
        let job = || process("job", pending::<()>).temporary();
        let pool = Supervisor::dynamic().max_children(1).start_link().await.unwrap();
        pool.start_child(job()).await.unwrap();
        assert_eq!(pool.start_child(job()).await, Err(StartChildError::MaxChildren));
        let settings = pool.replace_state(|settings| settings.max_children = Some(2)).await.unwrap();
        assert_eq!((settings.max_children, settings.max_restarts, settings.period), (Some(2), 1, secs(5)));
        pool.start_child(job()).await.unwrap();
        assert_eq!(pool.start_child(job()).await, Err(StartChildError::MaxChildren));
        // What may not be is not taken, nor is half of it.
        for refused in [0, 1, 2] {
            let replaced = pool.replace_state(move |settings| {
                settings.max_restarts = 100;
                match refused {
                    0 => settings.period = Duration::ZERO,
                    1 => settings.max_children = Some(0),
                    _ => panic!("as asked"),
                }
            });
            assert_eq!(replaced.await, Err(CallError::Dropped));
        }
        pool.suspend().await.unwrap();
        let settings = pool.replace_state(|settings| settings.max_children = None).await.unwrap();
        assert_eq!((settings.max_children, settings.max_restarts, settings.period), (None, 1, secs(5)));
        pool.resume().await.unwrap();
        pool.start_child(job()).await.unwrap();

        // Restarts that were made count: of two in the period no third is allowed once two is the bound.
        let sup =
            Supervisor::one_for_one().intensity(9, secs(60)).child(server::<Db>("db", || 7)).start_link();
        let sup = sup.await.unwrap();
        for _ in 0..2 {
            let db: GenServerRef<Db> = sup.child("db").await.unwrap();
            let end = wait(db.pid());
            db.cast(Crash);
            end.await;
        }
        let lowered = |settings: &mut SupervisorSettings| settings.max_restarts = 2;
        assert_eq!(sup.replace_state(lowered).await.unwrap().max_children, None);
        let db: GenServerRef<Db> = sup.child("db").await.unwrap();
        let end = wait(sup.pid());
        db.cast(Crash);
        assert_eq!(end.await, Reason::Shutdown);
        pool.stop(Reason::Normal).await.unwrap();
    });
}

#[test]
fn ou06_a_request_about_a_supervisor_that_is_busy_ends_after_five_seconds() {
    simulated(|| async {
        let slow = worker("slow", || async {
            sleep(secs(60)).await;
            Ok::<_, Reason>(spawn(pending::<()>()))
        });
        let sup = Supervisor::dynamic().start_link().await.unwrap();
        spawn(async move { sup.start_child(slow).await });
        sleep(secs(1)).await;
        let start = now();
        assert_eq!(sup.suspend().await, Err(CallError::Timeout));
        assert_eq!((now() - start).as_secs(), 5);
        assert_eq!(sup.with_timeout(secs(2)).get_state().await, Err(CallError::Timeout));
    });
}

/// The end of a runtime reaches a supervisor that is suspended, while its parent still lives.
#[test]
fn ou06_a_suspended_supervisor_stops_its_children_at_the_end_of_the_runtime() {
    type Told = Arc<Mutex<Option<(Pid, Pid)>>>;
    async fn program(told: Told) {
        let sup = process_with_start("child", move |started: Started| {
            let told = told.clone();
            async move {
                trap_exit(true);
                started.ok();
                let parent: Pid = receive().await;
                let exit: Exit = receive().await;
                *told.lock().unwrap() = Some((exit.from, parent));
            }
        });
        let sup = Supervisor::one_for_one().child(sup).start_link().await.unwrap();
        send(sup.child::<Pid>("child").await.unwrap(), sup.pid());
        sup.suspend().await.unwrap();
        shutdown(Reason::Normal);
        trap_exit(true);
        pending::<()>().await;
    }
    let config = || Config::new().stop_timeout(secs(2)).shutdown_timeout(Duration::from_millis(10));
    let check = |run: &dyn Fn(Told)| {
        let told = Told::default();
        run(told.clone());
        let (from, supervisor) = told.lock().unwrap().expect("the child has seen an exit signal");
        assert_eq!(from, supervisor, "it was stopped by its supervisor");
    };
    for seed in 0..20 {
        check(&|told| drop(Simulation::new(seed).config(config()).run(program(told))));
    }
    for workers in [1, 2] {
        check(&|told| drop(config().workers(workers).run(program(told)).unwrap()));
    }
}

#[test]
fn ou07_a_child_counts_as_started_when_it_says_so() {
    simulated(|| async {
        let main = this();
        let slow = process_with_start("slow", move |started: Started| async move {
            sleep(secs(3)).await;
            started.ok();
            send(main, "goes on");
            pending::<()>().await;
        });
        let start = now();
        let sup = Supervisor::one_for_one().child(slow).start_link().await.unwrap();
        assert_eq!((now() - start).as_secs(), 3);
        assert_eq!(receive::<&str>().await, "goes on");
        let pid: Pid = sup.child("slow").await.unwrap();
        assert_eq!(info(pid).unwrap().label.as_deref(), Some("slow"));
        sup.stop(Reason::Normal).await.unwrap();
    });
}

#[test]
fn ou07_an_end_before_that_is_a_failed_start_with_its_reason() {
    everywhere(|| async {
        let before = processes().len();
        let sup = Supervisor::dynamic().start_link().await.unwrap();
        let fails = process_with_start("fails", |started: Started| async move {
            let _started = started;
            Err::<(), _>(Reason::other("no port"))
        });
        assert_eq!(sup.start_child(fails).await, Err(StartChildError::Failed(Reason::other("no port"))));
        let panics = process_with_start("panics", |_started: Started| async { panic!("as asked") });
        let failed: Result<Pid, _> = sup.start_child(panics).await;
        assert!(matches!(failed, Err(StartChildError::Failed(Reason::Panic(_)))), "{failed:?}");
        let in_closure =
            process_with_start("in closure", |_: Started| -> std::future::Ready<()> { panic!("here") });
        let failed = sup.start_child(in_closure).await;
        assert!(matches!(failed, Err(StartChildError::Failed(Reason::Panic(_)))), "{failed:?}");
        let forgets = process_with_start("forgets", |started: Started| async move {
            drop(started);
            pending::<()>().await;
        });
        let failed = sup.start_child(forgets).await.unwrap_err();
        assert!(failed.to_string().contains("dropped its right"), "{failed}");
        let ends = process_with_start("ends", |_started: Started| async {});
        assert_eq!(sup.start_child(ends).await, Err(StartChildError::Failed(Reason::Normal)));
        assert_eq!(sup.count_children().await.unwrap().specs, 0);
        assert_eq!(processes().len(), before + 1, "nothing is left of them");
        // A static supervisor does not start with it.
        let fails = process_with_start("fails", |_: Started| async { Err::<(), _>(Reason::other("no")) });
        let failed = Supervisor::one_for_one().child(fails).start_link().await.unwrap_err();
        let expected = FailedToStart { id: "fails".into(), reason: Reason::other("no") };
        assert_eq!(failed, SupervisorStartError::Child(expected));
        sup.stop(Reason::Normal).await.unwrap();
    });
}

#[test]
fn ou07_a_child_that_is_late_is_killed() {
    simulated(|| async {
        let sup = Supervisor::dynamic().start_link().await.unwrap();
        let main = this();
        let late = process_with_start("late", move |started: Started| async move {
            send(main, this());
            sleep(secs(100)).await;
            started.ok();
        });
        let start = now();
        let failed = sup.start_child(late.start_timeout(secs(4))).await.unwrap_err();
        assert!(failed.to_string().contains("in time"), "{failed}");
        assert_eq!((now() - start).as_secs(), 4);
        let pid: Pid = receive().await;
        assert!(info(pid).is_none());
        sup.stop(Reason::Normal).await.unwrap();
    });
}

/// Returns a job that fails `failures` times, and then notes that it has succeeded.
fn job(id: u32, failures: usize) -> riot_supervisor::ChildSpec {
    let (tried, main) = (Arc::new(AtomicUsize::new(0)), this());
    task(id, move || {
        let attempt = tried.fetch_add(1, Ordering::Relaxed);
        async move {
            if attempt < failures {
                return Err(Reason::other("not yet"));
            }
            send(main, (id, attempt));
            Ok(())
        }
    })
    .transient()
}

fn pauses(first: u64) -> Backoff {
    Backoff::new().first(secs(first)).max(secs(60)).quiet(secs(1_000)).seed(3)
}

#[test]
fn ou13_failing_jobs_do_not_use_up_the_intensity_of_their_supervisor() {
    riot_actor::simulation::Simulation::sweep(0..3, || async {
        let sup = Supervisor::dynamic().intensity(1, secs(5)).start_link().await.unwrap();
        let healthy = sup.start_child(process("healthy", pending::<()>)).await.unwrap();
        for id in 0..1_000 {
            sup.start_child(job(id, 5).retry(Retry::new().max(5).backoff(pauses(1)))).await.unwrap();
        }
        for _ in 0..1_000 {
            assert_eq!(receive::<(u32, usize)>().await.1, 5);
        }
        assert!(is_alive(healthy));
        let statistics = sup.statistics().await.unwrap();
        assert_eq!((statistics.starts, statistics.restarts), (1_001, 5_000));
        assert_eq!(sup.get_state().await.unwrap().recent_restarts, 0);
        sup.stop(Reason::Normal).await.unwrap();
    });
}

#[test]
fn ou13_retries_wait_and_when_they_have_run_out_a_failure_counts() {
    simulated(|| async {
        trap_exit(true);
        for dynamic in [true, false] {
            let sup = if dynamic { Supervisor::dynamic() } else { Supervisor::one_for_one() };
            let sup = sup.intensity(1, secs(5)).start_link().await.unwrap();
            let start = now();
            sup.start_child(job(1, 4).retry(Retry::new().max(3).backoff(pauses(10)))).await.unwrap();
            assert_eq!(receive::<(u32, usize)>().await, (1, 4), "the fourth failure counted, as one");
            // Three pauses of at least 5, 10 and 20 s, and at most twice that.
            let waited = (now() - start).as_secs();
            assert!((35..=70).contains(&waited), "{waited}");
            // With one more failure the supervisor gives up.
            let end = wait(sup.pid());
            sup.start_child(job(2, 6).retry(Retry::new().max(3).backoff(pauses(10)))).await.unwrap();
            assert_eq!(end.await, Reason::Shutdown, "{dynamic}");
            receive::<riot_actor::Exit>().await;
        }
    });
}

#[test]
fn ou13_a_child_may_be_given_up_and_a_quiet_one_begins_anew() {
    simulated(|| async {
        for dynamic in [true, false] {
            let sup = if dynamic { Supervisor::dynamic() } else { Supervisor::one_for_one() };
            let sup = sup.intensity(0, secs(5)).start_link().await.unwrap();
            sup.subscribe().await.unwrap();
            let retry = || Retry::new().max(2).backoff(pauses(1)).forget();
            sup.start_child(job(1, 100).retry(retry())).await.unwrap();
            let given_up =
                receive_if(|event: &SupervisorEvent| matches!(event, SupervisorEvent::GivenUp { .. }));
            assert_eq!(given_up.await, SupervisorEvent::GivenUp { supervisor: sup.pid(), id: 1.into() });
            let counts = sup.count_children().await.unwrap();
            assert_eq!((counts.specs, counts.active), (usize::from(!dynamic), 0));
            sup.stop(Reason::Normal).await.unwrap();
            while receive_timeout::<SupervisorEvent>(Duration::ZERO).await.is_ok() {}
        }
        // One that crashes every 20 minutes is never given up.
        let sup = Supervisor::dynamic().intensity(0, secs(5)).start_link().await.unwrap();
        let crashes = Arc::new(AtomicUsize::new(0));
        let counted = crashes.clone();
        let crashing = process("crashing", move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async {
                sleep(secs(1_200)).await;
                Err::<(), _>(Reason::other("again"))
            }
        });
        sup.start_child(crashing.retry(Retry::new().max(1).backoff(pauses(1)).forget())).await.unwrap();
        sleep(secs(12_500)).await;
        assert_eq!(crashes.load(Ordering::Relaxed), 11);
        sup.stop(Reason::Normal).await.unwrap();
    });
}

#[test]
fn ou13_a_start_that_fails_is_retried_too() {
    simulated(|| async {
        let sup = Supervisor::one_for_one()
            .intensity(1, secs(1_000))
            .child(faulty("f", |tried| (1..4).contains(&tried)).retry(Retry::new().max(5).backoff(pauses(1))))
            .start_link()
            .await
            .unwrap();
        notes("+f").await;
        tell(sup, "f", Do::Fail).await;
        notes("!f !f !f +f").await;
        assert_eq!(sup.get_state().await.unwrap().recent_restarts, 0);
        sup.stop(Reason::Normal).await.unwrap();
        let _ = (whereis("none"), Addr::<u8>::new(this()));
    });
}

#[test]
fn ou13_retries_of_a_temporary_child_are_refused() {
    everywhere(|| async {
        let job = || task("job", || async { Err::<(), _>("no network") }).retry(Retry::new());
        let refused = SpecError::RetriesOfTemporary("job".into());
        let pool = Supervisor::dynamic().start_link().await.unwrap();
        assert_eq!(pool.start_child(job()).await, Err(StartChildError::Invalid(refused.clone())));
        let sup = Supervisor::one_for_one().child(job()).start_link().await;
        assert_eq!(sup, Err(SupervisorStartError::Invalid(refused)));
        let name = String::from("a name that does not live as long");
        pool.start_child(process(name.as_str(), pending::<()>).transient().retry(Retry::new()))
            .await
            .unwrap();
        pool.stop(Reason::Normal).await.unwrap();
    });
}
