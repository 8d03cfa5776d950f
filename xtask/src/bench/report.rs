//! Measurements as tables to read and as panels to draw.

use super::{
    chart::{Bar, Panel, Unit},
    http::{self, HttpRow, beside},
    load::Outcome,
    peers::OURS,
    processes,
    stats::Spread,
    table::Table,
};

/// A figure of an outcome.
type Figure = fn(&Outcome) -> f64;

/// Returns the measures of a workload, each with its unit: latency at a fixed rate, else the cost of a
/// request.
fn measures(workload: &str) -> &'static [(&'static str, &'static str, Figure)] {
    match workload {
        "g" => &[
            ("p50", "µs", |outcome| outcome.p50_micros),
            ("p99", "µs", |outcome| outcome.p99_micros),
            ("CPU per request", "µs", Outcome::cpu_micros),
        ],
        _ => &[
            ("CPU per request", "µs", Outcome::cpu_micros),
            ("requests per second", "/s", Outcome::per_second),
        ],
    }
}

/// Returns riot's medians, and the ratios of riot to each peer.
pub(crate) fn http_table(report: &http::Report) -> Table {
    let mut servers: Vec<&str> = Vec::new();
    for row in report.rows.iter().filter(|row| row.server != OURS) {
        if !servers.contains(&row.server.as_str()) {
            servers.push(&row.server);
        }
    }
    let heads = ["", "mode", "measure", "riot"].into_iter().map(String::from);
    let mut table = Table::new(heads.chain(servers.iter().map(|server| format!("riot / {server}"))));
    for (ours, others) in beside(&report.rows) {
        for (name, unit, figure) in measures(&ours.workload) {
            let own = ours.figures(figure);
            let mut cells = vec![title(ours), ours.mode.clone(), (*name).into(), absolute(&own, unit)];
            cells.extend(servers.iter().map(|server| {
                let other = others.iter().find(|row| row.server == *server);
                let ratio = other.and_then(|other| Spread::of_ratios(&own, &other.figures(figure)));
                ratio.map_or("-".into(), |ratio| ratio.to_string())
            }));
            table.row(cells);
        }
    }
    table
}

/// Returns the title of a row, with the actual number of open connections where the workload is about it.
fn title(row: &HttpRow) -> String {
    match row.workload.as_str() {
        "c1" | "c10" => format!("{} {} open, 64 active", row.workload, grouped(row.connections as f64)),
        name => format!("{name} {}", row.title),
    }
}

/// Returns the median with its unit.
pub(crate) fn absolute(figures: &[f64], unit: &str) -> String {
    Spread::of(figures.iter().copied())
        .map_or("-".into(), |spread| format!("{} {unit}", readable(spread.median)))
}

fn readable(figure: f64) -> String {
    if figure >= 1_000.0 { grouped(figure) } else { format!("{figure:.2}") }
}

/// Formats a whole number with its digits in groups of three.
pub(crate) fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Returns a panel per workload, relative to riot: CPU time, or the latency at a fixed rate.
pub(crate) fn http_panels(report: &http::Report) -> Vec<Panel> {
    let rows: Vec<HttpRow> = report.rows.iter().filter(|row| row.mode == "split").cloned().collect();
    let panel = |(ours, others): (&HttpRow, Vec<&HttpRow>)| {
        let figure: Figure =
            if ours.workload == "g" { |outcome| outcome.p50_micros } else { Outcome::cpu_micros };
        let own = ours.figures(figure);
        let of = |row: &HttpRow| Spread::of_ratios(&row.figures(figure), &own);
        let all = std::iter::once(ours).chain(others);
        let bars = all.filter_map(|row| {
            Some(Bar { label: row.server.clone(), spread: of(row)?, ours: row.server == OURS })
        });
        let what = if ours.workload == "g" { " (median latency)" } else { "" };
        Panel {
            title: format!("{}{what}", title(ours).split_once(' ').map_or("", |(_, title)| title)),
            unit: Unit::Ratio,
            bars: bars.collect(),
        }
    };
    beside(&rows).map(panel).collect()
}

pub(crate) fn processes_table(rows: &[processes::ProcessRow]) -> Table {
    let mut table = Table::new(["", "workers", "riot", "tokio", "riot / tokio"]);
    for row in rows {
        let ratio = Spread::of_ratios(&row.ours, &row.tokio).map_or("-".into(), |ratio| ratio.to_string());
        table.row([
            format!("{} {}", row.bench, row.title),
            row.workers.to_string(),
            absolute(&row.ours, &row.unit),
            absolute(&row.tokio, &row.unit),
            ratio,
        ]);
    }
    table
}

/// Returns a panel per number of workers, relative to tokio.
pub(crate) fn processes_panels(rows: &[processes::ProcessRow]) -> Vec<Panel> {
    let panel = |workers: usize| {
        let bars = rows.iter().filter(|row| row.workers == workers).filter_map(|row| {
            let spread = Spread::of_ratios(&row.ours, &row.tokio)?;
            Some(Bar { label: row.title.clone(), spread, ours: true })
        });
        let title = if workers == 1 { "one worker".into() } else { format!("{workers} workers") };
        Panel { title, unit: Unit::Ratio, bars: bars.collect() }
    };
    [1, 2].map(panel).into_iter().filter(|panel| !panel.bars.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(mode: &str, server: &str, cpu: &[u64]) -> HttpRow {
        let outcome = |&cpu: &u64| Outcome {
            requests: 1_000,
            seconds: 1.0,
            server_cpu_nanos: cpu,
            p50_micros: 2.0,
            p99_micros: 3.0,
            foreign_cpu: None,
        };
        HttpRow {
            mode: mode.into(),
            workload: "a".into(),
            title: "keep-alive".into(),
            connections: 64,
            server: server.into(),
            samples: cpu.iter().map(outcome).collect(),
        }
    }

    fn report() -> http::Report {
        let rows = vec![
            row("split", OURS, &[4_000_000, 6_000_000]),
            row("split", "hyper", &[8_000_000, 8_000_000]),
            row("both", OURS, &[4_000_000]),
        ];
        http::Report { generator: String::new(), seconds: 1.0, rows }
    }

    #[test]
    fn the_table_divides_riot_by_the_peer() {
        let text = http_table(&report()).to_string();
        assert!(text.contains("0.62 [0.50–0.75]"), "{text}");
        assert!(text.contains("5.00 µs"), "{text}");
        assert_eq!(text.lines().count(), 5);
    }

    #[test]
    fn the_chart_divides_the_peer_by_riot() {
        let panels = http_panels(&report());
        let medians: Vec<f64> = panels[0].bars.iter().map(|bar| bar.spread.median).collect();
        assert_eq!(panels.len(), 1);
        assert!((medians[0] - 1.0).abs() < 1e-9 && (medians[1] - 5.0 / 3.0).abs() < 1e-9, "{medians:?}");
    }

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!([1.0, 999.4, 1_000.0, 1_234_567.0].map(grouped), ["1", "999", "1 000", "1 234 567"]);
    }
}
