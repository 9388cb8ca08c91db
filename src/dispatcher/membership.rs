//! Who is in which room: joining, coming back, leaving.
//!
//! ```text
//! JOIN ──> allowed? ──> room, made where there is none ──> its logic ──> JOINED, and a seat
//! ```

use super::left::left;
use super::{Dispatcher, FrameClass, Outlet, RoomIndex, Seat, Seats};
use crate::command::{JoinCommand, SessionId};
use crate::identity::Identity;
use crate::logic::told;
use crate::rights::{Asking, Rights};
use crate::room::{Turn, What, guard};
use crate::time::Time;
use crate::wire::{Handle, MemberNumber, Reason, RequestId};

impl<H: Clone> Dispatcher<H> {
    pub(super) fn join(
        &mut self,
        session: SessionId,
        outlet: &H,
        join: &JoinCommand,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<(), Reason> {
        if join.returning && self.come_back(session, outlet, join, now, out)? {
            return Ok(());
        }
        let seats = self.seats.get(&session).map_or(&[][..], |seats| seats.by_handle.as_slice());
        if let Some(index) = self.rooms.find(&join.name)
            && seats.iter().any(|seat| seat.room == index)
        {
            return Err(Reason::ALREADY_JOINED);
        }
        // The session bounds these too, but it hears of refused joins later than a hostile client
        // can use that.
        let Err(place) = find(seats, join.handle) else { return Err(Reason::HANDLE_IN_USE) };
        if seats.len() >= self.config.limits.max_rooms {
            return Err(Reason::TOO_MANY_JOINS);
        }
        let rights = self.authorise(&asking(join))?;
        let granted = rights.grant(join.mode)?;
        let join = &JoinCommand { mode: granted, ..join.clone() };
        let index = self.room(&join.name, now)?;
        let slot = self.rooms.get_mut(index).ok_or(Reason::INTERNAL)?;
        slot.room.allow_growth(self.budget.allows_growth());
        let mut turn = Turn { now, limits: &self.config.limits, out, tools: &mut self.tools };
        let joined = slot.room.join(session, outlet, join, rights, &mut turn);
        let joined = joined.and_then(|member| Ok((member, slot.room.admit(member, join, turn.thinking())?)));
        let (member, answer) = match joined {
            Ok(joined) => joined,
            Err(reason) => {
                self.handle_refused(index, now, out);
                return Err(reason);
            }
        };
        slot.room.welcome(member, join, &answer, &mut turn);
        if slot.lingers_until.take().is_some() {
            self.lingering.make_void();
        }
        self.seats
            .entry(session)
            .or_default()
            .by_handle
            .insert(place, Seat { handle: join.handle, room: index, member });
        self.mark_dirty(index, now);
        self.mark_straggling(index, now);
        self.settle(index, now, out);
        Ok(())
    }

    /// A join, or a message of an operator, was refused, and nothing of it is left.
    pub(super) fn handle_refused(&mut self, index: RoomIndex, now: Time, out: &mut impl Outlet<H>) {
        self.settle(index, now, out);
        let Some(slot) = self.rooms.get_mut(index) else { return };
        if slot.room.is_empty() && !slot.scheduled && slot.lingers_until.is_none() {
            // Made for nothing: it lingers like any other that is empty.
            self.linger_until(index, now);
        }
    }

    /// A resumed session joins again on a handle it holds: it keeps its number. False where the
    /// membership has ended meanwhile, so that it joins like any other.
    fn come_back(
        &mut self,
        session: SessionId,
        outlet: &H,
        join: &JoinCommand,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<bool, Reason> {
        let Ok(seat) = self.seat(session, join.handle) else { return Ok(false) };
        if self.rooms.find(&join.name) != Some(seat.room) {
            return Err(Reason::HANDLE_IN_USE);
        }
        let rights = self.authorise(&asking(join));
        let came = rights.and_then(|rights| {
            let join = &JoinCommand { mode: rights.grant(join.mode)?, ..join.clone() };
            let slot = self.rooms.get_mut(seat.room).ok_or(Reason::INTERNAL)?;
            let mut turn = Turn { now, limits: &self.config.limits, out, tools: &mut self.tools };
            let was_away = slot.room.is_away(seat.member);
            slot.room.come_back(seat.member, outlet, join, rights, &turn)?;
            slot.room.welcome(seat.member, join, &[], &mut turn);
            if was_away {
                slot.room.tell_back(seat.member, turn.thinking());
            }
            Ok(())
        });
        if let Err(reason) = came {
            // PROTOCOL 6.6: a refused join frees its handle, so there is no member behind it any more.
            self.unseat(session, seat.room);
            self.end_membership(seat, reason, now);
            self.settle(seat.room, now, out);
            return Err(reason);
        }
        self.mark_dirty(seat.room, now);
        self.mark_straggling(seat.room, now);
        self.settle(seat.room, now, out);
        Ok(true)
    }

    /// PROTOCOL 15: one decision for live batches, history, snapshots and resumed sessions.
    pub(super) fn authorise(&mut self, asking: &Asking<'_>) -> Result<Rights, Reason> {
        // The application's own, as logic is: a panic in it ends this join and nothing else.
        let asked = guard(|| self.config.authorise.ask(asking));
        if asked.is_none() {
            self.tools.counters.logic_panics += 1;
        }
        asked.unwrap_or(Err(Reason::ROOM_FAILED)).map_err(told)
    }

    /// A session has a newer token: a membership that it does not allow as it is ends (PROTOCOL 6.14).
    pub(super) fn renew(
        &mut self,
        session: SessionId,
        handle: Handle,
        identity: &Identity,
        now: Time,
        out: &mut impl Outlet<H>,
    ) {
        // What has ended meanwhile needs nothing.
        let Ok(seat) = self.seat(session, handle) else { return };
        let Some(slot) = self.rooms.get(seat.room) else { return };
        let (Some(mode), room) = (slot.room.mode(seat.member), slot.room.name.clone()) else { return };
        let asking = Asking { subject: &identity.subject, identity: Some(identity), room: &room, mode, key: None };
        let renewed = self.authorise(&asking).and_then(|rights| {
            if rights.grant(mode)? != mode {
                return Err(Reason::NOT_ALLOWED);
            }
            let slot = self.rooms.get_mut(seat.room).ok_or(Reason::INTERNAL)?;
            let mut turn = Turn { now, limits: &self.config.limits, out: &mut *out, tools: &mut self.tools };
            slot.room.renew(seat.member, rights, &identity.info, &mut turn);
            Ok(())
        });
        if let Err(reason) = renewed {
            self.remove(seat.room, seat.member, reason, now, out);
        }
        self.mark_dirty(seat.room, now);
        self.mark_straggling(seat.room, now);
        self.settle(seat.room, now, out);
    }

    pub(super) fn receive(
        &mut self,
        session: SessionId,
        handle: Handle,
        request: RequestId,
        what: What,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<(), Reason> {
        let seat = self.seat(session, handle)?;
        let slot = self.rooms.get_mut(seat.room).ok_or(Reason::NOT_JOINED)?;
        let mut turn = Turn { now, limits: &self.config.limits, out, tools: &mut self.tools };
        slot.room.receive(seat.member, request, what, &mut turn)?;
        self.mark_straggling(seat.room, now);
        Ok(())
    }

    pub(super) fn members(
        &mut self,
        seat: Seat,
        outlet: &H,
        request: RequestId,
        after: MemberNumber,
        now: Time,
        out: &mut impl Outlet<H>,
    ) {
        if let Some(slot) = self.rooms.get_mut(seat.room) {
            let mut turn = Turn { now, limits: &self.config.limits, out, tools: &mut self.tools };
            slot.room.members_page(seat.member, outlet, request, after, &mut turn);
        }
    }

    pub(super) fn leave(
        &mut self,
        session: SessionId,
        outlet: &H,
        request: RequestId,
        handle: Handle,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<(), Reason> {
        let seat = self.seat(session, handle)?;
        self.unseat(session, seat.room);
        if let Some(slot) = self.rooms.get_mut(seat.room) {
            out.frame(outlet, FrameClass::Control, &left(request, handle, Reason::FINISHED, slot.room.lease()));
        }
        self.end_membership(seat, Reason::FINISHED, now);
        self.settle(seat.room, now, out);
        Ok(())
    }

    pub(super) fn set_presence(
        &mut self,
        session: SessionId,
        handle: Handle,
        data: &[u8],
        now: Time,
    ) -> Result<(), Reason> {
        let seat = self.seat(session, handle)?;
        if let Some(slot) = self.rooms.get_mut(seat.room) {
            slot.room.set_presence(seat.member, data, &self.config.limits)?;
            self.mark_dirty(seat.room, now);
        }
        Ok(())
    }

    pub(super) fn end_membership(&mut self, seat: Seat, reason: Reason, now: Time) {
        let Some(slot) = self.rooms.get_mut(seat.room) else { return };
        slot.room.leave(seat.member, reason);
        self.mark_dirty(seat.room, now);
        self.tell_left(seat, reason, now);
    }

    #[inline]
    pub(super) fn seat(&self, session: SessionId, handle: Handle) -> Result<Seat, Reason> {
        self.seats.get(&session).ok_or(Reason::NOT_JOINED)?.seat(handle)
    }
}

/// What a join asks.
fn asking(join: &JoinCommand) -> Asking<'_> {
    let JoinCommand { subject, identity, name, mode, .. } = join;
    Asking { subject, identity: identity.as_deref(), room: name, mode: *mode, key: None }
}

/// Where the seat of a handle is, or belongs: a message costs as much in many rooms as in one.
impl Seats {
    /// The membership of a handle.
    #[inline]
    pub(super) fn seat(&self, handle: Handle) -> Result<Seat, Reason> {
        let seats = &self.by_handle;
        find(seats, handle).ok().and_then(|place| seats.get(place)).copied().ok_or(Reason::NOT_JOINED)
    }
}

#[inline]
fn find(seats: &[Seat], handle: Handle) -> Result<usize, usize> {
    seats.binary_search_by_key(&handle, |seat| seat.handle)
}
