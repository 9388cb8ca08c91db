//! Publishing as member 0: the room itself (PROTOCOL 1).
//!
//! ```text
//! message ──may?──> room, made where there is none ──> what the tick gathers ──> as if logic had sent it
//! ```

use super::{Dispatcher, Operator};
use crate::command::SessionId;
use crate::dispatcher::{Outlet, RoomIndex};
use crate::name::RoomName;
use crate::room::Due;
use crate::time::Time;
use crate::wire::control::Mode;
use crate::wire::{Epoch, MemberNumber, Position, Reason, Target, VARINT_END};

/// A message of the room itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnMessage<'a> {
    /// To whom. A value is the room's.
    pub target: Target,
    /// Whether the batch leaves before its tick (PROTOCOL 11.6).
    pub urgent: bool,
    /// An empty one deletes a value.
    pub payload: &'a [u8],
}

/// What became of a message that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Which life of the room has it.
    pub epoch: Epoch,
    /// The position an event has. Values and directs have none.
    pub position: Option<Position>,
    /// The room's tick in which it was taken. It leaves with the flush behind that.
    pub tick: u64,
}

impl<H: Clone> Dispatcher<H> {
    /// Publishes as the room itself: its logic is not asked. The room is made where there is none; not for a direct, or to
    /// delete a value. `None` where there is no room.
    ///
    /// # Errors
    /// [`Reason::GOING_AWAY`] where nothing is taken any more;
    /// [`Reason::NOT_ALLOWED`]; [`Reason::MESSAGE_TOO_LARGE`], [`Reason::BATCH_FULL`], [`Reason::VALUES_FULL`] and
    /// [`Reason::TOO_MANY_ROOMS`] at the limits; [`Reason::NO_SUCH_MEMBER`]; [`Reason::ARGUMENT`] for a value that is none
    /// of the room's.
    pub fn publish_as_room(
        &mut self,
        operator: &Operator,
        name: &RoomName,
        message: OwnMessage<'_>,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<Option<Published>, Reason> {
        if self.going_away {
            return Err(Reason::GOING_AWAY);
        }
        let OwnMessage { target, urgent, payload } = message;
        if !self.operator_rights(operator, name, Mode::PUBLISH)?.publish.allows(target, urgent) {
            return Err(Reason::NOT_ALLOWED);
        }
        if payload.len() > self.config.limits.max_message {
            return Err(Reason::MESSAGE_TOO_LARGE);
        }
        // PROTOCOL 7.2: with its scope, a key is below 2^53.
        if matches!(target, Target::Value(key) if !key.is_room() || key.wire() >= VARINT_END) {
            return Err(Reason::ARGUMENT);
        }
        let makes = match target {
            Target::Event => true,
            Target::Value(_) => !payload.is_empty(),
            Target::Direct(_) => false,
        };
        let index = match self.rooms.find(name) {
            Some(index) => index,
            None if makes => {
                let made = self.room(name, now);
                // Beyond the rate of rooms an operator is refused; no connection is delayed or closed for it.
                self.beyond_rooms = None;
                made?
            }
            None => return Ok(None),
        };
        let taken = self.take_own(index, message, now, out);
        if taken.is_err() {
            self.handle_refused(index, now, out);
        }
        taken.map(Some)
    }

    /// Sends a direct of the room to each of these sessions, once, in the first of its rooms where that can be: in
    /// `room` alone, where one is named. Those who were not reached stay in `sessions`.
    ///
    /// # Errors
    /// Why not, where it is for all: [`Reason::GOING_AWAY`], [`Reason::MESSAGE_TOO_LARGE`], and of `room` why it is not allowed.
    pub fn direct_to_sessions(
        &mut self,
        operator: &Operator,
        sessions: &mut Vec<SessionId>,
        room: Option<&RoomName>,
        message: OwnMessage<'_>,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<(), Reason> {
        if self.going_away {
            return Err(Reason::GOING_AWAY);
        }
        if message.payload.len() > self.config.limits.max_message {
            return Err(Reason::MESSAGE_TOO_LARGE);
        }
        let may = |rights: crate::rights::Rights, urgent| {
            rights.publish.allows(Target::Direct(MemberNumber::ROOM), urgent).then_some(()).ok_or(Reason::NOT_ALLOWED)
        };
        if let Some(room) = room {
            may(self.operator_rights(operator, room, Mode::PUBLISH)?, message.urgent)?;
        }
        // Sessions of one subject are mostly in the same rooms.
        let mut decided: Option<(RoomIndex, bool)> = None;
        sessions.retain(|session| {
            let seats = self.seats.get(session).map(|seats| seats.by_handle.clone()).unwrap_or_default();
            !seats.into_iter().any(|seat| {
                let slot = self.rooms.get(seat.room);
                let Some(name) = slot.map(|slot| slot.room.name.clone()) else { return false };
                if room.is_some_and(|room| *room != name) {
                    return false;
                }
                let allowed = match decided {
                    Some((index, allowed)) if index == seat.room => allowed,
                    _ => self
                        .operator_rights(operator, &name, Mode::PUBLISH)
                        .and_then(|rights| may(rights, message.urgent))
                        .is_ok(),
                };
                decided = Some((seat.room, allowed));
                let message = OwnMessage { target: Target::Direct(seat.member), ..message };
                allowed && self.take_own(seat.room, message, now, out).is_ok()
            })
        });
        Ok(())
    }

    /// Takes a message into what the room's tick gathers.
    fn take_own(
        &mut self,
        index: RoomIndex,
        message: OwnMessage<'_>,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<Published, Reason> {
        let mut taken = self.gather_own(index, message, now)?;
        // PROTOCOL 11.6: a full batch leaves early.
        if taken == Err(Reason::BATCH_FULL) && self.may_flush_early(index, now) {
            self.flush_early(index, now, out);
            taken = self.gather_own(index, message, now)?;
        }
        let due = taken?;
        let slot = self.rooms.get_mut(index).ok_or(Reason::INTERNAL)?;
        let published = slot.room.published(message.target, now);
        // Something has happened in it: it is kept for as long as one that was just left.
        if slot.lingers_until.take().is_some() {
            self.lingering.make_void();
        }
        self.mark_dirty(index, now);
        if due == Due::Now {
            self.flush_early(index, now, out);
        }
        Ok(published)
    }

    fn gather_own(
        &mut self,
        index: RoomIndex,
        message: OwnMessage<'_>,
        now: Time,
    ) -> Result<Result<Due, Reason>, Reason> {
        let slot = self.rooms.get_mut(index).ok_or(Reason::INTERNAL)?;
        slot.room.allow_growth(self.budget.allows_growth());
        Ok(slot.room.publish_own(message, now, &self.config.limits))
    }

    fn may_flush_early(&mut self, index: RoomIndex, now: Time) -> bool {
        let slot = self.rooms.get_mut(index);
        slot.is_some_and(|slot| slot.room.may_flush_early(now, &self.config.limits))
    }
}
