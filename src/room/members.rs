//! Who is in a room: by number, and the receivers in a row for the flush.
//!
//! ```text
//! slots      [ 1: Here ] [ 2: Joining ] [ 3: - resting ] [ 4: Leaving ]      slot = number - 1
//! receivers  [ 1 ] [ 2 ]
//! ```

use std::collections::VecDeque;

use bytes::Bytes;

use crate::command::JoinCommand;
use crate::limits::Limits;
use crate::time::Time;
use crate::wire::control::Mode;
use crate::wire::{MemberNumber, Reason};

/// A session in a room.
#[derive(Debug)]
pub(super) struct Member<H> {
    pub(super) outlet: H,
    pub(super) mode: Mode,
    pub(super) state: MemberState,
    pub(super) subject: Bytes,
    pub(super) presence: Bytes,
    /// What all were told at the last flush, where `presence` is another since: the next diff tells.
    pub(super) told_presence: Option<Bytes>,
    /// How many values it owns.
    pub(super) values: usize,
    /// Its place among the receivers.
    receiver: Option<usize>,
}

/// Where a member is between two flushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberState {
    /// Came after the last flush.
    Joining,
    /// Was told to all.
    Here,
    /// Left after the last flush; `told` says whether its coming was told.
    Leaving { reason: Reason, told: bool },
}

/// The members of a room.
#[derive(Debug)]
pub(super) struct Members<H> {
    slots: Vec<Option<Member<H>>>,
    receivers: Vec<(MemberNumber, H)>,
    /// Numbers that were given back, oldest first, and when.
    resting: VecDeque<(MemberNumber, Time)>,
    /// Members that came, changed or left since the last flush, in order.
    touched: Vec<MemberNumber>,
    here: usize,
}

impl<H> Default for Members<H> {
    fn default() -> Self {
        Self { slots: Vec::new(), receivers: Vec::new(), resting: VecDeque::new(), touched: Vec::new(), here: 0 }
    }
}

impl<H: Clone> Members<H> {
    /// Members that have not left.
    pub(super) const fn len(&self) -> usize {
        self.here
    }

    pub(super) fn receivers(&self) -> impl Iterator<Item = &H> {
        self.receivers.iter().map(|(_, outlet)| outlet)
    }

    pub(super) const fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// A member that has not left.
    pub(super) fn get(&self, number: MemberNumber) -> Option<&Member<H>> {
        self.slot(number).filter(|member| !matches!(member.state, MemberState::Leaving { .. }))
    }

    pub(super) fn get_mut(&mut self, number: MemberNumber) -> Option<&mut Member<H>> {
        let slot = usize::try_from(number.0.checked_sub(1)?).ok()?;
        let member = self.slots.get_mut(slot)?.as_mut()?;
        (!matches!(member.state, MemberState::Leaving { .. })).then_some(member)
    }

    fn slot(&self, number: MemberNumber) -> Option<&Member<H>> {
        let slot = usize::try_from(number.0.checked_sub(1)?).ok()?;
        self.slots.get(slot)?.as_ref()
    }

    /// Whether a number can be had: four numbers for each member that may be there can be in use or
    /// rest, so that those who come and go cannot make a room grow.
    pub(super) fn has_number(&self, now: Time, limits: &Limits) -> bool {
        let rested = self.resting.front().is_some_and(|(_, since)| now >= since.after(limits.number_quarantine));
        rested || self.slots.len() < limits.max_members.saturating_mul(4)
    }

    /// Adds a member under a number that is not in use and has rested long enough (PROTOCOL 11.3).
    pub(super) fn insert(&mut self, outlet: H, join: &JoinCommand, now: Time, limits: &Limits) -> MemberNumber {
        let rested = |&(_, since): &(MemberNumber, Time)| now >= since.after(limits.number_quarantine);
        let number = match self.resting.front().filter(|front| rested(front)) {
            Some(&(number, _)) => {
                self.resting.pop_front();
                number
            }
            None => {
                self.slots.push(None);
                MemberNumber(self.slots.len() as u64)
            }
        };
        let receiver = join.mode.has(Mode::RECEIVE).then(|| {
            self.receivers.push((number, outlet.clone()));
            self.receivers.len() - 1
        });
        let member = Member {
            outlet,
            mode: join.mode,
            state: MemberState::Joining,
            subject: Bytes::copy_from_slice(&join.subject),
            // Kept long: a copy does not pin the buffer it was read into.
            presence: Bytes::copy_from_slice(&join.presence),
            told_presence: None,
            values: 0,
            receiver,
        };
        if let Some(slot) = number.0.checked_sub(1).and_then(|slot| self.slots.get_mut(usize::try_from(slot).ok()?)) {
            *slot = Some(member);
        }
        self.touched.push(number);
        self.here += 1;
        number
    }

    /// Ends a membership. The member stays in its slot until the flush has told of it.
    pub(super) fn leave(&mut self, number: MemberNumber, reason: Reason) -> bool {
        let Some(member) = self.get_mut(number) else { return false };
        let told = member.state == MemberState::Here;
        let already_touched = !told || member.told_presence.is_some();
        member.state = MemberState::Leaving { reason, told };
        let receiver = member.receiver.take();
        if !already_touched {
            self.touched.push(number);
        }
        if let Some(place) = receiver {
            self.receivers.swap_remove(place);
            if let Some(&(moved, _)) = self.receivers.get(place)
                && let Some(member) = self.get_mut(moved)
            {
                member.receiver = Some(place);
            }
        }
        self.here -= 1;
        true
    }

    /// A member shows other data of itself.
    pub(super) fn set_presence(&mut self, number: MemberNumber, data: &[u8]) -> bool {
        let Some(member) = self.get_mut(number) else { return false };
        let before = std::mem::replace(&mut member.presence, Bytes::copy_from_slice(data));
        if member.state == MemberState::Here && member.told_presence.is_none() {
            member.told_presence = Some(before);
            self.touched.push(number);
        }
        true
    }

    /// Everyone the next diff tells of, in the order of the first change.
    pub(super) fn touched(&self) -> impl Iterator<Item = (MemberNumber, &Member<H>)> {
        self.touched.iter().filter_map(|number| Some((*number, self.slot(*number)?)))
    }

    /// Everyone who was told to all at the last flush, also where they have left since, with the
    /// presence data that was told.
    pub(super) fn told(&self) -> impl Iterator<Item = (MemberNumber, &Member<H>, &Bytes)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let member = slot.as_ref()?;
            let told = matches!(member.state, MemberState::Here | MemberState::Leaving { told: true, .. });
            let presence = member.told_presence.as_ref().unwrap_or(&member.presence);
            told.then_some((MemberNumber(index as u64 + 1), member, presence))
        })
    }

    /// The flush has told of everyone: leavers give their numbers back.
    pub(super) fn handle_flushed(&mut self, now: Time) {
        for number in std::mem::take(&mut self.touched) {
            let Some(slot) = number.0.checked_sub(1).and_then(|slot| usize::try_from(slot).ok()) else { continue };
            let Some(slot) = self.slots.get_mut(slot) else { continue };
            let Some(member) = slot else { continue };
            if matches!(member.state, MemberState::Leaving { .. }) {
                *slot = None;
                self.resting.push_back((number, now));
            } else {
                member.state = MemberState::Here;
                member.told_presence = None;
            }
        }
    }
}
