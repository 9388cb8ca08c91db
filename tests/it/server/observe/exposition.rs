//! The text format of Prometheus, read without mercy.
//!
//! ```text
//! # HELP name ..    # TYPE name kind    samples of that name, and nothing else until the next HELP
//! ```

use std::collections::{BTreeMap, BTreeSet};

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Kinds by name.
    pub families: BTreeMap<String, String>,
    /// Values by name and labels, as they stand there.
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    /// Reads a page; whatever is not as the format says fails the test.
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends");
        let mut metrics = Self::default();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let help = line.strip_prefix("# HELP ").unwrap_or_else(|| panic!("HELP should come here: {line}"));
            let (name, words) = help.split_once(' ').unwrap();
            assert!(is_name(name) && !words.trim().is_empty(), "{line}");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).expect("TYPE follows HELP");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{name}: {kind}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            assert!(metrics.families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} comes twice");
            let mut samples = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                samples.push(read_sample(line));
            }
            assert!(!samples.is_empty(), "{name} has no samples");
            match kind {
                "histogram" => check_histogram(name, &samples),
                _ => assert!(samples.iter().all(|sample| sample.name == name), "{name} has samples of others"),
            }
            for Sample { key, value, .. } in samples {
                assert!(kind == "gauge" || value >= 0.0, "{key} {value}");
                assert!(metrics.samples.insert(key.clone(), value).is_none(), "{key} comes twice");
            }
        }
        metrics
    }

    /// A sample, by its name and labels.
    #[track_caller]
    pub fn of(&self, key: &str) -> f64 {
        *self.samples.get(key).unwrap_or_else(|| panic!("there is no {key}"))
    }

    /// All samples of a name together.
    pub fn sum(&self, name: &str) -> f64 {
        let of_it = |key: &str| key == name || key.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
        self.samples.iter().filter(|(key, _)| of_it(key)).map(|(_, value)| value).sum()
    }

    /// Counters of this page that are lower on a later one.
    pub fn went_back(&self, later: &Self) -> Vec<String> {
        let counts = |key: &str| key.split('{').next().is_some_and(|name| name.ends_with("_total"));
        let lower = self.samples.iter().filter(|(key, value)| counts(key) && later.of(key) < **value);
        lower.map(|(key, _)| key.clone()).collect()
    }
}

struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    key: String,
    value: f64,
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn read_sample(line: &str) -> Sample {
    let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let (name, labels) = match key.split_once('{') {
        None => (key, Vec::new()),
        Some((name, rest)) => (name, read_labels(rest.strip_suffix('}').expect("labels end"))),
    };
    assert!(is_name(name), "{line}");
    Sample { name: name.to_owned(), labels, key: key.to_owned(), value }
}

fn read_labels(text: &str) -> Vec<(String, String)> {
    let (mut labels, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"").expect("a label has a value in quotes");
        assert!(is_name(name), "{text}");
        let mut value = String::new();
        let mut letters = quoted.char_indices();
        let end = loop {
            match letters.next().expect("the quotes are closed") {
                (end, '"') => break end,
                (_, '\\') => match letters.next().unwrap().1 {
                    'n' => value.push('\n'),
                    letter @ ('\\' | '"') => value.push(letter),
                    other => panic!("no escape: {other}"),
                },
                (_, letter) => value.push(letter),
            }
        };
        labels.push((name.to_owned(), value));
        rest = &quoted[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or_else(|| if rest.is_empty() { rest } else { panic!("{text}") });
    }
    let names: BTreeSet<_> = labels.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), labels.len(), "a label comes twice: {text}");
    labels
}

/// Buckets ascend and hold what is below them too; the last one is everything.
fn check_histogram(name: &str, samples: &[Sample]) {
    let (buckets, rest): (Vec<_>, Vec<_>) = samples.iter().partition(|sample| sample.name == format!("{name}_bucket"));
    let (mut bound, mut below) = (f64::NEG_INFINITY, 0.0);
    for bucket in &buckets {
        let [(label, le)] = &bucket.labels[..] else { panic!("{}", bucket.key) };
        let le: f64 = if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() };
        assert!(label == "le" && le > bound && bucket.value >= below, "{}", bucket.key);
        (bound, below) = (le, bucket.value);
    }
    assert_eq!(bound, f64::INFINITY, "{name} ends with +Inf");
    let [sum, count] = &rest[..] else { panic!("{name} has a sum and a count") };
    assert_eq!((&sum.name, &count.name), (&format!("{name}_sum"), &format!("{name}_count")));
    assert_eq!(count.value, below, "{name}_count");
}

#[test]
#[should_panic(expected = "comes twice")]
fn a_family_that_comes_twice_is_no_page() {
    Metrics::read("# HELP a A.\n# TYPE a gauge\na 1\n# HELP a A.\n# TYPE a gauge\na 1\n");
}

#[test]
#[should_panic(expected = "a_bucket")]
fn buckets_that_shrink_are_no_page() {
    Metrics::read(
        "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
    );
}

#[test]
fn labels_are_read_with_their_escapes() {
    let page = Metrics::read("# HELP a A.\n# TYPE a gauge\na{x=\"1\\\"\\\\\\n\",y=\"\"} 1\na{x=\"2\"} 2.5\n");
    assert_eq!((page.of("a{x=\"2\"}"), page.sum("a")), (2.5, 3.5));
}
