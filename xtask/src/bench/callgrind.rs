//! Counts with callgrind while a server answers: instructions, calls of the allocator, cache misses.
//!
//! Other programs do not disturb these figures, because valgrind simulates the processor and its caches.

use std::{collections::HashMap, fs, process::Command};

use super::{
    build, check,
    load::{Client, Until},
    peers::{Launcher, Program},
    server::Server,
    workload::Workload,
};

/// Requests answered before counting starts.
const WARM_UP: u64 = 1_000;

/// Simulated caches, of the sizes of one present core: 32 KiB for instructions, 32 KiB for data, 1 MiB for
/// both.
const CACHES: &[&str] = &["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64"];

/// Counts per request.
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    /// Instructions that lock the memory bus: each takes a lock or a count of references, or releases a lock
    /// whose release is no plain store.
    pub(crate) atomics: f64,
    /// Calls of the allocator that allocate or reallocate.
    pub(crate) allocations: f64,
    /// Cache lines that a read or write found in none of the [`CACHES`]; 0 without caches.
    pub(crate) cold_lines: f64,
}

/// Counts while the server answers `requests`. With `caches` it takes three times as long.
pub(crate) fn count(
    program: &Program,
    workload: &Workload,
    requests: u64,
    caches: bool,
) -> Result<Counts, String> {
    let out = build::results().join(format!("callgrind-{}-{}.out", program.name, workload.name));
    fs::create_dir_all(build::results()).map_err(|error| error.to_string())?;
    let _ = fs::remove_file(&out);
    let option = format!("--callgrind-out-file={}", out.display());
    let mut words = vec!["valgrind", "--tool=callgrind", "--instr-atstart=no", "--combine-dumps=yes"];
    words.extend(["--collect-bus=yes", &option]);
    words.extend(CACHES.iter().filter(|_| caches));
    let server = Server::start(program, 1, Launcher::Program(&words))?;
    let mut client = Client::connect(&check::spec(&server, workload, 0.0)?)?;
    client.run(Until::Requests(WARM_UP.max(2 * workload.connections as u64)))?;
    control("on", server.pid())?;
    let counted = client.run(Until::Requests(requests))?;
    control("off", server.pid())?;
    drop(client);
    // Callgrind writes its file when the server exits.
    drop(server);
    let text = fs::read_to_string(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let each = |total: u64| total as f64 / counted.requests as f64;
    let instructions = total(&text, "Ir").ok_or("callgrind wrote no total")?;
    let cold = ["DLmr", "DLmw"].into_iter().filter_map(|event| total(&text, event)).sum();
    Ok(Counts {
        instructions: each(instructions),
        atomics: each(total(&text, "Ge").unwrap_or(0)),
        allocations: each(allocations(&text)),
        cold_lines: each(cold),
    })
}

/// Counts the instructions of one operation of a program that runs `n` of them and ends: the difference
/// between two runs, one of them twice as long, by the number of operations that it has more.
pub(crate) fn count_operation(
    program: &str,
    bench: &str,
    n: usize,
    k: usize,
    per_n: usize,
) -> Result<f64, String> {
    let instructions = |n: usize| {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", program, bench])
            .args([n, 1, k].map(|number| number.to_string()))
            .output()
            .map_err(|error| format!("valgrind: {error}"))?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        collected(&text).ok_or(format!("callgrind printed {text}"))
    };
    let (once, twice) = (instructions(n)?, instructions(2 * n)?);
    Ok(twice.saturating_sub(once) as f64 / (n * per_n) as f64)
}

/// The total in callgrind's last lines.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

fn control(switch: &str, pid: u32) -> Result<(), String> {
    let output = Command::new("callgrind_control").args(["-i", switch, &pid.to_string()]).output();
    let output = output.map_err(|error| format!("callgrind_control: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("callgrind_control: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// Returns the total of an event. Callgrind writes one `totals:` line per dump; `events:` names the columns.
fn total(text: &str, event: &str) -> Option<u64> {
    let mut column = None;
    let mut sum = None;
    for line in text.lines() {
        if let Some(events) = line.strip_prefix("events:") {
            column = events.split_whitespace().position(|name| name == event);
        } else if let (Some(totals), Some(column)) = (line.strip_prefix("totals:"), column) {
            let count = totals.split_whitespace().nth(column)?.parse::<u64>().ok()?;
            sum = Some(sum.unwrap_or(0) + count);
        }
    }
    sum
}

/// Returns the number of allocations, without calls that an allocator makes to itself.
///
/// Callgrind writes a function's name in full once, after a number in brackets, and later only the number.
fn allocations(text: &str) -> u64 {
    let mut names = HashMap::new();
    let (mut caller, mut called) = ("", "");
    let mut sum = 0;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            caller = full(&mut names, name);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            called = full(&mut names, name);
        } else if let Some(calls) = line.strip_prefix("calls=")
            && asks_for_memory(called)
            && !is_allocator(caller)
        {
            sum += calls.split(' ').next().and_then(|calls| calls.parse().ok()).unwrap_or(0);
        }
    }
    sum
}

fn full<'a>(names: &mut HashMap<&'a str, &'a str>, name: &'a str) -> &'a str {
    match name.split_once(' ') {
        Some((number, name)) => {
            // Callgrind appends the depth of a recursive call after an apostrophe.
            let name = name.split('\'').next().unwrap_or(name);
            names.insert(number, name);
            name
        }
        None => names.get(name).copied().unwrap_or(name),
    }
}

/// Returns whether a function of the C library or of mimalloc allocates.
fn asks_for_memory(name: &str) -> bool {
    const C_LIBRARY: &[&str] =
        &["malloc", "calloc", "realloc", "memalign", "posix_memalign", "aligned_alloc"];
    C_LIBRARY.contains(&name) || (name.starts_with("mi_") && name.contains("alloc"))
}

fn is_allocator(name: &str) -> bool {
    asks_for_memory(name) || ["mi_", "_mi_", "_int_", "_mid_memalign"].iter().any(|own| name.starts_with(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_run_is_found() {
        let text = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n";
        assert_eq!((collected(text), collected("nothing")), (Some(123_456), None));
    }

    #[test]
    fn totals_of_all_dumps_are_added() {
        let text = "version: 1\nevents: Ir Dr DLmr\nsummary: 5 1 1\nfn=x\n1 5\ntotals: 5 3 1\n\
                    part: 2\nevents: Ir Dr DLmr\ntotals: 7 4 2\n";
        assert_eq!([total(text, "Ir"), total(text, "DLmr"), total(text, "DLmw")], [Some(12), Some(3), None]);
        assert_eq!(total("nothing", "Ir"), None);
    }

    #[test]
    fn calls_within_an_allocator_are_not_allocations() {
        let text = "fn=(1) main\n5 10\ncfi=(1) a.c\ncfn=(2) mi_malloc_aligned\ncalls=3 0\n5 90\n\
                    cfn=(3) mi_free\ncalls=9 0\n5 90\n\
                    fn=(2)\n1 2\ncfn=(4) mi_theap_malloc_aligned\ncalls=3 0\n1 60\n\
                    fn=(5) grow'2\ncfn=(6) realloc\ncalls=2 0\n1 1\n\
                    fn=(6)\ncfn=(7) _int_realloc\ncalls=2 0\n1 1\n\
                    fn=(7)\ncfn=(8) malloc\ncalls=2 0\n1 1\n";
        assert_eq!(allocations(text), 5);
    }
}
