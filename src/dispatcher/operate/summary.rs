//! Rooms at a glance, and lists of them by what is largest.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::{Dispatcher, Operator};
use crate::name::RoomName;
use crate::wire::control::Mode;
use crate::wire::{Epoch, Position, Reason};

/// A room at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomSummary {
    /// Its name.
    pub name: RoomName,
    /// Which life of its name this is.
    pub epoch: Epoch,
    /// The last position that was sent.
    pub position: Position,
    /// Members that have not left, also those who are away. 0 for a room that lingers.
    pub members: usize,
    /// How many of them get what is sent to all.
    pub receivers: usize,
    /// Values.
    pub values: usize,
    /// Bytes of history and values.
    pub kept_bytes: usize,
    /// Events and values that this life of the room has sent, each once however many got it.
    pub messages: u64,
    /// Bytes of its batches, before compression, each once.
    pub bytes: u64,
}

/// By what a list of rooms is ordered: the largest first, and by name where they are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoomOrder {
    /// By name, from A.
    #[default]
    Name,
    /// By members.
    Members,
    /// By messages so far.
    Messages,
    /// By bytes so far.
    Bytes,
}

impl RoomOrder {
    /// Every order by its name.
    pub const NAMES: [(&'static str, Self); 4] =
        [("name", Self::Name), ("members", Self::Members), ("messages", Self::Messages), ("bytes", Self::Bytes)];

    /// The order of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, order)| *order)
    }

    /// What comes first is less.
    #[must_use]
    pub fn compare(self, one: &RoomSummary, other: &RoomSummary) -> Ordering {
        let size = |summary: &RoomSummary| match self {
            Self::Name => 0,
            Self::Members => summary.members as u64,
            Self::Messages => summary.messages,
            Self::Bytes => summary.bytes,
        };
        size(other).cmp(&size(one)).then_with(|| one.name.cmp(&other.name))
    }
}

/// Which rooms are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomQuery {
    /// What their names begin with.
    pub prefix: String,
    /// By what they are ordered.
    pub order: RoomOrder,
    /// How many at most. [`RoomQuery::MOST`] at most.
    pub limit: usize,
}

impl RoomQuery {
    /// The longest list. 1,000: below 300 KiB as JSON.
    pub const MOST: usize = 1000;

    /// The first of all rooms in this order.
    #[must_use]
    pub const fn new(order: RoomOrder, limit: usize) -> Self {
        Self { prefix: String::new(), order, limit }
    }

    /// Only those whose names begin so.
    #[must_use]
    pub fn starting_with(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }
}

/// A room on its way into a list. The greatest comes first.
type Candidate = (u64, Reverse<RoomName>);

impl<H: Clone> Dispatcher<H> {
    /// The first rooms of this shard that an operator may see, in the order that was asked for. It looks at every room
    /// of the shard, and decides about those only that come into the list.
    pub fn list_rooms(&mut self, operator: &Operator, query: &RoomQuery) -> Vec<RoomSummary> {
        let rooms = self.rooms.iter().map(|slot| &slot.room);
        let candidates =
            rooms.filter(|room| room.name.as_str().starts_with(&query.prefix) && operator.may_know(&room.name));
        let candidates = candidates.map(|room| {
            let (messages, bytes) = room.sent();
            let size = match query.order {
                RoomOrder::Name => 0,
                RoomOrder::Members => room.member_count() as u64,
                RoomOrder::Messages => messages,
                RoomOrder::Bytes => bytes,
            };
            (size, Reverse(room.name.clone()))
        });
        // Ordering all of them would take far longer than finding a few.
        let mut candidates: BinaryHeap<Candidate> = candidates.collect();
        let mut list = Vec::new();
        while list.len() < query.limit.min(RoomQuery::MOST)
            && let Some((_, Reverse(name))) = candidates.pop()
        {
            list.extend(self.summary(operator, &name).ok().flatten());
        }
        list
    }

    /// A room at a glance, where there is one.
    ///
    /// # Errors
    /// Where the operator may not see it.
    pub fn summary(&mut self, operator: &Operator, room: &RoomName) -> Result<Option<RoomSummary>, Reason> {
        self.operator_rights(operator, room, Mode::RECEIVE)?;
        Ok(self.named(room).map(|slot| slot.room.summary()))
    }
}
