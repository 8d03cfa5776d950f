//! Starting generic servers: G1-G6.
mod common;

use std::time::Duration;

use common::{everywhere, simulated, talker::*};
use riot_actor::{
    Reason, exit,
    gen_server::{GenServer, GenServerOptions, GenServerStartError},
    monitor, now,
    process::{info, is_alive, processes, yield_now},
    send, spawn, this, trap_exit, whereis,
};

#[test]
fn g01_start_returns_what_init_came_to() {
    everywhere(|| async {
        assert!(is_alive(Talker::start((this(), Init::Fine)).await.expect("it starts").pid()));
        let start = |init| Talker::start((this(), init));
        assert_eq!(start(Init::Ignore).await, Err(GenServerStartError::Ignored));
        assert_eq!(start(Init::Fail).await, Err(GenServerStartError::Failed(Reason::other("no luck"))));
        match start(Init::Panic).await {
            Err(GenServerStartError::Failed(Reason::Panic(panic))) => assert_eq!(panic.message, "bad luck"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn g01_killed_in_init_is_a_failed_start() {
    everywhere(|| async {
        let me = this();
        spawn(async move {
            loop {
                let victim = processes()
                    .into_iter()
                    .find(|&pid| info(pid).is_some_and(|info| info.label.as_deref() == Some("Talker")));
                match victim {
                    Some(victim) => return exit(victim, Reason::Kill),
                    None => yield_now().await,
                }
            }
        });
        let start = Talker::start_link((me, Init::Hang)).await;
        assert_eq!(start, Err(GenServerStartError::Failed(Reason::Killed)));
        nothing_in_the_mailbox().await;
    });
}

#[test]
fn g02_after_a_failed_start_the_name_is_free_and_nothing_is_in_the_mailbox() {
    everywhere(|| async {
        for traps in [false, true] {
            trap_exit(traps);
            for init in [Init::Ignore, Init::Fail, Init::Panic] {
                let options = GenServerOptions::new().name("talker");
                assert!(options.start_link::<Talker>((this(), init)).await.is_err());
                assert_eq!(whereis("talker"), None);
                assert_eq!(processes(), [this()]);
                nothing_in_the_mailbox().await;
            }
        }
    });
}

#[test]
fn g03_the_name_is_taken_before_init() {
    everywhere(|| async {
        let first = GenServerOptions::new().name("talker").start::<Talker>((this(), Init::Fine)).await;
        let first = first.expect("it starts").pid();
        let second = GenServerOptions::new().name("talker").start::<Talker>((this(), Init::Panic)).await;
        assert_eq!(second, Err(GenServerStartError::AlreadyStarted(first)), "its init did not run");
    });
}

#[test]
fn g04_a_start_that_takes_too_long_is_killed_and_awaited() {
    simulated(|| async {
        let start = now();
        let options = GenServerOptions::new().name("talker").timeout(Duration::from_secs(3));
        let started = options.start_link::<Talker>((this(), Init::Hang)).await;
        assert_eq!(started, Err(GenServerStartError::Timeout));
        assert_eq!((now() - start).as_secs(), 3);
        assert_eq!((whereis("talker"), processes()), (None, vec![this()]));
        nothing_in_the_mailbox().await;
    });
}

#[test]
fn g05_a_server_whose_starter_ends_during_init_ends_too() {
    everywhere(|| async {
        let watcher = this();
        let starter = spawn(async move {
            let _ = Talker::start_link((watcher, Init::Hang)).await;
        });
        while processes().len() < 3 {
            yield_now().await;
        }
        let server =
            processes().into_iter().find(|&pid| pid != watcher && pid != starter).expect("it is there");
        let down = monitor(server);
        exit(starter, Reason::other("gone"));
        assert_eq!(down.down().await.reason, Reason::other("gone"));
    });
}

#[test]
fn g06_what_comes_during_init_is_handled_after_it_and_a_continue_before_that() {
    everywhere(|| async {
        let watcher = this();
        spawn(async move {
            let server = loop {
                match whereis("talker") {
                    Some(pid) => break pid,
                    None => yield_now().await,
                }
            };
            send(server, 1_u32);
            send(server, 2_u32);
        });
        let options = GenServerOptions::new().name("talker");
        options.start_link::<Talker>((watcher, Init::Continue)).await.expect("it starts");
        let order = [next_report().await, next_report().await, next_report().await];
        assert_eq!(order, ["continue first of all", "info 1", "info 2"]);
    });
}
