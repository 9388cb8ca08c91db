//! Medians over the rounds, and how each server stands to its floor.

use super::record::Record;

/// All records of a run, to be asked.
#[derive(Debug)]
pub(crate) struct Summary<'a> {
    records: &'a [Record],
}

impl<'a> Summary<'a> {
    pub(crate) const fn new(records: &'a [Record]) -> Self {
        Self { records }
    }

    /// Servers in the order of their first record.
    pub(crate) fn servers(&self) -> Vec<&'a str> {
        distinct(self.records.iter().map(|record| record.server.as_str()))
    }

    /// Workloads likewise.
    pub(crate) fn works(&self) -> Vec<&'a str> {
        distinct(self.records.iter().map(|record| record.work.as_str()))
    }

    /// The records of one server in one workload, without those that failed.
    pub(crate) fn of(&self, server: &str, work: &str) -> impl Iterator<Item = &'a Record> {
        let wanted = move |record: &&Record| record.server == server && record.work == work && record.error.is_none();
        self.records.iter().filter(wanted)
    }

    /// The median of a figure.
    pub(crate) fn median(&self, server: &str, work: &str, figure: &str) -> Option<f64> {
        median(self.of(server, work).filter_map(|record| record.number(figure)).collect())
    }

    /// The median of what the figure is to that of the floor in the same round.
    pub(crate) fn ratio(&self, server: &str, work: &str, figure: &str) -> Option<f64> {
        let of_floor = |record: &Record| {
            let beside = |floor: &&Record| {
                floor.server.starts_with("floor")
                    && floor.error.is_none()
                    && (&floor.work, &floor.group, floor.pair) == (&record.work, &record.group, record.pair)
            };
            self.records.iter().find(beside)?.number(figure)
        };
        let ratio = |record: &Record| Some(record.number(figure)? / of_floor(record).filter(|floor| *floor > 0.0)?);
        median(self.of(server, work).filter_map(ratio).collect())
    }

    /// Whether the server kept up in every round.
    pub(crate) fn kept_up(&self, server: &str, work: &str) -> bool {
        self.of(server, work).all(Record::kept_up)
    }
}

/// The middle one, or the mean of the middle two.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    let lower = if numbers.len().is_multiple_of(2) { *numbers.get(middle - 1)? } else { upper };
    Some(f64::midpoint(lower, upper))
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn record(server: &str, work: &str, pair: u32, cpu: f64) -> Record {
        let figures = json!({
            "cpu_ns_per_delivery": cpu, "p99_ms": 33.0, "delivered_per_s": 100, "offered_per_s": 100,
            "bytes_per_delivery": 34.5, "exact": true,
        });
        let serde_json::Value::Object(figures) = figures else { unreachable!() };
        let (server, work, group) = (server.into(), work.into(), "g".into());
        Record { server, work, group, pair, figures, error: None, at: String::new() }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut records = Vec::new();
        for (pair, floor, ours) in [(1, 100.0, 150.0), (2, 1000.0, 1400.0), (3, 10.0, 20.0)] {
            records.extend([record("floor-x", "A", pair, floor), record("ours", "A", pair, ours)]);
        }
        let mut failed = record("ours", "A", 4, 1.0);
        failed.error = Some("died".into());
        records.push(failed);
        let summary = Summary::new(&records);
        // Of the medians it would be 1.5 too, of the means 1.4.
        assert_eq!(summary.ratio("ours", "A", "cpu_ns_per_delivery"), Some(1.5));
        assert_eq!(summary.median("ours", "A", "cpu_ns_per_delivery"), Some(150.0));
        assert_eq!(summary.ratio("ours", "B", "cpu_ns_per_delivery"), None);
        assert_eq!(summary.servers(), ["floor-x", "ours"]);
    }

    #[test]
    fn keeping_up_takes_what_was_conflated_into_account() {
        let mut slow = record("x", "A", 1, 1.0);
        slow.figures.insert("delivered_per_s".into(), json!(50));
        assert!(!slow.kept_up());
        slow.figures.extend([("conflated".into(), json!(500)), ("delivered".into(), json!(500))]);
        assert!(slow.kept_up());
    }
}
