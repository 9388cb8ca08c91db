//! Removing members, and closing rooms.

use super::{Dispatcher, Operator};
use crate::dispatcher::Outlet;
use crate::name::RoomName;
use crate::time::Time;
use crate::wire::control::Mode;
use crate::wire::{MemberNumber, Reason};

/// Who is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The member of this number.
    Member(MemberNumber),
    /// All members who are known to be this.
    Subject(Vec<u8>),
}

impl<H: Clone> Dispatcher<H> {
    /// Removes members of a room: they are told LEFT with [`Reason::REMOVED`]. How many; `None` where there is no room.
    ///
    /// # Errors
    /// [`Reason::NO_SUCH_MEMBER`], [`Reason::NOT_ALLOWED`], and what else
    /// [`Authorise`](crate::rights::Authorise) says.
    pub fn kick(
        &mut self,
        operator: &Operator,
        room: &RoomName,
        whom: &Whom,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<Option<usize>, Reason> {
        self.operator_rights(operator, room, Mode::RECEIVE)?;
        let Some(index) = self.rooms.find(room) else { return Ok(None) };
        let Some(slot) = self.rooms.get(index) else { return Ok(None) };
        let members = match whom {
            Whom::Member(number) => {
                slot.room.whose(*number).ok_or(Reason::NO_SUCH_MEMBER)?;
                vec![*number]
            }
            // Nobody has proved to be nobody.
            Whom::Subject(subject) if subject.is_empty() => Vec::new(),
            Whom::Subject(subject) => slot.room.members_of(subject),
        };
        for member in &members {
            self.remove(index, *member, Reason::REMOVED, now, out);
        }
        self.mark_straggling(index, now);
        self.settle(index, now, out);
        Ok(Some(members.len()))
    }

    /// Closes a room: what was gathered is sent, all members are told LEFT with [`Reason::ROOM_CLOSED`], and it is
    /// forgotten with all that it keeps. Its logic is not called again. Whoever joins again makes it anew. How many
    /// members there were; `None` where there is no room.
    ///
    /// # Errors
    /// [`Reason::NOT_ALLOWED`], and what else [`Authorise`](crate::rights::Authorise) says.
    pub fn close(
        &mut self,
        operator: &Operator,
        room: &RoomName,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<Option<usize>, Reason> {
        self.operator_rights(operator, room, Mode::RECEIVE)?;
        let Some(index) = self.rooms.find(room) else { return Ok(None) };
        let members = self.rooms.get(index).map(|slot| slot.room.member_count());
        self.close_room(index, Reason::ROOM_CLOSED, now, out);
        Ok(members)
    }
}
