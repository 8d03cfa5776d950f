//! Log lines and crash reports: A13, A14.
mod common;

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use common::*;
use riot_actor::{
    Pid, Reason, exit,
    log::{LogSubscriber, write_log},
    mailbox::MailboxOverflow,
    process::{SpawnOptions, info, wait, yield_now},
    receive, send, spawn, telemetry, this, whereis,
};

/// A writer that stores what is written, and fails when it is told to.
#[derive(Clone, Default)]
struct Paper {
    text: Arc<Mutex<Vec<u8>>>,
    torn: Arc<AtomicBool>,
}

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.torn.load(Ordering::SeqCst) {
            return Err(io::Error::other("torn"));
        }
        self.text.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }
}

fn writer(paper: &Paper) -> Pid {
    let options = SpawnOptions::new().name("log").trap_exit().max_mailbox(100, MailboxOverflow::DropNewest);
    options.spawn(write_log(paper.clone()))
}

#[test]
fn a13_records_are_written_in_order_without_a_caller_waiting() {
    everywhere(|| async {
        let paper = Paper::default();
        let log = writer(&paper);
        let subscriber = LogSubscriber::new("log");
        tracing::subscriber::with_default(subscriber, || {
            for nth in 0..50 {
                tracing::info!(target: "test", nth, name = "riot", "record");
            }
            tracing::debug!("too fine");
        });
        exit(log, Reason::Shutdown);
        wait(log).await;
        let text = paper.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 50, "{text}");
        for (nth, line) in lines.iter().enumerate() {
            assert!(line.ends_with(&format!("INFO  test: record nth={nth} name=riot")), "{line}");
        }
    });
}

#[test]
fn a13_a_logger_that_lags_behind_or_is_down_fails_no_caller() {
    everywhere(|| async {
        let paper = Paper::default();
        // The writer is blocked until it is released.
        let slow = paper.clone();
        let options = SpawnOptions::new().name("log").max_mailbox(10, MailboxOverflow::DropNewest);
        let log = options.spawn(async move {
            receive::<()>().await;
            write_log(slow).await
        });
        let subscriber = tracing::Dispatch::new(LogSubscriber::new("log"));
        tracing::dispatcher::with_default(&subscriber, || {
            (0..30).for_each(|nth| tracing::warn!(nth, "many"));
        });
        assert_eq!(info(log).unwrap().mailbox, 10);
        exit(log, Reason::Kill);
        wait(log).await;
        assert!(whereis("log").is_none());
        tracing::dispatcher::with_default(&subscriber, || tracing::warn!("to the standard error"));
        // When it is back, it says how many lines were lost.
        let log = writer(&paper);
        tracing::dispatcher::with_default(&subscriber, || tracing::warn!("again"));
        while paper.text().is_empty() {
            yield_now().await;
        }
        exit(log, Reason::Shutdown);
        wait(log).await;
        assert!(paper.text().ends_with("again\n"), "{}", paper.text());
        paper.torn.store(true, Ordering::SeqCst);
        let log = writer(&paper);
        let end = riot_actor::monitor(log);
        tracing::dispatcher::with_default(&subscriber, || tracing::warn!("cannot be written"));
        assert!(matches!(end.down().await.reason, Reason::Error(_)));
    });
}

struct Served(u32);
struct Other;

#[test]
fn a14_handlers_run_in_the_emitting_process() {
    everywhere(|| async {
        let observer = this();
        let sum = telemetry::attach(move |served: &Served| send(observer, (this(), served.0)));
        telemetry::attach(|_: &Other| panic!("it is never emitted"));
        let emitter = spawn(async {
            telemetry::emit(&Served(7));
        });
        assert_eq!(receive::<(Pid, u32)>().await, (emitter, 7));
        assert!(telemetry::detach(sum));
        assert!(!telemetry::detach(sum));
        telemetry::emit(&Served(8));
        assert_eq!(info(this()).unwrap().mailbox, 0);
    });
}

#[test]
fn a14_a_handler_that_panics_is_detached_and_the_emitter_goes_on() {
    everywhere(|| async {
        let (bad, good) = (Counter::default(), Counter::default());
        let (counted_bad, counted_good) = (bad.clone(), good.clone());
        let id = telemetry::attach(move |_: &Served| {
            counted_bad.add();
            panic!("bad handler");
        });
        telemetry::attach(move |_: &Served| {
            counted_good.add();
        });
        for _ in 0..3 {
            telemetry::emit(&Served(1));
        }
        assert_eq!((bad.get(), good.get()), (1, 3));
        assert!(!telemetry::detach(id), "it is detached already");
    });
}

#[test]
fn a14_a_handler_may_attach_and_detach() {
    everywhere(|| async {
        let count = Counter::default();
        let counted = count.clone();
        telemetry::attach(move |_: &Other| {
            let counted = counted.clone();
            let id = telemetry::attach(move |_: &Served| {
                counted.add();
            });
            telemetry::emit(&Served(1));
            assert!(telemetry::detach(id));
        });
        telemetry::emit(&Other);
        telemetry::emit(&Served(1));
        assert_eq!(count.get(), 1);
    });
}
