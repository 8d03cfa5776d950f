//! A subscriber that keeps all events.
#![allow(dead_code, unreachable_pub, reason = "every file of tests uses a part of it")]

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// The events, in their order. Clones are the same log.
#[derive(Clone, Default)]
pub struct KeptLog(Arc<Mutex<Vec<KeptEvent>>>);

#[derive(Clone, Debug)]
pub struct KeptEvent {
    pub level: Level,
    pub target: String,
    pub message: String,
    /// The other fields, as `name=value`, with a space behind each.
    pub fields: String,
}

impl KeptLog {
    pub fn events(&self) -> Vec<KeptEvent> {
        self.lock().clone()
    }

    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<KeptEvent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit for KeptEvent {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, "{name}={value:?} "),
        };
    }
}

impl Subscriber for KeptLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let (level, target) = (*event.metadata().level(), event.metadata().target().to_owned());
        let mut kept = KeptEvent { level, target, message: String::new(), fields: String::new() };
        event.record(&mut kept);
        self.lock().push(kept);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
