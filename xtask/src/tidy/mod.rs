//! The tidy rules: what the workspace's sources and papers look like.
//!
//! `language` and `names` find what breaks a rule of prose or of names; `cargo xtask tidy` lists it.
//! `layers`, `layout`, `rooms` and `papers` hold their rules as tests.

#[cfg(test)]
mod imports;
pub(crate) mod language;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod layout;
mod names;
#[cfg(test)]
mod papers;
#[cfg(test)]
mod rooms;
pub(crate) mod source;

use std::{path::PathBuf, process::ExitCode};

use crate::workspace::members;
use names::TypeName;
use source::File;

/// A place in a file that breaks a rule.
#[derive(Debug)]
struct Finding {
    line: usize,
    what: String,
}

/// All findings of a kind in one crate.
struct CheckReport {
    crate_folder: String,
    check: &'static str,
    findings: Vec<(PathBuf, Finding)>,
    /// The number of findings that break no rule.
    tolerated: usize,
}

/// Types of two crates that share a name on purpose.
const SHARED_PUBLIC_NAMES: &[&str] = &[
    // A connection server, and the HTTP server: programs seldom import both.
    "Server",
];

/// Types that stand in two files of a crate on purpose.
const REPEATED_NAMES: &[&str] = &[];

/// Words for people that are tolerated in 10 000 words of a crate's doc comments.
const PEOPLE_PER_10_000_WORDS: usize = 3;

/// Names of the checks of a crate.
const CHECKS: [&str; 4] = ["beginnings", "people", "columns", "names"];

impl CheckReport {
    fn passes(&self) -> bool {
        self.findings.len() <= self.tolerated
    }

    fn heading(&self) -> String {
        let verdict = if self.passes() { "" } else { ": TOO MANY" };
        format!(
            "{} {}: {} of at most {}{verdict}",
            self.crate_folder,
            self.check,
            self.findings.len(),
            self.tolerated
        )
    }
}

/// Runs `cargo xtask tidy [CRATE…]`: lists every finding, then the counts.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let members = members();
    if let Some(unknown) = arguments.iter().find(|argument| !members.contains(argument)) {
        eprintln!("error: no crate `{unknown}`; there are {}", members.join(", "));
        return ExitCode::from(2);
    }
    let mut reports = reports();
    reports.retain(|report| arguments.is_empty() || arguments.contains(&report.crate_folder));
    for report in &reports {
        for (file, finding) in &report.findings {
            println!("{}:{}: {}: {}", file.display(), finding.line, report.check, finding.what);
        }
    }
    println!();
    for report in &reports {
        println!("{}", report.heading());
    }
    if reports.iter().all(CheckReport::passes) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs every check of every crate, and the check across crates.
fn reports() -> Vec<CheckReport> {
    let crates: Vec<(String, Vec<File>)> = members()
        .into_iter()
        .map(|member| {
            let mut files = source::files(&member);
            // A crate may stand in the folder of another one.
            let inner = members().into_iter().filter(|other| other.starts_with(&format!("{member}/")));
            inner.for_each(|inner| files.retain(|file| !file.path.starts_with(&inner)));
            (member, files)
        })
        .collect();
    let mut reports: Vec<CheckReport> =
        crates.iter().flat_map(|(folder, files)| CHECKS.map(|check| report(folder, files, check))).collect();
    reports.push(shared_public_names(&crates));
    reports
}

fn report(folder: &str, files: &[File], check: &'static str) -> CheckReport {
    let mut tolerated = 0;
    let findings = match check {
        "beginnings" => in_files(files, language::beginnings),
        "columns" => in_files(files, language::long_lines),
        "people" => {
            let words: usize = files.iter().map(|file| language::people(&file.text).1).sum();
            tolerated = words * PEOPLE_PER_10_000_WORDS / 10_000;
            in_files(files, |text| language::people(text).0)
        }
        _ => repeated_names(files),
    };
    CheckReport { crate_folder: folder.to_owned(), check, findings, tolerated }
}

fn in_files(files: &[File], check: impl Fn(&str) -> Vec<Finding>) -> Vec<(PathBuf, Finding)> {
    let found =
        files.iter().flat_map(|file| check(&file.text).into_iter().map(|found| (file.path.clone(), found)));
    found.collect()
}

/// Finds type names in two files of `src`. Tests, benches and examples are programs with names of their own.
fn repeated_names(files: &[File]) -> Vec<(PathBuf, Finding)> {
    let types = files.iter().filter(|file| is_source(file)).flat_map(|file| {
        let place = file.path.to_str().expect("paths are UTF-8");
        names::type_names(&file.text).into_iter().map(move |name| (place, file.path.as_path(), name))
    });
    let found = names::repeated(types, REPEATED_NAMES).into_iter();
    found.map(|(file, finding)| (file.to_owned(), finding)).collect()
}

fn shared_public_names(crates: &[(String, Vec<File>)]) -> CheckReport {
    let published = crates.iter().filter(|(folder, _)| !matches!(folder.as_str(), "examples" | "xtask"));
    let types = published.flat_map(|(folder, files)| {
        files.iter().filter(|file| is_source(file)).flat_map(move |file| {
            let public =
                names::type_names(&file.text).into_iter().filter(|TypeName { is_public, .. }| *is_public);
            public.map(move |name| (folder.as_str(), file.path.as_path(), name))
        })
    });
    let found = names::repeated(types, SHARED_PUBLIC_NAMES).into_iter();
    let findings = found.map(|(file, finding)| (file.to_owned(), finding)).collect();
    CheckReport { crate_folder: "workspace".into(), check: "public names", findings, tolerated: 0 }
}

/// Returns whether a file is below `CRATE/src`.
fn is_source(file: &File) -> bool {
    members().iter().any(|member| file.path.starts_with(format!("{member}/src")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_crate_breaks_a_tidy_rule() {
        for report in reports() {
            let list: Vec<_> = report
                .findings
                .iter()
                .map(|(file, found)| format!("{}:{}: {}", file.display(), found.line, found.what))
                .collect();
            assert!(report.passes(), "{}\n{}", report.heading(), list.join("\n"));
        }
    }

    #[test]
    fn a_report_with_findings_says_so() {
        let finding = || (PathBuf::from("a.rs"), Finding { line: 1, what: "wrong".into() });
        let report = |count: usize, tolerated| CheckReport {
            crate_folder: "no such crate".into(),
            check: "columns",
            findings: (0..count).map(|_| finding()).collect(),
            tolerated,
        };
        assert!(report(0, 0).passes() && report(2, 2).passes());
        assert!(!report(1, 0).passes());
        assert_eq!(report(1, 0).heading(), "no such crate columns: 1 of at most 0: TOO MANY");
    }
}
