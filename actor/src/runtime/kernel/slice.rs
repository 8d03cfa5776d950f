//! One poll slice of a process: polls until it waits, exits, or has to give way.
#![expect(unsafe_code, reason = "see the proof")]

use std::{
    hint::cold_path,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{
    inspection::{self, Answered},
    lifecycle::AfterPoll,
    process::{Body, Process, Runnable, SliceNotes},
    release::release,
    waker,
};
use crate::{
    guard::panic::catch_polling,
    observe::trace::{TraceEvent, TraceFlags},
    process::reason::Reason,
    runtime::context::Local,
};

/// Awaits that a process may complete in one poll slice before it gives way. (OTP: 4000 reductions of far
/// smaller size.)
const REDUCTIONS_PER_SLICE: u32 = 2000;

/// Runs one poll slice of a runnable process. The caller must enqueue the process if it is returned.
#[must_use = "a runnable process must be enqueued"]
#[inline(always)] // perf: ring, 504 → 489 instructions; call, 1193 → 1164
pub(crate) fn run_slice(local: &Local, process: Box<Process>) -> Option<Runnable> {
    if local.shared.tracer.is_on(TraceFlags::RUNNING) {
        return run_slice_traced(local, process);
    }
    poll_slice(local, process)
}

#[cold]
fn run_slice_traced(local: &Local, process: Box<Process>) -> Option<Runnable> {
    let pid = process.pid;
    local.shared.trace(TraceFlags::RUNNING, || TraceEvent::In { pid });
    let runnable = poll_slice(local, process);
    local.shared.trace(TraceFlags::RUNNING, || TraceEvent::Out { pid });
    runnable
}

#[inline(always)] // perf: ring, 534 → 503 instructions; call, 1214 → 1154
fn poll_slice(local: &Local, mut process: Box<Process>) -> Option<Runnable> {
    let Some(mut body) = process.body.take() else { unreachable!("a process in a queue has its body") };
    process.reductions = REDUCTIONS_PER_SLICE;
    process.wants_messages = false;
    process.notes = SliceNotes::default();
    // SAFETY:
    // 1. `source` must be kept while the waker is used. The process, and `source` with it, becomes the
    //    running process of `local`, and stays there (or with a simulation that interrupts it) until this
    //    function or `release` takes it.
    // 2. Both take it after the last poll with this waker.
    let waker = unsafe { waker::borrowed(&process.source) };
    let slot = local.begin(process);
    if slot.needs_attention() {
        cold_path();
        if slot.is_condemned() {
            release(local, slot, body, None);
            return None;
        }
        if slot.has_inspection() && inspection::answer(local, slot) == Answered::NotYet {
            let mut process = local.running.take().expect("it is the running process");
            process.body = Some(body);
            return Some(Runnable(process));
        }
    }
    slot.observed.count_slice();
    slot.begin_poll();
    loop {
        local.polling.set(true);
        let mut ended = None;
        let is_pending = poll(&mut body, &waker, &mut ended);
        local.polling.set(false);
        if !is_pending {
            release(local, slot, body, ended);
            return None;
        }
        let mut core = slot.lock();
        if slot.is_condemned() {
            cold_path();
            drop(core);
            release(local, slot, body, None);
            return None;
        }
        let mut process = local.running.take().expect("it was put there before the poll");
        let next = slot.after_poll(&mut core, &mut process);
        if let AfterPoll::Again = next {
            cold_path();
            process.priority = core.priority;
            drop(core);
            let has_abandoned = process.notes.has(SliceNotes::REPLY_DROPPED);
            local.running.replace(Some(process));
            if has_abandoned {
                let mut process = local.tell_abandoned();
                process.body = Some(body);
                return Some(Runnable(process));
            }
            slot.begin_poll();
            continue;
        }
        process.body = Some(body);
        if let AfterPoll::Queue = next {
            process.priority = core.priority;
            return Some(Runnable(process));
        }
        slot.park(&mut core, process);
        return None;
    }
}

/// Polls a body and returns whether it is pending. If not, sets `ended` to its reason, which may be a panic.
#[inline(always)] // perf: ring, 529 → 503 instructions; call, 1204 → 1154
fn poll(body: &mut Body, waker: &Waker, ended: &mut Option<Reason>) -> bool {
    let polled = catch_polling(|| match body.as_mut().poll(&mut Context::from_waker(waker)) {
        Poll::Pending => true,
        Poll::Ready(reason) => {
            cold_path();
            *ended = Some(reason);
            false
        }
    });
    polled.unwrap_or_else(|panic| {
        *ended = Some(Reason::Panic(Arc::new(panic)));
        false
    })
}
