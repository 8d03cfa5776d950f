//! What is said when a process crashes: one report each, through `tracing`.

use std::borrow::Cow;

use crate::{
    names::registry::Name,
    process::{pid::Pid, reason::Reason},
    runtime::shared::Shared,
};

/// A process that ended abnormally.
#[derive(Clone, Debug)]
pub struct CrashReport {
    /// The process.
    pub pid: Pid,
    /// The names it held.
    pub names: Vec<Name>,
    /// What it called itself.
    pub label: Option<Cow<'static, str>>,
    /// Why it ended.
    pub reason: Reason,
    /// Who spawned it.
    pub parent: Option<Pid>,
    /// Whether it was ended from outside, by a link or by [`exit`](crate::exit()), and is no cause itself.
    pub by_signal: bool,
}

pub(crate) fn crash(shared: &Shared, report: CrashReport) {
    let CrashReport { pid, names, label, reason, parent, by_signal } = &report;
    let label = label.as_deref().unwrap_or("-");
    let parent = parent.map(tracing::field::display);
    // A crash is the news; those it takes along only follow.
    if *by_signal {
        tracing::debug!(target: "riot::crash", %pid, ?names, label, parent, "process ended: {reason}");
    } else {
        tracing::error!(target: "riot::crash", %pid, ?names, label, parent, "process crashed: {reason}");
    }
    if let Some(hook) = &shared.config.on_crash
        && let Err(panic) = crate::runtime::panic::catch(|| hook(&report))
    {
        tracing::error!(target: "riot::crash", "the crash hook panicked: {panic}");
    }
}

/// A panic that came too late to be the reason of anything.
pub(crate) fn late_panic(pid: Pid, reason: &Reason) {
    tracing::error!(target: "riot::crash", %pid, "process panicked while it ended: {reason}");
}
