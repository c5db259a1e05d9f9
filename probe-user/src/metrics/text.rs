//! The Prometheus text format (version 0.0.4), written sample by sample: of a metric of the paths there may be a hundred
//! thousand, and a scrape must not cost more than what it is about.

use std::fmt::{Display, Write as _};

/// What kind of metric it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Goes up.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// Labels with their values, escaped, as they stand in a sample.
#[derive(Clone, Debug)]
pub(super) struct Labels(String);

impl Labels {
    /// Labels in their order.
    pub(super) fn new(labels: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        for (name, value) in labels {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(name);
            text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    plain => text.push(plain),
                }
            }
            text.push('"');
        }
        Self(text)
    }
}

/// A metric that is being written.
pub(super) struct Family<'t> {
    out: &'t mut String,
    name: &'static str,
    help: &'static str,
    kind: Kind,
    has_samples: bool,
}

impl<'t> Family<'t> {
    /// A metric behind what is written already; nothing if it gets no samples.
    pub(super) const fn new(
        out: &'t mut String,
        name: &'static str,
        help: &'static str,
        kind: Kind,
    ) -> Self {
        Self { out, name, help, kind, has_samples: false }
    }

    /// A sample with these labels, and with some more whose values need no escapes.
    pub(super) fn sample(&mut self, labels: &Labels, more: &[(&str, &str)], value: impl Display) {
        if !self.has_samples {
            self.begin();
        }
        self.out.push_str(self.name);
        self.out.push('{');
        self.out.push_str(&labels.0);
        for (name, value) in more {
            for part in [",", name, "=\"", value, "\""] {
                self.out.push_str(part);
            }
        }
        self.out.push_str("} ");
        // A string takes everything.
        _ = writeln!(self.out, "{value}");
    }

    fn begin(&mut self) {
        self.has_samples = true;
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let Self { name, help, .. } = self;
        _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped_and_a_metric_without_samples_is_left_out() {
        let mut out = String::new();
        Family::new(&mut out, "none", "Nothing", Kind::Gauge);
        assert_eq!(out, "");
        let mut family = Family::new(&mut out, "some_total", "Things", Kind::Counter);
        let labels = Labels::new(&[("peer", "a\"b\\c\nd"), ("region", "nyc")]);
        family.sample(&labels, &[("to", "healthy")], 7_u64);
        family.sample(&labels, &[], 0.25);
        let expected = "# HELP some_total Things\n# TYPE some_total counter\n\
                        some_total{peer=\"a\\\"b\\\\c\\nd\",region=\"nyc\",to=\"healthy\"} 7\n\
                        some_total{peer=\"a\\\"b\\\\c\\nd\",region=\"nyc\"} 0.25\n";
        assert_eq!(out, expected);
    }
}
