//! The options of the benches: which options a bench accepts, and error messages that say what is valid.

use super::{peers, processes, workload};

/// Parsed options. An empty list selects everything of its kind.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Args {
    pub(crate) quick: bool,
    pub(crate) keep: bool,
    pub(crate) help: bool,
    pub(crate) wrk: bool,
    pub(crate) rounds: Option<usize>,
    pub(crate) seconds: Option<f64>,
    pub(crate) peers: Vec<String>,
    pub(crate) workloads: Vec<String>,
    pub(crate) modes: Vec<String>,
    pub(crate) benches: Vec<String>,
}

impl Args {
    /// Parses `raw`; only options listed in `allowed` are accepted.
    pub(crate) fn parse(allowed: &[&str], raw: &[String]) -> Result<Self, String> {
        let mut args = Self::default();
        let mut raw = raw.iter();
        while let Some(argument) = raw.next() {
            let (name, attached) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            if matches!(name, "--help" | "-h") {
                args.help = true;
                continue;
            }
            if !allowed.contains(&name) {
                return Err(format!("unknown option `{argument}`; valid are {}", allowed.join(", ")));
            }
            match name {
                "--quick" | "--keep" if attached.is_some() => return Err(format!("{name} takes no value")),
                "--quick" => args.quick = true,
                "--keep" => args.keep = true,
                _ => {
                    let value = attached.or_else(|| raw.next().cloned());
                    args.set(name, &value.ok_or_else(|| format!("{name} needs a value"))?)?;
                }
            }
        }
        Ok(args)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--rounds" => self.rounds = Some(positive(name, value)?),
            "--seconds" => self.seconds = Some(positive(name, value)?),
            "--load" => self.wrk = one_of(name, value, &["own", "wrk"])? == "wrk",
            "--mode" => self.modes.push(one_of(name, value, &["split", "both"])?),
            "--peer" => self.peers.push(one_of(name, value, &peers::names())?),
            "--workload" => self.workloads.push(one_of(name, value, &workload::names())?),
            _ => self.benches.push(one_of(name, value, &processes::names())?),
        }
        Ok(())
    }

    /// Returns whether `chosen` selects `name`; an empty list selects everything.
    pub(crate) fn wants(chosen: &[String], name: &str) -> bool {
        chosen.is_empty() || chosen.iter().any(|chosen| chosen == name)
    }
}

fn positive<T: std::str::FromStr + PartialOrd + Default>(name: &str, value: &str) -> Result<T, String> {
    let number = value.parse().ok().filter(|number| *number > T::default());
    number.ok_or_else(|| format!("{name} takes a number above 0, not `{value}`"))
}

fn one_of(name: &str, value: &str, known: &[&str]) -> Result<String, String> {
    if known.contains(&value) {
        Ok(value.to_owned())
    } else {
        Err(format!("{name} takes {}, not `{value}`", known.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    const ALL: &[&str] = &[
        "--quick",
        "--keep",
        "--rounds",
        "--seconds",
        "--load",
        "--mode",
        "--peer",
        "--workload",
        "--bench",
    ];

    fn parse(line: &str) -> Result<Args, String> {
        let raw: Vec<String> = line.split_whitespace().map(String::from).collect();
        Args::parse(ALL, &raw)
    }

    #[test]
    fn repeatable_options_accumulate_and_values_may_be_attached() {
        let args =
            parse("--workload a --workload=b --peer hyper --rounds 3 --seconds=0.5 --quick").expect("right");
        assert_eq!(args.workloads, ["a", "b"]);
        assert_eq!(args.peers, ["hyper"]);
        assert_eq!((args.rounds, args.seconds, args.quick, args.keep), (Some(3), Some(0.5), true, false));
    }

    #[test]
    fn an_empty_list_selects_everything() {
        assert!(Args::wants(&[], "a"));
        assert!(Args::wants(&["a".into()], "a") && !Args::wants(&["a".into()], "b"));
    }

    #[test]
    fn an_error_says_what_is_valid() {
        for (line, expected) in [
            ("--workload z", "--workload takes a, n, b, c1"),
            ("--peer apache", "--peer takes hyper, axum"),
            ("--bench nap", "--bench takes spawn, "),
            ("--mode alone", "--mode takes split, both, not `alone`"),
            ("--rounds 0", "--rounds takes a number above 0, not `0`"),
            ("--seconds soon", "--seconds takes a number above 0"),
            ("--rounds", "--rounds needs a value"),
            ("--quick=yes", "--quick takes no value"),
            ("a", "unknown option `a`; valid are --quick, "),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }
}
