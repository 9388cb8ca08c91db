//! Removing members, and closing rooms.

use super::ApiError;
use super::ask::Rooms;
use crate::dispatcher::operate::Whom;
use crate::name::RoomName;
use crate::server::Handle;

impl Handle {
    /// Removes members from a room: they are told LEFT with [`Reason::REMOVED`](crate::wire::Reason::REMOVED), and may
    /// join again unless somebody refuses them. How many they were. Cancelled, it is done all the same.
    ///
    /// # Errors
    /// [`ApiError::NoSuchRoom`]; [`ApiError::Refused`] with
    /// [`Reason::NO_SUCH_MEMBER`](crate::wire::Reason::NO_SUCH_MEMBER) for the number of nobody, or because it is not
    /// allowed; [`ApiError::Busy`] and [`ApiError::Gone`].
    pub async fn kick(&self, room: &RoomName, whom: Whom) -> Result<usize, ApiError> {
        let kicked = self.ask_room(room, move |rooms, room, operator| {
            let Rooms { dispatcher, out, now } = rooms;
            dispatcher.kick(operator, room, &whom, now, out)
        });
        kicked.await??.ok_or(ApiError::NoSuchRoom)
    }

    /// Closes a room: what was gathered is sent, its members are told LEFT with
    /// [`Reason::ROOM_CLOSED`](crate::wire::Reason::ROOM_CLOSED), and its history and values are gone. Whoever joins again
    /// makes it anew. How many members there were. Cancelled, it is done all the same.
    ///
    /// # Errors
    /// [`ApiError::NoSuchRoom`]; [`ApiError::Refused`] because it is not allowed; [`ApiError::Busy`] and
    /// [`ApiError::Gone`].
    pub async fn close_room(&self, room: &RoomName) -> Result<usize, ApiError> {
        let closed = self.ask_room(room, move |rooms, room, operator| {
            let Rooms { dispatcher, out, now } = rooms;
            dispatcher.close(operator, room, now, out)
        });
        closed.await??.ok_or(ApiError::NoSuchRoom)
    }
}
