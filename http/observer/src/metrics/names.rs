//! Names of metrics and labels, and what is wrong with them.

use super::writer::Kind;

/// Bounds the bytes of a name of a metric or a label; 256.
const MAX_NAME_BYTES: usize = 256;

/// Bounds the labels of a series; 16.
const MAX_LABELS: usize = 16;

/// Beginnings of names that are this crate's.
const OWN_PREFIXES: [&str; 5] =
    ["riot_", "process_", "http_server_", "http_handler_errors", "http_requests_cut"];

/// Endings that readers of the formats give a meaning of their own.
const SUFFIXES: [&str; 6] = ["_total", "_created", "_bucket", "_count", "_sum", "_info"];

/// Why a value was refused. Nothing of it shows in the metrics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// A name of a metric is letters, digits, `_` and `:`, without a digit at the beginning.
    #[error("{0:?} is no name of a metric")]
    Name(String),
    /// The name begins as those of this crate do: with `riot_`, `process_`, `http_server_`,
    /// `http_handler_errors` or `http_requests_cut`.
    #[error("the name {0:?} is taken by the observer")]
    Taken(String),
    /// The name of a counter has to end with `_total`.
    #[error("the name of the counter {0:?} does not end with `_total`")]
    NotTotal(String),
    /// The name ends with a word that is kept for another kind of metric, such as `_total` for counters.
    #[error("the ending of the name {0:?} is kept for another kind of metric")]
    Suffix(String),
    /// The name was used for a metric of another kind.
    #[error("the metric {0:?} has another kind")]
    Kind(String),
    /// A name of a label is letters, digits and `_`, without a digit at the beginning, and begins with no two
    /// `_`. `le` and `quantile` are kept for histograms and summaries.
    #[error("{0:?} is no name of a label")]
    Label(String),
    /// The label was given twice.
    #[error("the label {0:?} was given twice")]
    Repeated(String),
    /// A series has more than 16 labels.
    #[error("the series of {0:?} has more than 16 labels")]
    TooManyLabels(String),
    /// A counter is less than zero or no number.
    #[error("the counter {0:?} is less than zero or no number")]
    Value(String),
    /// The bounds of a histogram do not ascend, are not finite or differ from those before, or there is not
    /// one count more than there are bounds.
    #[error("the histogram {0:?} has wrong bounds or counts")]
    Buckets(String),
}

/// Checks the name of a metric.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_metric(name: &str, kind: Kind, is_own: bool) -> Result<(), MetricError> {
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"_:".contains(&letter);
    if !is_word(name, fits) {
        return Err(MetricError::Name(shown(name)));
    }
    if !is_own && OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(MetricError::Taken(name.to_owned()));
    }
    let stem = match kind {
        Kind::Counter => name.strip_suffix("_total").ok_or_else(|| MetricError::NotTotal(name.to_owned()))?,
        Kind::Gauge | Kind::Histogram => name,
    };
    if stem.is_empty() || SUFFIXES.iter().any(|suffix| stem.ends_with(suffix)) {
        return Err(MetricError::Suffix(name.to_owned()));
    }
    Ok(())
}

/// Checks the names of the labels of a metric.
///
/// # Errors
/// What is wrong with one of them.
pub(super) fn check_labels(metric: &str, labels: &[(&str, &str)]) -> Result<(), MetricError> {
    if labels.len() > MAX_LABELS {
        return Err(MetricError::TooManyLabels(metric.to_owned()));
    }
    for (nth, (name, _)) in labels.iter().enumerate() {
        let fits = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'_';
        if !is_word(name, fits) || name.starts_with("__") || ["le", "quantile"].contains(name) {
            return Err(MetricError::Label(shown(name)));
        }
        if labels[..nth].iter().any(|(before, _)| before == name) {
            return Err(MetricError::Repeated((*name).to_owned()));
        }
    }
    Ok(())
}

/// Returns whether a name is of these letters, and begins with no digit.
fn is_word(name: &str, fits: impl Fn(u8) -> bool) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(fits)
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// Returns the beginning of a name that may be anything.
fn shown(name: &str) -> String {
    name[..name.floor_char_boundary(64)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob07_names_are_refused_by_what_is_wrong_with_them() {
        let check = |name: &str, kind| check_metric(name, kind, false);
        assert_eq!(check("orders_total", Kind::Counter), Ok(()));
        assert_eq!(check("orders:open", Kind::Gauge), Ok(()));
        for name in ["", "1a", "a-b", "ä", "a b", "a\n", &"a".repeat(257)] {
            assert!(matches!(check(name, Kind::Gauge), Err(MetricError::Name(_))), "{name}");
        }
        for name in ["riot_x", "process_x", "http_server_x"] {
            assert_eq!(check(name, Kind::Gauge), Err(MetricError::Taken(name.into())));
            assert_eq!(check_metric(name, Kind::Gauge, true), Ok(()));
        }
        assert_eq!(check("orders", Kind::Counter), Err(MetricError::NotTotal("orders".into())));
        for name in ["a_total", "a_bucket", "a_count", "a_sum", "a_created", "a_info"] {
            assert_eq!(check(name, Kind::Gauge), Err(MetricError::Suffix(name.into())));
            assert_eq!(check(name, Kind::Histogram), Err(MetricError::Suffix(name.into())));
        }
        assert_eq!(check("_total", Kind::Counter), Err(MetricError::Suffix("_total".into())));
        assert_eq!(check("a_sum_total", Kind::Counter), Err(MetricError::Suffix("a_sum_total".into())));
    }

    #[test]
    fn ob07_names_of_labels_are_refused_by_what_is_wrong_with_them() {
        let check = |labels: &[(&str, &str)]| check_labels("m", labels);
        assert_eq!(check(&[("a", "1"), ("_b", "\n")]), Ok(()));
        for name in ["", "1", "a:b", "__a", "le", "quantile", "a\"", "é"] {
            assert!(matches!(check(&[(name, "1")]), Err(MetricError::Label(_))), "{name}");
        }
        assert_eq!(check(&[("a", "1"), ("a", "2")]), Err(MetricError::Repeated("a".into())));
        let many: Vec<String> = (0..17).map(|nth| format!("a{nth}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(check(&many), Err(MetricError::TooManyLabels("m".into())));
        assert_eq!(check(&many[1..]), Ok(()));
    }
}
