//! Plays the steps of a case on one connection, and finds out how that is afterwards.

use std::{net::SocketAddr, thread::sleep, time::Duration};

use serde_json::Value;

use super::{
    judge::{Outcome, data, judge, number},
    wire::Client,
};

/// The request that shows whether a connection is still in step.
pub(crate) const PROBE: &[u8] = b"GET /bytes/7 HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// How long to wait for what has to come, as a multiple of the usual.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience(pub(crate) u32);

impl Patience {
    pub(crate) fn response(self) -> Duration {
        Duration::from_millis(2500) * self.0
    }

    pub(crate) fn close(self) -> Duration {
        Duration::from_secs(2) * self.0
    }

    fn fin(self) -> Duration {
        Duration::from_millis(1500) * self.0
    }
}

/// Plays a case, as often as it says, and judges by the alternatives of one level.
pub(crate) fn play(
    address: SocketAddr,
    patience: Patience,
    case: &Value,
    level: &str,
    dribble: bool,
) -> Result<(), String> {
    for _ in 0..number(&case["repeat"]).max(1) {
        let outcome =
            once(address, patience, case, dribble).map_err(|error| format!("cannot connect: {error}"))?;
        judge(&case[level], &outcome)?;
    }
    Ok(())
}

fn once(address: SocketAddr, patience: Patience, case: &Value, dribble: bool) -> std::io::Result<Outcome> {
    let heads = case["heads"].as_array().into_iter().flatten().map(number).collect();
    let mut client = Client::connect(address, heads)?;
    let wrong = steps(&mut client, patience, &case["steps"], dribble);
    let responses = if case["n"].is_null() { 1 } else { number(&case["n"]) };
    let mut outcome = finish(client, patience, responses, case["tail"] == "wait");
    if let Some((end, note)) = wrong {
        outcome.note = note.into();
        outcome.end = end.unwrap_or(outcome.end);
    }
    Ok(outcome)
}

/// The deviations from a script, and how the connection counts then.
fn steps(
    client: &mut Client,
    patience: Patience,
    steps: &Value,
    dribble: bool,
) -> Option<(Option<&'static str>, &'static str)> {
    let mut wrong = None;
    for step in steps.as_array().into_iter().flatten() {
        match step[0].as_str().unwrap_or_default() {
            "send" if !dribble => {
                client.send(&data(&step[1]));
            }
            "send" | "dribble" => client.dribble(&data(&step[1])),
            "pause" => sleep(Duration::from_millis(number(&step[1]) as u64)),
            "recv" => {
                if !client.wait_finals(number(&step[1]), patience.response()) {
                    return Some((None, "waited for a response in vain"));
                }
            }
            "interim" => {
                let begun = client.read_until(patience.response(), |client| {
                    let reader = &client.reader;
                    !reader.pending.is_empty() || !reader.finals.is_empty() || reader.current.is_some()
                });
                if !begun {
                    wrong = Some((Some("mute"), "neither 100 nor a final answer came before the content"));
                }
            }
            "silence" => {
                let before = client.received;
                let time = Duration::from_millis(number(&step[1]) as u64);
                client.read_until(time, |client| client.received > before || client.closed);
                if client.received > before {
                    return Some((Some("desync"), "an answer came before the request was complete"));
                }
                if client.closed {
                    return Some((Some("desync"), "closed before the request was complete"));
                }
            }
            "fin" => client.fin(),
            unknown => panic!("nobody plays {unknown:?}"),
        }
    }
    wrong
}

fn finish(mut client: Client, patience: Patience, responses: usize, wait: bool) -> Outcome {
    client.wait_finals(responses, patience.response());
    let mut late = Vec::new();
    let end = if wait {
        match (client.wait_closed(patience.close()), client.reader.finals.is_empty()) {
            (true, _) => "close",
            (false, true) => "stall",
            (false, false) => "open",
        }
    } else {
        if client.reader.current.is_some() || !client.reader.buffer.is_empty() {
            client.read_until(patience.response(), |client| {
                client.reader.current.is_none() && client.reader.buffer.is_empty()
            });
        }
        let have = client.reader.finals.len();
        if client.reader.dead && client.reader.finals.last().is_some_and(|last| last.status == 101) {
            "switched"
        } else if client.closed || client.reader.dead {
            "close"
        } else if have == 0 || client.reader.current.is_some() {
            client.fin();
            client.wait_closed(patience.fin());
            late = client.reader.finals.split_off(have);
            "stall"
        } else {
            probe(&mut client, patience, have)
        }
    };
    Outcome { finals: client.reader.finals, end, late, note: String::new() }
}

/// Asks for one thing more.
fn probe(client: &mut Client, patience: Patience, have: usize) -> &'static str {
    client.reader.heads.remove(&have);
    client.send(PROBE);
    let answered = |client: &Client| {
        let finals = &client.reader.finals;
        finals.len() > have && finals.last().is_some_and(super::wire::Response::is_probes)
    };
    client.read_until(patience.close(), answered);
    if answered(client) {
        client.reader.finals.pop();
        "alive"
    } else if client.closed {
        "close"
    } else if client.reader.dead || client.reader.finals.len() > have {
        "desync"
    } else {
        "open"
    }
}
