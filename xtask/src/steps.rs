//! Named steps that run one after the other, and the summary at the end.

use std::{
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

/// One check of a list of checks.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn() -> StepOutcome,
}

/// The result of a step.
#[derive(Debug, PartialEq)]
pub(crate) enum StepOutcome {
    Passed,
    /// The step checked nothing; holds the reason.
    Skipped(String),
    /// Holds a description of the failure.
    Failed(String),
}

impl From<Result<(), String>> for StepOutcome {
    fn from(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(error) => Self::Failed(error),
        }
    }
}

/// Runs `command` with this program's output.
pub(crate) fn run(mut command: Command) -> Result<(), String> {
    let line = describe(&command);
    println!("── {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}")),
        Err(error) => Err(format!("`{line}` does not start: {error}")),
    }
}

/// Returns the program and its arguments as a command line.
fn describe(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs the steps that `names` chooses, all if it is empty, up to the first that fails.
pub(crate) fn run_all(title: &str, steps: &[Step], names: &[String]) -> ExitCode {
    if let Some(unknown) = names.iter().find(|name| steps.iter().all(|step| step.name != *name)) {
        let known: Vec<_> = steps.iter().map(|step| step.name).collect();
        eprintln!("error: no step `{unknown}`; there are {}", known.join(", "));
        return ExitCode::from(2);
    }
    let mut summary = Summary::default();
    for step in steps.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)) {
        println!("── {}: {}", step.name, step.about);
        let start = Instant::now();
        let outcome = (step.run)();
        match &outcome {
            StepOutcome::Passed => {}
            StepOutcome::Skipped(reason) => println!("── {} is SKIPPED: {reason}", step.name),
            StepOutcome::Failed(error) => eprintln!("── {} FAILED: {error}", step.name),
        }
        let failed = matches!(outcome, StepOutcome::Failed(_));
        summary.add(step.name, start.elapsed(), outcome);
        if failed {
            break;
        }
    }
    print!("{}", summary.text(title));
    if summary.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The steps that ran, with their results.
#[derive(Default)]
struct Summary(Vec<(&'static str, Duration, StepOutcome)>);

impl Summary {
    fn add(&mut self, name: &'static str, time: Duration, outcome: StepOutcome) {
        self.0.push((name, time, outcome));
    }

    fn has_failed(&self) -> bool {
        self.0.iter().any(|(.., outcome)| matches!(outcome, StepOutcome::Failed(_)))
    }

    /// Returns a line per step, with the reason of a skipped one, then the totals.
    fn text(&self, title: &str) -> String {
        let mut text = format!("── {title}\n");
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for (name, time, outcome) in &self.0 {
            let (count, word, why) = match outcome {
                StepOutcome::Passed => (&mut passed, "passed", String::new()),
                StepOutcome::Skipped(reason) => (&mut skipped, "SKIPPED", format!("  {reason}")),
                StepOutcome::Failed(error) => (&mut failed, "FAILED", format!("  {error}")),
            };
            *count += 1;
            text += &format!("   {word:8}{:5.0} s  {name}{why}\n", time.as_secs_f64());
        }
        text + &format!("{title}: {passed} passed, {failed} failed, {skipped} skipped\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &'static str, run: fn() -> StepOutcome) -> Step {
        Step { name, about: "a test", run }
    }

    #[test]
    fn the_summary_repeats_why_a_step_was_skipped() {
        let mut summary = Summary::default();
        summary.add("one", Duration::from_secs(3), StepOutcome::Passed);
        summary.add("two", Duration::ZERO, StepOutcome::Skipped("no toolchain".into()));
        let text = summary.text("gate");
        assert!(text.contains("SKIPPED     0 s  two  no toolchain\n"), "{text}");
        assert!(text.ends_with("gate: 1 passed, 0 failed, 1 skipped\n"), "{text}");
        assert!(!summary.has_failed());
    }

    #[test]
    fn a_step_that_fails_is_the_last() {
        let steps = [
            step("first", || StepOutcome::Failed("broken".into())),
            step("second", || unreachable!("an earlier step has failed")),
        ];
        assert_eq!(run_all("test", &steps, &[]), ExitCode::FAILURE);
    }

    #[test]
    fn only_chosen_steps_run_and_unknown_names_are_refused() {
        let steps = [
            step("first", || unreachable!("the step is not chosen")),
            step("second", || StepOutcome::Passed),
        ];
        assert_eq!(run_all("test", &steps, &["second".into()]), ExitCode::SUCCESS);
        assert_eq!(run_all("test", &steps, &["third".into()]), ExitCode::from(2));
    }

    #[test]
    fn a_command_that_fails_is_an_error() {
        assert!(run(Command::new("true")).is_ok());
        assert!(run(Command::new("false")).expect_err("it fails").starts_with("`false` ended with"));
        let error = run(Command::new("no-such-program")).expect_err("it does not exist");
        assert!(error.contains("does not start"), "{error}");
    }
}
