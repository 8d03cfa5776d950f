//! The answers to probes, in the form of Kubernetes.

use std::{fmt::Write as _, time::Duration};

use riot_actor::stats::workers_alive;
use riot_http::{Head, http::StatusCode};

use super::HealthState;
use crate::message::{Reply, query};

/// The name of the line that shows the state of the program.
pub(super) const STATE: &str = "state";

/// The time for which a worker may be held up before the program counts as stuck; 2 s.
const MAX_HELD_UP: Duration = Duration::from_secs(2);

/// The wishes of a probe.
pub(super) struct Question<'a> {
    is_verbose: bool,
    excluded: Vec<&'a str>,
    /// The peer may see why a check failed.
    is_trusted: bool,
}

impl<'a> Question<'a> {
    pub(super) fn of(head: &'a Head, is_trusted: bool) -> Self {
        let excluded = query(head).filter(|(name, _)| *name == "exclude").map(|(_, value)| value);
        Self {
            is_verbose: query(head).any(|(name, _)| name == "verbose"),
            excluded: excluded.collect(),
            is_trusted,
        }
    }

    pub(super) fn excludes(&self, check: &str) -> bool {
        self.excluded.contains(&check)
    }

    fn reply(&self, probe: &str, lines: &[(&str, Result<(), String>)], notes: &str) -> Reply {
        let passes = lines.iter().all(|(_, outcome)| outcome.is_ok());
        if passes && !self.is_verbose {
            return Reply::text(StatusCode::OK, "ok");
        }
        let mut text = String::new();
        for (name, outcome) in lines {
            let _ = match outcome {
                Ok(()) => writeln!(text, "[+]{name} ok"),
                Err(why) if self.is_trusted => writeln!(text, "[-]{name} failed: {why}"),
                Err(_) => writeln!(text, "[-]{name} failed: reason withheld"),
            };
        }
        text += notes;
        let verdict = if passes { "passed" } else { "failed" };
        let _ = writeln!(text, "{probe} check {verdict}");
        Reply::text(if passes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
    }
}

/// Answers whether the workers make progress.
pub(super) fn liveness(question: &Question<'_>) -> Reply {
    let outcome = match workers_alive(MAX_HELD_UP) {
        true => Ok(()),
        false => Err("a process has held up its worker for more than 2 s".to_owned()),
    };
    question.reply("livez", &[("workers", outcome)], "")
}

/// Answers whether the program wants clients. `names` are all checks there are.
pub(super) fn readiness(
    question: &Question<'_>,
    state: HealthState,
    results: &[(&str, Result<(), String>)],
    names: &[&str],
) -> Reply {
    let state = if state == HealthState::Ready { Ok(()) } else { Err(format!("the state is {state}")) };
    let mut lines = vec![(STATE, state)];
    lines.extend(results.iter().cloned());
    let unknown = question.excluded.iter().any(|excluded| !names.contains(excluded));
    // What was excluded is not repeated: it is a client's text.
    let notes = if unknown { "warn: a check that was excluded does not exist\n" } else { "" };
    question.reply("readyz", &lines, notes)
}
