//! Rooms in which nothing happens: after a while they give back what they keep only to be quick, and
//! when it is old, their past.
//!
//! ```text
//! flush ──> warm ──REST without a flush──> buffers given back ──age of its history──> the past let go of
//!             ^──flushed meanwhile──┘
//! ```
//!
//! A room is looked at once in [`REST`] while it is busy, and twice after that: an idle room costs no time.

use std::collections::VecDeque;

use super::agenda::Agenda;
use super::{Dispatcher, FEW, RoomIndex};
use crate::places::Places;
use crate::time::Time;
use crate::wire::Epoch;

/// How long nothing was sent to a room's members before it rests, and at most twice as long. 4 s: a pause in
/// a game keeps its buffers, and what 5,000 clients leave is back before ten seconds are over.
const REST: core::time::Duration = core::time::Duration::from_secs(4);

/// Rooms looked at in one go. 1,024: below a millisecond, so that a million rooms that have become idle
/// together do not hold up a tick; the others are due still.
const AT_ONCE: usize = 1024;

/// The rooms that will rest.
#[derive(Debug, Default)]
pub(super) struct Resting {
    /// Rooms that were flushed lately, by when they are looked at. Some of these are gone.
    warm: VecDeque<(Time, RoomIndex, Epoch)>,
    /// Rooms that rest, by when the last batch they keep is too old.
    pub(super) aging: Agenda,
}

impl Resting {
    /// A room is busy, and was not put down yet.
    pub(super) fn push(&mut self, index: RoomIndex, epoch: Epoch, now: Time) {
        self.warm.push_back((now.after(REST), index, epoch));
    }

    fn due(&mut self, now: Time) -> Option<(RoomIndex, Epoch)> {
        let &(_, index, epoch) = self.warm.front().filter(|(at, ..)| *at <= now)?;
        self.warm.pop_front();
        self.warm.give_back(FEW);
        Some((index, epoch))
    }
}

impl<H: Clone> Dispatcher<H> {
    /// The next moment at which [`handle_timeout`](Self::handle_timeout) can give memory back. Nothing is
    /// late without it; an owner with a timer wakes for the earlier of this and [`deadline`](Self::deadline).
    #[must_use]
    pub fn rests_at(&self) -> Option<Time> {
        let warm = self.resting.warm.front().map(|(at, ..)| *at);
        warm.into_iter().chain(self.resting.aging.first()).min()
    }

    /// Looks at rooms that were busy, at most [`AT_ONCE`] at a time, and gives back what those keep in which nothing happens any more.
    pub(super) fn rest(&mut self, now: Time) {
        for _ in 0..AT_ONCE {
            let Some((index, epoch)) = self.resting.due(now) else { break };
            let Some(slot) = self.rooms.get_mut(index) else { continue };
            if slot.room.epoch() != epoch {
                continue;
            }
            #[cfg(test)]
            (self.looks += 1);
            if now < slot.flushed.after(REST) {
                self.resting.push(index, epoch, now);
                continue;
            }
            slot.warm = false;
            slot.room.rest(&mut self.tools);
            self.age(index);
            if self.resting.warm.is_empty() {
                // The whole shard is silent.
                self.schedule.rest();
                self.budget.rest();
                self.due.give_back(FEW);
                self.drained.give_back(FEW);
                self.tools.rest();
            }
        }
        for _ in 0..AT_ONCE {
            let Some((at, index)) = self.resting.aging.pop_due(now) else { break };
            let Some(slot) = self.rooms.get_mut(index).filter(|slot| slot.ages_at == Some(at)) else {
                self.resting.aging.handle_void();
                continue;
            };
            #[cfg(test)]
            (self.looks += 1);
            slot.ages_at = None;
            slot.room.expire(now, &mut self.tools);
            let kept = (slot.room.kept_bytes(), slot.room.kept_batches());
            self.budget.change(std::mem::replace(&mut slot.kept, kept), kept, None);
            let warm = slot.warm;
            self.tidy_budget();
            if !warm {
                self.age(index);
            }
        }
    }

    /// Puts a room down for when all that it keeps of the past is too old.
    fn age(&mut self, index: RoomIndex) {
        let Some(slot) = self.rooms.get_mut(index) else { return };
        if slot.ages_at.is_none()
            && let Some(at) = slot.room.ages_at()
        {
            slot.ages_at = Some(at);
            self.resting.aging.push(at, index);
            let rooms = &self.rooms;
            self.resting.aging.tidy(|at, index| rooms.get(index).is_some_and(|slot| slot.ages_at == Some(at)));
        }
    }
}
