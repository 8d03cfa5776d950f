//! The two text formats: OpenMetrics 1.0, and that of Prometheus, version 0.0.4.

use std::fmt::Write as _;

use super::writer::{Family, Kind, MetricValue, MetricsWriter, Sample};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Prometheus,
}

/// Units that the name of a metric may end with (OpenMetrics, "Metric naming").
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

impl Format {
    /// Returns the format that the fields `Accept` prefer: OpenMetrics where they name it and like no plain
    /// text better, else that of Prometheus.
    pub(super) fn preferred<'a>(accept: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut open, mut plain) = (0.0, 0.0);
        for range in accept.flat_map(|value| value.split(|&byte| byte == b',')) {
            let Ok(range) = std::str::from_utf8(range) else { continue };
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default();
            let quality = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| *name == "q");
            let quality: f32 = quality.map_or(1.0, |(_, value)| value.parse().unwrap_or(0.0));
            let best = match () {
                () if media_type.eq_ignore_ascii_case("application/openmetrics-text") => &mut open,
                () if media_type.eq_ignore_ascii_case("text/plain") => &mut plain,
                () => continue,
            };
            *best = quality.max(*best);
        }
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl MetricsWriter {
    /// Returns everything as text.
    pub(super) fn render(&self, format: Format) -> String {
        let mut text = String::with_capacity(16 * 1024);
        for family in self.families() {
            family.render(format, &mut text);
        }
        if format == Format::OpenMetrics {
            text += "# EOF\n";
        }
        text
    }
}

impl Family {
    fn render(&self, format: Format, text: &mut String) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let stem = self.name.strip_suffix("_total").unwrap_or(&self.name);
        let name = if format == Format::OpenMetrics { stem } else { &self.name };
        let _ = write!(text, "# HELP {name} ");
        let quotes = format == Format::OpenMetrics;
        escape(&self.help, quotes, text);
        let _ = writeln!(text, "\n# TYPE {name} {kind}");
        let unit = stem.rsplit_once('_').map(|(_, unit)| unit).filter(|unit| UNITS.contains(unit));
        if let Some(unit) = unit.filter(|_| format == Format::OpenMetrics) {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        for (labels, sample) in &self.series {
            match sample {
                Sample::Number(value) => {
                    line(text, &self.name, "", labels, None);
                    number(text, *value);
                }
                Sample::Histogram { counts, sum } => self.render_buckets(text, labels, counts, *sum),
            }
        }
    }

    fn render_buckets(&self, text: &mut String, labels: &[(String, String)], counts: &[u64], sum: f64) {
        let mut total = 0_u64;
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        for (bound, count) in bounds.zip(counts) {
            total = total.saturating_add(*count);
            line(text, &self.name, "_bucket", labels, Some(bound));
            let _ = writeln!(text, "{total}");
        }
        line(text, &self.name, "_sum", labels, None);
        number(text, MetricValue::Float(sum));
        line(text, &self.name, "_count", labels, None);
        let _ = writeln!(text, "{total}");
    }
}

/// Writes the beginning of a line: name and labels.
fn line(text: &mut String, name: &str, suffix: &str, labels: &[(String, String)], le: Option<f64>) {
    text.push_str(name);
    text.push_str(suffix);
    let mut before = '{';
    for (name, value) in labels {
        text.push(before);
        before = ',';
        text.push_str(name);
        text.push_str("=\"");
        escape(value, true, text);
        text.push('"');
    }
    if let Some(bound) = le {
        text.push(before);
        before = ',';
        text.push_str("le=\"");
        float(text, bound);
        text.push('"');
    }
    if before == ',' {
        text.push('}');
    }
    text.push(' ');
}

/// Writes a text in which `\`, line feeds and, where they end it, quotes are escaped.
fn escape(value: &str, quotes: bool, text: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
            letter => text.push(letter),
        }
    }
}

/// Writes a value and ends the line.
fn number(text: &mut String, value: MetricValue) {
    match value {
        MetricValue::Integer(value) => {
            let _ = write!(text, "{value}");
        }
        MetricValue::Float(value) => float(text, value),
    }
    text.push('\n');
}

fn float(text: &mut String, value: f64) {
    let _ = match value {
        f64::INFINITY => write!(text, "+Inf"),
        f64::NEG_INFINITY => write!(text, "-Inf"),
        // OpenMetrics has bounds and values with a point ("Considerations: canonical numbers").
        value if value.fract() == 0.0 && value.abs() < 1e15 => write!(text, "{value:.1}"),
        value => write!(text, "{value}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob07_the_format_is_the_one_that_the_client_prefers() {
        let preferred = |accept: &str| Format::preferred([accept.as_bytes()].into_iter());
        for accept in [
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "text/plain;q=0.1, APPLICATION/OpenMetrics-Text;q=0.2",
        ] {
            assert_eq!(preferred(accept), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/plain",
            "text/plain, application/openmetrics-text;q=0.5",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=x",
            "application/openmetrics-texts",
        ] {
            assert_eq!(preferred(accept), Format::Prometheus, "{accept}");
        }
    }
}
