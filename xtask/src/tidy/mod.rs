//! The tidy rules: what the workspace's sources and papers look like.
//!
//! `language` and `names` find what breaks a rule of prose or of names; `cargo xtask tidy` lists it. Each
//! crate has a ceiling for each kind, which may only go down. `layout` and `papers` hold rules that are kept
//! everywhere, as tests.

mod language;
#[cfg(test)]
mod layout;
mod names;
#[cfg(test)]
mod papers;
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

/// The findings that a crate may have. Lower them with each finding that is removed. A crate without a line
/// may have none.
struct Ceiling {
    crate_folder: &'static str,
    beginnings: usize,
    people: usize,
    columns: usize,
    names: usize,
}

const CEILINGS: &[Ceiling] = &[
    Ceiling { crate_folder: "actor", beginnings: 195, people: 181, columns: 279, names: 19 },
    Ceiling { crate_folder: "flow", beginnings: 42, people: 32, columns: 67, names: 0 },
    Ceiling { crate_folder: "http", beginnings: 147, people: 35, columns: 155, names: 1 },
    Ceiling { crate_folder: "examples", beginnings: 11, people: 5, columns: 15, names: 0 },
];

/// The ceiling of public names that stand in two crates: a user imports from several of our crates in one
/// file.
const MAX_SHARED_PUBLIC_NAMES: usize = 0;

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
    fn ceiling(&self) -> usize {
        let ceiling = CEILINGS.iter().find(|ceiling| ceiling.crate_folder == self.crate_folder);
        let allowed = match self.check {
            "beginnings" => ceiling.map(|ceiling| ceiling.beginnings),
            "people" => ceiling.map(|ceiling| ceiling.people),
            "columns" => ceiling.map(|ceiling| ceiling.columns),
            "names" => ceiling.map(|ceiling| ceiling.names),
            _ => Some(MAX_SHARED_PUBLIC_NAMES),
        };
        allowed.unwrap_or(0).max(self.tolerated)
    }

    fn is_within_ceiling(&self) -> bool {
        self.findings.len() <= self.ceiling()
    }

    fn heading(&self) -> String {
        let verdict = if self.is_within_ceiling() { "" } else { ": TOO MANY" };
        format!(
            "{} {}: {} of at most {}{verdict}",
            self.crate_folder,
            self.check,
            self.findings.len(),
            self.ceiling()
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
    if reports.iter().all(CheckReport::is_within_ceiling) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs every check of every crate, and the check across crates.
fn reports() -> Vec<CheckReport> {
    let crates: Vec<(String, Vec<File>)> = members()
        .into_iter()
        .map(|member| {
            let files = source::files(&member);
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
    file.path.iter().nth(1).is_some_and(|folder| folder == "src")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_crate_has_more_findings_than_its_ceiling() {
        for report in reports() {
            let list: Vec<_> = report
                .findings
                .iter()
                .map(|(file, found)| format!("{}:{}: {}", file.display(), found.line, found.what))
                .collect();
            assert!(report.is_within_ceiling(), "{}\n{}", report.heading(), list.join("\n"));
        }
    }

    #[test]
    fn ceilings_are_of_crates_that_exist() {
        let members = members();
        for ceiling in CEILINGS {
            assert!(members.iter().any(|member| member == ceiling.crate_folder), "{}", ceiling.crate_folder);
        }
    }

    #[test]
    fn a_report_beyond_its_ceiling_says_so() {
        let finding = || (PathBuf::from("a.rs"), Finding { line: 1, what: "wrong".into() });
        let report = |count: usize, tolerated| CheckReport {
            crate_folder: "no such crate".into(),
            check: "columns",
            findings: (0..count).map(|_| finding()).collect(),
            tolerated,
        };
        assert!(report(0, 0).is_within_ceiling() && report(2, 2).is_within_ceiling());
        assert!(!report(1, 0).is_within_ceiling());
        assert_eq!(report(1, 0).heading(), "no such crate columns: 1 of at most 0: TOO MANY");
    }
}
