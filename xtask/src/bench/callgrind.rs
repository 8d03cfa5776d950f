//! What callgrind counts while a server answers: instructions, calls of the allocator, lines that were in no cache.
//!
//! Nothing else on the machine changes these figures: the processor and its caches are valgrind's own.

use std::{collections::HashMap, fs, process::Command};

use super::{
    build, check,
    load::{Client, Until},
    peers::{Launcher, Program},
    server::Server,
    workload::Workload,
};

/// Answered before anything is counted.
const WARM_UP: u64 = 1_000;

/// Caches as one core of today has them: 32 KiB for what it does, 32 KiB for what it looks at, and 1 MiB for both.
const CACHES: &[&str] = &["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64"];

/// What was counted, for one request.
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    /// Calls that ask the allocator for memory, or for more of it.
    pub(crate) allocations: f64,
    /// Lines of memory that were in none of the [`CACHES`] when they were read or written; 0 without caches.
    pub(crate) cold_lines: f64,
}

/// Has callgrind count while `requests` are answered; with `caches` that takes it three times as long.
pub(crate) fn count(
    program: &Program,
    workload: &Workload,
    requests: u64,
    caches: bool,
) -> Result<Counts, String> {
    let out = build::results().join("callgrind.out");
    fs::create_dir_all(build::results()).map_err(|error| error.to_string())?;
    let _ = fs::remove_file(&out);
    let option = format!("--callgrind-out-file={}", out.display());
    let mut words =
        vec!["valgrind", "--tool=callgrind", "--instr-atstart=no", "--combine-dumps=yes", &option];
    words.extend(CACHES.iter().filter(|_| caches));
    let server = Server::start(program, 1, Launcher::Program(&words))?;
    let mut client = Client::connect(&check::spec(&server, workload, 0.0)?)?;
    client.run(Until::Requests(WARM_UP.max(2 * workload.connections as u64)))?;
    control("on", server.pid())?;
    let counted = client.run(Until::Requests(requests))?;
    control("off", server.pid())?;
    drop(client);
    // It writes when it ends.
    drop(server);
    let text = fs::read_to_string(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let each = |total: u64| total as f64 / counted.requests as f64;
    let instructions = total(&text, "Ir").ok_or("callgrind wrote no total")?;
    let cold = ["DLmr", "DLmw"].into_iter().filter_map(|event| total(&text, event)).sum();
    Ok(Counts {
        instructions: each(instructions),
        allocations: each(allocations(&text)),
        cold_lines: each(cold),
    })
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

/// The sum of what callgrind has written of an event: a line for each time that it wrote, `events:` naming the columns.
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

/// The calls that ask for memory, those that an allocator makes of itself left out.
///
/// A name comes in full once, with a number in brackets, and later as that number.
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
            // Where a function is within itself, callgrind adds how often.
            let name = name.split('\'').next().unwrap_or(name);
            names.insert(number, name);
            name
        }
        None => names.get(name).copied().unwrap_or(name),
    }
}

/// What the C library and mimalloc are asked by.
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
    fn totals_are_added_by_their_column() {
        let text = "version: 1\nevents: Ir Dr DLmr\nsummary: 5 1 1\nfn=x\n1 5\ntotals: 5 3 1\npart: 2\nevents: Ir Dr DLmr\ntotals: 7 4 2\n";
        assert_eq!([total(text, "Ir"), total(text, "DLmr"), total(text, "DLmw")], [Some(12), Some(3), None]);
        assert_eq!(total("nothing", "Ir"), None);
    }

    #[test]
    fn what_an_allocator_asks_of_itself_is_no_allocation() {
        let text = "fn=(1) main\n5 10\ncfi=(1) a.c\ncfn=(2) mi_malloc_aligned\ncalls=3 0\n5 90\n\
                    cfn=(3) mi_free\ncalls=9 0\n5 90\n\
                    fn=(2)\n1 2\ncfn=(4) mi_theap_malloc_aligned\ncalls=3 0\n1 60\n\
                    fn=(5) grow'2\ncfn=(6) realloc\ncalls=2 0\n1 1\n\
                    fn=(6)\ncfn=(7) _int_realloc\ncalls=2 0\n1 1\n\
                    fn=(7)\ncfn=(8) malloc\ncalls=2 0\n1 1\n";
        assert_eq!(allocations(text), 5);
    }
}
