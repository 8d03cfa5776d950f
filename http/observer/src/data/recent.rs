//! Requests and crashes of late.

use std::time::Duration;

use riot_actor::{now, runtime::Handle};
use riot_http::DURATION_BOUNDS;
use serde_json::{Value, json};

use super::{millis, program::rfc3339};
use crate::history::{COLUMN, CrashEntry, CrashList, RequestLog, SlowRequest};

/// Returns the requests of the server of this name, or of the first one that speaks HTTP; none if there is no
/// such server.
pub(crate) fn http(handle: &Handle, of: Option<&str>, log: &RequestLog) -> Option<Value> {
    let mut servers = riot_socket::servers().into_iter().filter(|server| {
        let name = server.name();
        of.is_none_or(|of| of == name)
    });
    let (info, stats) = servers.find_map(|server| Some((server.info(), riot_http::stats(&server)?)))?;
    let classes = stats.responses;
    let latencies = log.of(&info.name);
    let age = handle.scheduler_stats().age;
    let since_start = |slow: &SlowRequest| age.saturating_sub(now().saturating_duration_since(slow.head_at));
    let slowest = latencies.slowest.iter().map(|slow| {
        json!({
            "at": millis(since_start(slow)),
            "key": slow.key,
            "method": slow.method,
            "path": slow.path,
            "route": slow.route,
            "status": slow.status,
            "peer": slow.peer,
            "cut": slow.cut,
            "head_ms": slow.handler.map(fraction),
            "handler_ms": slow.answered.map(fraction),
            "first_byte_ms": slow.first_byte.map(fraction),
            "last_byte_ms": slow.last_byte.map(fraction),
            "duration_ms": fraction(slow.duration),
        })
    });
    Some(json!({
        "t": millis(age),
        "server": info.name,
        "requests": classes.iter().sum::<u64>() + stats.unanswered,
        "active": stats.active.values().sum::<u64>(),
        "classes": {
            "1xx": classes[1],
            "2xx": classes[2],
            "3xx": classes[3],
            "4xx": classes[4],
            "5xx": classes[5],
            "none": stats.unanswered,
        },
        "handler_errors": stats.handler_errors,
        "cut": stats.cut.iter().map(|(reason, count)| (*reason, json!(count))).collect::<Object<'_>>(),
        "latency": {
            "bounds_ms": DURATION_BOUNDS.map(|seconds| seconds * 1000.0),
            "column_ms": millis(COLUMN),
            "columns": latencies.columns.iter().map(|counts| counts.to_vec()).collect::<Vec<_>>(),
        },
        "slowest": slowest.collect::<Vec<_>>(),
        "limits": info.limits,
        "timeouts": info.timeouts,
    }))
}

type Object<'a> = std::collections::BTreeMap<&'a str, Value>;

/// Returns milliseconds with three digits behind the point.
fn fraction(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// Returns the crashes with a greater number than `after`, the newest first.
pub(crate) fn crashes(list: &CrashList, after: u64) -> Value {
    let view = |crash: CrashEntry| {
        let details = crash.details.into_iter().map(|(name, value)| json!([name, value]));
        json!({
            "id": crash.id,
            "count": crash.count,
            "t": millis(crash.first),
            "last_t": millis(crash.last),
            "at": crash.first_at.map(rfc3339),
            "last_at": crash.last_at.map(rfc3339),
            "pid": crash.pid,
            "parent": crash.parent,
            "names": crash.names,
            "label": crash.label,
            "reason": [crash.reason],
            "location": crash.location,
            "by_signal": crash.by_signal,
            "details": details.collect::<Vec<_>>(),
            "path": null,
            "backtrace": null,
            "last_message": null,
            "followed_by": null,
        })
    };
    json!({"crashes": list.after(after).into_iter().map(view).collect::<Vec<_>>()})
}
