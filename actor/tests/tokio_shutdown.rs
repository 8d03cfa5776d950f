//! The warning about blocking tasks of tokio: TK1. The test is alone in its program, since the log is that of
//! the whole program.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/kept_log.rs"]
mod kept_log;

use std::{
    sync::{Mutex, mpsc},
    time::Instant,
};

use common::{millis, secs};
use kept_log::KeptLog;
use riot_actor::{
    Reason,
    runtime::{Config, in_tokio},
};

#[test]
fn tk01_blocking_tasks_are_abandoned_with_one_warning() {
    let log = KeptLog::default();
    let (finish, finished) = mpsc::channel::<()>();
    let finished = Mutex::new(finished);
    let began = Instant::now();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let reason = Config::new().tokio().tokio_shutdown_timeout(millis(50)).run(async {
        in_tokio(async {
            tokio::task::spawn_blocking(move || finished.lock().unwrap().recv());
        })
        .await;
    });
    assert_eq!(reason.unwrap(), Reason::Normal);
    assert!(began.elapsed() < secs(5), "{:?}", began.elapsed());
    let warnings: Vec<_> =
        log.events().into_iter().filter(|event| event.target == "riot::shutdown").collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].message.contains("blocking tasks of tokio"), "{warnings:?}");
    drop(finish);
}
