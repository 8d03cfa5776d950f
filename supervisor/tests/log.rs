//! The log of a supervisor. The test is alone in its program, since `tracing` caches the interest of
//! subscribers for the whole process.
mod common;

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use common::*;
use riot_actor::{Pid, Reason, simulation::Simulation, trap_exit};
use riot_supervisor::{ChildShutdown, Supervisor, supervisor, worker};
use tracing::{Level, Metadata, field, span};

/// Keeps the lines that are logged under the supervisor's target.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "riot::supervisor"
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Text {
            message: String,
            child: String,
        }
        impl field::Visit for Text {
            fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
                match field.name() {
                    "message" => self.message = format!("{value:?}"),
                    "child" => self.child = format!("{value:?}"),
                    _ => {}
                }
            }
        }
        let mut text = Text { message: String::new(), child: String::new() };
        event.record(&mut text);
        let line = format!("{}: {}", text.child, text.message);
        self.0.lock().unwrap().push((*event.metadata().level(), line));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn the_log_says_the_same_each_at_its_level() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let reason = Simulation::new(1).run(async {
            trap_exit(true);
            let sup = Supervisor::one_for_one()
                .intensity(1, secs(3600))
                .child(child("a"))
                .child(deaf("deaf").shutdown(ChildShutdown::Timeout(secs(1))))
                .child(faulty("b", |tried| tried == 1))
                .start_link()
                .await
                .unwrap();
            tell(sup, "a", Do::Fail).await;
            notes("+a +b +a").await;
            tell(sup, "b", Do::Finish).await;
            assert_eq!(exit_of(sup).await, Reason::Shutdown);
            // A failed start is reported where it happened, and is a detail above.
            let broken = || worker("db", || async { Err::<Pid, _>(std::io::Error::other("no disk")) });
            let inner = supervisor("inner", move || Supervisor::one_for_one().child(broken()).start_link());
            let error = Supervisor::one_for_one().child(inner).start_link().await.unwrap_err();
            let told = "child inner failed to start: child db failed to start: no disk";
            assert_eq!(error.to_string(), told);
        });
        assert_eq!(reason, Reason::Normal);
    });
    let expected = [
        (Level::TRACE, "a: child started"),
        (Level::TRACE, "deaf: child started"),
        (Level::TRACE, "b: child started"),
        (Level::WARN, r#"a: child ended: "failed""#),
        (Level::INFO, "a: child restarted"),
        (Level::TRACE, "b: child ended: normal"),
        (Level::ERROR, "b: too many restarts: the supervisor shuts down; the last reason: normal"),
        (Level::WARN, "deaf: child did not shut down as asked: killed"),
        (Level::ERROR, "db: child failed to start: error: no disk"),
        (Level::DEBUG, "inner: child failed to start: error: child db failed to start: no disk"),
    ];
    let logged = log.0.lock().unwrap();
    let logged: Vec<(Level, &str)> = logged.iter().map(|(level, line)| (*level, line.as_str())).collect();
    assert_eq!(logged, expected);
}
