//! Looking at rooms.

use super::{ApiError, ApiKey};
use crate::dispatcher::operate::{RoomQuery, RoomSummary};
use crate::name::RoomName;
use crate::server::Handle;

/// Rooms, the first of those that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomList {
    /// At most as many as were wanted.
    pub rooms: Vec<RoomSummary>,
    /// How many rooms the server has, also those that the list is not about. 0 where not all may be seen.
    pub total: usize,
}

impl Handle {
    /// The same server, for whoever has this key: what is asked of rooms is done as far as the key is for these rooms,
    /// and [`authorise`](crate::server::Builder::authorise) allows it. What a key is for ([`ApiKey::has`]) is for the
    /// caller to see to, and so is the rest of the server.
    #[must_use]
    pub fn limited_to(&self, key: &ApiKey) -> Self {
        Self { operator: key.operator().clone(), ..self.clone() }
    }

    /// The first rooms of an order, over all shards. Every shard looks at all its rooms for it: about 20 ms for
    /// 100,000. Cancel safe.
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
}
