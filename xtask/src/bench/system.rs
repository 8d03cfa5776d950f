//! CPU time, memory, descriptors and cores of programs, from Linux. On other systems the figures are 0.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors left for files that are not connections.
const DESCRIPTORS_KEPT: usize = 200;

/// Returns the CPU time of a program and its children, in nanoseconds.
pub(crate) fn cpu_nanos(pid: u32) -> u64 {
    let mut nanos = 0;
    for task in tasks(pid) {
        nanos += exact_nanos(&task).or_else(|| rough_nanos(&task)).unwrap_or(0);
        let children = fs::read_to_string(task.join("children")).unwrap_or_default();
        nanos +=
            children.split_whitespace().filter_map(|child| child.parse().ok()).map(cpu_nanos).sum::<u64>();
    }
    nanos
}

fn exact_nanos(task: &Path) -> Option<u64> {
    let line = fs::read_to_string(task.join("schedstat")).ok()?;
    line.split(' ').next()?.parse().ok().filter(|&nanos| nanos > 0)
}

/// Returns the time for which this machine's processors were busy or stolen by the host, in nanoseconds.
pub(crate) fn busy_nanos() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let line = text.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8).enumerate();
    let ticks =
        line.filter(|(nth, _)| !matches!(nth, 3 | 4)).filter_map(|(_, ticks)| ticks.parse::<u64>().ok());
    ticks.sum::<u64>() * tick_nanos()
}

/// Returns the number of this machine's processors, including those this program may not run on.
pub(crate) fn cores_in_all() -> usize {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("cpu")).skip(1).count().max(1)
}

fn tick_nanos() -> u64 {
    1_000_000_000 / rustix::param::clock_ticks_per_second()
}

/// Returns the CPU time in whole ticks, for kernels without `schedstat`.
fn rough_nanos(task: &Path) -> Option<u64> {
    let line = fs::read_to_string(task.join("stat")).ok()?;
    // The program's name, in brackets, may contain spaces.
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks * tick_nanos())
}

/// Returns the resident memory of a program and its children.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    let children = tasks(pid).into_iter().filter_map(|task| fs::read_to_string(task.join("children")).ok());
    let pids: Vec<u32> = children
        .flat_map(|line| line.split_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<_>>())
        .collect();
    pages * rustix::param::page_size() as u64 + pids.into_iter().map(resident_bytes).sum::<u64>()
}

fn tasks(pid: u32) -> Vec<PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks.into_iter().flatten().flatten().map(|task| task.path()).collect()
}

/// Raises the limit of descriptors to its maximum.
pub(crate) fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Returns the number of connections that this program may hold open.
pub(crate) fn max_connections() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(DESCRIPTORS_KEPT).max(1)
}

/// Returns the processors that this program may run on.
#[cfg(target_os = "linux")]
pub(crate) fn cores() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect()
}

/// Pins this program to one core.
#[cfg(target_os = "linux")]
fn pin(core: usize) -> Result<(), String> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    if core >= CpuSet::MAX_CPU {
        return Err(format!("core {core} is beyond the largest number of cores"));
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| format!("core {core}: {error}"))
}

/// Turns off huge pages for this program and its children: with pages of 2 MiB, resident memory says little
/// about the memory that is used.
#[cfg(target_os = "linux")]
pub(crate) fn small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        eprintln!("huge pages cannot be turned off, so figures of memory are rough: {error}");
    }
}

/// Without pinning, nothing that needs it is measured.
#[cfg(not(target_os = "linux"))]
pub(crate) fn cores() -> Vec<usize> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn small_pages() {}

#[cfg(not(target_os = "linux"))]
fn pin(_: usize) -> Result<(), String> {
    Err("programs can be pinned on Linux only".into())
}

/// Returns a command that runs a program, pinned to `core` if one is given.
pub(crate) fn pinned(core: Option<usize>, program: &str) -> Command {
    let Some(core) = core else { return Command::new(program) };
    let mut command = Command::new(std::env::current_exe().expect("a program has a path"));
    command.args(["pinned", &core.to_string(), program]);
    command
}

/// Pins itself, then replaces itself by a program: the task `pinned CORE PROGRAM ARGUMENTS`. Returns the
/// error.
pub(crate) fn become_pinned(arguments: &[String]) -> String {
    let [core, program, rest @ ..] = arguments else { return "pinned needs a core and a program".into() };
    let core = core.parse().map_err(|_| format!("`{core}` is not a core"));
    if let Err(error) = core.and_then(pin) {
        return error;
    }
    format!("{program}: {}", Command::new(program).args(rest).exec())
}

/// Returns whether a program is on the path.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_program_has_memory_and_takes_time() {
        let this = std::process::id();
        let before = cpu_nanos(this);
        let start = std::time::Instant::now();
        while cpu_nanos(this) == before {
            assert!(start.elapsed().as_secs() < 10, "no time was counted");
        }
        assert!(busy_nanos() > before && resident_bytes(this) > 100_000);
        assert!(!cores().is_empty() && cores_in_all() >= cores().len());
    }

    #[test]
    fn both_sources_of_cpu_time_agree() {
        for task in tasks(std::process::id()) {
            if let (Some(exact), Some(rough)) = (exact_nanos(&task), rough_nanos(&task)) {
                assert!(exact.abs_diff(rough) < 1_000_000_000, "{exact} {rough}");
            }
        }
    }

    #[test]
    fn a_program_that_is_not_installed_is_not_found() {
        assert!(installed("sh") && !installed("no-such-program"));
    }
}
