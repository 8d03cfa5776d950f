//! The figures that the system keeps of the program: the standard set of Prometheus' client libraries, on
//! Linux.

use super::{MetricsWriter, families::own};

/// The use of the system's means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) threads: u64,
    /// Seconds since 1970.
    pub(crate) start_seconds: Option<f64>,
    pub(crate) open_fds: Option<u64>,
    pub(crate) max_fds: Option<u64>,
}

impl Usage {
    pub(super) fn families(&self, out: &mut MetricsWriter) {
        let Self { cpu_seconds, resident_bytes, threads, start_seconds, open_fds, max_fds } = *self;
        out.describe("process_cpu_seconds_total", "Processor time of the program, in user and system mode.");
        own(out.counter("process_cpu_seconds_total", &[], cpu_seconds));
        out.describe("process_resident_memory_bytes", "Memory of the program that is in RAM.");
        own(out.gauge("process_resident_memory_bytes", &[], resident_bytes));
        out.describe("process_threads", "Threads of the program.");
        own(out.gauge("process_threads", &[], threads));
        if let Some(seconds) = start_seconds {
            out.describe("process_start_time_seconds", "The start of the program, since 1970.");
            own(out.gauge("process_start_time_seconds", &[], seconds));
        }
        if let Some(open) = open_fds {
            out.describe("process_open_fds", "Open descriptors of the program.");
            own(out.gauge("process_open_fds", &[], open));
        }
        if let Some(max) = max_fds {
            out.describe("process_max_fds", "The soft limit of descriptors.");
            own(out.gauge("process_max_fds", &[], max));
        }
    }
}

impl Usage {
    /// Reads `/proc`, which must not be done on a worker; none where it is missing.
    #[cfg(target_os = "linux")]
    pub(crate) fn read() -> Option<Self> {
        use std::fs;

        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let (ticks, page) = (rustix::param::clock_ticks_per_second(), rustix::param::page_size() as u64);
        let mut usage = parse(&stat, &boot, &limits, ticks, page)?;
        // The descriptor of the folder itself is not the program's.
        usage.open_fds =
            fs::read_dir("/proc/self/fd").ok().map(|entries| (entries.count() as u64).saturating_sub(1));
        Some(usage)
    }

    /// Reads nothing: the system has no `/proc` of this form.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn read() -> Option<Self> {
        None
    }
}

/// Reads the texts of `/proc/self/stat`, `/proc/stat` and `/proc/self/limits` (proc(5)).
#[cfg_attr(not(any(test, target_os = "linux")), expect(dead_code, reason = "only Linux has these files"))]
fn parse(stat: &str, boot: &str, limits: &str, ticks: u64, page: u64) -> Option<Usage> {
    // The name of the program, which may hold anything, ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // The first one is field 3 of proc(5).
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let seconds = |clock_ticks: u64| clock_ticks as f64 / ticks as f64;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
    let soft_limit =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    Some(Usage {
        cpu_seconds: seconds(field(14)? + field(15)?),
        resident_bytes: field(24)? * page,
        threads: field(20)?,
        start_seconds: boot.and_then(|boot| Some(boot as f64 + seconds(field(22)?))),
        open_fds: None,
        max_fds: soft_limit.and_then(|limit| limit.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob07_the_files_of_proc_are_read_by_their_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 1000 200000000 2500 0";
        let boot = "cpu 1 2 3\nbtime 1700000000\n";
        let limits = "Limit   Soft Limit  Hard Limit  Units\nMax open files   1024   524288   files\n";
        let usage = parse(stat, boot, limits, 100, 4096).expect("a line as of proc(5)");
        assert_eq!((usage.cpu_seconds, usage.threads), (3.0, 9));
        assert_eq!((usage.resident_bytes, usage.max_fds), (2500 * 4096, Some(1024)));
        assert_eq!(usage.start_seconds, Some(1_700_000_010.0));
        assert_eq!(parse("", boot, limits, 100, 4096), None);
        assert_eq!(
            parse(stat, "", "Max open files unlimited", 100, 4096).and_then(|usage| usage.max_fds),
            None
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn ob07_this_program_has_memory_threads_and_descriptors() {
        let usage = Usage::read().expect("there is /proc");
        assert!(usage.resident_bytes > 100_000 && usage.threads >= 1, "{usage:?}");
        assert!(usage.open_fds.is_some_and(|open| open >= 3) && usage.max_fds >= usage.open_fds, "{usage:?}");
        assert!(usage.start_seconds.is_some_and(|seconds| seconds > 1.6e9), "{usage:?}");
    }
}
