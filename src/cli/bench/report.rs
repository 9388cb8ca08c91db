//! What a run found, for people and for programs.

use std::io::{self, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tickwire::client::{Sample, Url};

use super::tally::{Missing, Tally};
use super::workload::{Scenario, Workload};
use crate::cli::output;

/// The figures of a run.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) url: &'a Url,
    /// The server's clock as lateness was measured by it, if it was.
    pub(super) clock: Option<Sample>,
    pub(super) scenario: Scenario,
    /// Milliseconds that messages waited for others.
    pub(super) gather: Option<u64>,
    pub(super) workload: &'a Workload,
    pub(super) tally: &'a Tally,
    pub(super) missing: Missing,
    /// How long was measured.
    pub(super) measured: Duration,
    /// Nanoseconds of the server's CPU meanwhile.
    pub(super) server_cpu: Option<u64>,
    pub(super) server_rss_kib: Option<u64>,
    /// Before anybody connected.
    pub(super) server_rss_before_kib: Option<u64>,
    /// The longest that a message left late, in nanoseconds.
    pub(super) slowest_send: u64,
}

impl Report<'_> {
    /// One JSON object on one line.
    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let (counts, window) = (&self.tally.counts, &self.tally.window);
        let object = json!({
            "workload": self.name(),
            "url": self.url.to_string(),
            "gather_ms": self.gather,
            "connections": self.workload.peers.len(),
            "measured_s": self.measured.as_secs_f64(),
            "offered_per_s": self.workload.offered_per_sec(),
            "delivered_per_s": self.delivered_per_sec(),
            "lost": self.missing.lost,
            "duplicated": counts.duplicated,
            "reordered": counts.reordered,
            "corrupt": counts.corrupt,
            "conflated": self.missing.conflated,
            "unsent": counts.unsent,
            "refused": counts.refused,
            "closed": counts.closed,
            "bytes_per_delivery": self.per_delivery(Some(window.bytes)),
            "p50_ms": millis(&window.latency, 0.5),
            "p99_ms": millis(&window.latency, 0.99),
            "p999_ms": millis(&window.latency, 0.999),
            "max_ms": millis(&window.latency, 1.0),
            "lateness_p50_ms": millis(&window.lateness, 0.5),
            "lateness_p90_ms": millis(&window.lateness, 0.9),
            "lateness_p99_ms": millis(&window.lateness, 0.99),
            "lateness_max_ms": millis(&window.lateness, 1.0),
            "clock_round_trip_us": self.clock.map(|sample| sample.round_trip.as_micros() as u64),
            "clock_offset_us": self.clock.map(|sample| sample.offset),
            "slowest_send_ms": self.slowest_send as f64 / 1e6,
            "server_cpu_ns_per_delivery": self.per_delivery(self.server_cpu),
            "server_cpu_percent": self.cpu_percent(),
            "server_rss_kib": self.server_rss_kib,
            "server_rss_kib_per_connection": self.rss_per_connection(),
        });
        writeln!(out, "{}", rounded(object))
    }

    /// A few lines.
    pub(super) fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let (counts, window) = (&self.tally.counts, &self.tally.window);
        writeln!(out, "{}: {} connections to {}", self.name(), self.workload.peers.len(), self.url)?;
        if let Some(gather) = self.gather {
            writeln!(out, "  gathered    messages of a connection wait {gather} ms for others")?;
        }
        if !self.workload.senders.is_empty() {
            let (offered, delivered) = (self.workload.offered_per_sec(), self.delivered_per_sec());
            writeln!(out, "  offered     {offered:.0} deliveries a second")?;
            writeln!(out, "  delivered   {delivered:.0} a second, measured for {:.1} s", self.measured.as_secs_f64())?;
            let Missing { lost, conflated } = self.missing;
            let (duplicated, reordered, corrupt) = (counts.duplicated, counts.reordered, counts.corrupt);
            write!(
                out,
                "  checked     lost {lost}, duplicated {duplicated}, reordered {reordered}, corrupt {corrupt}"
            )?;
            writeln!(out, "{}", if conflated > 0 { format!(", conflated {conflated}") } else { String::new() })?;
            latencies(out, "latency", &window.latency, &[("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)])?;
            // How long after its tick began a batch was here, by the server's clock.
            let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];
            latencies(out, "lateness", &window.lateness, &quantiles)?;
            if let Some(bytes) = self.per_delivery(Some(window.bytes)) {
                writeln!(out, "  bytes       {bytes:.1} a delivery, {} of them payload", self.workload.payload)?;
            }
        }
        if let Some(Sample { round_trip, offset }) = self.clock {
            let micros = round_trip.as_micros();
            writeln!(out, "  clock       offset {offset} us, measured over a round trip of {micros} us")?;
        }
        self.write_server(out)?;
        if counts.unsent > 0 {
            writeln!(out, "  unsent      {}: the server did not read", counts.unsent)?;
        }
        if let Some(reason) = counts.refused_because {
            writeln!(out, "  refused     {}, first with {}", counts.refused, output::reason(reason, ""))?;
        }
        if let Some(why) = &counts.closed_because {
            writeln!(
                out,
                "  closed      {} connections, first with: {}",
                counts.closed,
                output::escaped(why.as_bytes())
            )?;
        }
        Ok(())
    }

    fn write_server(&self, out: &mut impl Write) -> io::Result<()> {
        let (Some(percent), Some(rss)) = (self.cpu_percent(), self.server_rss_kib) else { return Ok(()) };
        let each = self.per_delivery(self.server_cpu).map(|nanos| format!(", {nanos:.0} ns a delivery"));
        write!(out, "  server      {percent:.1} % of a CPU{}, {rss} KiB resident", each.unwrap_or_default())?;
        match self.rss_per_connection() {
            Some(kib) => writeln!(out, ", {kib:.1} KiB more a connection"),
            None => writeln!(out),
        }
    }

    fn name(&self) -> String {
        use clap::ValueEnum;
        self.scenario.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn delivered_per_sec(&self) -> f64 {
        self.tally.window.delivered as f64 / self.measured.as_secs_f64()
    }

    fn per_delivery(&self, total: Option<u64>) -> Option<f64> {
        let delivered = self.tally.window.delivered;
        total.filter(|_| delivered > 0).map(|total| total as f64 / delivered as f64)
    }

    fn cpu_percent(&self) -> Option<f64> {
        self.server_cpu.map(|nanos| nanos as f64 / self.measured.as_nanos() as f64 * 100.0)
    }

    fn rss_per_connection(&self) -> Option<f64> {
        let more = self.server_rss_kib? as f64 - self.server_rss_before_kib? as f64;
        Some(more / self.workload.peers.len() as f64)
    }
}

fn latencies(
    out: &mut impl Write,
    name: &str,
    histogram: &Histogram<u64>,
    quantiles: &[(&str, f64)],
) -> io::Result<()> {
    if histogram.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = quantiles
        .iter()
        .filter_map(|(label, quantile)| Some(format!("{label} {:.1} ms", millis(histogram, *quantile)?)))
        .collect();
    writeln!(out, "  {name:<11} {}", shown.join(", "))
}

/// A quantile in milliseconds, if there is anything.
fn millis(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile) as f64 / 1000.0)
}

/// Fractions with three digits: the rest is noise.
fn rounded(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        for value in fields.values_mut() {
            if let Some(number) = value.as_f64().filter(|_| value.is_f64()) {
                *value = json!((number * 1000.0).round() / 1000.0);
            }
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::tally::Messages;
    use crate::cli::bench::workload::Changes;

    #[test]
    fn lateness_and_the_clock_are_reported() {
        let changes = Changes { members: Some(2), payload: Some(16), ..Changes::default() };
        let workload = Workload::new(Scenario::Arena, changes);
        let mut tally = Tally::new(&workload, Vec::new(), Messages::Events);
        tally.start_measuring();
        for micros in 1..=100 {
            tally.count_lateness(micros * 1000);
        }
        let url: Url = "ws://host/ws".parse().unwrap();
        let report = Report {
            url: &url,
            clock: Some(Sample { round_trip: Duration::from_micros(120), offset: -7 }),
            scenario: Scenario::Arena,
            gather: Some(5),
            workload: &workload,
            tally: &tally,
            missing: tally.missing(),
            measured: Duration::from_secs(1),
            server_cpu: None,
            server_rss_kib: None,
            server_rss_before_kib: None,
            slowest_send: 0,
        };
        let mut text = Vec::new();
        report.write_text(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("gathered    messages of a connection wait 5 ms for others\n"), "{text}");
        assert!(text.contains("lateness    p50 50.0 ms, p90 90.0 ms, p99 99.0 ms, max 100.0 ms\n"), "{text}");
        assert!(text.contains("clock       offset -7 us, measured over a round trip of 120 us\n"), "{text}");
        let mut line = Vec::new();
        report.write_json(&mut line).unwrap();
        let object: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(object["gather_ms"], json!(5));
        assert_eq!((&object["clock_round_trip_us"], &object["clock_offset_us"]), (&json!(120), &json!(-7)));
        let quantiles =
            ["p50", "p90", "p99", "max"].map(|name| object[format!("lateness_{name}_ms")].as_f64().unwrap());
        for (found, expected) in quantiles.into_iter().zip([50.0, 90.0, 99.0, 100.0]) {
            // Three digits are kept.
            assert!((found - expected).abs() < 0.1, "{quantiles:?}");
        }
    }
}
