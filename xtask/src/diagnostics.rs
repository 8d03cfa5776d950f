//! Wrong programs, and what the compiler says of them: `cargo xtask diagnostics`.
//!
//! `tests/diagnostics` of a crate holds programs that newcomers write, one a file. The comment at the head of
//! a file says what the compiler has to answer:
//!
//! ```text
//! // errors: 1                        the number of errors; none for a program that is right
//! // first: call .service(..)         a part of the first error's message
//! // says: it is started here         a part of the whole text: labels, notes and help count as well
//! // checked by: cargo build          for an error that only code generation finds
//! ```
//!
//! All programs are binaries of two generated packages in the target folder, one for `cargo check` and one
//! for `cargo build`, so that cargo runs once for each, and shares what it has built for other tasks.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    gate::is_release_of,
    tidy::source::{self, File},
    workspace::{cargo, minimum_rust, root, rustc_version, target},
};

/// The crates whose misuse is tried, each with the line of its dependency in the generated package.
const CRATES: &[(&str, &str)] = &[
    ("actor", ""),
    ("supervisor", ""),
    ("socket", ""),
    ("flow", ", features = [\"driver\"]"),
    ("http", ", features = [\"axum\"]"),
];

/// The dependencies of the programs that need code generation.
const BUILT_CRATES: &[(&str, &str)] = &[("actor", "")];

/// A file of `tests/diagnostics`, with what its head expects.
#[derive(Debug, Default, PartialEq)]
struct CheckedProgram {
    /// The crate and the stem of the file, such as `http/no_service`.
    name: String,
    path: PathBuf,
    errors: usize,
    /// Parts of the message of the first error.
    first: Vec<String>,
    /// Parts of the text that the compiler prints.
    says: Vec<String>,
    is_built: bool,
}

/// The errors of one program, in the compiler's order.
#[derive(Debug, Default)]
struct Answer {
    /// Messages without their spans.
    messages: Vec<String>,
    /// All that the compiler prints of these errors.
    text: String,
    compiles: bool,
}

impl CheckedProgram {
    fn parse(name: String, path: PathBuf, text: &str) -> Result<Self, String> {
        let mut program = Self { name, path, errors: usize::MAX, ..Self::default() };
        for line in text.lines().map_while(|line| line.strip_prefix("// ")) {
            let (key, value) = line.split_once(": ").unwrap_or((line, ""));
            match key {
                "errors" => program.errors = value.parse().map_err(|_| format!("`{line}` is no number"))?,
                "first" => program.first.push(value.to_owned()),
                "says" => program.says.push(value.to_owned()),
                "checked by" if value == "cargo build" => program.is_built = true,
                _ => return Err(format!("`{line}` is not part of the head of a program")),
            }
        }
        if program.errors == usize::MAX {
            return Err("the first line does not say `// errors: NUMBER`".into());
        }
        if (program.errors == 0) != program.first.is_empty() {
            return Err("a wrong program, and no other, expects words in its first error".into());
        }
        Ok(program)
    }

    /// Returns the name of the program as a binary.
    fn binary(&self) -> String {
        self.name.replace('/', "_")
    }

    /// Returns what differs from the expectation.
    fn faults(&self, answer: &Answer) -> Vec<String> {
        let mut faults = Vec::new();
        if answer.messages.len() != self.errors {
            faults.push(format!("{} errors, not {}", answer.messages.len(), self.errors));
        }
        if answer.compiles != (self.errors == 0) {
            faults.push(format!("compiles: {}", answer.compiles));
        }
        let first = answer.messages.first().map_or("", String::as_str);
        faults.extend(
            self.first
                .iter()
                .filter(|part| !first.contains(*part))
                .map(|part| format!("the first error does not contain `{part}`")),
        );
        let text = one_line(&answer.text);
        faults.extend(
            self.says
                .iter()
                .filter(|part| !text.contains(*part))
                .map(|part| format!("the text does not contain `{part}`")),
        );
        faults
    }
}

/// Joins the lines of a rendered error without the bars and margins in front of each.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_start_matches([' ', '|', '=']).trim_end());
    lines.collect::<Vec<_>>().join(" ")
}

/// Reads the programs of all crates.
fn programs() -> Result<Vec<CheckedProgram>, String> {
    let mut programs = Vec::new();
    for (folder, _) in CRATES {
        for File { path, text } in source::files(&format!("{folder}/tests/diagnostics")) {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let program = CheckedProgram::parse(format!("{folder}/{stem}"), root().join(&path), &text);
            programs.push(program.map_err(|error| format!("{}: {error}", path.display()))?);
        }
    }
    Ok(programs)
}

/// Runs the compiler over all `programs`, and returns the answer to each by the name of its binary.
fn answers(programs: &[CheckedProgram]) -> Result<BTreeMap<String, Answer>, String> {
    let (built, checked): (Vec<&CheckedProgram>, Vec<&CheckedProgram>) =
        programs.iter().partition(|program| program.is_built);
    let mut answers = compile("check", CRATES, &checked)?;
    answers.append(&mut compile("build", BUILT_CRATES, &built)?);
    Ok(answers)
}

fn compile(
    verb: &str,
    crates: &[(&str, &str)],
    programs: &[&CheckedProgram],
) -> Result<BTreeMap<String, Answer>, String> {
    let folder = target().join("diagnostics").join(verb);
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    write("Cargo.toml", &manifest(verb, crates, programs)?)?;
    // The versions of the workspace, so that nothing is downloaded or built twice.
    write("Cargo.lock", &read(&root().join("Cargo.lock"))?)?;
    let mut command = cargo();
    command.args([verb, "--bins", "--keep-going", "--offline", "--quiet", "--message-format=json"]);
    command.arg("--manifest-path").arg(folder.join("Cargo.toml")).env("CARGO_TARGET_DIR", target());
    let output = command.output().map_err(|error| format!("cargo {verb}: {error}"))?;
    let mut answers = parse_answers(&String::from_utf8_lossy(&output.stdout));
    for program in programs {
        // A program without any message was not compiled: something before it has failed.
        if !answers.contains_key(&program.binary()) {
            let cause = String::from_utf8_lossy(&output.stderr);
            return Err(format!("cargo {verb} has not compiled {}:\n{cause}", program.name));
        }
    }
    answers.retain(|name, _| programs.iter().any(|program| program.binary() == *name));
    Ok(answers)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn manifest(verb: &str, crates: &[(&str, &str)], programs: &[&CheckedProgram]) -> Result<String, String> {
    let mut text = format!(
        "[package]\nname = \"diagnostics-{verb}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n\n[dependencies]\n"
    );
    for (folder, features) in crates {
        let path = root().join(folder);
        let _ = writeln!(text, "riot-{folder} = {{ path = {path:?}{features} }}");
    }
    if verb == "check" {
        let workspace = read(&root().join("Cargo.toml"))?;
        let axum = workspace.lines().find(|line| line.starts_with("axum = "));
        let _ = writeln!(text, "{}", axum.ok_or("the workspace has no axum")?);
    }
    for program in programs {
        let (name, path) = (program.binary(), &program.path);
        let _ = writeln!(text, "\n[[bin]]\nname = {name:?}\npath = {path:?}");
    }
    Ok(text)
}

/// Reads the lines of JSON that cargo prints.
fn parse_answers(json: &str) -> BTreeMap<String, Answer> {
    let mut answers: BTreeMap<String, Answer> = BTreeMap::new();
    for line in json.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let Some(name) = line["target"]["name"].as_str() else { continue };
        let answer = answers.entry(name.to_owned()).or_default();
        let message = &line["message"];
        let text = message["message"].as_str().unwrap_or_default();
        match line["reason"].as_str() {
            Some("compiler-artifact") => answer.compiles = true,
            Some("compiler-message")
                if message["level"] == "error" && !text.starts_with("aborting due to") =>
            {
                answer.messages.push(text.to_owned());
                answer.text += message["rendered"].as_str().unwrap_or_default();
            }
            _ => {}
        }
    }
    answers
}

/// Returns the reason why the texts cannot be judged: they are those of one release of the compiler.
fn other_toolchain() -> Option<String> {
    let (minimum, running) = (minimum_rust(), rustc_version());
    (!is_release_of(&running, &minimum))
        .then(|| format!("the texts are those of Rust {minimum}, and {running} is running"))
}

/// Runs `cargo xtask diagnostics [--all] [NAME…]`: prints the first line of each program's errors, or, for
/// the named ones, all that the compiler says; then what is not as expected.
pub(crate) fn main(arguments: &[String]) -> Result<(), String> {
    if let Some(reason) = other_toolchain() {
        return Err(reason);
    }
    let programs = programs()?;
    let answers = answers(&programs)?;
    let mut is_wrong = false;
    for program in &programs {
        let answer = &answers[&program.binary()];
        if arguments.is_empty() {
            println!("{}: {}", program.name, answer.messages.first().map_or("compiles", String::as_str));
        } else if arguments.iter().any(|name| name == "--all" || *name == program.name) {
            println!("── {}\n{}", program.name, answer.text);
        }
        for fault in program.faults(answer) {
            is_wrong = true;
            println!("   FAULT: {}: {fault}", program.name);
        }
    }
    if is_wrong { Err("a program is not answered as its head says".into()) } else { Ok(()) }
}

#[cfg(test)]
mod checks {
    use std::{io::Write as _, sync::OnceLock};

    use super::*;

    /// The programs, and the answers to them.
    type Judged = (Vec<CheckedProgram>, BTreeMap<String, Answer>);

    /// Traits that users implement, each with words of the message that names one that is missing.
    const MESSAGES: &[(&str, &str)] = &[
        ("GenServer", "is not a generic server"),
        ("StateMachine", "is not a state machine"),
        ("Call", "does not answer calls of type"),
        ("Cast", "does not take casts of type"),
        ("Outcome", "is not an outcome of a process"),
        ("IntoReason", "cannot be the error of a process"),
        ("IntoChild", "a start function cannot return"),
        ("NameKey", "cannot be a name"),
        ("AsName", "no name is looked up by"),
        ("Protocol", "is no protocol"),
        ("Handshake", "is no handshake"),
        ("Bind", "cannot be bound"),
        ("Flow", "is not a flow"),
        ("Handler", "is not a handler"),
        ("HandlerOutput", "a handler does not return"),
        ("Service", "is not a service"),
        ("IntoResponse", "is not a response"),
        ("TowerService", "is not a tower service"),
    ];

    /// Programs with one mistake and several errors, and why.
    const SEVERAL_ERRORS: &[(&str, &str)] = &[
        ("actor/call_of_a_server_of_several_calls", "the type of the reply is named by the future as well"),
        ("actor/call_of_another_server", "the type of the reply is named by the future as well"),
        ("actor/receive_of_a_constant", "the macro names the type twice"),
        ("actor/receive_of_a_name_without_a_type", "the body uses the name, which is bound to nothing"),
        ("http/service_of_no_type", "both `service` and `handler` need it"),
    ];

    /// Compiles all programs, once for all tests. `None` with another toolchain, which is told on the
    /// standard error itself: the harness would hide it.
    fn judged() -> Option<&'static Judged> {
        static JUDGED: OnceLock<Option<Judged>> = OnceLock::new();
        let compile = || {
            if let Some(reason) = other_toolchain() {
                let _ = writeln!(std::io::stderr(), "SKIPPED: the tests of diagnostics: {reason}");
                return None;
            }
            let programs = programs().expect("every program has a head");
            let answers = answers(&programs).expect("cargo runs");
            Some((programs, answers))
        };
        JUDGED.get_or_init(compile).as_ref()
    }

    #[test]
    fn dg06_wrong_programs_are_answered_as_their_heads_say() {
        let Some((programs, answers)) = judged() else { return };
        let faults = programs.iter().flat_map(|program| {
            let faults = program.faults(&answers[&program.binary()]);
            faults.into_iter().map(|fault| format!("{}: {fault}", program.name))
        });
        let faults: Vec<String> = faults.collect();
        assert!(faults.is_empty(), "see `cargo xtask diagnostics NAME`:\n{}", faults.join("\n"));
        for (folder, _) in CRATES {
            let of_crate =
                || programs.iter().filter(|program| program.name.starts_with(&format!("{folder}/")));
            assert!(of_crate().any(|program| program.errors == 0), "{folder} has no program that is right");
            assert!(of_crate().any(|program| program.errors > 0), "{folder} has no program that is wrong");
        }
    }

    #[test]
    fn dg01_traits_that_users_implement_say_what_is_missing_and_what_to_write() {
        let Some((programs, answers)) = judged() else { return };
        for (name, words) in MESSAGES {
            let of_trait = |program: &&CheckedProgram| program.first.iter().any(|part| part.contains(words));
            let program = programs.iter().find(of_trait);
            let program = program.unwrap_or_else(|| panic!("no program lacks the trait {name}"));
            assert!(!program.says.is_empty(), "{}: nothing is expected of label and notes", program.name);
            let text = &answers[&program.binary()].text;
            assert!(text.contains("= note: "), "{}: no note shows the right form:\n{text}", program.name);
        }
    }

    #[test]
    fn dg02_one_mistake_is_one_error() {
        let Some((programs, answers)) = judged() else { return };
        for program in programs {
            let errors = answers[&program.binary()].messages.len();
            let is_exception = SEVERAL_ERRORS.iter().any(|(name, _)| *name == program.name);
            assert_eq!(errors > 1, is_exception, "{} has {errors} errors", program.name);
        }
        for (name, reason) in SEVERAL_ERRORS {
            assert!(programs.iter().any(|program| program.name == *name), "{name} does not exist: {reason}");
        }
    }

    #[test]
    fn dg03_a_call_that_nothing_answers_does_not_build() {
        let Some((_, answers)) = judged() else { return };
        let answer = &answers["actor_call_without_methods"];
        assert!(!answer.compiles && answer.messages[0].contains("`call` or `handle_call`"), "{answer:?}");
        assert!(answers["actor_call_with_one_method"].compiles);
    }

    #[test]
    fn dg04_a_misspelt_arm_of_receive_is_a_type_that_is_not_found() {
        let Some((_, answers)) = judged() else { return };
        for program in ["actor_receive_of_a_misspelt_name", "actor_receive_of_a_misspelt_name_with_a_guard"] {
            assert_eq!(answers[program].messages, ["cannot find type `Tikc` in this scope"], "{program}");
        }
    }

    #[test]
    fn the_head_of_a_program_is_its_expectation() {
        let parse = |text: &str| CheckedProgram::parse("actor/x".into(), PathBuf::from("x.rs"), text);
        let program =
            parse("// errors: 2\n// first: a `b`: c\n// says: d\n\n// not of the head\nfn main() {}\n");
        let program = program.expect("it has a head");
        assert_eq!((program.errors, program.is_built), (2, false));
        assert_eq!((program.first, program.says), (vec!["a `b`: c".into()], vec!["d".into()]));
        assert!(parse("// errors: 0\n// checked by: cargo build\n").expect("it has a head").is_built);
        for wrong in
            ["fn main() {}", "// errors: many", "// errors: 1", "// errors: 0\n// first: a", "// x: y"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_that_is_not_as_expected_has_faults() {
        let text = r#"{"reason":"compiler-message","target":{"name":"a"},"message":{"level":"error",
            "message":"mismatched types","rendered":"error: mismatched types\n  | \n  = note: one\n   two\n"}}
            {"reason":"compiler-message","target":{"name":"a"},"message":{"level":"warning","message":"w"}}
            {"reason":"compiler-message","target":{"name":"a"},"message":{"level":"error",
            "message":"aborting due to 1 previous error","rendered":"e"}}
            {"reason":"compiler-artifact","target":{"name":"b"}}"#;
        let answers = parse_answers(&text.replace("\n            \"", "\""));
        let program = |first: &str, says: &str| CheckedProgram {
            errors: usize::from(!first.is_empty()),
            first: Some(first.to_owned()).filter(|first| !first.is_empty()).into_iter().collect(),
            says: vec![says.to_owned()],
            ..CheckedProgram::default()
        };
        let faults = |name: &str, first: &str, says: &str| program(first, says).faults(&answers[name]).len();
        assert_eq!(faults("a", "mismatched", "note: one two"), 0);
        assert_eq!(faults("a", "mismatched", "three"), 1);
        assert_eq!(faults("a", "expected", "one"), 1);
        assert_eq!(faults("a", "", "one"), 2, "it does not compile");
        assert_eq!(faults("b", "", ""), 0);
        assert_eq!(faults("b", "mismatched", ""), 3, "it compiles");
    }
}
