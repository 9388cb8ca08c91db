//! Logic's part in the dispatcher: calling it, and doing what it orders.
//!
//! ```text
//! command, flush ──> room ──calls──> logic ──orders──> settle ──> kick: LEFT
//!                                                             ├─> close, panic: flush, LEFT to all, forgotten
//!                                                             └─> flush early
//! ```

use std::sync::Arc;

use super::fanout::Paid;
use super::left::left;
use super::{Dispatcher, FEW, Outlet, RoomIndex, Seat, Seats, SessionId, Slot};
use crate::logic::{Idle, Order, RoomLogic};
use crate::name::RoomName;
use crate::places::Places;
use crate::room::{Thinking, Turn, guard};
use crate::time::Time;
use crate::wire::{MemberNumber, Reason, RequestId};

impl<H: Clone> Dispatcher<H> {
    /// The logic of a room that is about to be made.
    pub(super) fn make_logic(&mut self, name: &RoomName) -> Result<Option<Box<dyn RoomLogic>>, Reason> {
        let made = guard(|| self.config.logics.make(name));
        if made.is_none() {
            self.tools.counters.logic_panics += 1;
        }
        made.ok_or(Reason::ROOM_FAILED)
    }

    /// Tells logic of a member that has left. What logic orders is done when something can be sent.
    pub(super) fn tell_left(&mut self, seat: Seat, reason: Reason, now: Time) {
        self.tell(seat.room, now, |slot, thinking| slot.room.tell_left(seat.member, reason, thinking));
    }

    /// Tells logic of a member whose connection is gone, likewise.
    pub(super) fn tell_away(&mut self, seat: Seat, now: Time) {
        self.tell(seat.room, now, |slot, thinking| slot.room.tell_away(seat.member, thinking));
    }

    fn tell(&mut self, index: RoomIndex, now: Time, tell: impl FnOnce(&mut Slot<H>, Thinking<'_>)) {
        let Some(slot) = self.rooms.get_mut(index) else { return };
        if slot.room.has_logic() {
            slot.room.allow_growth(self.budget.allows_growth());
            tell(slot, Thinking { now, limits: &self.config.limits, counters: &mut self.tools.counters });
            self.unsettled.push(index);
        }
    }

    /// Settles the rooms whose logic was called where nothing could be sent.
    pub(super) fn settle_all(&mut self, now: Time, out: &mut impl Outlet<H>) {
        while let Some(index) = self.unsettled.pop() {
            self.settle(index, now, out);
        }
    }

    /// Does what a room's logic has ordered, and puts the room down for its next flush.
    pub(super) fn settle(&mut self, index: RoomIndex, now: Time, out: &mut impl Outlet<H>) {
        // It ends: an order to kick ends a membership or does nothing, one to flush uses up one of a
        // tick's early flushes.
        while let Some(slot) = self.rooms.get_mut(index)
            && let Some(order) = slot.room.next_order()
        {
            match order {
                Order::Close(reason) => return self.close_room(index, reason, now, out),
                Order::Kick(member, reason) => self.remove(index, member, reason, now, out),
                Order::Flush if slot.room.may_flush_early(now, &self.config.limits) => {
                    self.mark_dirty(index, now);
                    self.flush_early(index, now, out);
                }
                Order::Flush => {}
            }
        }
        let Some(slot) = self.rooms.get(index) else { return };
        if slot.room.has_logic() && (slot.room.is_dirty() || slot.room.wants_ticks()) {
            self.mark_dirty(index, now);
        }
    }

    /// Starts the lingering of a room that a flush has left empty, or forgets it where its logic says so.
    pub(super) fn linger(&mut self, index: RoomIndex, now: Time) {
        let Some(slot) = self.rooms.get_mut(index) else { return };
        if !slot.room.is_empty() || slot.room.is_dirty() || slot.lingers_until.is_some() {
            return;
        }
        let thinking = Thinking { now, limits: &self.config.limits, counters: &mut self.tools.counters };
        if slot.room.ask_idle(thinking) == Idle::Close {
            return self.forget(index);
        }
        let until = now.after(slot.room.class.linger);
        self.linger_until(index, until);
    }

    /// Takes a session's seat in a room away.
    pub(super) fn unseat(&mut self, session: SessionId, index: RoomIndex) {
        if let Some(Seats { by_handle: seats, paid }) = self.seats.get_mut(&session) {
            seats.retain(|seat| seat.room != index);
            // What a session has caused here counts until it ends, wherever it joins again.
            if seats.is_empty() && *paid == Paid::default() {
                self.seats.remove(&session);
                self.seats.give_back(FEW);
            } else {
                seats.give_back(2);
            }
        }
    }

    /// Takes a room out of every list but the one of rooms, so that its place can be another's.
    pub(super) fn unlist(&mut self, index: RoomIndex, slot: &Slot<H>) {
        if slot.lingers_until.is_some() {
            self.lingering.make_void();
        }
        if slot.ages_at.is_some() {
            self.resting.aging.make_void();
        }
        if slot.scheduled {
            self.schedule.remove(index);
            self.drained.retain(|other| *other != index);
        }
        if slot.tended {
            self.straggling.retain(|other| *other != index);
        }
        self.unsettled.retain(|other| *other != index);
    }

    /// Ends a membership that its session did not end.
    pub(super) fn remove(
        &mut self,
        index: RoomIndex,
        member: MemberNumber,
        reason: Reason,
        now: Time,
        out: &mut impl Outlet<H>,
    ) {
        let Some(slot) = self.rooms.get_mut(index) else { return };
        let Some((session, outlet, hold)) = slot.room.whose(member) else { return };
        let handle = hold.handle;
        out.released(&outlet, hold, &left(RequestId(0), handle, reason, slot.room.lease()));
        self.unseat(session, index);
        self.end_membership(Seat { handle, room: index, member }, reason, now);
    }

    /// Ends every membership, and the room.
    pub(super) fn close_room(&mut self, index: RoomIndex, reason: Reason, now: Time, out: &mut impl Outlet<H>) {
        let Some(slot) = self.rooms.get_mut(index) else { return };
        if slot.room.is_dirty() && !self.going_away {
            // PROTOCOL 12.3: what was accepted is in a batch. Logic is not asked again.
            let mut turn = Turn { now, limits: &self.config.limits, out: &mut *out, tools: &mut self.tools };
            slot.room.flush(false, &mut self.scratch, &mut turn);
        }
        let (mut sessions, lease) = (Vec::new(), slot.room.lease());
        for (_, session, outlet, hold) in slot.room.everyone() {
            out.released(outlet, hold, &left(RequestId(0), hold.handle, reason, Arc::clone(&lease)));
            sessions.push(session);
        }
        let kept = (slot.room.kept_bytes(), slot.room.kept_batches());
        self.budget.change(std::mem::replace(&mut slot.kept, kept), kept, None);
        for session in sessions {
            self.unseat(session, index);
        }
        self.forget(index);
    }
}
