//! Looking into a room: who is there, what its values are, what it has sent.

use bytes::Bytes;

use super::{Dispatcher, Operator};
use crate::name::RoomName;
use crate::rights::Shown;
use crate::time::Time;
use crate::wire::control::Mode;
use crate::wire::{Epoch, Key, MemberNumber, Position, Reason};

/// A member, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberView {
    /// Its number.
    pub number: MemberNumber,
    /// Who the server knows it to be; empty for anonymous clients.
    pub subject: Bytes,
    /// What it shows of itself: its own word.
    pub presence: Bytes,
    /// Whether its connection is gone; its place is kept (PROTOCOL 12.2).
    pub away: bool,
    /// What it was granted: to publish, to receive.
    pub mode: Mode,
}

/// A value, as operators see it: as it is after the next flush.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValueView {
    /// Whose it is; 0 for the room's.
    pub owner: MemberNumber,
    /// Its key, with its scope.
    pub key: Key,
    /// Who wrote it last.
    pub sender: MemberNumber,
    /// What it is.
    pub payload: Bytes,
}

/// Where a page of values goes on: behind this owner's key.
pub type AfterValue = (MemberNumber, Key);

/// What is kept of a room's past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Past {
    /// Which life of the room this is.
    pub epoch: Epoch,
    /// The last position that was sent.
    pub position: Position,
    /// Whether positions behind the one that was asked for are missing: too old, or of another life of the room.
    pub lost: bool,
    /// The batches by position, as frames of the protocol.
    pub batches: Vec<(Position, Vec<Bytes>)>,
    /// Whether there are more behind these.
    pub more: bool,
}

/// Bytes of payloads, or frames, in a page. 1 MiB: beyond, the page ends behind its first entry.
pub const PAGE_BYTES: usize = 1024 * 1024;

/// Entries of a page at most. 1,000.
pub const PAGE_MOST: usize = 1000;

impl<H: Clone> Dispatcher<H> {
    /// Members with numbers above `after`, and whether there are more. `None` where there is no room.
    ///
    /// # Errors
    /// [`Reason::NOT_ALLOWED`], and what else [`Authorise`](crate::rights::Authorise) says.
    pub fn look_at_members(
        &mut self,
        operator: &Operator,
        room: &RoomName,
        after: MemberNumber,
        limit: usize,
    ) -> Result<Option<(Vec<MemberView>, bool)>, Reason> {
        allow(self.operator_rights(operator, room, Mode::RECEIVE)?.presence)?;
        Ok(self.named(room).map(|slot| slot.room.member_views(after, limit.min(PAGE_MOST))))
    }

    /// Values behind `after`, by owner and key, and whether there are more. `None` where there is no room.
    ///
    /// # Errors
    /// As for [`look_at_members`](Self::look_at_members).
    pub fn look_at_values(
        &mut self,
        operator: &Operator,
        room: &RoomName,
        after: Option<AfterValue>,
        limit: usize,
    ) -> Result<Option<(Vec<ValueView>, bool)>, Reason> {
        allow(self.operator_rights(operator, room, Mode::RECEIVE)?.values)?;
        Ok(self.named(room).map(|slot| slot.room.value_views(after, limit.min(PAGE_MOST))))
    }

    /// A value of the room itself. The outer `None` where there is no room, the inner where it has no such value.
    ///
    /// # Errors
    /// As for [`look_at_members`](Self::look_at_members).
    pub fn look_at_value(
        &mut self,
        operator: &Operator,
        room: &RoomName,
        key: Key,
    ) -> Result<Option<Option<ValueView>>, Reason> {
        allow(self.operator_rights(operator, room, Mode::RECEIVE)?.values)?;
        Ok(self.named(room).map(|slot| slot.room.value_view(key)))
    }

    /// What is kept of the room's past behind `since`; from the beginning, where nothing is said. What of the frames
    /// may not be seen is blank, as for members (PROTOCOL 8.3). `None` where there is no room.
    ///
    /// # Errors
    /// As for [`look_at_members`](Self::look_at_members).
    pub fn look_at_past(
        &mut self,
        operator: &Operator,
        room: &RoomName,
        since: Option<(Epoch, Position)>,
        limit: usize,
        now: Time,
    ) -> Result<Option<Past>, Reason> {
        let rights = self.operator_rights(operator, room, Mode::RECEIVE)?;
        allow(rights.history)?;
        let Some(slot) = self.rooms.find(room).and_then(|index| self.rooms.get_mut(index)) else {
            return Ok(None);
        };
        slot.room.expire(now, &mut self.tools);
        let kept = (slot.room.kept_bytes(), slot.room.kept_batches());
        self.budget.change(std::mem::replace(&mut slot.kept, kept), kept, None);
        let mut past = slot.room.past(since, limit.min(PAGE_MOST));
        for (_, frames) in &mut past.batches {
            let shown = frames.drain(..).filter_map(|frame| match rights.show(&frame) {
                Shown::Whole => Some(frame),
                Shown::Blank(blank) => Some(blank),
                Shown::Nothing => None,
            });
            *frames = shown.collect();
        }
        Ok(Some(past))
    }
}

const fn allow(may: bool) -> Result<(), Reason> {
    if may { Ok(()) } else { Err(Reason::NOT_ALLOWED) }
}
