//! Prometheus' text format, version 0.0.4.

use std::fmt::{self, Display, Write as _};

use super::{Histogram, MetricFamily, MetricKind, Sample, Value};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes families as Prometheus reads them.
///
/// Characters that no name can have become `_`; a family without samples is left out.
pub fn render(families: &[MetricFamily]) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        // Writing to a string does not fail.
        let _ = render_family(&mut text, family);
    }
    text
}

fn render_family(text: &mut String, family: &MetricFamily) -> fmt::Result {
    let name = valid_name(&family.name);
    let kind = match family.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    };
    writeln!(text, "# HELP {name} {}", Escaped { text: &family.help, quotes: false })?;
    writeln!(text, "# TYPE {name} {kind}")?;
    for sample in &family.samples {
        match &sample.value {
            Value::Integer(value) => render_line(text, &name, sample, None, value)?,
            Value::Float(value) => render_line(text, &name, sample, None, &Float(*value))?,
            Value::Histogram(histogram) => render_histogram(text, &name, sample, histogram)?,
        }
    }
    Ok(())
}

fn render_histogram(
    text: &mut String,
    name: &str,
    sample: &Sample,
    histogram: &Histogram,
) -> fmt::Result {
    let bucket = format!("{name}_bucket");
    for (bound, count) in &histogram.buckets {
        render_line(text, &bucket, sample, Some(&Float(*bound)), count)?;
    }
    render_line(text, &bucket, sample, Some(&Float(f64::INFINITY)), &histogram.count)?;
    render_line(text, &format!("{name}_sum"), sample, None, &Float(histogram.sum))?;
    render_line(text, &format!("{name}_count"), sample, None, &histogram.count)
}

fn render_line(
    text: &mut String,
    name: &str,
    sample: &Sample,
    bound: Option<&Float>,
    value: &dyn Display,
) -> fmt::Result {
    text.push_str(name);
    let mut separator = '{';
    for (label, label_value) in &sample.labels {
        let value = Escaped { text: label_value, quotes: true };
        write!(text, "{separator}{}=\"{value}\"", valid_name(label))?;
        separator = ',';
    }
    if let Some(bound) = bound {
        write!(text, "{separator}le=\"{bound}\"")?;
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    writeln!(text, " {value}")
}

fn valid_name(name: &str) -> String {
    name.char_indices()
        .map(|(at, c)| match c {
            'a'..='z' | 'A'..='Z' | '_' => c,
            '0'..='9' if at > 0 => c,
            _ => '_',
        })
        .collect()
}

/// Text with `\` and line feeds escaped, and double quotes where it stands between such.
struct Escaped<'a> {
    text: &'a str,
    quotes: bool,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.text.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.quotes => f.write_str("\\\"")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A number as Go's parser reads it.
struct Float(f64);

impl Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_nan() {
            f.write_str("NaN")
        } else if self.0.is_infinite() {
            f.write_str(if self.0 > 0.0 { "+Inf" } else { "-Inf" })
        } else {
            write!(f, "{}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_has_help_type_and_labels() {
        let family = MetricFamily::counter("bulkhead_exits_total", "Exits by reason")
            .with(vec![("reason", "io_in".into()), ("vcpu", "0".into())], 7);
        assert_eq!(
            render(&[family]),
            "# HELP bulkhead_exits_total Exits by reason\n\
             # TYPE bulkhead_exits_total counter\n\
             bulkhead_exits_total{reason=\"io_in\",vcpu=\"0\"} 7\n"
        );
    }

    #[test]
    fn gauge_without_labels_has_no_braces() {
        let family = MetricFamily::gauge("g", "h").with(vec![], 0.5);
        assert!(render(&[family]).ends_with("\ng 0.5\n"));
    }

    #[test]
    fn histogram_ends_with_infinity_sum_and_count() {
        let histogram = Histogram { buckets: vec![(0.001, 2), (0.01, 3)], sum: 0.5, count: 4 };
        let family = MetricFamily::histogram("h", "x").with(vec![("q", "1".into())], histogram);
        assert_eq!(
            render(&[family]),
            "# HELP h x\n\
             # TYPE h histogram\n\
             h_bucket{q=\"1\",le=\"0.001\"} 2\n\
             h_bucket{q=\"1\",le=\"0.01\"} 3\n\
             h_bucket{q=\"1\",le=\"+Inf\"} 4\n\
             h_sum{q=\"1\"} 0.5\n\
             h_count{q=\"1\"} 4\n"
        );
    }

    #[test]
    fn label_values_are_escaped() {
        let family =
            MetricFamily::gauge("g", "a\\b\n\"c\"").with(vec![("l", "a\\b\n\"c\"".into())], 1);
        assert_eq!(
            render(&[family]),
            "# HELP g a\\\\b\\n\"c\"\n# TYPE g gauge\ng{l=\"a\\\\b\\n\\\"c\\\"\"} 1\n"
        );
    }

    #[test]
    fn name_that_is_none_is_mended() {
        let family = MetricFamily::gauge("9a-b", "h").with(vec![], 1);
        assert!(render(&[family]).ends_with("\n_a_b 1\n"));
    }

    #[test]
    fn family_without_samples_is_left_out() {
        assert_eq!(render(&[MetricFamily::gauge("g", "h")]), "");
    }
}
