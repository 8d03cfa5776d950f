//! The criterion benches of every crate, compared with the kept results.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use super::{build, table::Table};

/// Crates, each with its bench and a filter for `--quick`. The filter leaves out peers, which the bench
/// `processes` compares with as well, and benches with many processes. Each bench is named, since `--benches`
/// would also run unit tests.
const BENCHES: &[(&str, &str, Option<&str>)] = &[
    ("riot-actor", "processes", Some("riot")),
    ("riot-supervisor", "supervisor", Some("supervisor/")),
    ("riot-socket", "memory", None),
    ("riot-flow", "echo", None),
    ("riot-http", "machine", None),
];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CriterionRow {
    pub(crate) bench: String,
    /// Nanoseconds, with the interval of 95 % confidence.
    pub(crate) median: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

/// Runs all benches, then reads criterion's estimates.
pub(crate) fn run(quick: bool) -> Result<Vec<CriterionRow>, String> {
    let folder = build::results().join("criterion");
    // Results of an earlier run would be read as results of this one.
    let _ = fs::remove_dir_all(&folder);
    for (package, bench, _) in BENCHES {
        build::cargo(build::root(), &["bench", "--package", package, "--bench", bench, "--no-run"])?;
    }
    for (package, bench, short) in BENCHES {
        let mut arguments = vec!["bench", "--package", package, "--bench", bench, "--", "--noplot"];
        if quick {
            arguments.push("--quick");
            arguments.extend(short);
        }
        build::cargo_with(build::root(), &arguments, &[("CRITERION_HOME", &folder)])?;
    }
    let mut rows = Vec::new();
    collect(&folder, &folder, &mut rows);
    rows.sort_by(|a, b| a.bench.cmp(&b.bench));
    Ok(rows)
}

/// Collects every `new/estimates.json` below `folder`; the path between is the name of the bench.
fn collect(root: &Path, folder: &Path, rows: &mut Vec<CriterionRow>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.ends_with("new") {
            let text = fs::read_to_string(path.join("estimates.json")).unwrap_or_default();
            let bench = folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().into_owned();
            rows.extend(estimates(bench, &text));
        } else if path.is_dir() {
            collect(root, &path, rows);
        }
    }
}

fn estimates(bench: String, text: &str) -> Option<CriterionRow> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let median = json.get("median")?;
    let interval = median.get("confidence_interval")?;
    Some(CriterionRow {
        bench,
        median: median.get("point_estimate")?.as_f64()?,
        lower: interval.get("lower_bound")?.as_f64()?,
        upper: interval.get("upper_bound")?.as_f64()?,
    })
}

pub(crate) fn table(rows: &[CriterionRow], kept: &[CriterionRow]) -> Table {
    let mut table = Table::new(["", "ns", "", "now / kept"]);
    for row in rows {
        let before = kept.iter().find(|kept| kept.bench == row.bench);
        table.row([
            row.bench.clone(),
            format!("{:.1}", row.median),
            format!("[{:.1}–{:.1}]", row.lower, row.upper),
            before.map_or("-".into(), |kept| format!("{:.2}", row.median / kept.median)),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_of_criterion_are_parsed() {
        let text = r#"{
            "mean": {},
            "median": {
                "point_estimate": 10.0,
                "confidence_interval": {"confidence_level": 0.95, "lower_bound": 9.5, "upper_bound": 11}
            }
        }"#;
        let row = CriterionRow { bench: "ring/riot/1".into(), median: 10.0, lower: 9.5, upper: 11.0 };
        assert_eq!(estimates("ring/riot/1".into(), text), Some(row.clone()));
        assert_eq!(estimates("ring/riot/1".into(), "{}"), None);
        let kept = CriterionRow { median: 20.0, ..row.clone() };
        assert!(table(&[row], &[kept]).to_string().contains("0.50"));
    }
}
