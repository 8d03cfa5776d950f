//! The contracts of the crates: their rules, the tests that prove each of them, and the comments that name
//! them.
//!
//! A rule is a paragraph of a `CONTRACT.md` that begins with an anchor and its number. The paragraph behind
//! it names its tests; [`write()`] generates it from the names of the test functions, which carry the numbers
//! of their rules.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    tidy::{
        language::MAX_COLUMNS,
        source::{self, File},
    },
    workspace::{INTEROP, root},
};

/// The crates with a contract.
const CRATES: &[&str] = &["actor", "supervisor", "socket", "flow", "http", "http/observer"];

/// The folders whose tests and comments are read.
const SOURCES: &[&str] = &["actor", "supervisor", "socket", "flow", "http", "examples", "xtask"];

/// The start of the paragraph behind a rule.
const TESTS: &str = "Tests: ";

/// A test function that carries the numbers of rules.
struct Test {
    /// The file, relative to the workspace, with `/` between its folders.
    path: String,
    name: String,
    rules: Vec<String>,
}

/// Rewrites the `Tests:` lines of all contracts.
pub(crate) fn write() -> Result<(), String> {
    let tests = tests(&sources());
    for folder in CRATES {
        let path = root().join(folder).join("CONTRACT.md");
        let text = read(&path)?;
        fs::write(&path, with_tests(&text, folder, &tests))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Returns the source files that may hold tests of rules. Those of `examples/interop` test libraries, and the
/// numbers in their names are of no rule.
fn sources() -> Vec<File> {
    let all = SOURCES.iter().flat_map(|folder| source::files(folder));
    all.filter(|file| !file.path.starts_with(INTEROP)).collect()
}

/// Returns the number of the rule that a paragraph of a contract states, such as `P7`.
fn rule_of(paragraph: &str) -> Option<&str> {
    let (number, text) = paragraph.strip_prefix("<a id=\"")?.split_once("\"></a>**")?;
    text.strip_prefix(number)?.starts_with("** ").then_some(number)
}

/// Returns `text` with the `Tests:` paragraphs that follow from `tests`.
fn with_tests(text: &str, folder: &str, tests: &[Test]) -> String {
    let mut written = Vec::new();
    for paragraph in text.trim_end().split("\n\n").filter(|paragraph| !paragraph.starts_with(TESTS)) {
        written.push(paragraph.to_owned());
        let Some(rule) = rule_of(paragraph) else { continue };
        let proofs = tests.iter().filter(|test| test.rules.iter().any(|carried| carried == rule));
        let mut labels: Vec<String> = proofs.map(|test| test.label(folder)).collect();
        // Tests of the crate itself come first; inside a file they keep their order.
        labels.sort_by_key(|label| SOURCES.iter().any(|folder| label.starts_with(&format!("`{folder}/"))));
        if !labels.is_empty() {
            written.push(wrapped(&labels));
        }
    }
    written.join("\n\n") + "\n"
}

fn wrapped(labels: &[String]) -> String {
    let mut text = TESTS.trim_end().to_owned();
    let mut column = text.len();
    for (index, label) in labels.iter().enumerate() {
        let end = if index + 1 == labels.len() { "." } else { "," };
        let width = 1 + label.len() + end.len();
        let gap = if index > 0 && column + width > MAX_COLUMNS { '\n' } else { ' ' };
        column = if gap == '\n' { width - 1 } else { column + width };
        let _ = write!(text, "{gap}{label}{end}");
    }
    text
}

impl Test {
    /// Names the test in the contract of `folder`: by the stem of its file, after the crate if that is
    /// another.
    fn label(&self, folder: &str) -> String {
        let path = self.path.trim_end_matches(".rs").trim_end_matches("/mod").replacen("/tests/", "/", 1);
        let path = path.strip_prefix(&format!("{folder}/")).unwrap_or(&path);
        format!("`{path}::{}`", self.name)
    }
}

/// Returns the test functions whose names carry numbers of rules.
fn tests(sources: &[File]) -> Vec<Test> {
    let mut tests = Vec::new();
    for File { path, text } in sources {
        let path = path.to_string_lossy().replace('\\', "/");
        let mut marked = false;
        for line in text.lines().map(str::trim_start) {
            let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if line == "#[test]" {
                marked = true;
            } else if let Some(function) = function {
                let name = function.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
                let rules: Vec<String> = name.split('_').map_while(carried).collect();
                if std::mem::take(&mut marked) && !rules.is_empty() {
                    tests.push(Test { path: path.clone(), name: name.to_owned(), rules });
                }
            }
        }
    }
    tests
}

/// Returns the rule that a part of a test's name stands for: `P7` for `p07`, `DR4` for `dr04`.
fn carried(part: &str) -> Option<String> {
    let (letters, number) = part.split_at_checked(part.find(|c: char| c.is_ascii_digit())?)?;
    let two_digits = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
    let one_or_two =
        (1..=2).contains(&letters.len()) && letters.bytes().all(|byte| byte.is_ascii_lowercase());
    (one_or_two && two_digits)
        .then(|| format!("{}{}", letters.to_uppercase(), number.trim_start_matches('0')))
}

#[cfg(test)]
mod checks {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Stands in the text of a rule that no test can prove, before the reason.
    const UNTESTED: &str = "Untested: ";

    fn contract(folder: &str) -> String {
        read(&root().join(folder).join("CONTRACT.md")).expect("every crate has a contract")
    }

    /// Every rule, with its text.
    fn rules() -> BTreeMap<String, String> {
        let mut rules = BTreeMap::new();
        for folder in CRATES {
            for paragraph in contract(folder).split("\n\n") {
                if let Some(number) = rule_of(paragraph) {
                    let before = rules.insert(number.to_owned(), paragraph.to_owned());
                    assert!(before.is_none(), "{number} is stated twice");
                } else {
                    assert!(!paragraph.contains("<a id="), "{folder}: not the form of a rule: {paragraph}");
                }
            }
        }
        rules
    }

    fn all_tests() -> Vec<Test> {
        tests(&sources())
    }

    #[test]
    fn every_rule_has_a_test() {
        let proved: BTreeSet<String> = all_tests().into_iter().flat_map(|test| test.rules).collect();
        for (number, text) in rules() {
            assert_ne!(
                proved.contains(&number),
                text.contains(UNTESTED),
                "{number} needs a test, or the reason why it has none after {UNTESTED:?}, and not both"
            );
        }
    }

    #[test]
    fn every_number_in_the_name_of_a_test_is_a_rule() {
        let rules = rules();
        for test in all_tests() {
            for number in &test.rules {
                assert!(rules.contains_key(number), "{}: {} names no rule", test.path, test.name);
            }
        }
    }

    #[test]
    fn every_number_in_a_comment_or_a_contract_is_a_rule() {
        let rules = rules();
        let letters: BTreeSet<&str> = rules.keys().map(|number| parts(number).0).collect();
        let mut texts: Vec<(String, String)> = Vec::new();
        for File { path, text } in sources() {
            let path = path.display().to_string();
            texts.extend(comments(&text).into_iter().map(|comment| (path.clone(), comment)));
        }
        for folder in CRATES {
            texts.push((format!("{folder}/CONTRACT.md"), contract(folder)));
        }
        for (path, text) in texts {
            for number in numbers(&text, &letters) {
                assert!(rules.contains_key(number), "{path}: {number} is no rule");
            }
        }
    }

    #[test]
    fn the_tests_in_the_contracts_are_those_there_are() {
        let tests = all_tests();
        for folder in CRATES {
            let text = contract(folder);
            assert!(
                text == with_tests(&text, folder, &tests),
                "{folder}/CONTRACT.md is stale: run `cargo xtask contract`"
            );
        }
    }

    #[test]
    fn every_contract_is_a_page_of_the_documentation() {
        for folder in CRATES {
            let lib = read(&root().join(folder).join("src/lib.rs")).expect("every crate has a lib.rs");
            let page = "#[doc = include_str!(\"../CONTRACT.md\")]\npub mod contract {}";
            assert!(lib.contains(page), "{folder} does not show its contract");
        }
    }

    /// Splits the number of a rule into its letters and its digits.
    fn parts(number: &str) -> (&str, &str) {
        number.split_at(number.find(|c: char| c.is_ascii_digit()).unwrap_or(number.len()))
    }

    /// Finds what looks like the number of a rule: the letters of some rules, one or two digits, nothing else
    /// around them.
    fn numbers<'a>(text: &'a str, letters: &BTreeSet<&str>) -> Vec<&'a str> {
        text.split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| {
                let (letter, digits) = parts(word);
                letters.contains(letter)
                    && (1..=2).contains(&digits.len())
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
            })
            .collect()
    }

    /// Returns the line comments of a source file. A `//` inside a literal begins none.
    fn comments(source: &str) -> Vec<String> {
        let mut comments = Vec::new();
        let mut rest = source;
        while let Some(at) = rest.find(['/', '"', '\'', 'r']) {
            let before = rest[..at].chars().next_back();
            rest = &rest[at..];
            if rest.starts_with("//") {
                let end = rest.find('\n').unwrap_or(rest.len());
                comments.push(rest[..end].to_owned());
                rest = &rest[end..];
                continue;
            }
            let raw = raw_string(rest).filter(|_| !before.is_some_and(|c| c.is_alphanumeric() && c != 'b'));
            let length = match rest.as_bytes()[0] {
                b'r' => raw.unwrap_or(1),
                b'"' => 1 + text_length(&rest[1..]),
                b'\'' => character(rest).unwrap_or(1),
                _ => 1,
            };
            rest = &rest[length..];
        }
        comments
    }

    fn text_length(text: &str) -> usize {
        let mut escaped = false;
        let end = text.find(|c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        end.map_or(text.len(), |end| end + 1)
    }

    /// Returns the length of a raw string, which ends with as many `#` as it begins with.
    fn raw_string(text: &str) -> Option<usize> {
        let hashes = text[1..].bytes().take_while(|&byte| byte == b'#').count();
        let start = 1 + hashes;
        let inside = text.get(start..)?.strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        Some(start + 1 + inside.find(&close)? + close.len())
    }

    /// Returns the length of a character literal; none for a lifetime.
    fn character(text: &str) -> Option<usize> {
        let inside = text[1..].chars().next()?;
        let start = 1 + inside.len_utf8() + usize::from(inside == '\\');
        let rest = text.get(start..)?;
        let end = rest.find('\'').filter(|&end| end == 0 || inside == '\\')?;
        Some(start + end + 1)
    }

    #[test]
    fn comments_are_told_from_literals() {
        let source = "let a = \"// P98 \\\" // P98\"; // P1\nlet b = '\"'; /* x */ /// P2 \"\n\
                      let c = r#\"// P98 \" // P98\"#; fn f<'a>(x: &'a str) {} //! P3\n\
                      let d = b'\\''; // P4, P5-P6\n";
        let letters = BTreeSet::from(["P"]);
        let found: Vec<String> = comments(source);
        let found: Vec<&str> = found.iter().flat_map(|comment| numbers(comment, &letters)).collect();
        assert_eq!(found, ["P1", "P2", "P3", "P4", "P5", "P6"]);
    }

    #[test]
    fn a_name_carries_the_rules_it_begins_with() {
        let of = |name: &str| name.split('_').map_while(carried).collect::<Vec<_>>().join(" ");
        assert_eq!(of("p07_a_condemned_process"), "P7");
        assert_eq!(of("p12_p13_kill"), "P12 P13");
        assert_eq!([of("h2_frames"), of("ipv6_only"), of("write_u32"), of("it_p07")], ["", "", "", ""]);
    }
}
