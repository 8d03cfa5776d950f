//! The crash reports of the processes with one label.
#![allow(dead_code, unreachable_pub, reason = "every file of tests uses a part of it")]

use std::sync::{Arc, Mutex};

use riot_actor::{runtime::Config, telemetry::CrashReport};

/// Reports, in their order. Clones are the same.
#[derive(Clone, Default)]
pub struct KeptCrashes(Arc<Mutex<Vec<CrashReport>>>);

impl KeptCrashes {
    /// Returns settings of a runtime that keeps the reports of its processes with this label, and logs none.
    pub fn config(&self, label: &'static str) -> Config {
        let kept = self.clone();
        Config::new().without_default_log().on_crash(move |report| {
            if report.label.as_deref() == Some(label) {
                kept.0.lock().expect("no panic").push(report.clone());
            }
        })
    }

    pub fn take(&self) -> Vec<CrashReport> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}
