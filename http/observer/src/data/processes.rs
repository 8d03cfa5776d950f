//! Processes: lists, trees, names and groups.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use riot_actor::{
    Pid,
    call::CallError,
    group::{self, members},
    now,
    process::{Inspection, ProcessState, ProcessSubtree, ProcessSummary, WaitingFor},
    runtime::Handle,
    time::TimerEffect,
};
use serde_json::{Value, json};

use super::{Page, millis, page::MAX_ROWS};

/// The siblings of one label above which they are shown as one.
const MAX_SIBLINGS: usize = 50;

/// The levels of a tree that are shown at most. Each takes two of JSON, of which readers accept 128
/// (serde_json).
const MAX_DEPTH: usize = 60;

/// The keys that processes can be sorted by.
pub(crate) const PROCESS_KEYS: [&str; 9] =
    ["mailbox", "busy", "slices", "received", "future_bytes", "age", "pid", "label", "state"];

/// Which processes are listed.
#[derive(Debug, Default)]
pub(crate) struct ProcessFilter {
    /// A part of the pid, of the label or of a name, in any case.
    pub(crate) text: String,
    pub(crate) state: Option<ProcessState>,
}

/// Returns the names of each process that has some.
fn names_by_pid(handle: &Handle) -> HashMap<Pid, Vec<String>> {
    let mut all: HashMap<Pid, Vec<String>> = HashMap::new();
    for name in handle.registered() {
        if let Some(pid) = handle.whereis(&name) {
            all.entry(pid).or_default().push(name.to_string());
        }
    }
    all
}

fn text_of(pid: Pid) -> String {
    pid.to_string()
}

/// Returns a page of all processes, sorted by one of [`PROCESS_KEYS`].
pub(crate) fn processes(handle: &Handle, by: &str, page: Page, filter: &ProcessFilter) -> Value {
    let names = names_by_pid(handle);
    let no_names = Vec::new();
    let names_of = |pid: Pid| names.get(&pid).unwrap_or(&no_names);
    let wanted = filter.text.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let matches = |process: &ProcessSummary| {
        filter.state.is_none_or(|state| process.state == state)
            && (wanted.is_empty()
                || has(&text_of(process.pid))
                || process.label.as_deref().is_some_and(has)
                || names_of(process.pid).iter().any(|name| has(name)))
    };
    let mut list = handle.summaries();
    list.retain(matches);
    list.sort_by_key(|process| process.nth);
    let row = |process: &ProcessSummary| {
        json!({
            "pid": text_of(process.pid),
            "label": process.label,
            "names": names_of(process.pid),
            "state": process.state.to_string(),
            "mailbox": process.mailbox,
            "busy_ms": process.busy.map(millis),
            "received": process.received,
            "slices": process.slices,
            "future_bytes": process.future_bytes,
            "age_ms": process.age.map(millis),
            "waiting_for": process.waiting_for.as_ref().map(ToString::to_string),
            "call_ms": process.waiting_for.as_ref().and_then(call_millis),
        })
    };
    let mut found = match by {
        "mailbox" => page.of(list, |process| process.mailbox, row),
        "busy" => page.of(list, |process| process.busy, row),
        "slices" => page.of(list, |process| process.slices, row),
        "received" => page.of(list, |process| process.received, row),
        "future_bytes" => page.of(list, |process| process.future_bytes, row),
        "age" => page.of(list, |process| process.age, row),
        "pid" => page.of(list, |process| process.pid, row),
        "label" => page.of(list, |process| process.label.clone(), row),
        "state" => page.of(list, |process| process.state.to_string(), row),
        _ => page.of(list, |_| (), row),
    };
    found["t"] = now_millis(handle).into();
    found
}

fn now_millis(handle: &Handle) -> u64 {
    millis(handle.scheduler_stats().age)
}

/// Returns how long a process has waited for a reply.
fn call_millis(waiting: &WaitingFor) -> Option<u64> {
    match waiting {
        WaitingFor::Call { since, .. } => Some(millis(now().saturating_duration_since(*since))),
        _ => None,
    }
}

/// Returns what is known of a process; none once it is released. `mailbox` is what it has said itself.
pub(crate) fn process(handle: &Handle, pid: Pid, mailbox: Result<Inspection, CallError>) -> Option<Value> {
    let info = handle.info(pid)?;
    let messages = mailbox.as_ref().ok().map(|inspection| {
        let types = inspection.types.iter();
        types.map(|of_type| json!({"type": of_type.message, "count": of_type.count})).collect::<Vec<_>>()
    });
    let pids = |pids: &[Pid]| pids.iter().copied().map(text_of).collect::<Vec<_>>();
    Some(json!({
        "pid": text_of(info.pid),
        "label": info.label,
        "names": info.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "state": info.state.to_string(),
        "mailbox": info.mailbox,
        "mailbox_max": info.max_mailbox,
        "refused": info.refused,
        "links": pids(&info.links),
        "monitors": pids(&info.monitors),
        "monitored_by": pids(&info.monitored_by),
        "links_total": info.relations.links,
        "monitors_total": info.relations.monitors,
        "monitored_by_total": info.relations.monitored_by,
        "trap_exit": info.trap_exit,
        "priority": format!("{:?}", info.priority).to_lowercase(),
        "parent": info.parent.map(text_of),
        "age_ms": info.age.map(millis),
        "busy_ms": info.busy.map(millis),
        "received": info.received,
        "slices": info.slices,
        "future_bytes": info.future_bytes,
        "initial_function": info.initial_function,
        "spawned_at": info.spawned_at.map(ToString::to_string),
        "waiting_for": info.waiting_for.as_ref().map(ToString::to_string),
        "call_ms": info.waiting_for.as_ref().and_then(call_millis),
        "last_message": info.last_message,
        "messages": messages,
        "message_types": mailbox.as_ref().ok().map(|inspection| inspection.distinct_types),
        "inline_bytes": mailbox.as_ref().ok().map(|inspection| inspection.inline_bytes),
        "boxed_bytes": mailbox.as_ref().ok().map(|inspection| inspection.boxed_bytes),
        "mailbox_error": mailbox.as_ref().err().map(ToString::to_string),
    }))
}

/// Returns all processes as a tree of at most `depth` levels.
pub(crate) fn tree(handle: &Handle, depth: Option<usize>) -> Value {
    let tree = handle.tree();
    let depth = depth.unwrap_or(MAX_DEPTH).min(MAX_DEPTH);
    json!({"t": now_millis(handle), "roots": siblings(tree.roots(), depth)})
}

/// Returns siblings, of which many with one label are folded into one.
fn siblings<'a>(subtrees: impl Iterator<Item = ProcessSubtree<'a>>, depth: usize) -> Vec<Value> {
    if depth == 0 {
        return Vec::new();
    }
    let subtrees: Vec<ProcessSubtree<'_>> = subtrees.collect();
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for process in subtrees.iter().map(ProcessSubtree::process) {
        let (count, mailbox) = counts.entry(process.label.as_deref().unwrap_or_default()).or_default();
        *count += 1;
        *mailbox += process.mailbox;
    }
    counts.retain(|_, (count, _)| *count > MAX_SIBLINGS);
    let mut shown: Vec<Value> = Vec::new();
    for subtree in subtrees {
        let process = subtree.process();
        if !counts.contains_key(process.label.as_deref().unwrap_or_default()) {
            let fields = (json!(text_of(process.pid)), json!(process.state.to_string()), Value::Null);
            shown.push(node(json!(process.label), fields, siblings(subtree.children(), depth - 1)));
        }
    }
    for (label, (count, mailbox)) in counts {
        let fold = json!({"label": label, "count": count, "mailbox": mailbox, "busy": null});
        shown.push(node(json!(label), (Value::Null, Value::Null, fold), Vec::new()));
    }
    shown
}

fn node(label: Value, (pid, state, fold): (Value, Value, Value), children: Vec<Value>) -> Value {
    json!({
        "id": null,
        "pid": pid,
        "label": label,
        "kind": null,
        "strategy": null,
        "restarts": null,
        "restarts_max": null,
        "period_ms": null,
        "state": state,
        "fold": fold,
        "children": children,
    })
}

/// Returns the registered names.
pub(crate) fn names(handle: &Handle) -> Value {
    let holders = handle.registered().into_iter().filter_map(|name| {
        let pid = handle.whereis(&name)?;
        Some((name.to_string(), text_of(pid)))
    });
    let mut holders: Vec<(String, String)> = holders.collect();
    holders.sort_unstable();
    let names: Vec<Value> =
        holders.into_iter().map(|(name, pid)| json!({"name": name, "pid": pid})).collect();
    json!({"names": names})
}

/// Returns the 200 timers that are due first.
pub(crate) fn timers(handle: &Handle) -> Value {
    let timers = handle.timers().into_iter().take(MAX_ROWS).map(|timer| {
        let what = match timer.effect {
            TimerEffect::Message(message) => format!("message {message}"),
            TimerEffect::Interval(message) => format!("interval {message}"),
            TimerEffect::Exit => "exit".to_owned(),
            TimerEffect::Wake => "wake".to_owned(),
            TimerEffect::CallTimeout => "call timeout".to_owned(),
            _ => "other".to_owned(),
        };
        json!({
            "due_ms": (timer.due < Duration::MAX).then(|| millis(timer.due)),
            "to": timer.to.map(text_of),
            "name": timer.name.map(|name| name.to_string()),
            "what": what,
        })
    });
    json!({"timers": timers.collect::<Vec<_>>()})
}

/// Returns the groups, with their size and 200 members of each.
pub(crate) fn groups(_: &Handle) -> Value {
    let mut all = group::groups();
    all.sort_by_key(|(name, _)| name.to_string());
    let groups = all.into_iter().map(|(name, size)| {
        let pids: Vec<String> = members(&name).into_iter().take(MAX_ROWS).map(text_of).collect();
        json!({"name": name.to_string(), "size": size, "members": pids})
    });
    json!({"groups": groups.collect::<Vec<_>>()})
}
