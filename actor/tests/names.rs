//! Names: R1-R4, R8.
mod common;

use std::{future::pending, sync::mpsc};

use common::*;
use riot_actor::{
    Pid, Reason, exit,
    name::{NameTaken, RegisterError, unregister},
    process::{SpawnOptions, info, wait, yield_now},
    receive, register,
    runtime::Config,
    send, spawn, this, whereis,
};

#[test]
fn r01_one_of_many_registrations_wins_and_a_released_process_gets_no_name() {
    everywhere(|| async {
        let me = this();
        for _ in 0..20 {
            spawn(async move {
                let result = register("one", this());
                send(me, (this(), result));
                pending::<()>().await;
            });
        }
        let mut winners: Vec<Pid> = Vec::new();
        let mut taken_by: Vec<Pid> = Vec::new();
        for _ in 0..20 {
            match receive::<(Pid, Result<(), RegisterError>)>().await {
                (pid, Ok(())) => winners.push(pid),
                (_, Err(RegisterError::NameTaken(NameTaken { holder, .. }))) => taken_by.push(holder),
                (_, Err(RegisterError::NoProc)) => panic!("it lives"),
            }
        }
        assert_eq!(winners.len(), 1);
        assert!(taken_by.iter().all(|holder| *holder == winners[0]));
        let dead = spawn(async {});
        wait(dead).await;
        assert_eq!(register("dead", dead), Err(RegisterError::NoProc));
        let condemned = spawn(pending::<()>());
        exit(condemned, Reason::Kill);
        assert_eq!(register("condemned", condemned), Err(RegisterError::NoProc));
        assert_eq!((whereis("dead"), whereis("condemned")), (None, None));
    });
}

#[test]
fn r02_a_process_may_hold_several_names() {
    everywhere(|| async {
        register("a", this()).unwrap();
        register(String::from("b"), this()).unwrap();
        assert_eq!((whereis("a"), whereis("b")), (Some(this()), Some(this())));
        let mut names: Vec<String> = info(this()).unwrap().names.iter().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["a", "b"]);
        let again = register("a", this()).unwrap_err();
        assert_eq!(again, RegisterError::NameTaken(NameTaken { name: "a".into(), holder: this() }));
    });
}

#[test]
fn r03_unregister_frees_a_name_that_is_held() {
    everywhere(|| async {
        assert_eq!(unregister("free").unwrap_err().0.as_str(), "free");
        register("held", this()).unwrap();
        unregister("held").unwrap();
        assert_eq!(whereis("held"), None);
        register("held", spawn(pending::<()>())).unwrap();
        // A name that it held once is not taken from its next holder when it exits.
        let first = spawn(async {
            register("handed on", this()).unwrap();
            unregister("handed on").unwrap();
            receive::<()>().await;
        });
        while info(first).unwrap().state != riot_actor::process::ProcessState::Waiting {
            yield_now().await;
        }
        register("handed on", this()).unwrap();
        send(first, ());
        wait(first).await;
        assert_eq!(whereis("handed on"), Some(this()));
    });
}

#[test]
fn r04_a_name_is_free_once_its_holders_end_is_known() {
    everywhere(|| async {
        for _ in 0..30 {
            let holder = SpawnOptions::new().name("again").spawn(pending::<()>());
            assert_eq!(whereis("again"), Some(holder));
            let taken = SpawnOptions::new().name("again").try_spawn(async { panic!("it never runs") });
            assert_eq!(taken, Err(NameTaken { name: "again".into(), holder }));
            exit(holder, Reason::Kill);
            wait(holder).await;
            register("again", this()).unwrap();
            unregister("again").unwrap();
        }
    });
}

/// Two processes move a name of a third one back and forth; it is free in the end.
#[test]
fn r04_no_name_outlives_its_holder_however_it_was_taken_and_given() {
    threaded(|| async {
        for _ in 0..300 {
            let holder = spawn(pending::<()>());
            let rivals: Vec<Pid> = (0..2)
                .map(|_| {
                    spawn(async move {
                        for _ in 0..50 {
                            register("contended", holder).ok();
                            unregister("contended").ok();
                        }
                        register("contended", holder).ok();
                    })
                })
                .collect();
            riot_actor::process::join(&rivals).await;
            exit(holder, Reason::Kill);
            wait(holder).await;
            assert_eq!(whereis("contended"), None);
        }
    });
}

#[test]
fn r08_names_belong_to_one_runtime() {
    let (say, hear) = mpsc::channel::<Pid>();
    let (done, wait_for_done) = mpsc::channel::<()>();
    let other = std::thread::spawn(move || {
        Config::new().workers(1).run(async move {
            register("shared", this()).unwrap();
            say.send(this()).unwrap();
            wait_for_done.recv().unwrap();
        })
    });
    let foreign = hear.recv().unwrap();
    everywhere(move || async move {
        assert_eq!(whereis("shared"), None);
        assert_eq!(register("theirs", foreign), Err(RegisterError::NoProc));
        register("shared", this()).unwrap();
    });
    done.send(()).unwrap();
    assert_eq!(other.join().unwrap().unwrap(), Reason::Normal);
}
