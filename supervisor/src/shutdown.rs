//! The stopping of children: ask, wait, then kill.
//!
//! The ends are awaited outside the mailbox, so queued messages cost nothing, and requests keep their order.
//! The `Exit` of a child stopped here stays in the mailbox and matches no child when it is read.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use riot_actor::{
    Exit, Pid, Reason, exit,
    mailbox::receive_if,
    now,
    process::{Wait, wait, yield_now},
    time::deadline_after,
    timeout,
};

use crate::{child_id::ChildId, child_spec::ChildShutdown, event::Reporter};

/// The interval of reports about a child that was killed and does not yield.
const UNRESPONSIVE: Duration = Duration::from_secs(5);

/// Children that a supervisor goes through in one poll slice.
const PER_SLICE: usize = 500;

/// Lets other processes run, before every 500th child of a list.
pub(crate) async fn give_way(nth: usize) {
    if nth > 0 && nth.is_multiple_of(PER_SLICE) {
        yield_now().await;
    }
}

/// A child to be stopped.
pub(crate) struct Stopping {
    pub(crate) id: ChildId,
    pub(crate) pid: Pid,
    pub(crate) shutdown: ChildShutdown,
}

/// Stops one child. Its process has been released when this returns.
pub(crate) async fn stop_one(reporter: &mut Reporter, child: Stopping) {
    stop_all(reporter, vec![child]).await;
}

/// Stops children at once, each with its own time. Their processes have been released when this returns.
pub(crate) async fn stop_all(reporter: &mut Reporter, children: Vec<Stopping>) {
    let asked = now();
    let mut killed = Vec::new();
    let mut limited: Vec<(Instant, Stopping, Wait)> = Vec::new();
    let mut unlimited = Vec::new();
    for (nth, child) in children.into_iter().enumerate() {
        give_way(nth).await;
        // The wait begins before the child is asked, so that its exit reason is known however fast it ends.
        let end = wait(child.pid);
        let reason = if child.shutdown == ChildShutdown::Kill { Reason::Kill } else { Reason::Shutdown };
        exit(child.pid, reason);
        match child.shutdown {
            ChildShutdown::Kill => killed.push((child, end)),
            ChildShutdown::Timeout(limit) => match deadline_after(asked, limit) {
                Some(deadline) => limited.push((deadline, child, end)),
                None => unlimited.push((child, end)),
            },
            ChildShutdown::Infinity => unlimited.push((child, end)),
        }
    }
    // The child that is to be killed next is awaited first.
    limited.sort_by_key(|&(deadline, ..)| deadline);

    let mut ended_before = Vec::new();
    for (deadline, child, mut end) in limited {
        match timeout(deadline.saturating_duration_since(now()), &mut end).await {
            Ok(reason) => concluded(reporter, child, reason, &mut ended_before),
            Err(_) => {
                exit(child.pid, Reason::Kill);
                killed.push((child, end));
            }
        }
    }
    for (child, mut end) in killed {
        let since = now();
        let reason = loop {
            match timeout(UNRESPONSIVE, &mut end).await {
                Ok(reason) => break reason,
                Err(_) => reporter.unresponsive(&child.id, child.pid, now() - since),
            }
        };
        concluded(reporter, child, reason, &mut ended_before);
    }
    for (child, end) in unlimited {
        concluded(reporter, child, end.await, &mut ended_before);
    }
    report_own_ends(reporter, ended_before).await;
}

fn concluded(reporter: &mut Reporter, child: Stopping, reason: Reason, ended_before: &mut Vec<Stopping>) {
    match reason {
        Reason::NoProc => ended_before.push(child),
        Reason::Killed if child.shutdown == ChildShutdown::Kill => {}
        reason if reason.is_clean() => {}
        reason => reporter.shutdown_failed(&child.id, child.pid, &reason),
    }
}

/// Reports children that had ended by themselves. Their `Exit` in the mailbox has the reason, unless they had
/// unlinked themselves.
async fn report_own_ends(reporter: &mut Reporter, children: Vec<Stopping>) {
    if children.is_empty() {
        return;
    }
    let mut unknown: HashMap<Pid, ChildId> =
        children.into_iter().map(|child| (child.pid, child.id)).collect();
    while !unknown.is_empty() {
        let wanted = |exit: &Exit| exit.by_link && unknown.contains_key(&exit.from);
        let Ok(exit) = timeout(Duration::ZERO, receive_if(wanted)).await else { return };
        if let Some(id) = unknown.remove(&exit.from) {
            reporter.ended(&id, exit.from, &exit.reason);
        }
    }
}
