//! The top rooms: those with most members, messages or bytes, and how much they send.
//!
//! ```text
//! shards ──first by members, messages, bytes──> union ──with the list before──> rates, JSON
//! ```

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::name::RoomName;
use crate::server::Handle;
use crate::server::api::{RoomOrder, RoomQuery, RoomSummary};
use crate::time::Time;
use crate::wire::Epoch;

/// Rooms of each order. 20: what a screen shows; three orders of them fit a message.
const TOP: usize = 20;

/// Beyond so many rooms a list is made seldom: each asks every shard to look at all of its rooms.
const MANY: usize = 10_000;

/// And how seldom. 10 s: of 100,000 rooms, 60 ms of all shards together.
const SELDOM: Duration = Duration::from_secs(10);

/// The lists so far.
#[derive(Debug, Default)]
pub(super) struct TopRooms {
    before: HashMap<RoomName, Sent>,
    /// When the next list is made at the earliest.
    due: Time,
}

/// What a room had sent at a moment.
#[derive(Clone, Copy, Debug)]
struct Sent {
    epoch: Epoch,
    messages: u64,
    bytes: u64,
    at: Time,
}

impl TopRooms {
    /// The next list as JSON of at most so many bytes; `None` where it is too early for one, or the shards are too
    /// busy. Cancel safe.
    pub(super) async fn look(&mut self, server: &Handle, most: usize) -> Option<Bytes> {
        let now = server.surroundings().clock.now();
        if now < self.due {
            return None;
        }
        let mut rooms: Vec<RoomSummary> = Vec::with_capacity(3 * TOP);
        let mut total = 0;
        for order in [RoomOrder::Members, RoomOrder::Messages, RoomOrder::Bytes] {
            let list = server.rooms(&RoomQuery::new(order, TOP)).await.ok()?;
            // Without the one that these figures are told in.
            total = list.total.saturating_sub(1);
            for room in list.rooms {
                if !room.name.is_reserved() && rooms.iter().all(|known| known.name != room.name) {
                    rooms.push(room);
                }
            }
        }
        self.due = if total > MANY { now.after(SELDOM) } else { now };
        let list: Vec<Value> = rooms.iter().map(|room| self.object(room, now)).collect();
        self.before = rooms.iter().map(|room| (room.name.clone(), Sent::new(room, now))).collect();
        Some(render(&list, total, most))
    }

    /// Nobody has looked for long: what was before says nothing of now.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn object(&self, room: &RoomSummary, now: Time) -> Value {
        let before = self.before.get(&room.name).filter(|before| before.epoch == room.epoch);
        let seconds = before.map(|before| now.since(before.at).as_secs_f64()).filter(|seconds| *seconds > 0.0);
        let rate = |count: u64, before: u64, seconds: f64| {
            (count.saturating_sub(before) as f64 / seconds * 10.0).round() / 10.0
        };
        let rates = before.zip(seconds);
        json!({
            "name": room.name.as_str(),
            "members": room.members,
            "receivers": room.receivers,
            "values": room.values,
            "kept_bytes": room.kept_bytes,
            "messages": room.messages,
            "bytes": room.bytes,
            "messages_rate": rates.map(|(before, seconds)| rate(room.messages, before.messages, seconds)),
            "bytes_rate": rates.map(|(before, seconds)| rate(room.bytes, before.bytes, seconds)),
        })
    }
}

impl Sent {
    const fn new(room: &RoomSummary, at: Time) -> Self {
        Self { epoch: room.epoch, messages: room.messages, bytes: room.bytes, at }
    }
}

/// As many rooms as fit a message of this server.
fn render(mut rooms: &[Value], total: usize, most: usize) -> Bytes {
    loop {
        let text = json!({"total": total, "rooms": rooms}).to_string();
        if text.len() <= most || rooms.is_empty() {
            return text.into();
        }
        rooms = rooms.split_at(rooms.len() / 2).0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_fits_a_message() {
        let longest = |at: u64| json!({"name": format!("{at:064}"), "bytes": u64::MAX, "messages": u64::MAX});
        let rooms: Vec<Value> = (0..60).map(longest).collect();
        for most in [0, 100, 1000, 15_360] {
            let text = render(&rooms, 99, most);
            let read: Value = serde_json::from_slice(&text).unwrap();
            let count = read["rooms"].as_array().unwrap().len();
            assert!(text.len() <= most.max(24), "{most}");
            assert_eq!((read["total"].as_u64(), count > 0), (Some(99), most >= 1000), "{most}");
        }
        assert_eq!(serde_json::from_slice::<Value>(&render(&rooms, 60, 1 << 20)).unwrap()["rooms"][59], longest(59));
    }
}
