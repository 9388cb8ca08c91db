//! What a logic sees of its room, and what it can do there.
//!
//! ```text
//! send, direct, answer, set, delete ──> straight into what the tick gathers, bounded as for members
//! kick, close, flush_now ───────────> orders, obeyed when the call has returned
//! ```

use std::collections::VecDeque;
use std::fmt;

use super::Asked;
use crate::name::RoomName;
use crate::time::Time;
use crate::wire::{MemberNumber, Reason};

/// The room, for the time of one call. What is sent here comes from member 0.
pub struct Context<'a> {
    name: &'a RoomName,
    now: Time,
    tick: u64,
    room: &'a mut dyn Inside,
    orders: &'a mut Orders,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        name: &'a RoomName,
        now: Time,
        tick: u64,
        room: &'a mut dyn Inside,
        orders: &'a mut Orders,
    ) -> Self {
        Self { name, now, tick, room, orders }
    }

    /// The room's name.
    #[must_use]
    pub const fn name(&self) -> &RoomName {
        self.name
    }

    /// Server time.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// The number of the current tick since the room's start, from the clock. What comes in during
    /// tick 3 leaves with the flush of tick 4.
    #[must_use]
    pub const fn tick(&self) -> u64 {
        self.tick
    }

    /// A member that has not left; also one that is away.
    #[must_use]
    pub fn member(&self, number: MemberNumber) -> Option<Member<'_>> {
        self.room.member(number)
    }

    /// All members that have not left, by number.
    #[must_use]
    pub fn members(&self) -> Members<'_> {
        Members { room: &*self.room, after: MemberNumber::ROOM }
    }

    /// How many they are.
    #[must_use]
    pub fn member_count(&self) -> usize {
        self.room.member_count()
    }

    /// Sends an event to all. It stands behind the events that have come in this tick so far.
    ///
    /// # Errors
    /// [`Reason::MESSAGE_TOO_LARGE`], and [`Reason::BATCH_FULL`] where the tick has gathered as much as
    /// it may; nothing is sent then.
    pub fn send(&mut self, payload: &[u8]) -> Result<(), Reason> {
        self.room.event(payload)
    }

    /// Sends to one member, behind the room's next batch.
    ///
    /// # Errors
    /// [`Reason::NO_SUCH_MEMBER`], and as for [`send`](Self::send). The number of directs in a tick has
    /// a bound too.
    pub fn direct(&mut self, to: MemberNumber, payload: &[u8]) -> Result<(), Reason> {
        self.room.direct(to, 0, payload)
    }

    /// Answers a request: a direct whose key is the number of the asker's data frame. A request may be
    /// answered later, and more than once.
    ///
    /// # Errors
    /// As for [`direct`](Self::direct).
    pub fn answer(&mut self, asked: Asked, payload: &[u8]) -> Result<(), Reason> {
        self.room.direct(asked.from, asked.id, payload)
    }

    /// Sets a value of the room; inside a tick the last one wins. An empty payload deletes it.
    ///
    /// # Errors
    /// [`Reason::VALUES_FULL`] for a new key where the room has as many as it may, or too many bytes;
    /// [`Reason::ARGUMENT`] for a key above 2^52 - 1; and as for [`send`](Self::send).
    pub fn set(&mut self, key: u64, payload: &[u8]) -> Result<(), Reason> {
        self.room.value(key, payload)
    }

    /// Deletes a value of the room. It is not an error that there is none.
    ///
    /// # Errors
    /// As for [`set`](Self::set).
    pub fn delete(&mut self, key: u64) -> Result<(), Reason> {
        self.room.value(key, &[])
    }

    /// Ends a membership when this call has returned: the member is told LEFT with this reason, and the
    /// others learn it with the next flush. `reason` is [`Reason::REMOVED`] or one of the application's,
    /// 900 to 999; any other becomes `REMOVED`. What this tick has gathered does not reach it any more.
    pub fn kick(&mut self, member: MemberNumber, reason: Reason) {
        let reason = if is_own(reason) { reason } else { Reason::REMOVED };
        if self.room.member(member).is_some() {
            self.orders.kicked.push_back((member, reason));
        }
    }

    /// Closes the room when this call has returned: what was gathered is sent, all members are told
    /// LEFT with this reason, and the room is forgotten. `reason` is [`Reason::ROOM_CLOSED`] or one of
    /// the application's, 900 to 999; any other becomes `ROOM_CLOSED`. This logic is not called again.
    pub fn close(&mut self, reason: Reason) {
        let reason = if is_own(reason) { reason } else { Reason::ROOM_CLOSED };
        self.orders.closed.get_or_insert(reason);
    }

    /// Flushes when this call has returned, before the tick, as an urgent message does and within the
    /// same bound for a tick (PROTOCOL 11.6). In [`flush`](super::RoomLogic::flush) it does nothing.
    pub fn flush_now(&mut self) {
        self.orders.flush = true;
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, now, tick, .. } = self;
        f.debug_struct("Context").field("name", name).field("now", now).field("tick", tick).finish_non_exhaustive()
    }
}

/// A member as its room's logic sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member<'a> {
    /// Its number.
    pub number: MemberNumber,
    /// Who the server knows it to be; empty for anonymous clients.
    pub subject: &'a [u8],
    /// What it shows of itself: its own word.
    pub presence: &'a [u8],
    /// Whether its connection is gone; its place is kept (PROTOCOL 12.2).
    pub away: bool,
}

impl<'a> Member<'a> {
    pub(crate) const fn new(number: MemberNumber, subject: &'a [u8], presence: &'a [u8], away: bool) -> Self {
        Self { number, subject, presence, away }
    }
}

/// Members by number: see [`Context::members`].
pub struct Members<'a> {
    room: &'a dyn Inside,
    after: MemberNumber,
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let member = self.room.member_after(self.after)?;
        self.after = member.number;
        Some(member)
    }
}

impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").field("after", &self.after).finish_non_exhaustive()
    }
}

/// What a context needs of its room, whatever the owner's handles are.
pub(crate) trait Inside {
    fn member(&self, number: MemberNumber) -> Option<Member<'_>>;
    fn member_after(&self, number: MemberNumber) -> Option<Member<'_>>;
    fn member_count(&self) -> usize;
    fn event(&mut self, payload: &[u8]) -> Result<(), Reason>;
    fn direct(&mut self, to: MemberNumber, answers: u64, payload: &[u8]) -> Result<(), Reason>;
    fn value(&mut self, key: u64, payload: &[u8]) -> Result<(), Reason>;
}

/// What a logic wants of its room's owner.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    kicked: VecDeque<(MemberNumber, Reason)>,
    closed: Option<Reason>,
    flush: bool,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Close(Reason),
    Kick(MemberNumber, Reason),
    Flush,
}

impl Orders {
    /// The next one. Closing stays and comes before all others: they mean nothing any more.
    pub(crate) fn next(&mut self) -> Option<Order> {
        if let Some(reason) = self.closed {
            return Some(Order::Close(reason));
        }
        if let Some((member, reason)) = self.kicked.pop_front() {
            return Some(Order::Kick(member, reason));
        }
        std::mem::take(&mut self.flush).then_some(Order::Flush)
    }

    pub(crate) const fn closed(&self) -> Option<Reason> {
        self.closed
    }

    /// The logic has failed, whatever it wanted.
    pub(crate) const fn fail(&mut self) {
        self.closed = Some(Reason::ROOM_FAILED);
    }

    /// The room is being flushed anyway.
    pub(crate) const fn handle_flushed(&mut self) {
        self.flush = false;
    }

    /// A member never was one.
    pub(crate) fn forget(&mut self, member: MemberNumber) {
        self.kicked.retain(|(kicked, _)| *kicked != member);
    }
}

const fn is_own(reason: Reason) -> bool {
    reason.0 >= 900 && reason.0 <= 999
}
