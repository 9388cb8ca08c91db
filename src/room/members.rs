//! Who is in a room: by number, and the receivers in a row for the flush.
//!
//! ```text
//! slots      [ 1: Here ] [ 2: Joining ] [ 3: - resting ] [ 4: Leaving ]      slot = number - 1
//! receivers  [ 1 ] [ 2 ]                                     numbers above have been given all the same
//! ```

use std::collections::BTreeMap;

use super::numbers::RestingNumbers;
use super::receivers::Receiver;
use super::shelf::Shelf;
use crate::command::{Hold, JoinCommand, SessionId};
use crate::limits::Limits;
use crate::places::{Places, grow};
use crate::rights::{Packed, Rights};
use crate::time::Time;
use crate::wire::control::Mode;
use crate::wire::{MemberNumber, Position, Reason};

/// A session in a room.
#[derive(Debug)]
pub(super) struct Member<H> {
    pub(super) session: SessionId,
    pub(super) outlet: H,
    /// Its own number for the room.
    pub(super) hold: Hold,
    pub(super) mode: Mode,
    /// Within its mode.
    pub(super) rights: Packed,
    pub(super) state: MemberState,
    pub(super) subject: Box<[u8]>,
    pub(super) presence: Box<[u8]>,
    /// Its connection is gone, its place is kept; and whether all were told.
    pub(super) away: bool,
    pub(super) told_away: bool,
    /// Whether the next diff tells of it.
    touched: bool,
    /// Its place among the receivers.
    receiver: Option<u32>,
}

// There is one for every membership of the server.
const _: () = assert!(size_of::<Member<usize>>() <= 96 && size_of::<Receiver<usize>>() <= 40);

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
    /// Those above the last member may be missing, so that a room that is left holds nothing.
    slots: Vec<Option<Member<H>>>,
    /// Numbers that have been given, all in all: each has a member or rests.
    numbers: usize,
    receivers: Vec<Receiver<H>>,
    resting: RestingNumbers,
    /// A box, since rooms in which nothing changes are many.
    changes: Option<Box<Changes>>,
    here: usize,
}

/// Of whom something is to be told.
#[derive(Debug, Default)]
struct Changes {
    /// Members that came, changed or left since the last flush, in order.
    touched: Vec<MemberNumber>,
    /// What all were told at the last flush of those who show other data since. Few at a time, so it is not
    /// part of every member.
    before: BTreeMap<MemberNumber, Box<[u8]>>,
    /// Receivers that are to be told something later. Some of these are gone.
    stragglers: Vec<MemberNumber>,
}

/// Slots of a room that everybody has left, which are let go of at once. 1,024: a newcomer makes them
/// anew up to its number, and that must stay cheap where somebody comes and goes in every tick.
const LEFT_SLOTS: usize = 1024;

/// Places for members and receivers that a room keeps while others come and go.
const FEW: usize = 16;

impl<H> Default for Members<H> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            numbers: 0,
            receivers: Vec::new(),
            resting: RestingNumbers::default(),
            changes: None,
            here: 0,
        }
    }
}

impl<H: Clone> Members<H> {
    /// Members that have not left.
    pub(super) const fn len(&self) -> usize {
        self.here
    }

    /// How many get what is sent to all.
    pub(super) const fn receiver_count(&self) -> usize {
        self.receivers.len()
    }

    pub(super) fn receivers(&mut self) -> &mut [Receiver<H>] {
        &mut self.receivers
    }

    /// The receivers, and the list of those who wait, for [`Receiver::wait`].
    pub(super) fn receivers_and_stragglers(&mut self) -> (&mut [Receiver<H>], &mut Vec<MemberNumber>) {
        (&mut self.receivers, &mut self.changes.get_or_insert_default().stragglers)
    }

    /// Whether somebody is to be told something later.
    pub(super) fn has_stragglers(&self) -> bool {
        self.changes.as_ref().is_some_and(|changes| !changes.stragglers.is_empty())
    }

    /// Takes those out who are to be told something later: whoever still is waits again.
    pub(super) fn take_stragglers(&mut self) -> Vec<MemberNumber> {
        let Some(changes) = &mut self.changes else { return Vec::new() };
        let mut stragglers = std::mem::take(&mut changes.stragglers);
        // Each once, also where a number is another's by now who waits too.
        stragglers.retain(|number| {
            self.receiver(*number).is_some_and(|receiver| std::mem::replace(&mut receiver.waits, false))
        });
        stragglers
    }

    /// Where a member stands among the receivers.
    pub(super) fn place(&self, number: MemberNumber) -> Option<usize> {
        self.get(number)?.receiver.map(|place| place as usize)
    }

    /// The receiver's half of a member.
    pub(super) fn receiver(&mut self, number: MemberNumber) -> Option<&mut Receiver<H>> {
        let place = self.place(number)?;
        self.receivers.get_mut(place)
    }

    pub(super) fn has_touched(&self) -> bool {
        self.changes.as_ref().is_some_and(|changes| !changes.touched.is_empty())
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
    pub(super) fn has_number(&mut self, now: Time, oldest: Option<Position>, limits: &Limits) -> bool {
        self.resting.has_rested(now, oldest, limits) || self.numbers < limits.max_members.saturating_mul(4)
    }

    /// Adds a member under a number that is not in use and has rested long enough (PROTOCOL 11.3).
    pub(super) fn insert(
        &mut self,
        (session, outlet): (SessionId, H),
        join: &JoinCommand,
        rights: Rights,
        now: Time,
        oldest: Option<Position>,
        limits: &Limits,
    ) -> MemberNumber {
        let number = self.resting.take(now, oldest, limits).unwrap_or_else(|| {
            self.numbers += 1;
            MemberNumber(self.numbers as u64)
        });
        let member = Member {
            session,
            outlet,
            hold: join.hold(),
            mode: join.mode,
            rights: Packed::new(join.mode, rights),
            state: MemberState::Joining,
            // Kept long: copies do not pin the buffer they were read into.
            subject: Box::from(&*join.subject),
            presence: Box::from(&*join.presence),
            away: false,
            told_away: false,
            touched: true,
            receiver: None,
        };
        if let Some(slot) = number.0.checked_sub(1).and_then(|slot| usize::try_from(slot).ok()) {
            self.slots.resize_with(self.slots.len().max(slot), || None);
            match self.slots.get_mut(slot) {
                Some(slot) => *slot = Some(member),
                None => {
                    grow(&mut self.slots);
                    self.slots.push(Some(member));
                }
            }
        }
        self.changes.get_or_insert_default().touched.push(number);
        self.here += 1;
        number
    }

    /// Takes back the last [`insert`](Self::insert): nobody was told, and the number is free at once.
    pub(super) fn withdraw(&mut self, number: MemberNumber) {
        let Some(slot) = number.0.checked_sub(1).and_then(|slot| usize::try_from(slot).ok()) else { return };
        if self.slots.get_mut(slot).and_then(Option::take).is_none() {
            return;
        }
        // Mostly it is the last one: many that are refused in a tick do not cost more each.
        if let Some(changes) = &mut self.changes
            && let Some(place) = changes.touched.iter().rposition(|touched| *touched == number)
        {
            changes.touched.remove(place);
        }
        self.here -= 1;
        if slot + 1 == self.numbers {
            self.numbers -= 1;
            self.slots.truncate(slot);
        } else {
            self.resting.put_back(number);
        }
    }

    /// Makes a member one that receives.
    pub(super) fn insert_receiver(&mut self, receiver: Receiver<H>) {
        let place = self.receivers.len();
        if let Some(member) = self.get_mut(receiver.number) {
            member.receiver = u32::try_from(place).ok();
            grow(&mut self.receivers);
            self.receivers.push(receiver);
        }
    }

    fn remove_receiver(&mut self, place: u32) {
        let index = place as usize;
        self.receivers.swap_remove(index);
        self.receivers.give_back(FEW);
        if let Some(moved) = self.receivers.get(index).map(|receiver| receiver.number)
            && let Some(member) = self.get_mut(moved)
        {
            member.receiver = Some(place);
        }
    }

    /// A member's connection is gone, its place is kept.
    pub(super) fn away(&mut self, number: MemberNumber) -> bool {
        let Some(member) = self.get_mut(number).filter(|member| !member.away) else { return false };
        member.away = true;
        let receiver = member.receiver.take();
        self.touch(number);
        if let Some(place) = receiver {
            self.remove_receiver(place);
        }
        true
    }

    /// A member that was away is back, on another connection.
    pub(super) fn back(&mut self, number: MemberNumber, outlet: H, join: &JoinCommand, rights: Rights) -> bool {
        let Some(member) = self.get_mut(number) else { return false };
        member.outlet = outlet;
        member.mode = join.mode;
        member.rights = Packed::new(join.mode, rights);
        member.hold = join.hold();
        member.away = false;
        let receiver = member.receiver.take();
        self.touch(number);
        if let Some(place) = receiver {
            self.remove_receiver(place);
        }
        if !join.presence.is_empty() {
            self.set_presence(number, &join.presence);
        }
        true
    }

    /// A member has other rights, in the mode it has.
    pub(super) fn set_rights(&mut self, number: MemberNumber, rights: Rights) -> Option<Rights> {
        let member = self.get_mut(number)?;
        let packed = Packed::new(member.mode, rights);
        Some(std::mem::replace(&mut member.rights, packed).rights())
    }

    /// The next diff tells of this member, once.
    fn touch(&mut self, number: MemberNumber) {
        if let Some(member) = self.get_mut(number)
            && !std::mem::replace(&mut member.touched, true)
        {
            self.changes.get_or_insert_default().touched.push(number);
        }
    }

    /// Ends a membership. The member stays in its slot until the flush has told of it.
    pub(super) fn leave(&mut self, number: MemberNumber, reason: Reason) -> bool {
        // While it is one that `get_mut` gives.
        self.touch(number);
        let Some(member) = self.get_mut(number) else { return false };
        let told = member.state == MemberState::Here;
        member.state = MemberState::Leaving { reason, told };
        let receiver = member.receiver.take();
        if let Some(place) = receiver {
            self.remove_receiver(place);
        }
        self.here -= 1;
        true
    }

    /// A member shows other data of itself.
    pub(super) fn set_presence(&mut self, number: MemberNumber, data: &[u8]) -> bool {
        let Some(member) = self.get_mut(number) else { return false };
        let before = std::mem::replace(&mut member.presence, Box::from(data));
        if member.state == MemberState::Here && !self.shows_other(number) {
            self.changes.get_or_insert_default().before.insert(number, before);
            self.touch(number);
        }
        true
    }

    /// Whether a member shows other data of itself than all were told at the last flush.
    pub(super) fn shows_other(&self, number: MemberNumber) -> bool {
        self.told_before(number).is_some()
    }

    /// What all were told of a member at the last flush, where it shows other data since.
    fn told_before(&self, number: MemberNumber) -> Option<&[u8]> {
        self.changes.as_ref()?.before.get(&number).map(|before| &**before)
    }

    /// Everyone the next diff tells of, in the order of the first change.
    pub(super) fn touched(&self) -> impl Iterator<Item = (MemberNumber, &Member<H>)> {
        let touched = self.changes.iter().flat_map(|changes| &changes.touched);
        touched.filter_map(|number| Some((*number, self.slot(*number)?)))
    }

    /// Everyone above `after` who was told to all at the last flush, also where they have left since,
    /// with the presence data that was told, by number.
    pub(super) fn told(&self, after: MemberNumber) -> impl Iterator<Item = (MemberNumber, &Member<H>, &[u8])> {
        let from = usize::try_from(after.0).unwrap_or(usize::MAX).min(self.slots.len());
        (after.0.saturating_add(1)..).zip(self.slots.iter().skip(from)).filter_map(|(number, slot)| {
            let member = slot.as_ref()?;
            let told = matches!(member.state, MemberState::Here | MemberState::Leaving { told: true, .. });
            let number = MemberNumber(number);
            told.then_some((number, member, self.told_before(number).unwrap_or(&member.presence)))
        })
    }

    /// Everyone who has not left.
    pub(super) fn all(&self) -> impl Iterator<Item = (MemberNumber, &Member<H>)> {
        let numbered = (1..).zip(&self.slots).filter_map(|(number, slot)| Some((MemberNumber(number), slot.as_ref()?)));
        numbered.filter(|(_, member)| !matches!(member.state, MemberState::Leaving { .. }))
    }

    /// The first above `after` who has not left.
    pub(super) fn after(&self, after: MemberNumber) -> Option<(MemberNumber, &Member<H>)> {
        let from = usize::try_from(after.0).ok()?;
        let numbered = (after.0.saturating_add(1)..).zip(self.slots.get(from..)?);
        let mut present = numbered.filter_map(|(number, slot)| Some((MemberNumber(number), slot.as_ref()?)));
        present.find(|(_, member)| !matches!(member.state, MemberState::Leaving { .. }))
    }

    /// The flush has told of everyone: leavers give their numbers back.
    pub(super) fn handle_flushed(&mut self, now: Time, position: Position) {
        let Some(changes) = &mut self.changes else { return };
        let used = changes.touched.len();
        for number in changes.touched.drain(..) {
            let Some(slot) = number.0.checked_sub(1).and_then(|slot| usize::try_from(slot).ok()) else { continue };
            let Some(slot) = self.slots.get_mut(slot) else { continue };
            let Some(member) = slot else { continue };
            if matches!(member.state, MemberState::Leaving { .. }) {
                *slot = None;
                self.resting.push(number, now, position);
            } else {
                member.state = MemberState::Here;
                member.told_away = member.away;
                member.touched = false;
            }
        }
        changes.touched.give_back_after(used, FEW);
        changes.before.clear();
        if self.here == 0 && self.slots.len() <= LEFT_SLOTS {
            self.slots = Vec::new();
        }
    }

    /// Nothing has happened for a while: lets go of what is only kept for the next flush.
    pub(super) fn rest(&mut self, shelf: &mut Shelf) {
        while self.slots.pop_if(|last| last.is_none()).is_some() {}
        self.slots.shrink_to_fit();
        self.receivers.shrink_to_fit();
        self.resting.rest(shelf);
        if !self.has_touched() && !self.has_stragglers() {
            self.changes = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::RoomName;
    use crate::wire::{Handle, RequestId};

    fn join(members: &mut Members<u64>, now: Time) -> u64 {
        let name = RoomName::new(b"room").unwrap();
        let join = JoinCommand::new(RequestId(1), Handle(0), name, Mode::BOTH);
        let limits = Limits::default();
        members.insert((SessionId(1), 1), &join, Rights::ALL, now, None, &limits).0
    }

    #[test]
    fn a_room_that_is_left_has_no_slots_and_its_numbers_go_on() {
        let (mut members, later) = (Members::default(), Time::from_micros(60_000_000));
        assert_eq!((1..=100).map(|_| join(&mut members, Time::ZERO)).sum::<u64>(), 5050);
        for number in 1..=100 {
            members.leave(MemberNumber(number), Reason::FINISHED);
        }
        members.handle_flushed(Time::ZERO, Position(1));
        assert_eq!((members.slots.capacity(), members.receivers.capacity(), members.len()), (0, 0, 0));
        assert!(members.get(MemberNumber(7)).is_none());
        // None has rested yet, then the one that rests longest.
        assert_eq!((join(&mut members, Time::ZERO), join(&mut members, later)), (101, 1));
        assert_eq!(members.all().map(|(number, _)| number.0).collect::<Vec<_>>(), [1, 101]);
        members.withdraw(MemberNumber(1));
        members.withdraw(MemberNumber(101));
        assert_eq!((join(&mut members, later), join(&mut members, Time::ZERO)), (1, 101));
    }

    #[test]
    fn a_member_with_a_high_number_is_found_after_a_rest() {
        let mut members = Members::default();
        for _ in 0..3000 {
            join(&mut members, Time::ZERO);
        }
        for number in (1..=3000).filter(|number| *number != 1500) {
            members.leave(MemberNumber(number), Reason::FINISHED);
        }
        members.handle_flushed(Time::ZERO, Position(1));
        members.rest(&mut Shelf::default());
        assert_eq!((members.slots.len(), members.slots.capacity()), (1500, 1500));
        assert!(members.get(MemberNumber(1500)).is_some() && members.get(MemberNumber(1501)).is_none());
        assert_eq!(join(&mut members, Time::ZERO), 3001);
        assert_eq!(members.all().map(|(number, _)| number.0).collect::<Vec<_>>(), [1500, 3001]);
    }
}
