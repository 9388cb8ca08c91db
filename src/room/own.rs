//! What the room itself sends, when somebody else than its logic says so.

use bytes::Bytes;

use super::gathering::PendingDirect;
use super::{Due, Room};
use crate::dispatcher::operate::{OwnMessage, Published};
use crate::limits::Limits;
use crate::time::Time;
use crate::wire::{MemberNumber, Reason, Target};

impl<H: Clone> Room<H> {
    /// Takes a message of member 0 into this tick's batch. Its length is its caller's business, and so is its key.
    pub(crate) fn publish_own(&mut self, message: OwnMessage<'_>, now: Time, limits: &Limits) -> Result<Due, Reason> {
        let OwnMessage { target, urgent, payload } = message;
        if urgent && !self.class.urgent {
            return Err(Reason::NOT_ALLOWED);
        }
        let from = MemberNumber::ROOM;
        match target {
            Target::Event => self.gathering.event(from, payload, limits)?,
            Target::Value(key) => self.gathering.value(from, key, payload, limits)?,
            Target::Direct(to) => {
                self.members.get(to).ok_or(Reason::NO_SUCH_MEMBER)?;
                let payload = Bytes::copy_from_slice(payload);
                self.gathering.direct(PendingDirect { from, to, number: 0, answers: 0, urgent, payload }, limits)?;
            }
        }
        Ok(if urgent && self.may_flush_early(now, limits) { Due::Now } else { Due::Tick })
    }

    /// What is told of a message that was just taken, before it is flushed.
    pub(crate) fn published(&self, target: Target, now: Time) -> Published {
        // The next batch is numbered, since the event is in it.
        let position = matches!(target, Target::Event).then(|| self.position.next());
        Published { epoch: self.epoch, position, tick: self.tick(now) }
    }
}
