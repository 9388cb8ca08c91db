//! The text format of Prometheus (version 0.0.4), as far as it is needed.
//!
//! ```text
//! # HELP name What it is.
//! # TYPE name counter
//! name{label="value"} 7
//! ```

use std::fmt::{Display, Write};

use super::histogram::Histogram;

/// What a page's numbers come in.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page under construction. Each family is begun once and its samples follow.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

/// A name, and its samples to come.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Page {
    /// Something that only grows; its name ends in `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.family(name, help, "counter")
    }

    /// Something that goes up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "gauge")
    }

    /// A histogram, of which the buckets from `2^first` to `2^last` are shown; in what is counted there are
    /// `scale` to a unit.
    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        help: &str,
        values: &Histogram,
        (first, last): (u32, u32),
        scale: f64,
    ) {
        let text = self.family(name, help, "histogram").text;
        for power in first..=last {
            let bound = 2_f64.powi(power.cast_signed()) / scale;
            put(text, format_args!("{name}_bucket{{le=\"{bound}\"}} {}\n", values.up_to(power as usize)));
        }
        let count = values.count();
        put(text, format_args!("{name}_bucket{{le=\"+Inf\"}} {count}\n"));
        put(text, format_args!("{name}_sum {}\n{name}_count {count}\n", values.sum() as f64 / scale));
    }

    /// The whole page.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn family(&mut self, name: &'static str, help: &str, kind: &str) -> Family<'_> {
        debug_assert!(!help.contains(['\n', '\\']), "{help}");
        put(&mut self.text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.text, name }
    }
}

impl Family<'_> {
    /// The only sample.
    pub(super) fn is(self, value: impl Display) {
        put(self.text, format_args!("{} {value}\n", self.name));
    }

    /// A sample of several, which this label tells apart.
    pub(super) fn of(&mut self, label: &str, value: impl Display, count: impl Display) -> &mut Self {
        let name = self.name;
        put(self.text, format_args!("{name}{{{label}=\"{}\"}} {count}\n", escape(&value.to_string())));
        self
    }
}

/// What stands between quotes.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _written = text.write_fmt(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_the_format_says() {
        let mut page = Page::default();
        page.counter("a_total", "What it is.").is(7);
        page.gauge("b", "Two.").of("x", "1\"\\\n", 1).of("x", 2, 0.5);
        let mut values = Histogram::new();
        [1_000_000, 2_000_000, 9_000_000].into_iter().for_each(|value| values.record(value));
        page.histogram("c_seconds", "Time.", &values, (20, 22), 1e6);
        let expected = "# HELP a_total What it is.\n# TYPE a_total counter\na_total 7\n\
            # HELP b Two.\n# TYPE b gauge\nb{x=\"1\\\"\\\\\\n\"} 1\nb{x=\"2\"} 0.5\n\
            # HELP c_seconds Time.\n# TYPE c_seconds histogram\nc_seconds_bucket{le=\"1.048576\"} 1\n\
            c_seconds_bucket{le=\"2.097152\"} 2\nc_seconds_bucket{le=\"4.194304\"} 2\n\
            c_seconds_bucket{le=\"+Inf\"} 3\nc_seconds_sum 12\nc_seconds_count 3\n";
        assert_eq!(page.finish(), expected);
    }
}
