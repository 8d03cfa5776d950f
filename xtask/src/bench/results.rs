//! Files of results: those of the last run below `target/bench`, and those of the last run with `--keep` in
//! the repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{build, system};

/// Measurements, and the machine and compiler they were made with.
#[derive(Serialize, Deserialize)]
struct Results<T> {
    machine: String,
    compiler: String,
    results: T,
}

fn kept_folder() -> PathBuf {
    build::root().join("xtask/results")
}

pub(crate) fn write(name: &str, results: &impl Serialize, keep: bool) -> Result<(), String> {
    let results = Results { machine: machine(), compiler: compiler(), results };
    let text = serde_json::to_string_pretty(&results).expect("results are plain data") + "\n";
    put(&format!("{name}.json"), keep, &text)
}

pub(crate) fn draw(name: &str, keep: bool, svg: &str) -> Result<(), String> {
    put(&format!("{name}.svg"), keep, svg)
}

/// Reads the kept results of an earlier run, if there are any.
pub(crate) fn kept<T: DeserializeOwned>(name: &str) -> Option<T> {
    let text = fs::read_to_string(kept_folder().join(format!("{name}.json"))).ok()?;
    serde_json::from_str::<Results<T>>(&text).ok().map(|kept| kept.results)
}

fn put(file: &str, keep: bool, text: &str) -> Result<(), String> {
    let put = |folder: &Path| {
        let path = folder.join(file);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
        println!("written: {}", path.display());
        Ok(())
    };
    put(&build::results())?;
    if keep { put(&kept_folder()) } else { Ok(()) }
}

fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{} cores, {}", system::cores().len(), model.map_or("unknown", |(_, model)| model))
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output
        .map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
