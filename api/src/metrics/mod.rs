//! One neutral snapshot of metrics, and the texts made of it.
//!
//! The monitor collects its counters into [`MetricFamily`] values; what a reader wants is made of
//! them here: Prometheus text ([`prometheus`]) or lines of Firecracker's metrics file
//! ([`firecracker`]).

pub mod firecracker;
pub mod prometheus;

use std::borrow::Cow;

/// Samples of one kind, under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricFamily {
    /// The name, by Prometheus' rules: letters, digits and `_`, with the unit, and `_total` for a
    /// counter; for instance `bulkhead_block_read_bytes_total`.
    pub name: Cow<'static, str>,
    /// One line that says what is measured.
    pub help: Cow<'static, str>,
    /// What kind of values the samples have.
    pub kind: MetricKind,
    /// The samples, told apart by their labels.
    pub samples: Vec<Sample>,
}

/// How values of a family behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// They only grow.
    Counter,
    /// They go up and down.
    Gauge,
    /// They count observations by size.
    Histogram,
}

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Names and values that tell it from others of its family, for instance `device` and
    /// `rootfs`.
    pub labels: Vec<(&'static str, Cow<'static, str>)>,
    /// What was measured.
    pub value: Value,
}

/// A measured value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A count or an amount.
    Integer(u64),
    /// Anything else, for instance seconds.
    Float(f64),
    /// Observations by size.
    Histogram(Histogram),
}

/// Observations by size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bounds in ascending order, each with the number of observations that are at most
    /// that large. The bound of infinity is left out: its number is `count`.
    pub buckets: Vec<(f64, u64)>,
    /// Sum of all observations.
    pub sum: f64,
    /// Number of all observations.
    pub count: u64,
}

impl MetricFamily {
    /// A counter without samples.
    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricKind::Counter)
    }

    /// A gauge without samples.
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricKind::Gauge)
    }

    /// A histogram without samples.
    pub fn histogram(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricKind::Histogram)
    }

    fn new(name: &'static str, help: &'static str, kind: MetricKind) -> Self {
        Self { name: name.into(), help: help.into(), kind, samples: Vec::new() }
    }

    /// The family with one more sample.
    #[must_use]
    pub fn with(
        mut self,
        labels: Vec<(&'static str, Cow<'static, str>)>,
        value: impl Into<Value>,
    ) -> Self {
        self.samples.push(Sample { labels, value: value.into() });
        self
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Histogram> for Value {
    fn from(value: Histogram) -> Self {
        Self::Histogram(value)
    }
}
