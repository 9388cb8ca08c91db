//! Looking at rooms.

use bytes::Bytes;

use super::{ApiError, ApiKey};
use crate::dispatcher::operate::{AfterValue, MemberView, Past, RoomQuery, RoomSummary, ValueView};
use crate::name::RoomName;
use crate::server::Handle;
use crate::wire::{Epoch, Header, Key, Kind, MemberNumber, Position, Records, ServerData};

/// Rooms, the first of those that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomList {
    /// At most as many as were wanted.
    pub rooms: Vec<RoomSummary>,
    /// How many rooms the server has, also those that the list is not about. 0 where not all may be seen.
    pub total: usize,
}

/// Members, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberList {
    /// At most as many as were wanted, and fewer where they show much of themselves.
    pub members: Vec<MemberView>,
    /// What to ask for next as `after`, where there are more.
    pub next: Option<MemberNumber>,
}

/// Values, by owner and key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValueList {
    /// At most as many as were wanted, and fewer where they are large.
    pub values: Vec<ValueView>,
    /// What to ask for next as `after`, where there are more.
    pub next: Option<AfterValue>,
}

/// Events of a room's past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct History {
    /// Which life of the room this is.
    pub epoch: Epoch,
    /// The last position that the room has sent.
    pub position: Position,
    /// Whether positions behind the one that was asked for are missing.
    pub lost: bool,
    /// What it has sent, oldest first.
    pub events: Vec<PastEvent>,
    /// The last position that is in this: what to ask for next.
    pub through: Position,
    /// Whether there are more.
    pub more: bool,
}

/// An event that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PastEvent {
    /// The position of its batch.
    pub position: Position,
    /// The low 16 bits of the tick in which it was sent (PROTOCOL 8.1).
    pub tick: u16,
    /// Who sent it; 0 is the room itself.
    pub member: MemberNumber,
    /// What it says.
    pub payload: Bytes,
}

impl Handle {
    /// The same server, for whoever has this key: what is asked of rooms is done as far as the key is for these rooms,
    /// and [`authorise`](crate::server::Builder::authorise) allows it. What a key is for ([`ApiKey::has`]) is for the
    /// caller to see to, and so is the rest of the server.
    #[must_use]
    pub fn limited_to(&self, key: &ApiKey) -> Self {
        Self { operator: key.operator().clone(), ..self.clone() }
    }

    /// The first rooms of an order, over all shards. Every shard looks at all its rooms for it, and does nothing else
    /// meanwhile: with very many of them not to be asked in every moment. Cancel safe.
    ///
    /// # Errors
    /// [`ApiError::Busy`] and [`ApiError::Gone`].
    pub async fn rooms(&self, query: &RoomQuery) -> Result<RoomList, ApiError> {
        let asked = query.clone();
        let answers = self
            .ask_all(move |rooms, operator| {
                let count = rooms.dispatcher.room_count();
                (rooms.dispatcher.list_rooms(operator, &asked), count)
            })
            .await?;
        let total = answers.iter().map(|(_, count)| count).sum();
        let mut rooms: Vec<RoomSummary> = answers.into_iter().flat_map(|(rooms, _)| rooms).collect();
        rooms.sort_unstable_by(|one, other| query.order.compare(one, other));
        rooms.truncate(query.limit.min(RoomQuery::MOST));
        Ok(RoomList { rooms, total: if self.operator.key().is_none() { total } else { 0 } })
    }

    /// A room at a glance. Cancel safe.
    ///
    /// # Errors
    /// [`ApiError::NoSuchRoom`], [`ApiError::Refused`], [`ApiError::Busy`] and [`ApiError::Gone`].
    pub async fn room(&self, room: &RoomName) -> Result<RoomSummary, ApiError> {
        let answer = self.ask_room(room, |rooms, room, operator| rooms.dispatcher.summary(operator, room)).await?;
        answer?.ok_or(ApiError::NoSuchRoom)
    }

    /// Members of a room with numbers above `after`: at most `limit`, and 1,000. Cancel safe.
    ///
    /// # Errors
    /// As for [`room`](Self::room).
    pub async fn members(&self, room: &RoomName, after: MemberNumber, limit: usize) -> Result<MemberList, ApiError> {
        let asked = self.ask_room(room, move |rooms, room, operator| {
            rooms.dispatcher.look_at_members(operator, room, after, limit.max(1))
        });
        let (members, more) = asked.await??.ok_or(ApiError::NoSuchRoom)?;
        let next = members.last().map(|last| last.number).filter(|_| more);
        Ok(MemberList { members, next })
    }

    /// Values of a room behind `after`, as they are after its next flush: at most `limit`, and 1,000, and about 1 MiB.
    /// Cancel safe.
    ///
    /// # Errors
    /// As for [`room`](Self::room).
    pub async fn values(
        &self,
        room: &RoomName,
        after: Option<AfterValue>,
        limit: usize,
    ) -> Result<ValueList, ApiError> {
        let asked = self.ask_room(room, move |rooms, room, operator| {
            rooms.dispatcher.look_at_values(operator, room, after, limit.max(1))
        });
        let (values, more) = asked.await??.ok_or(ApiError::NoSuchRoom)?;
        let next = values.last().map(|last| (last.owner, last.key)).filter(|_| more);
        Ok(ValueList { values, next })
    }

    /// A value of the room itself. Cancel safe.
    ///
    /// # Errors
    /// [`ApiError::NoSuchValue`], and as for [`room`](Self::room).
    pub async fn value(&self, room: &RoomName, key: u64) -> Result<ValueView, ApiError> {
        if key >= 1 << 52 {
            return Err(ApiError::NoSuchValue);
        }
        let asked = self.ask_room(room, move |rooms, room, operator| {
            rooms.dispatcher.look_at_value(operator, room, Key::room(key))
        });
        asked.await??.ok_or(ApiError::NoSuchRoom)?.ok_or(ApiError::NoSuchValue)
    }

    /// What a room has sent behind `since`, as far as it is kept; from the oldest that is, where nothing is said. At most
    /// `limit` batches, and 1,000, and about 1 MiB. Cancel safe.
    ///
    /// # Errors
    /// As for [`room`](Self::room).
    pub async fn history(
        &self,
        room: &RoomName,
        since: Option<(Epoch, Position)>,
        limit: usize,
    ) -> Result<History, ApiError> {
        let asked = self.ask_room(room, move |rooms, room, operator| {
            rooms.dispatcher.look_at_past(operator, room, since, limit.max(1), rooms.now)
        });
        // Taken apart here, where no room waits for it.
        Ok(read(asked.await??.ok_or(ApiError::NoSuchRoom)?))
    }
}

/// The events in frames of the past. They are our own, uncompressed.
fn read(past: Past) -> History {
    let mut events = Vec::new();
    let mut through = if past.batches.is_empty() { past.position } else { Position(0) };
    for (position, frames) in past.batches {
        through = position;
        for frame in frames {
            let Some((&[_, _, _, flags], payload)) = frame.split_first_chunk::<{ Header::LEN }>() else { continue };
            let Ok(Some(data)) = ServerData::decode(flags, payload) else { continue };
            if data.kind != Kind::Event {
                continue;
            }
            events.extend(Records::new(data.kind, data.records).map_while(Result::ok).map(|record| PastEvent {
                position,
                tick: data.head.tick,
                member: record.member,
                payload: frame.slice_ref(record.payload),
            }));
        }
    }
    History { epoch: past.epoch, position: past.position, lost: past.lost, events, through, more: past.more }
}
