//! Misuse that the compiler cannot find panics with a message that says what to do instead. (Misuse that it
//! finds is in `src/testing/compile_fail.rs`.)
mod common;

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use common::*;
use riot_actor::{
    Reason, gen_server,
    mailbox::{MailboxOverflow, mark, send_async},
    process::{SpawnOptions, spawn_monitor},
    receive, register, run,
    runtime::{Config, Handle, RunError},
    send,
    simulation::Simulation,
    spawn,
    task::{Task, TaskError},
    this,
    time::interval,
};

/// Returns the message of the panic of `f`.
#[track_caller]
fn panic_message<R>(f: impl FnOnce() -> R) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it was let pass") };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).expect("it says something")
}

#[test]
fn outside_a_process_everything_that_acts_for_one_says_where_to_call_it() {
    let poll = |future: &mut dyn FnMut(&mut Context<'_>)| future(&mut Context::from_waker(Waker::noop()));
    let calls: [&dyn Fn(); 16] = [
        &|| _ = this(),
        &|| _ = spawn(async {}),
        &|| _ = spawn_monitor(async {}),
        &|| riot_actor::runtime::shutdown(Reason::Normal),
        &|| _ = riot_actor::trap_exit(true),
        &|| _ = mark(),
        &|| _ = riot_actor::process::processes(),
        &|| _ = riot_actor::whereis("name"),
        &|| _ = riot_actor::process::tree(),
        &|| _ = riot_actor::stats::scheduler_stats(),
        &|| _ = riot_actor::group::members("group"),
        &|| riot_actor::process::set_label("label"),
        &|| _ = riot_actor::process::monitor_name("name"),
        &|| _ = riot_actor::trace::trace(riot_actor::trace::TraceFlags::NOTHING),
        &|| _ = riot_actor::telemetry::attach(|_: &u8| ()),
        &|| {
            let mut receive = pin!(receive::<u8>());
            poll(&mut |cx| _ = receive.as_mut().poll(cx));
        },
    ];
    for call in calls {
        let text = panic_message(call);
        assert!(text.contains("call it inside `run` or `spawn`, or take a `Handle` there"), "{text}");
    }
    assert!(panic_message(Handle::current).contains("needs a running process"));
}

#[test]
fn settings_that_mean_nothing_are_refused_where_they_are_made() {
    assert!(panic_message(|| Config::new().workers(0)).contains("at least one worker"));
    assert!(panic_message(|| Config::new().max_blocking_threads(0)).contains("at least one thread"));
    assert!(
        panic_message(|| SpawnOptions::new().max_mailbox(0, MailboxOverflow::Exit))
            .contains("at least one message")
    );
    assert!(panic_message(|| interval(Duration::ZERO)).contains("longer than nothing"));
}

/// Returns the message of the panic of a process.
async fn process_panic_message(body: impl Future<Output = ()> + Send + 'static) -> String {
    match spawn_monitor(body).1.down().await.reason {
        Reason::Panic(panic) => panic.message.clone(),
        reason => panic!("it was let pass: {reason}"),
    }
}

#[test]
fn inside_a_process_misuse_ends_that_process_and_says_why() {
    everywhere(|| async {
        register("taken", this()).unwrap();
        let named = async {
            SpawnOptions::new().name("taken").spawn(async {});
        };
        assert!(process_panic_message(named).await.contains("the name taken is taken by <"));
        let stopping = async { gen_server::stop(Reason::Normal) };
        assert!(
            process_panic_message(stopping)
                .await
                .contains("`gen_server::stop` is for the handlers of a generic server")
        );
        let idling = async { gen_server::idle_timeout(secs(1)) };
        assert!(process_panic_message(idling).await.contains("for the handlers of a generic server"));
        let again = async {
            send(this(), ());
            let mut sending = pin!(send_async(this(), 1));
            sending.as_mut().await.unwrap();
            let _ = sending.as_mut().await;
        };
        assert!(process_panic_message(again).await.contains("polled after its end"));
        let mark = mark();
        let foreign = async move {
            riot_actor::mailbox::select(|_| true).since(mark).await;
        };
        assert!(process_panic_message(foreign).await.contains("call `mark` in the process that receives"));
    });
}

#[test]
fn waiting_for_the_task_of_another_process_is_an_error() {
    everywhere(|| async {
        let mut mine = Task::spawn(async { 1 });
        let stolen = Task::spawn(async move { mine.wait(None).await });
        let mut stolen = stolen;
        assert_eq!(stolen.wait(None).await, Ok(Err(TaskError::NotOwner)));
    });
}

#[test]
fn a_runtime_inside_a_runtime_is_refused_with_a_way_out() {
    let reason = run(async {
        let error = Config::new().run(async {}).unwrap_err();
        assert!(matches!(error, RunError::NestedRuntime));
        assert!(error.to_string().contains("cannot be started from inside a process"), "{error}");
        let text = panic_message(|| Simulation::new(1).run(async {}));
        assert!(
            text.contains("Simulation::run: a runtime cannot be started from inside a process"),
            "{text}"
        );
    });
    assert_eq!(reason, Reason::Normal);
}
