//! A second reader of OpenMetrics 1.0, written from its specification, and strict.
#![allow(dead_code, reason = "every test file uses its own part")]
#![allow(unreachable_pub, reason = "shared by several crates")]

use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, String>;

/// A family as the text has it.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    pub unit: String,
    pub help: String,
    /// Names, with their endings, labels and values, in order.
    pub samples: Vec<(String, Labels, f64)>,
}

/// An exposition.
#[derive(Debug, Default)]
pub struct Exposition(pub BTreeMap<String, Family>);

impl Exposition {
    /// Returns the value of a sample.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: Labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let samples = self.0.values().flat_map(|family| &family.samples);
        let mut found = samples.filter(|(other, labels, _)| other == name && *labels == wanted);
        found.next().map(|(_, _, value)| *value)
    }

    /// Returns all samples of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Labels, f64)> {
        let samples = self.0.values().flat_map(|family| &family.samples);
        samples.filter(move |(other, ..)| other == name).map(|(_, labels, value)| (labels, *value))
    }
}

/// Reads an exposition.
///
/// # Errors
/// What is against the specification, with the line.
pub fn parse(text: &str) -> Result<Exposition, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("no EOF at the end")?;
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut current, mut is_in_samples) = (String::new(), false);
    for line in body.split_terminator('\n') {
        let at = |what: &str| format!("{what}: {line}");
        if line.is_empty() {
            return Err(at("an empty line"));
        }
        if line.chars().any(char::is_control) {
            return Err(at("a control character"));
        }
        if let Some(comment) = line.strip_prefix("# ") {
            let mut parts = comment.splitn(3, ' ');
            let (keyword, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let value = parts.next().ok_or_else(|| at("a comment without a value"))?;
            if name != current || is_in_samples {
                if families.contains_key(name) {
                    return Err(at("a family in two places"));
                }
                if !is_name(name, true) {
                    return Err(at("a wrong name of a family"));
                }
                families.insert(name.to_owned(), Family::default());
                (current, is_in_samples) = (name.to_owned(), false);
            }
            let family = families.get_mut(&current).expect("it was inserted");
            let place = match keyword {
                "TYPE" => &mut family.kind,
                "UNIT" => &mut family.unit,
                "HELP" => &mut family.help,
                _ => return Err(at("an unknown comment")),
            };
            if !place.is_empty() {
                return Err(at("metadata twice"));
            }
            *place =
                if keyword == "HELP" { unescape(value).ok_or_else(|| at("escape"))? } else { value.into() };
            continue;
        }
        is_in_samples = true;
        let sample = sample(line).map_err(|what| at(&what))?;
        let family = families.get_mut(&current).ok_or_else(|| at("a sample before metadata"))?;
        family.samples.push(sample);
    }
    for (name, family) in &families {
        check(name, family)?;
    }
    Ok(Exposition(families))
}

fn is_name(name: &str, colon: bool) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || (colon && letter == ':');
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|first: char| first.is_ascii_digit())
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => match letters.next()? {
                'n' => '\n',
                other @ ('\\' | '"') => other,
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(plain)
}

fn sample(line: &str) -> Result<(String, Labels, f64), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name, true) {
        return Err("a wrong name".into());
    }
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("a label without a value")?;
            if !is_name(label, false) || label.starts_with("__") {
                return Err(format!("a wrong label {label}"));
            }
            let mut escaped = false;
            let close = after.find(|letter| {
                let closes = letter == '"' && !escaped;
                escaped = letter == '\\' && !escaped;
                closes
            });
            let close = close.ok_or("a value without an end")?;
            let value = unescape(&after[..close]).ok_or("a wrong escape")?;
            if labels.insert(label.into(), value).is_some() {
                return Err(format!("the label {label} twice"));
            }
            rest = &after[close + 1..];
            match (rest.strip_prefix(','), rest.strip_prefix('}')) {
                (Some(more), _) => rest = more,
                (_, Some(end)) => {
                    rest = end;
                    break;
                }
                _ => return Err("no `,` or `}` after a label".into()),
            }
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let number = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        value if value.starts_with(|first: char| first.is_ascii_digit() || first == '-') => {
            value.parse().map_err(|_| "a wrong number")?
        }
        _ => return Err("a wrong number".into()),
    };
    Ok((name.to_owned(), labels, number))
}

fn check(name: &str, family: &Family) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{name}: {what}: {family:?}"));
    let endings: &[&str] = match family.kind.as_str() {
        "counter" => &["_total"],
        "gauge" => &[""],
        "histogram" => &["_bucket", "_count", "_sum"],
        _ => return wrong("an unknown type"),
    };
    if !family.unit.is_empty() && !name.ends_with(&format!("_{}", family.unit)) {
        return wrong("the name does not end with the unit");
    }
    let mut seen = BTreeSet::new();
    for (sample, labels, value) in &family.samples {
        let ending = sample.strip_prefix(name).unwrap_or("another");
        if !endings.contains(&ending) {
            return wrong(&format!("the sample {sample}"));
        }
        if !seen.insert((sample, labels)) {
            return wrong("a series twice");
        }
        let is_count = ending == "_total" || ending == "_bucket" || ending == "_count";
        if is_count && (value.is_nan() || *value < 0.0) {
            return wrong("a count below zero");
        }
        if labels.contains_key("le") != (ending == "_bucket") {
            return wrong("`le` outside of a bucket, or a bucket without it");
        }
    }
    if family.kind == "histogram" { check_buckets(name, family) } else { Ok(()) }
}

fn check_buckets(name: &str, family: &Family) -> Result<(), String> {
    let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (_, labels, value) in family.samples.iter().filter(|(sample, ..)| sample.ends_with("_bucket")) {
        let mut labels = labels.clone();
        let bound = labels.remove("le").unwrap_or_default();
        let bound =
            if bound == "+Inf" { f64::INFINITY } else { bound.parse().map_err(|_| "a wrong bound")? };
        series.entry(labels).or_default().push((bound, *value));
    }
    for (labels, buckets) in series {
        let count = family
            .samples
            .iter()
            .find(|(sample, other, _)| *sample == format!("{name}_count") && *other == labels);
        let last = buckets.last().copied().unwrap_or_default();
        let ascend = buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1);
        if !ascend || last.0 != f64::INFINITY || count.map(|(.., count)| *count) != Some(last.1) {
            return Err(format!("{name}: wrong buckets {buckets:?}"));
        }
    }
    Ok(())
}
