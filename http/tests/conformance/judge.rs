//! The outcomes that a case accepts, and why another is not among them.

use regex_lite::Regex;
use serde_json::Value;

use super::wire::Response;

/// The bytes that a case spells out: text of octets, a repetition, a count, or a list of these.
pub(crate) fn data(spec: &Value) -> Vec<u8> {
    match spec {
        Value::String(text) => text.chars().map(|c| u8::try_from(c).expect("an octet")).collect(),
        Value::Array(parts) => parts.iter().flat_map(data).collect(),
        _ if !spec["rep"].is_null() => data(&spec["rep"]).repeat(number(&spec["n"])),
        _ => {
            let pattern = data(&spec["count"]);
            let pattern = String::from_utf8(pattern).expect("counted text is ASCII");
            (0..number(&spec["n"])).flat_map(|n| pattern.replace("%d", &n.to_string()).into_bytes()).collect()
        }
    }
}

pub(crate) fn number(value: &Value) -> usize {
    value.as_u64().map_or(0, |number| number as usize)
}

/// The observations on one connection.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) finals: Vec<Response>,
    /// `close`, `alive`, `stall`, `open`, `desync`, `mute` or `switched`.
    pub(crate) end: &'static str,
    /// Responses that came only after our end.
    pub(crate) late: Vec<Response>,
    pub(crate) note: String,
}

impl Outcome {
    fn brief(&self) -> String {
        let finals: Vec<_> = self.finals.iter().map(Response::brief).collect();
        format!("saw [{}] then {} {}", finals.join("; "), self.end, self.note)
    }
}

/// Whether one of these alternatives describes the outcome.
pub(crate) fn judge(alternatives: &Value, outcome: &Outcome) -> Result<(), String> {
    let responses = outcome.finals.iter().chain(&outcome.late);
    let defects: Vec<_> = responses
        .flat_map(|response| response.interim.iter().chain([response]))
        .flat_map(|response| response.defects.clone())
        .collect();
    if !defects.is_empty() {
        return Err(format!("malformed: {}", defects.join("; ")));
    }
    let mut whys = Vec::new();
    for alternative in alternatives.as_array().into_iter().flatten() {
        match describes(alternative, outcome) {
            Ok(()) => return Ok(()),
            Err(why) if whys.contains(&why) => {}
            Err(why) => whys.push(why),
        }
    }
    Err(format!("{}; {}", whys.join(" / "), outcome.brief()))
}

fn describes(alternative: &Value, outcome: &Outcome) -> Result<(), String> {
    let wanted = alternative["r"].as_array().map_or(&[][..], Vec::as_slice);
    let mut finals = &outcome.finals[..];
    if let [before @ .., last] = finals
        && !last.complete
    {
        if alternative["trunc"] != true {
            return Err(format!("response {} cut short", last.status));
        }
        finals = before;
    }
    if finals.len() != wanted.len() {
        return Err(format!("{} responses, wanted {}", finals.len(), wanted.len()));
    }
    for (number, (want, response)) in wanted.iter().zip(finals).enumerate() {
        check(want, response).map_err(|why| format!("response {}: {why}", number + 1))?;
    }
    let ends = match alternative["end"].as_str() {
        None | Some("any") => "close|alive",
        Some(ends) => ends,
    };
    if !ends.split('|').any(|end| end == outcome.end) {
        return Err(format!("ended as {}, wanted {ends}", outcome.end));
    }
    if outcome.late.iter().any(|response| response.complete && response.status < 400) {
        return Err("an incomplete message was answered as if it were complete".into());
    }
    Ok(())
}

/// Whether a response is what is wanted.
pub(crate) fn check(want: &Value, response: &Response) -> Result<(), String> {
    let fail = |why: String| Err(why);
    if !response.complete {
        return fail(format!("response {} cut short", response.status));
    }
    for (key, want) in want.as_object().into_iter().flatten() {
        let length = response.body.len();
        let text = want.as_str().unwrap_or_default();
        match key.as_str() {
            "s" if !status_is(text, response.status) => {
                return fail(format!("status {}, wanted {text}", response.status));
            }
            "body" if response.body != data(want) => return fail(format!("another body, of {length} bytes")),
            "len" if length != number(want) => return fail(format!("{length} bytes, wanted {want}")),
            "maxlen" if length > number(want) => {
                return fail(format!("{length} bytes, wanted at most {want}"));
            }
            "min" if length < number(want) => return fail(format!("{length} bytes, wanted at least {want}")),
            "notext" if contains(&response.body, &data(want)) => {
                return fail(format!("the body contains {want}"));
            }
            "minor" if number(want) != usize::from(response.minor) => return fail("another version".into()),
            "framing" if !text.split('|').any(|framing| framing == response.framing) => {
                return fail(format!("framed by {}, wanted {text}", response.framing));
            }
            "inspect" => inspect(want, &response.body)?,
            "hdr" => {
                for (name, pattern) in want.as_object().into_iter().flatten() {
                    let values: Vec<_> = response.all(name).collect();
                    let value = latin(&values.join(&b", "[..]));
                    if values.is_empty() || !matches(pattern, &value) {
                        return fail(format!("field {name}: {value:?}, wanted {pattern}"));
                    }
                }
            }
            "nohdr" => {
                for name in want.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if response.all(name).next().is_some() {
                        return fail(format!("field {name} is there"));
                    }
                }
            }
            "cl_if_any" => {
                let length = response.all("content-length").next();
                if length.is_some_and(|length| latin(length) != number(want).to_string()) {
                    return fail(format!("Content-Length is not {want}"));
                }
            }
            "interim" => {
                let codes: Vec<_> =
                    response.interim.iter().map(|interim| Value::from(interim.status)).collect();
                if want.as_array() != Some(&codes) {
                    return fail(format!("interim {codes:?}, wanted {want}"));
                }
            }
            "max_interim" if response.interim.len() > number(want) => {
                return fail(format!("{} interim responses", response.interim.len()));
            }
            "date" => dated(response, number(want) as u64)?,
            "s" | "body" | "len" | "maxlen" | "min" | "notext" | "minor" | "framing" | "max_interim" => {}
            unknown => panic!("nobody checks {unknown:?}"),
        }
    }
    Ok(())
}

/// `400`, `4xx|501`, `!2xx`.
fn status_is(spec: &str, status: u16) -> bool {
    let (negated, spec) = spec.strip_prefix('!').map_or((false, spec), |spec| (true, spec));
    let status = status.to_string();
    let met = spec.split('|').any(|pattern| {
        pattern.len() == status.len() && pattern.chars().zip(status.chars()).all(|(p, s)| p == 'x' || p == s)
    });
    met != negated
}

fn dated(response: &Response, tolerance: u64) -> Result<(), String> {
    let date = response.all("date").next().map(latin).ok_or("no Date")?;
    let time = httpdate::parse_http_date(&date).map_err(|_| format!("Date {date:?}"))?;
    if httpdate::fmt_http_date(time) != date {
        return Err(format!("Date {date:?} is no IMF-fixdate"));
    }
    let now = std::time::SystemTime::now();
    let off = now.duration_since(time).or_else(|_| time.duration_since(now)).unwrap_or_default();
    if off.as_secs() > tolerance { Err(format!("Date is {off:?} off")) } else { Ok(()) }
}

/// Compares what `/inspect` has seen with what it should have.
fn inspect(want: &Value, body: &[u8]) -> Result<(), String> {
    let (mut keys, mut fields) = (Vec::new(), Vec::new());
    for line in body.split(|&byte| byte == b'\n') {
        let (is_field, line) = line.strip_prefix(b"header: ").map_or((false, line), |line| (true, line));
        let Some(equals) = line.iter().position(|&byte| byte == b'=') else { continue };
        let (name, value) = (latin(&line[..equals]), line[equals + 1..].to_vec());
        if is_field { fields.push((name.to_ascii_lowercase(), value)) } else { keys.push((name, value)) }
    }
    let seen = |name: &str| -> Vec<Vec<u8>> {
        fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    };
    for (key, want) in want.as_object().into_iter().flatten() {
        let list = want.as_array().map_or(&[][..], Vec::as_slice);
        match key.as_str() {
            "headers" => {
                let mut names: Vec<_> = list.iter().filter_map(|pair| pair[0].as_str()).collect();
                names.dedup();
                for name in names {
                    let wanted: Vec<_> =
                        list.iter().filter(|pair| pair[0] == name).map(|pair| &pair[1]).collect();
                    let have = seen(name);
                    let met = match wanted[..] {
                        [want] if want["re"].is_string() => {
                            have.len() == 1 && matches(&want["re"], &latin(&have[0]))
                        }
                        _ => {
                            let wanted: Vec<_> = wanted.into_iter().map(data).collect();
                            have == wanted
                                || have == [wanted.join(&b", "[..])]
                                || have == [wanted.join(&b","[..])]
                        }
                    };
                    if !met {
                        let have: Vec<_> = have.iter().map(|value| latin(value)).collect();
                        return Err(format!("header {name} seen as {have:?}"));
                    }
                }
            }
            "noheaders" => {
                if let Some(name) = list.iter().filter_map(Value::as_str).find(|name| !seen(name).is_empty())
                {
                    return Err(format!("header {name} reached the handler"));
                }
            }
            "nobytes" => {
                if let Some(bytes) = list.iter().find(|bytes| contains(body, &data(bytes))) {
                    return Err(format!("{bytes} reached the handler"));
                }
            }
            key => {
                let have = keys.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
                if have.as_deref() != Some(&data(want)[..]) {
                    return Err(format!("{key} is {:?}, wanted {want}", have.map(|have| latin(&have))));
                }
            }
        }
    }
    Ok(())
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn matches(pattern: &Value, text: &str) -> bool {
    let pattern = format!("(?i)^(?:{})$", pattern.as_str().expect("a pattern"));
    Regex::new(&pattern).expect("a pattern").is_match(text)
}
