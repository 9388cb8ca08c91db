//! The figures of a moment as JSON, with rates since an earlier one: what the operators' page and
//! `tickwire top` show (`docs/http.md`).
//!
//! ```text
//! scrape ──> Figures ──with the one before──> now:   everything, with rates
//!                                        └──> point: what a chart needs
//! ```

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::scrape::{Scrape, scrape};
use super::{ByReason, Histogram};
use crate::server::Handle;

/// Below it a rate says nothing. 100 ms: a tenth of the time between two looks.
const SHORTEST: Duration = Duration::from_millis(100);

/// What there was at a moment.
#[derive(Debug)]
pub(in crate::server) struct Figures {
    scrape: Scrape,
    /// Bytes that an outbox may hold.
    outbox: usize,
}

impl Figures {
    /// Looks at everything. Takes a second at most. Cancel safe.
    pub(in crate::server) async fn take(server: &Handle) -> Self {
        Self { scrape: scrape(server).await, outbox: server.surroundings().facts.limits.outbox_bytes }
    }

    /// Since the server's start.
    pub(in crate::server) const fn uptime(&self) -> Duration {
        self.scrape.uptime
    }

    /// Everything. Rates are `null` where there is nothing to compare with.
    pub(in crate::server) fn now(&self, before: Option<&Self>) -> Map<String, Value> {
        let scrape = &self.scrape;
        let (totals, seconds) = (self.totals(), self.seconds_since(before));
        let rates = before.zip(seconds).map(|(before, seconds)| rates(&totals, &before.totals(), seconds));
        let slow_rates = before.zip(seconds).map(|(before, seconds)| rates_of_slow(self, before, seconds));
        let outboxes = &scrape.outboxes;
        let now = json!({
            "uptime_s": rounded(scrape.uptime.as_secs_f64()),
            "ready": scrape.ready,
            "interval_ms": seconds.map(|seconds| (seconds * 1000.0).round()),
            "connections": {
                "now": scrape.connections,
                "max": scrape.max_connections,
                "sessions": scrape.sessions,
                "tcp": scrape.tally.came.tcp,
                "websocket": scrape.tally.came.websocket,
                "event_streams": scrape.watchers,
            },
            "totals": totals,
            "rates": rates,
            "tick": {
                "lag_us": spread(&scrape.ticks.lag, before.map(|before| &before.scrape.ticks.lag)),
                "duration_us": spread(&scrape.ticks.duration, before.map(|before| &before.scrape.ticks.duration)),
            },
            "outbox": {
                "bytes": outboxes.bytes,
                "frames": outboxes.frames,
                "largest": outboxes.largest,
                "limit": self.outbox,
                "filled": outboxes.filled,
            },
            "slow": slow(self),
            "slow_rates": slow_rates,
            "rejections": by_reason(&scrape.refused),
            "closed": by_reason(&scrape.tally.ended),
            "turned_away": scrape.turned_away.iter().filter(|(_, count)| *count > 0)
                .map(|(cause, count)| ((*cause).to_owned(), json!(count))).collect::<Map<_, _>>(),
            "shards": scrape.shards.iter().map(|shard| json!({
                "rooms": shard.rooms,
                "sessions": shard.sessions,
                "kept_bytes": shard.kept_bytes,
                "mailbox": shard.mailbox,
            })).collect::<Vec<_>>(),
            "shards_silent": scrape.silent,
        });
        match now {
            Value::Object(now) => now,
            // It is written as one.
            _ => Map::new(),
        }
    }

    /// What charts show of the time since `before`; `None` where that was just now.
    pub(in crate::server) fn point(&self, before: &Self) -> Option<Map<String, Value>> {
        let seconds = self.seconds_since(Some(before))?;
        let rates = rates(&self.totals(), &before.totals(), seconds);
        let rate = |name: &str| rates.get(name).cloned().unwrap_or_default();
        let slow = rates_of_slow(self, before, seconds);
        let lag = self.scrape.ticks.lag.since(&before.scrape.ticks.lag);
        let pairs = [
            ("connections", json!(self.scrape.connections)),
            ("messages", rate("messages")),
            ("deliveries", rate("deliveries")),
            ("bytes_in", rate("bytes_in")),
            ("bytes_out", rate("bytes_out")),
            ("rejections", rate("rejections")),
            ("lag_p50", json!(lag.quantile(0.5))),
            ("lag_p99", json!(lag.quantile(0.99))),
            ("lag_max", json!(lag.most())),
            ("behind", slow.get("behind").cloned().unwrap_or_default()),
            ("skipped", slow.get("skipped").cloned().unwrap_or_default()),
            ("closed", slow.get("closed").cloned().unwrap_or_default()),
            ("outbox", json!(self.scrape.outboxes.bytes)),
            ("mailbox", json!(self.scrape.shards.iter().map(|shard| shard.mailbox).sum::<usize>())),
        ];
        Some(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Seconds since then, where that is long enough.
    fn seconds_since(&self, before: Option<&Self>) -> Option<f64> {
        let passed = self.uptime().checked_sub(before?.uptime())?;
        (passed >= SHORTEST).then_some(passed.as_secs_f64())
    }

    /// What only grows.
    fn totals(&self) -> Map<String, Value> {
        let Scrape { tally, volume, refused, .. } = &self.scrape;
        let pairs = [
            ("connects", tally.came.tcp + tally.came.websocket),
            ("hellos", tally.greeted.tcp + tally.greeted.websocket),
            ("messages", volume.events + volume.values + volume.directs),
            ("events", volume.events),
            ("values", volume.values),
            ("directs", volume.directs),
            ("conflated", volume.conflated),
            ("deliveries", volume.event_deliveries + volume.value_deliveries + volume.direct_deliveries),
            ("bytes_in", tally.flow.bytes_in),
            ("bytes_out", tally.flow.bytes_out),
            ("frames_in", tally.flow.frames_in),
            ("frames_out", tally.flow.frames_out),
            ("joins", volume.joins),
            ("batches", volume.batches),
            ("rejections", refused.iter().map(|(_, count)| count).sum()),
        ];
        pairs.into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect()
    }
}

/// What came of each in a second.
fn rates(totals: &Map<String, Value>, before: &Map<String, Value>, seconds: f64) -> Map<String, Value> {
    let rate = |name: &str, now: &Value| {
        let before = before.get(name).and_then(Value::as_u64).unwrap_or_default();
        per_second(now.as_u64().unwrap_or_default(), before, seconds)
    };
    totals.iter().map(|(name, now)| (name.clone(), rate(name, now))).collect()
}

/// The ladder's rungs so far (PROTOCOL 12.5).
fn slow(figures: &Figures) -> Map<String, Value> {
    rungs(figures).into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect()
}

fn rates_of_slow(figures: &Figures, before: &Figures, seconds: f64) -> Map<String, Value> {
    let pairs = rungs(figures).into_iter().zip(rungs(before));
    pairs.map(|((name, now), (_, before))| (name.to_owned(), per_second(now, before, seconds))).collect()
}

fn rungs(figures: &Figures) -> [(&'static str, u64); 5] {
    let counters = &figures.scrape.counters;
    [
        ("behind", counters.behind),
        ("caught_up", counters.caught_up_by_changes + counters.caught_up_by_snapshot),
        ("skipped", counters.skipped),
        ("gaps", counters.gaps),
        ("closed", counters.closed_by_class + counters.closed_by_answers),
    ]
}

/// Those that were counted at all.
fn by_reason(counts: &ByReason) -> Map<String, Value> {
    let counted = counts.iter().filter(|(_, count)| *count > 0);
    counted.map(|(reason, count)| (reason.name().to_ascii_lowercase(), json!(count))).collect()
}

/// How a time was spread since then, or since the start: in microseconds, within a bucket's bounds.
fn spread(histogram: &Histogram, before: Option<&Histogram>) -> Value {
    let since = before.map_or(*histogram, |before| histogram.since(before));
    json!({
        "count": since.count(),
        "p50": since.quantile(0.5),
        "p99": since.quantile(0.99),
        "max": since.most(),
    })
}

fn per_second(now: u64, before: u64, seconds: f64) -> Value {
    json!(rounded(now.saturating_sub(before) as f64 / seconds))
}

/// To a tenth: nobody reads more.
fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reason;

    fn figures(seconds: u64, messages: u64) -> Figures {
        let mut scrape = Scrape { uptime: Duration::from_secs(seconds), ..Scrape::default() };
        scrape.volume.events = messages;
        scrape.counters.skipped = messages;
        scrape.refused.add(Reason::NOT_ALLOWED);
        scrape.ticks.lag.record(100);
        Figures { scrape, outbox: 1000 }
    }

    #[test]
    fn rates_are_of_the_time_between() {
        let (before, after) = (figures(10, 100), figures(12, 105));
        let now = after.now(Some(&before));
        assert_eq!((&now["rates"]["messages"], &now["totals"]["messages"]), (&json!(2.5), &json!(105)));
        assert_eq!((&now["slow_rates"]["skipped"], &now["interval_ms"]), (&json!(2.5), &json!(2000.0)));
        assert_eq!(now["rejections"], json!({"not_allowed": 1}));
        let point = after.point(&before).unwrap();
        assert_eq!((&point["messages"], &point["lag_p50"]), (&json!(2.5), &Value::Null), "no tick meanwhile");
    }

    #[test]
    fn without_an_earlier_look_there_are_no_rates() {
        let now = figures(10, 100).now(None);
        assert_eq!(
            (&now["rates"], &now["slow_rates"], &now["interval_ms"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        assert_eq!(now["tick"]["lag_us"], json!({"count": 1, "p50": 96, "p99": 127, "max": 128}));
        assert!(figures(10, 100).point(&figures(10, 1)).is_none(), "no time has passed");
        assert!(figures(10, 100).point(&figures(11, 1)).is_none(), "time does not run back");
    }
}
