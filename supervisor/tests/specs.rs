//! Child specs made of closures, generic servers, supervisors, tasks, and any `async fn`.
mod common;

use std::time::Duration;

use common::*;
use riot_actor::{
    Reason,
    gen_server::{Call, GenServer, GenServerOptions, GenServerRef, Stop},
    now,
    process::{is_alive, wait},
    this, whereis,
};
use riot_supervisor::{
    Backoff, ChildSpec, FailedToStart, StartChildError, Supervisor, SupervisorEvent, SupervisorRef,
    SupervisorStartError, process, server, supervisor, task, worker,
};

/// A server whose argument says what its `init` does.
struct Told(&'static str);

impl GenServer for Told {
    type Args = &'static str;
    async fn init(told: &'static str) -> Result<Self, Stop> {
        match told {
            "ignore" => Err(Stop::Ignore),
            "fail" => Err(Stop::Because(Reason::other("no such table"))),
            "panic" => panic!("in init"),
            told => Ok(Told(told)),
        }
    }
}

struct Get;
impl Call<Get> for Told {
    type Reply = &'static str;
    async fn call(&mut self, _: Get) -> &'static str {
        self.0
    }
}
struct Crash;
impl Call<Crash> for Told {
    type Reply = ();
    async fn call(&mut self, _: Crash) {
        panic!("told to")
    }
}

#[test]
fn a_generic_server_is_a_child_and_is_restarted_with_new_arguments() {
    everywhere(|| async {
        let mut lives = ["second", "first"].into_iter().rev();
        let args = move || lives.next().expect("the child is started twice");
        let sup = Supervisor::one_for_one().child(server::<Told>("told", args)).start_link().await.unwrap();
        let told = GenServerRef::<Told>::new(pid_of(sup, "told").await);
        assert_eq!(told.call(Get).await, Ok("first"));
        assert!(told.call(Crash).await.is_err());
        let told = GenServerRef::<Told>::new(pid_of(sup, "told").await);
        assert_eq!(told.call(Get).await, Ok("second"));
        sup.stop(Reason::Normal).await.unwrap();
        assert!(!is_alive(told.pid()));
    });
}

#[test]
fn s04_a_generic_server_that_ignores_keeps_the_spec_without_process() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one()
            .child(server::<Told>("a", || "ignore"))
            .child(worker("b", || Told::start_link("ignore")).temporary())
            .child(worker("c", || async { Ok::<_, Reason>(Told::start_link("ignore").await?) }))
            .start_link()
            .await
            .unwrap();
        assert_eq!(which(sup).await, "-a -c");
        let ignores = sup.start_child(server::<Told>("d", || "ignore")).await;
        assert_eq!(ignores, Err(StartChildError::Ignored));
        assert_eq!(which(sup).await, "-a -c -d");
    });
}

#[test]
fn s03_the_reason_of_a_generic_server_that_fails_is_the_one_its_init_gave() {
    everywhere(|| async {
        let start =
            |spec: ChildSpec| async { Supervisor::one_for_one().child(spec).start_link().await.unwrap_err() };
        let reason = Reason::other("no such table");
        let expected = SupervisorStartError::Child(FailedToStart { id: "db".into(), reason });
        assert_eq!(start(server::<Told>("db", || "fail").untyped()).await, expected);
        let asked = || async { Ok::<_, Reason>(Told::start_link("fail").await?) };
        assert_eq!(start(worker("db", asked).untyped()).await, expected);

        let panicked = start(server::<Told>("db", || "panic").untyped()).await;
        let SupervisorStartError::Child(FailedToStart { reason: Reason::Panic(panic), .. }) = &panicked
        else {
            panic!("{panicked}")
        };
        assert_eq!(panic.message, "in init");
    });
}

#[test]
fn a_generic_server_whose_name_is_taken_says_by_whom() {
    everywhere(|| async {
        let named = || GenServerOptions::new().name("told").start_link::<Told>("x");
        let sup = Supervisor::one_for_one().child(worker("a", named)).start_link().await.unwrap();
        let holder = whereis("told").unwrap();
        let error = riot_actor::gen_server::GenServerStartError::AlreadyStarted(holder);
        let second = sup.start_child(worker("b", named)).await;
        assert_eq!(second, Err(StartChildError::Failed(error.into())));
    });
}

#[test]
fn a_task_is_done_once_however_it_ends_and_a_transient_one_until_it_succeeds() {
    everywhere(|| async {
        let sup = Supervisor::one_for_one().intensity(9, secs(1)).start_link().await.unwrap();
        let observer = this();
        for (id, fails) in [("fine", false), ("bad", true)] {
            let body = move || async move {
                note(observer, id);
                if fails { Err(Reason::other("bad luck")) } else { Ok(()) }
            };
            wait(sup.start_child(task(id, body)).await.unwrap()).await;
            notes(id).await;
        }
        assert_eq!(which(sup).await, "");
        let tried = Counter::default();
        let body = move || {
            let third = tried.add() == 2;
            async move {
                note(observer, "try");
                if third { Ok(()) } else { Err(Reason::other("not yet")) }
            }
        };
        sup.start_child(task("stubborn", body).transient()).await.unwrap();
        notes("try try try").await;
        settled(sup).await;
        while which(sup).await != "-stubborn" {}
    });
}

async fn forever() {
    std::future::pending().await
}

#[test]
fn a_tree_reads_like_an_outline() {
    everywhere(|| async {
        let sup = Supervisor::rest_for_one()
            .intensity(1, Duration::from_secs(5))
            .child(worker("db", || Told::start_link("db")))
            .child(server::<Told>("cache", || "cache"))
            .child(process("ticker", forever))
            .child(supervisor("pool", || Supervisor::dynamic().max_children(1_000).start_link()))
            .start_link()
            .await
            .unwrap();
        assert_eq!(which(sup).await, "+db +cache +ticker +pool");
        let pool: SupervisorRef = sup.child("pool").await.unwrap();
        let name = "job";
        let job = pool.start_child(worker(7, move || Told::start_link(name)).transient()).await.unwrap();
        assert_eq!(job.call(Get).await, Ok("job"));
    });
}

#[test]
fn s11_with_a_backoff_the_attempts_lie_further_and_further_apart() {
    simulated(|| async {
        let backoff = Backoff::new().first(secs(1)).max(secs(8)).quiet(secs(100)).seed(7);
        let sup = Supervisor::one_for_one()
            .intensity(100, secs(36_000))
            .backoff(backoff)
            .child(faulty("f", |tried| !matches!(tried, 0 | 6 | 8)))
            .start_link()
            .await
            .unwrap();
        sup.subscribe().await.unwrap();
        notes("+f").await;
        let failed = || {
            riot_actor::mailbox::receive_if(|event: &SupervisorEvent| {
                matches!(event, SupervisorEvent::StartFailed { .. })
            })
        };
        tell(sup, "f", Do::Fail).await;
        failed().await;
        for longest in [1, 2, 4, 8] {
            let before = now();
            failed().await;
            let gap = now() - before;
            assert!(gap >= secs(longest) / 2 && gap <= secs(longest) + Duration::from_millis(10), "{gap:?}");
            assert_eq!(which(sup).await, "*f", "it answers meanwhile");
        }
        notes("!f !f !f !f !f +f").await;
        // A successful start alone is not a quiet period.
        tell(sup, "f", Do::Fail).await;
        let before = now();
        notes("!f +f").await;
        assert!(now() - before >= secs(4));
        riot_actor::sleep(secs(120)).await;
        tell(sup, "f", Do::Fail).await;
        let before = now();
        failed().await;
        failed().await;
        failed().await;
        assert!(now() - before <= Duration::from_millis(3_050), "one second, then two, at the most");
    });
}

#[test]
#[should_panic(expected = "the first delay of a backoff is zero")]
fn a_backoff_that_begins_at_zero_panics_in_the_builder() {
    let _ = Backoff::new().first(Duration::ZERO);
}

#[test]
#[should_panic(expected = "the longest delay of a backoff is below its first")]
fn a_backoff_that_cannot_grow_panics_in_the_builder() {
    let _ = Supervisor::one_for_one().backoff(Backoff::new().first(secs(60)));
}
