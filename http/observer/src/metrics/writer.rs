//! Families of metrics, collected and bounded.

use std::collections::{HashMap, HashSet};

use super::names::{MetricError, check_labels, check_metric};

/// Bounds the series of a family, those of `overflow` included.
pub(super) const MAX_SERIES: usize = 1_000;

/// Bounds the series that are kept as they were given. The others are kept for those of `overflow`.
const MAX_PLAIN_SERIES: usize = 950;

/// Bounds the families of a program, beyond those of this crate; 1 000.
const MAX_FAMILIES: usize = 1_000;

/// The value of a label whose series were added up.
pub(super) const OVERFLOW: &str = "overflow";

/// Bounds the bytes of a label's value; 1 KiB. More are cut off.
const MAX_VALUE_BYTES: usize = 1024;

/// The kind of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A value of a counter or a gauge. Every number that a program counts with converts into one.
///
/// ```
/// use riot_observer::MetricValue;
/// assert_ne!(MetricValue::from(7_u64), MetricValue::from(7.5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricValue {
    /// A count.
    Integer(i128),
    /// A measured value.
    Float(f64),
}

macro_rules! from_integers {
    ($($type:ty)*) => {$(
        impl From<$type> for MetricValue {
            fn from(value: $type) -> Self {
                Self::Integer(value as i128)
            }
        }
    )*};
}

from_integers!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

impl From<f64> for MetricValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<f32> for MetricValue {
    fn from(value: f32) -> Self {
        Self::Float(value.into())
    }
}

impl MetricValue {
    fn add(&mut self, other: Self) {
        let float = |value| match value {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        };
        *self = match (*self, other) {
            (Self::Integer(one), Self::Integer(other)) => Self::Integer(one.saturating_add(other)),
            (one, other) => Self::Float(float(one) + float(other)),
        };
    }

    /// Returns whether it can be the value of a counter.
    fn is_count(self) -> bool {
        match self {
            Self::Integer(value) => value >= 0,
            Self::Float(value) => value >= 0.0 && value.is_finite(),
        }
    }
}

/// The sample of a series.
#[derive(Clone, Debug)]
pub(super) enum Sample {
    Number(MetricValue),
    /// The counts are those of each bucket alone, one more than there are bounds.
    Histogram {
        counts: Vec<u64>,
        sum: f64,
    },
}

impl Sample {
    fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Number(value), Self::Number(other)) => value.add(other),
            (Self::Histogram { counts, sum }, Self::Histogram { counts: others, sum: other }) => {
                counts.iter_mut().zip(others).for_each(|(count, other)| *count = count.saturating_add(other));
                *sum += other;
            }
            _ => unreachable!("a family has one kind"),
        }
    }
}

type Labels = Vec<(String, String)>;

/// A family: a name, and a sample for each set of labels.
#[derive(Debug)]
pub(super) struct Family {
    /// The name as the program gave it; that of a counter ends with `_total`.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) help: String,
    pub(super) bounds: Vec<f64>,
    /// In the order in which they were given.
    pub(super) series: Vec<(Labels, Sample)>,
    places: HashMap<Labels, usize>,
    /// The label with most values when the family was full.
    widest: Option<String>,
    is_own: bool,
}

impl Family {
    /// Adds a sample to its series, or to one of `overflow` if the family is full.
    fn add(&mut self, mut labels: Labels, sample: Sample) {
        if self.places.len() >= MAX_PLAIN_SERIES && !self.places.contains_key(&labels) {
            let widest = self.widest.get_or_insert_with(|| widest(&self.series));
            let set = |labels: &mut Labels, is_chosen: &dyn Fn(&str) -> bool| {
                let chosen = labels.iter_mut().filter(|(name, _)| is_chosen(name));
                chosen.for_each(|(_, value)| OVERFLOW.clone_into(value));
            };
            set(&mut labels, &|name| name == widest);
            if self.places.len() + 1 >= MAX_SERIES && !self.places.contains_key(&labels) {
                // One series for all that is left, whatever its labels are.
                set(&mut labels, &|_| true);
                if self.places.len() >= MAX_SERIES && !self.places.contains_key(&labels) {
                    return;
                }
            }
        }
        match self.places.get(&labels) {
            // A gauge of the program that is given twice has its last value, unless it stands for many. Two
            // servers of one name are added up.
            Some(&place)
                if self.kind == Kind::Gauge
                    && !self.is_own
                    && !labels.iter().any(|(_, value)| value == OVERFLOW) =>
            {
                self.series[place].1 = sample;
            }
            Some(&place) => self.series[place].1.add(sample),
            None => {
                self.places.insert(labels.clone(), self.series.len());
                self.series.push((labels, sample));
            }
        }
    }
}

/// Returns the label that has most values.
fn widest(series: &[(Labels, Sample)]) -> String {
    let mut values: HashMap<&str, HashSet<&str>> = HashMap::new();
    for (name, value) in series.iter().flat_map(|(labels, _)| labels) {
        values.entry(name).or_default().insert(value);
    }
    let widest = values.into_iter().max_by_key(|(name, values)| (values.len(), *name));
    widest.map_or_else(String::new, |(name, _)| name.to_owned())
}

/// Collects the metrics of a scrape.
///
/// A family is made by the first value of its name. It holds at most 1 000 series; further ones are added up
/// under the value `overflow` of the label that has most values. Values of labels may be any text: control
/// characters are replaced, and more than 1 KiB are cut off.
///
/// ```
/// use riot_observer::{MetricError, Observer};
///
/// let observer = Observer::new().metrics(|out| {
///     out.describe("orders_total", "Orders taken.");
///     out.counter("orders_total", &[("shop", "7")], 12_u64)?;
///     out.gauge("queue_seconds", &[], 0.25)?;
///     // In each bucket: up to 1 KiB, up to 1 MiB, and above.
///     out.histogram("order_bytes", &[], &[1024.0, 1_048_576.0], &[3, 1, 0], 4_000.0)
/// });
/// # let _ = observer;
/// ```
#[derive(Debug, Default)]
pub struct MetricsWriter {
    families: Vec<Family>,
    places: HashMap<String, usize>,
    helps: HashMap<String, String>,
    /// The families of this crate have been written; what follows is the program's.
    is_for_program: bool,
}

impl MetricsWriter {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Ends the families of this crate. What follows is the program's.
    pub(super) fn end_of_own_families(&mut self) {
        self.is_for_program = true;
    }

    pub(super) fn families(&self) -> &[Family] {
        &self.families
    }

    /// Describes a metric in a sentence, which readers show beside it. Must be called before the first value.
    pub fn describe(&mut self, name: &str, help: &str) {
        if self.helps.len() < MAX_FAMILIES {
            self.helps.insert(clean(name), clean(help));
        }
    }

    /// Adds to a counter, which only grows while the program runs. Its name ends with `_total`.
    ///
    /// # Errors
    /// If a name or the value is refused.
    pub fn counter(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: impl Into<MetricValue>,
    ) -> Result<(), MetricError> {
        let value = value.into();
        if !value.is_count() {
            return Err(MetricError::Value(name.to_owned()));
        }
        self.add(name, Kind::Counter, &[], labels, Sample::Number(value))
    }

    /// Sets a gauge, which goes up and down. The last value counts if the same labels are given again.
    ///
    /// # Errors
    /// If a name is refused.
    pub fn gauge(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: impl Into<MetricValue>,
    ) -> Result<(), MetricError> {
        self.add(name, Kind::Gauge, &[], labels, Sample::Number(value.into()))
    }

    /// Adds to a histogram. `bounds` are the upper bounds of its buckets, which ascend; `counts` says how
    /// many values fell into each of them, and at last how many were above all; `sum` is the sum of all
    /// values.
    ///
    /// # Errors
    /// If a name, the bounds or the counts are refused.
    pub fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) -> Result<(), MetricError> {
        let ascend =
            bounds.is_sorted_by(|one, next| one < next) && bounds.iter().all(|bound| bound.is_finite());
        if !ascend || counts.len() != bounds.len() + 1 {
            return Err(MetricError::Buckets(name.to_owned()));
        }
        self.add(name, Kind::Histogram, bounds, labels, Sample::Histogram { counts: counts.to_vec(), sum })
    }

    fn add(
        &mut self,
        name: &str,
        kind: Kind,
        bounds: &[f64],
        labels: &[(&str, &str)],
        sample: Sample,
    ) -> Result<(), MetricError> {
        check_metric(name, kind, !self.is_for_program)?;
        check_labels(name, labels)?;
        // The name of a counter without its ending must not be that of another family.
        let stem = name.strip_suffix("_total").unwrap_or(name);
        let place = match self.places.get(stem) {
            Some(&place) => place,
            None if self.families.len() >= 2 * MAX_FAMILIES => {
                return Err(MetricError::Taken(name.to_owned()));
            }
            None => {
                let help = self.helps.get(name).cloned().unwrap_or_else(|| "Reported by the program.".into());
                self.families.push(Family {
                    name: name.to_owned(),
                    kind,
                    help,
                    bounds: bounds.to_vec(),
                    series: Vec::new(),
                    places: HashMap::new(),
                    widest: None,
                    is_own: !self.is_for_program,
                });
                self.places.insert(stem.to_owned(), self.families.len() - 1);
                self.families.len() - 1
            }
        };
        let family = &mut self.families[place];
        if family.is_own && self.is_for_program {
            return Err(MetricError::Taken(name.to_owned()));
        }
        if family.kind != kind {
            return Err(MetricError::Kind(name.to_owned()));
        }
        if family.bounds != bounds {
            return Err(MetricError::Buckets(name.to_owned()));
        }
        let mut labels: Labels =
            labels.iter().map(|(name, value)| ((*name).to_owned(), clean(value))).collect();
        // The order in which labels are given has no meaning.
        labels.sort_unstable();
        family.add(labels, sample);
        Ok(())
    }
}

/// Returns a text without control characters other than line feeds, and not longer than 1 KiB.
fn clean(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_VALUE_BYTES);
    let replaced = |letter: char| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter };
    let mut cut: String = text[..end].chars().map(replaced).collect();
    if end < text.len() {
        cut.push('…');
    }
    cut
}
