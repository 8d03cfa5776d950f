//! wrk as the load generator, for workloads in which all connections send the same request without a fixed
//! rate.

use std::fs;

use super::{
    build,
    load::{LoadShape, Outcome, Spec},
    system,
    workload::NUMBER,
};

/// Returns whether wrk supports a load: it has no rate, all its connections are active and send the same
/// request.
pub(crate) fn can(spec: &Spec) -> bool {
    let alike = spec.request.starts_with("GET") && !spec.request.contains(NUMBER);
    !matches!(spec.shape, LoadShape::Rate(_)) && alike && spec.connections <= 1_000
}

/// Runs wrk with one thread.
pub(crate) fn run(spec: &Spec, core: Option<usize>) -> Result<Outcome, String> {
    let script = build::results().join("wrk.lua");
    fs::create_dir_all(build::results())
        .and_then(|()| fs::write(&script, lua(&spec.request.repeat(spec.pipeline))))
        .map_err(|error| format!("{}: {error}", script.display()))?;
    let mut command = system::pinned(core, "wrk");
    // wrk accepts whole seconds only.
    command.args([
        "-t1",
        "--latency",
        &format!("-c{}", spec.connections),
        &format!("-d{}", spec.seconds.ceil()),
    ]);
    command.arg("-s").arg(&script).arg(format!("http://{}/", spec.address));
    let before = system::cpu_nanos(spec.pid);
    let output = command.output().map_err(|error| format!("wrk does not start: {error}"))?;
    let server_cpu_nanos = system::cpu_nanos(spec.pid) - before;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text, server_cpu_nanos).ok_or_else(|| format!("unexpected output of wrk: {text}"))
}

/// Returns a script that always sends the same request.
fn lua(request: &str) -> String {
    let text = request.replace('\r', "\\r").replace('\n', "\\n");
    format!("local text = \"{text}\"\nfunction request() return text end\n")
}

/// Parses wrk's report; returns nothing if it reports errors.
fn parse(text: &str, server_cpu_nanos: u64) -> Option<Outcome> {
    if text.contains("Socket errors") || text.contains("Non-2xx") {
        return None;
    }
    let latency = |percent: &str| {
        text.lines()
            .filter_map(|line| line.trim().strip_prefix(percent))
            .find_map(|value| micros(value.trim()))
    };
    let (requests, rest) = text.lines().find_map(|line| line.trim().split_once(" requests in "))?;
    Some(Outcome {
        requests: requests.parse().ok()?,
        seconds: micros(rest.split(',').next()?)? / 1_000_000.0,
        server_cpu_nanos,
        p50_micros: latency("50%")?,
        p99_micros: latency("99%")?,
        // wrk does not say when it began to count.
        foreign_cpu: None,
    })
}

/// Parses a time with its unit, to microseconds.
fn micros(text: &str) -> Option<f64> {
    for (unit, micros) in [("us", 1.0), ("ms", 1_000.0), ("s", 1_000_000.0), ("m", 60_000_000.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Some(number.parse::<f64>().ok()? * micros);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{lua, parse};

    const OUTPUT: &str = "Running 1s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Latency Distribution
     50%  309.00us
     75%  400.00us
     90%    1.20ms
     99%    2.50ms
  150000 requests in 1.10s, 18.60MB read
Requests/sec: 136363.00
";

    #[test]
    fn a_report_is_parsed() {
        let outcome = parse(OUTPUT, 1_000).expect("it is whole");
        assert_eq!((outcome.requests, outcome.server_cpu_nanos), (150_000, 1_000));
        assert!((outcome.seconds - 1.1).abs() < 1e-9);
        assert!((outcome.p50_micros - 309.0).abs() < 1e-9 && (outcome.p99_micros - 2_500.0).abs() < 1e-9);
    }

    #[test]
    fn a_report_of_errors_is_refused() {
        assert_eq!(parse(&format!("{OUTPUT}  Socket errors: connect 1\n"), 0), None);
        assert_eq!(parse("", 0), None);
    }

    #[test]
    fn the_request_is_one_line_of_the_script() {
        assert!(lua("GET / HTTP/1.1\r\n\r\n").starts_with("local text = \"GET / HTTP/1.1\\r\\n\\r\\n\"\n"));
    }
}
