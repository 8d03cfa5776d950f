//! Stopping, panics, timeouts and suspension of generic servers: G14-G19, G23.
mod common;

use std::time::Duration;

use common::{everywhere, simulated, talker::*};
use riot_actor::{
    Pid, Reason, exit,
    gen_server::{Call, GenServer, GenServerRef, GenServerStopError, Stop},
    link,
    mailbox::receive_timeout,
    monitor, now,
    process::{info, is_alive, yield_now},
    receive,
    runtime::shutdown,
    send, sleep, spawn, this, trap_exit,
};

#[test]
fn g14_terminate_runs_when_a_handler_panics_and_when_the_parent_of_a_trapping_server_ends() {
    everywhere(|| async {
        let server = Talker::start((this(), Init::Fine)).await.expect("it starts");
        server.cast(Crash);
        assert_eq!(next_report().await, "crashing");
        assert!(next_report().await.starts_with("terminate panic: as asked"));

        let watcher = this();
        let parent = spawn(async move {
            let server = Talker::start_link((watcher, Init::Trap)).await.expect("it starts");
            send(watcher, server.pid());
            let End = receive().await;
        });
        let down = monitor(receive::<Pid>().await);
        send(parent, End);
        assert_eq!(next_report().await, "terminate normal");
        assert_eq!(down.down().await.reason, Reason::Normal);
    });
}

#[test]
fn g14_terminate_does_not_run_on_a_kill_nor_without_trapping() {
    everywhere(|| async {
        for (init, reason) in [(Init::Trap, Reason::Kill), (Init::Fine, Reason::other("go"))] {
            let server = Talker::start((this(), init)).await.expect("it starts");
            let down = monitor(server.pid());
            exit(server.pid(), reason);
            down.down().await;
            nothing_in_the_mailbox().await;
        }
    });
}

#[test]
fn g15_a_panic_in_terminate_replaces_the_reason() {
    struct Sore;
    impl GenServer for Sore {
        type Args = ();
        async fn init((): ()) -> Result<Self, Stop> {
            Ok(Sore)
        }
        async fn terminate(&mut self, _: &Reason) {
            panic!("not like this");
        }
    }
    everywhere(|| async {
        let server = Sore::start(()).await.expect("it starts");
        match server.stop(Reason::Normal, None).await {
            Err(GenServerStopError::Exit(Reason::Panic(panic))) => assert_eq!(panic.message, "not like this"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn g16_an_exit_of_another_process_than_the_parent_is_information() {
    everywhere(|| async {
        let server = talker(Init::Trap).await;
        let pid = server.pid();
        spawn(async move {
            link(pid);
            Reason::other("a stranger")
        });
        assert_eq!(next_report().await, "exit \"a stranger\"");
        assert!(is_alive(pid));
    });
}

#[test]
fn g16_a_server_that_does_not_trap_outlives_its_parents_normal_exit() {
    everywhere(|| async {
        let watcher = this();
        spawn(
            async move { send(watcher, Talker::start_link((watcher, Init::Fine)).await.expect("it starts")) },
        );
        let server: GenServerRef<Talker> = receive().await;
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!(server.call(Log).await, Ok(vec![]));
    });
}

#[test]
fn g17_what_is_no_call_and_no_cast_goes_to_handle_info_which_by_default_goes_on() {
    struct Plain;
    struct Ask;
    impl GenServer for Plain {
        type Args = ();
        async fn init((): ()) -> Result<Self, Stop> {
            trap_exit(true);
            Ok(Self)
        }
    }
    impl Call<Ask> for Plain {
        type Reply = ();
        async fn call(&mut self, _: Ask) {}
    }
    everywhere(|| async {
        let plain = Plain::start(()).await.unwrap();
        let child = spawn(async {});
        send(plain.pid(), "a message");
        send(plain.pid(), child);
        exit(plain.pid(), Reason::Shutdown);
        assert_eq!(plain.call(Ask).await, Ok(()), "it goes on");
        assert_eq!(info(plain.pid()).unwrap().mailbox, 0, "nothing is left behind");

        let talker = talker(Init::Trap).await;
        send(talker.pid(), 7_u32);
        assert_eq!(next_report().await, "info 7");
    });
}

#[test]
fn g18_a_timeout_comes_if_nothing_else_does() {
    simulated(|| async {
        let start = now();
        let server = talker(Init::Idle(500)).await;
        assert_eq!(next_report().await, "timeout");
        assert!((500..=501).contains(&(now() - start).as_millis()));

        server.cast(After("go", 500));
        assert_eq!(next_report().await, "continue go");
        sleep(Duration::from_millis(400)).await;
        server.cast(Note("something"));
        assert_eq!(next_report().await, "something");
        assert!(receive_timeout::<Report>(Duration::from_secs(10)).await.is_err(), "a message cancels it");
    });
}

#[test]
fn g18_with_no_time_messages_already_there_come_first_and_cancel_it() {
    everywhere(|| async {
        let server = talker(Init::Fine).await;
        server.suspend().await.expect("it lives");
        server.cast(After("go", 0));
        server.cast(Note("waiting"));
        server.resume().await.expect("it lives");
        assert_eq!([next_report().await, next_report().await], ["continue go", "waiting"]);
        assert_eq!(server.call(Log).await.map(|log| log.len()), Ok(2));
    });
}

#[test]
fn g19_stop_returns_after_the_release() {
    simulated(|| async {
        let server = Talker::start((this(), Init::Fine)).await.expect("it starts");
        assert_eq!(server.stop(Reason::Shutdown, None).await, Ok(()));
        assert_eq!(info(server.pid()).map(|info| info.pid), None);
        assert_eq!(server.stop(Reason::Shutdown, None).await, Err(GenServerStopError::NoProc));

        let busy = Talker::start((this(), Init::Fine)).await.expect("it starts");
        let _pending = busy.send_request(Slow(5_000)).expect("it lives");
        let stopped = busy.stop(Reason::Normal, Some(Duration::from_secs(1))).await;
        assert_eq!(stopped, Err(GenServerStopError::Timeout));
        assert!(monitor(busy.pid()).down().await.reason.is_clean(), "the stop goes on");
    });
}

#[test]
fn g23_a_suspended_server_handles_nothing_but_shows_its_state_and_obeys_its_parent() {
    everywhere(|| async {
        let server = talker(Init::Fine).await;
        server.suspend().await.expect("it lives");
        server.cast(Note("later"));
        assert_eq!(server.get_state(|state| state.seen.len()).await, Ok(0));
        assert!(receive_timeout::<Report>(Duration::from_millis(20)).await.is_err());
        server.resume().await.expect("it lives");
        assert_eq!(next_report().await, "later");

        let watcher = this();
        let parent = spawn(async move {
            let server = Talker::start_link((watcher, Init::Trap)).await.expect("it starts");
            server.suspend().await.expect("it lives");
            send(watcher, server.pid());
            let End = receive().await;
        });
        let down = monitor(receive::<Pid>().await);
        send(parent, End);
        assert_eq!(down.down().await.reason, Reason::Normal);
    });
}

#[test]
fn g18_g23_the_idle_timeout_does_not_run_while_a_server_is_suspended() {
    simulated(|| async {
        let server = talker(Init::Idle(500)).await;
        server.suspend().await.expect("it lives");
        server.cast(Note("something"));
        sleep(Duration::from_secs(10)).await;
        assert_eq!(server.get_state(|state| state.seen.len()).await, Ok(0), "no timeout");
        server.resume().await.expect("it lives");
        assert_eq!(next_report().await, "something");
        assert!(receive_timeout::<Report>(Duration::from_secs(10)).await.is_err(), "it was cancelled");

        let server = talker(Init::Idle(500)).await;
        server.suspend().await.expect("it lives");
        sleep(Duration::from_secs(10)).await;
        server.get_state(|_| ()).await.expect("it lives");
        server.resume().await.expect("it lives");
        let start = now();
        assert_eq!(next_report().await, "timeout");
        assert!((500..=501).contains(&(now() - start).as_millis()), "it begins anew");
    });
}

#[test]
fn the_runtime_that_ends_counts_as_a_parent() {
    simulated(|| async {
        Talker::start((this(), Init::Trap)).await.expect("it starts");
        shutdown(Reason::Normal);
    });
}
