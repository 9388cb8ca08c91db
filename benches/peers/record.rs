//! One measurement, as a line of JSON.

use serde_json::{Value, json};

use super::measure::Figures;

/// What one server did in one workload.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) server: String,
    pub(crate) work: String,
    /// Who was measured in turns with it, and in which round.
    pub(crate) group: String,
    pub(crate) pair: u32,
    pub(crate) figures: Figures,
    /// Why there are no figures.
    pub(crate) error: Option<String>,
    pub(crate) at: String,
}

impl Record {
    /// A figure by its name.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.figures.get(name)?.as_f64()
    }

    /// Whether everything arrived that had to.
    pub(crate) fn is_exact(&self) -> bool {
        self.figures.get("exact").and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether the server delivered what was offered, in time: else the processor time is of what did arrive.
    pub(crate) fn kept_up(&self) -> bool {
        let number = |name| self.number(name).unwrap_or_default();
        let conflated = number("conflated") / (number("conflated") + number("delivered")).max(1.0);
        number("delivered_per_s") >= (0.98 - conflated) * number("offered_per_s") && number("p99_ms") <= 250.0
    }

    /// The line.
    pub(crate) fn json(&self) -> Value {
        let mut line = json!({
            "server": self.server, "work": self.work, "group": self.group, "pair": self.pair, "at": self.at,
            "error": self.error,
        });
        if let Value::Object(line) = &mut line {
            line.extend(self.figures.clone());
        }
        line
    }

    /// Messages that had not come when the drain ended, where nothing else is wrong: the server has a backlog.
    pub(crate) fn backlog(&self) -> Option<f64> {
        let number = |name| self.number(name).unwrap_or_default();
        let wrong = ["gaps", "repeats", "junk", "bad"].into_iter().any(|name| number(name) > 0.0);
        Some(number("missing")).filter(|missing| *missing > 0.0 && !wrong)
    }

    /// A line for somebody who waits.
    pub(crate) fn brief(&self) -> String {
        let Self { server, work, pair, .. } = self;
        let number = |name| self.number(name).unwrap_or_default();
        let what = match (&self.error, self.work.as_str()) {
            (Some(error), _) => format!("ERROR {error}"),
            (None, "I") => {
                let (each, left) = (number("pss_kib_per_connection"), number("left_kib_per_connection"));
                format!("{each:.2} KiB a connection, {left:.2} when they have left")
            }
            (None, sat) if sat.starts_with("sat") => {
                let (most, p99) = (number("saturation_per_s"), number("saturation_p99_ms"));
                format!("{most:.0} deliveries/s, p99 {p99:.1} ms")
            }
            _ => format!(
                "{:.0} ns, {:.0} of {:.0}/s, p99 {:.2} ms, {}",
                number("cpu_ns_per_delivery"),
                number("delivered_per_s"),
                number("offered_per_s"),
                number("p99_ms"),
                self.verdict()
            ),
        };
        format!("{work:5} {pair}  {server:24} {what}")
    }

    /// In a few words whether all was as it had to be.
    fn verdict(&self) -> String {
        let named = ["conflated", "missing", "gaps", "repeats", "junk", "bad", "skipped"];
        let counts = named.map(|name| (name, self.number(name).unwrap_or_default()));
        let counts = counts.into_iter().filter(|(_, count)| *count != 0.0);
        let counts: String = counts.map(|(name, count)| format!(", {name} {count}")).collect();
        let first = self.figures.get("first_bad").and_then(Value::as_str).unwrap_or_default();
        let exact = match (self.is_exact(), self.backlog()) {
            (true, _) => "exact",
            (false, Some(_)) => "BEHIND",
            (false, None) => "NOT EXACT",
        };
        format!("{exact}{counts} {first}").trim_end().to_owned()
    }
}
