//! What the feed has told: JSON by key.
//!
//! ```text
//! values ──> now, rooms ──sorted──> lines, or an object
//! ```

use clap::ValueEnum;
use serde_json::{Value, json};
use tickwire::client::Batch;
use tickwire::server::console::{NOW, ROOMS};
use tickwire::wire::{Key, Kind};

/// Which rooms come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// Those with most members
    Members,
    /// Those with most messages a second
    Messages,
    /// Those with most bytes a second
    Bytes,
    /// By the alphabet
    Name,
}

/// The latest figures.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) now: Value,
    pub(super) rooms: Value,
}

impl Figures {
    /// Takes what a batch brings. Whether that is a new look.
    pub(super) fn handle(&mut self, batch: &Batch) -> bool {
        let mut is_new = false;
        for record in batch.records() {
            let key = record.key.map(Key::from_wire).filter(|key| key.is_room()).map(Key::number);
            // What cannot be read is a newer server's.
            let value = || serde_json::from_slice(record.payload).unwrap_or_default();
            match key {
                Some(NOW) => (self.now, is_new) = (value(), batch.kind() == Kind::Value),
                Some(ROOMS) => self.rooms = value(),
                _ => {}
            }
        }
        is_new
    }

    /// Whether there was an earlier look to compare with.
    pub(super) fn has_rates(&self) -> bool {
        self.now.get("rates").is_some_and(Value::is_object)
    }

    /// The top rooms in that order.
    pub(super) fn sorted(&self, sort: Sort) -> Vec<&Value> {
        let mut rooms: Vec<&Value> = self.rooms.get("rooms").and_then(Value::as_array).into_iter().flatten().collect();
        let number = |room: &Value, key: &str| room.get(key).and_then(Value::as_f64).unwrap_or_default();
        let name = |room: &Value| room.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        rooms.sort_by(|one, other| {
            let by = |key: &str| number(other, key).total_cmp(&number(one, key));
            let first = match sort {
                Sort::Members => by("members"),
                Sort::Messages => by("messages_rate"),
                Sort::Bytes => by("bytes_rate"),
                Sort::Name => std::cmp::Ordering::Equal,
            };
            let more = || if sort == Sort::Name { std::cmp::Ordering::Equal } else { by("messages") };
            first.then_with(more).then_with(|| name(one).cmp(&name(other)))
        });
        rooms
    }

    /// Everything as one object: the figures, and the top rooms in that order.
    pub(super) fn json(&self, sort: Sort) -> Value {
        let mut object = self.now.clone();
        if let Value::Object(object) = &mut object {
            let total = self.rooms.get("total").cloned().unwrap_or_default();
            object.insert("rooms".into(), json!({"total": total, "top": self.sorted(sort)}));
        }
        object
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cli::top) fn example() -> Figures {
        let room = |name: &str, members: u64, messages: f64, bytes: f64| {
            json!({"name": name, "members": members, "messages_rate": messages, "bytes_rate": bytes, "messages": 9,
                   "values": 3, "kept_bytes": 2048})
        };
        Figures {
            now: json!({
                "uptime_s": 3723.4, "ready": true, "interval_ms": 1000.0,
                "connections": {"now": 120, "max": 10000, "sessions": 125},
                "rates": {"messages": 2000.0, "deliveries": 200_000.0, "bytes_in": 80_000.0, "bytes_out": 7_300_000.5,
                          "rejections": 0.0},
                "totals": {"messages": 5_000_000, "deliveries": 500_000_000_u64, "rejections": 3},
                "tick": {"lag_us": {"p50": 80, "p99": 1250, "max": 4096}, "duration_us": {"p50": 300, "p99": 900, "max": 1024}},
                "outbox": {"bytes": 123_456, "largest": 65_536, "limit": 262_144, "filled": [100, 15, 3, 1, 1]},
                "slow": {"behind": 7, "skipped": 2, "closed": 1},
                "slow_rates": {"behind": 0.5, "skipped": 0.0, "closed": 0.0},
                "shards": [{"rooms": 40, "mailbox": 3}, {"rooms": 41, "mailbox": 0}], "shards_silent": 0
            }),
            rooms: json!({"total": 81, "rooms": [room("lobby", 5, 1.0, 9.0), room("arena", 100, 20.5, 5.0), room("b", 5, 90.0, 7.0)]}),
        }
    }

    #[test]
    fn rooms_come_in_the_order_that_is_asked_for() {
        let figures = example();
        let names =
            |sort| figures.sorted(sort).into_iter().map(|room| room["name"].as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(names(Sort::Members), ["arena", "b", "lobby"]);
        assert_eq!(names(Sort::Messages), ["b", "arena", "lobby"]);
        assert_eq!(names(Sort::Bytes), ["lobby", "b", "arena"]);
        assert_eq!(names(Sort::Name), ["arena", "b", "lobby"]);
    }

    #[test]
    fn one_object_has_all() {
        let object = example().json(Sort::Messages);
        assert_eq!((&object["connections"]["now"], &object["rooms"]["total"]), (&json!(120), &json!(81)));
        assert_eq!(object["rooms"]["top"][0]["name"], "b");
        assert!(!object.to_string().contains('\n'));
        assert_eq!(Figures::default().json(Sort::Name), Value::Null);
    }
}
