//! Crash reports: one for each abnormal exit, through `tracing`.

use std::borrow::Cow;

use crate::{
    names::name::Name,
    process::{pid::Pid, reason::Reason},
    runtime::shared::Shared,
};

/// Describes a process that exited abnormally. See [`Config::on_crash`](crate::runtime::Config::on_crash) for
/// an example.
#[derive(Clone, Debug)]
pub struct CrashReport {
    /// The process.
    pub pid: Pid,
    /// The names it held.
    pub names: Vec<Name>,
    /// The label.
    pub label: Option<Cow<'static, str>>,
    /// The exit reason.
    pub reason: Reason,
    /// The process that spawned it.
    pub parent: Option<Pid>,
    /// Whether it was ended by a link or by [`exit`](crate::exit()), and so is no cause itself.
    pub by_signal: bool,
}

/// Reports an abnormal exit.
pub(crate) fn crash(shared: &Shared, report: CrashReport) {
    let CrashReport { pid, names, label, reason, parent, by_signal } = &report;
    let label = label.as_deref().unwrap_or("-");
    let parent = parent.map(tracing::field::display);
    // A crash is an error; the exits that follow from it are only details.
    if *by_signal {
        tracing::debug!(target: "riot::crash", %pid, ?names, label, parent, "process exited: {reason}");
    } else {
        tracing::error!(target: "riot::crash", %pid, ?names, label, parent, "process crashed: {reason}");
    }
    if let Some(hook) = &shared.config.on_crash
        && let Err(panic) = crate::runtime::panic::catch(|| hook(&report))
    {
        tracing::error!(target: "riot::crash", "the crash hook panicked: {panic}");
    }
}

/// Reports a panic that came too late to be the exit reason.
pub(crate) fn late_panic(pid: Pid, reason: &Reason) {
    tracing::error!(target: "riot::crash", %pid, "process panicked while it exited: {reason}");
}
