//! A long poll is reported once: C6. (In a program of its own, because the report comes on a thread of the
//! watchdog, so the test listens to the whole program.)

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Condvar, Mutex, mpsc},
    time::Duration,
};

use riot_actor::{Pid, Reason, process::SpawnOptions, runtime::Config, this};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// How often each pid was reported, and a condition that is notified at each report.
#[derive(Clone, Default)]
struct Reports(Arc<(Mutex<HashMap<String, usize>>, Condvar)>);

impl Reports {
    /// Blocks the thread until `pid` has been reported.
    fn block_until(&self, pid: Pid) {
        let (reports, changed) = &*self.0;
        let reports = reports.lock().unwrap();
        drop(changed.wait_while(reports, |reports| !reports.contains_key(&pid.to_string())).unwrap());
    }

    fn of(&self, pid: Pid) -> usize {
        self.0.0.lock().unwrap().get(&pid.to_string()).copied().unwrap_or(0)
    }
}

struct Reported(Option<String>);

impl Visit for Reported {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "pid" {
            self.0 = Some(value.to_owned());
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl Subscriber for Reports {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "riot::scheduler"
    }
    fn event(&self, event: &Event<'_>) {
        let mut reported = Reported(None);
        event.record(&mut reported);
        let (reports, changed) = &*self.0;
        *reports.lock().unwrap().entry(reported.0.expect("it names the pid")).or_default() += 1;
        changed.notify_all();
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn c06_a_poll_longer_than_the_limit_is_reported_once_and_nothing_is_stopped() {
    let reports = Reports::default();
    tracing::subscriber::set_global_default(reports.clone()).unwrap();
    let seen = reports.clone();
    let reason = Config::new().workers(3).long_schedule(Duration::from_millis(20)).run(async move {
        let main = this();
        // Each on a worker of its own, and neither on that of main.
        let (tell, told) = mpsc::channel();
        let reports = seen.clone();
        let (first, first_end) = SpawnOptions::new().pinned_to(1).spawn_monitor(async move {
            reports.block_until(this());
            // Holds its worker up for at least as long again, until another process has been reported as
            // well.
            reports.block_until(told.recv().unwrap());
        });
        let reports = seen.clone();
        let (second, second_end) = SpawnOptions::new().pinned_to(2).spawn_monitor(async move {
            reports.block_until(first);
            tell.send(this()).unwrap();
            reports.block_until(this());
        });
        assert_eq!(first_end.down().await.reason, Reason::Normal);
        assert_eq!(second_end.down().await.reason, Reason::Normal);
        assert_eq!((seen.of(first), seen.of(second), seen.of(main)), (1, 1, 0));
    });
    assert_eq!(reason.unwrap(), Reason::Normal);
}
