//! A room's logic, called under guard: what it does wrong stays in its room.
//!
//! ```text
//! Room ──> Mind ──catch──> RoomLogic::{joined, message, flush, ..}(Context over members and gathering)
//!            └── Orders: kick, close, flush; a panic is an order to close ──> the dispatcher obeys
//! ```

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::gathering::{Gathering, PendingDirect};
use super::members::Members;
use super::{Counters, Room};
use crate::class::PresenceMode;
use crate::command::{Hold, JoinCommand, Publish, SessionId};
use crate::limits::Limits;
use crate::logic::{Asked, Context, Idle, Inside, Member, Message, Order, Orders, RoomLogic, Tick, Verdict, told};
use crate::time::{Time, micros};
use crate::wire::{Key, MemberNumber, Reason, Target};

/// A logic and what it has ordered.
pub(super) struct Mind {
    /// `None` when it was let go of.
    logic: Option<Box<dyn RoomLogic>>,
    orders: Orders,
    wants_ticks: bool,
    /// Up to which tick it knows that time has passed.
    last_tick: u64,
}

/// What a call of logic needs of the room's owner.
#[derive(Debug)]
pub(crate) struct Thinking<'a> {
    pub(crate) now: Time,
    pub(crate) limits: &'a Limits,
    pub(crate) counters: &'a mut Counters,
}

impl<H: Clone> Room<H> {
    /// Gives the room rules.
    pub(crate) fn set_logic(&mut self, logic: Box<dyn RoomLogic>) {
        // Whether it wants ticks is asked at its first call, which is the join that made the room.
        let mind = Mind { logic: Some(logic), orders: Orders::default(), wants_ticks: false, last_tick: 0 };
        self.mind = Some(Box::new(mind));
    }

    pub(crate) const fn has_logic(&self) -> bool {
        self.mind.is_some()
    }

    /// Whether the room is to be flushed at its next tick even when nothing comes.
    pub(crate) fn wants_ticks(&self) -> bool {
        let wants = self.mind.as_ref().is_some_and(|mind| mind.wants_ticks && mind.orders.closed().is_none());
        // A period of 0 has no ticks that one could wait for.
        wants && !self.is_empty() && micros(self.class.period) > 0
    }

    /// What logic wants of the room's owner next.
    pub(crate) fn next_order(&mut self) -> Option<Order> {
        self.mind.as_mut()?.orders.next()
    }

    /// Asks logic about a member that has just been inserted. Where it refuses, no trace is left.
    pub(crate) fn admit(
        &mut self,
        number: MemberNumber,
        join: &JoinCommand,
        mut thinking: Thinking<'_>,
    ) -> Result<Bytes, Reason> {
        let tick = self.tick(thinking.now);
        let Some(mind) = &mut self.mind else { return Ok(Bytes::new()) };
        if self.members.len() == 1 {
            // While nobody was there, no time has passed for it.
            mind.last_tick = tick;
        }
        let asked = self.think(&mut thinking, |logic, room| logic.joined(number, &join.data, room));
        let answer = match asked {
            Some(Ok(answer)) if answer.len() <= thinking.limits.max_join_data => return Ok(answer),
            Some(Err(reason)) => told(reason),
            Some(Ok(_)) => Reason::ROOM_FAILED,
            None => self.closing_reason(),
        };
        let counted = self.class.presence == PresenceMode::Full;
        self.members.withdraw(number);
        self.gathering.withdraw(number, counted.then_some(join.subject.len() + join.presence.len()));
        if let Some(mind) = &mut self.mind {
            mind.orders.forget(number);
        }
        Err(answer)
    }

    /// Tells logic that a member has left.
    pub(crate) fn tell_left(&mut self, number: MemberNumber, reason: Reason, mut thinking: Thinking<'_>) {
        self.think(&mut thinking, |logic, room| logic.left(number, reason, room));
    }

    /// Tells logic that a member's connection is gone.
    pub(crate) fn tell_away(&mut self, number: MemberNumber, mut thinking: Thinking<'_>) {
        self.think(&mut thinking, |logic, room| logic.away(number, room));
    }

    /// Tells logic that a member's connection is there again.
    pub(crate) fn tell_back(&mut self, number: MemberNumber, mut thinking: Thinking<'_>) {
        self.think(&mut thinking, |logic, room| logic.back(number, room));
    }

    /// Asks logic what becomes of a message, and does it.
    pub(super) fn weigh(
        &mut self,
        from: MemberNumber,
        message: &Publish,
        payload: &[u8],
        mut thinking: Thinking<'_>,
    ) -> Result<(), Reason> {
        if message.target == Target::Direct(MemberNumber::ROOM) {
            let asked = Asked { from, id: message.number };
            let answered = self.think(&mut thinking, |logic, room| logic.request(asked, payload, room));
            return answered.unwrap_or_else(|| Err(self.closing_reason())).map_err(told);
        }
        if let Target::Direct(to) = message.target {
            self.members.get(to).ok_or(Reason::NO_SUCH_MEMBER)?;
        }
        let shown = Message::new(message.target, message.urgent, payload);
        let verdict = self.think(&mut thinking, |logic, room| logic.message(from, &shown, room));
        match verdict {
            Some(Verdict::Relay) => self.gather(from, message, payload, thinking.limits),
            Some(Verdict::Change(other)) if other.len() > thinking.limits.max_message => Err(Reason::MESSAGE_TOO_LARGE),
            Some(Verdict::Change(other)) => self.gather(from, message, &other, thinking.limits),
            Some(Verdict::Swallow) => Ok(()),
            Some(Verdict::Refuse(reason)) => Err(told(reason)),
            None => Err(self.closing_reason()),
        }
    }

    /// Lets logic add to the batch that is about to be made.
    pub(crate) fn before_flush(&mut self, mut thinking: Thinking<'_>) {
        let number = self.tick(thinking.now);
        let Some(mind) = &mut self.mind else { return };
        let elapsed = number.saturating_sub(mind.last_tick);
        mind.last_tick = number;
        let tick = Tick { number, elapsed, now: thinking.now };
        self.think(&mut thinking, |logic, room| logic.flush(tick, room));
        if let Some(mind) = &mut self.mind {
            mind.orders.handle_flushed();
        }
    }

    /// Asks logic what becomes of the room, which is empty.
    pub(crate) fn ask_idle(&mut self, mut thinking: Thinking<'_>) -> Idle {
        if self.mind.is_none() {
            return Idle::Linger;
        }
        // A logic that has failed has no room to linger in.
        self.think(&mut thinking, |logic, room| logic.idle(room)).unwrap_or(Idle::Close)
    }

    /// Everyone who has not left, with the session and its number for the room.
    pub(crate) fn everyone(&self) -> impl Iterator<Item = (MemberNumber, SessionId, &H, Hold)> {
        self.members.all().map(|(number, member)| (number, member.session, &member.outlet, member.hold))
    }

    /// Whose member this is.
    pub(crate) fn whose(&self, number: MemberNumber) -> Option<(SessionId, H, Hold)> {
        self.members.get(number).map(|member| (member.session, member.outlet.clone(), member.hold))
    }

    /// Whether a member's connection is gone.
    pub(crate) fn is_away(&self, number: MemberNumber) -> bool {
        self.members.get(number).is_some_and(|member| member.away)
    }

    fn closing_reason(&self) -> Reason {
        self.mind.as_ref().and_then(|mind| mind.orders.closed()).unwrap_or(Reason::ROOM_FAILED)
    }

    /// Calls logic; `None` where there is none to call any more, or it panicked.
    fn think<R>(
        &mut self,
        thinking: &mut Thinking<'_>,
        call: impl FnOnce(&mut dyn RoomLogic, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let tick = self.tick(thinking.now);
        let Self { mind, gathering, members, name, .. } = self;
        let mind = mind.as_mut().filter(|mind| mind.orders.closed().is_none())?;
        let logic = mind.logic.as_mut()?;
        let mut parts = Parts { gathering, members, limits: thinking.limits };
        let mut context = Context::new(name, thinking.now, tick, &mut parts, &mut mind.orders);
        // What a context can do is whole when it returns, so that a panic leaves nothing half done in
        // the room; the logic itself is not called again.
        let called = guard(|| {
            let result = call(&mut **logic, &mut context);
            (result, logic.wants_ticks())
        });
        match called {
            Some((result, wants_ticks)) => {
                mind.wants_ticks = wants_ticks;
                Some(result)
            }
            None => {
                thinking.counters.logic_panics += 1;
                mind.orders.fail();
                None
            }
        }
    }
}

impl Drop for Mind {
    fn drop(&mut self) {
        // Letting go of it is the application's code too.
        let logic = self.logic.take();
        let _panicked = guard(|| drop(logic));
    }
}

impl std::fmt::Debug for Mind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mind").field("orders", &self.orders).finish_non_exhaustive()
    }
}

/// Calls what an application wrote; `None` where it panicked.
pub(crate) fn guard<R>(call: impl FnOnce() -> R) -> Option<R> {
    let payload: Box<dyn Any + Send> = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => return Some(result),
        Err(payload) => payload,
    };
    // What a panic carries can panic when it is dropped, once more for each time: then it is left.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
    None
}

/// The parts of a room that logic reaches.
struct Parts<'a, H> {
    gathering: &'a mut Gathering,
    members: &'a Members<H>,
    limits: &'a Limits,
}

impl<H> Parts<'_, H> {
    const fn check(&self, payload: &[u8]) -> Result<(), Reason> {
        if payload.len() > self.limits.max_message { Err(Reason::MESSAGE_TOO_LARGE) } else { Ok(()) }
    }
}

impl<H: Clone> Inside for Parts<'_, H> {
    fn member(&self, number: MemberNumber) -> Option<Member<'_>> {
        let member = self.members.get(number)?;
        Some(Member::new(number, &member.subject, &member.presence, member.away))
    }

    fn member_after(&self, number: MemberNumber) -> Option<Member<'_>> {
        let (number, member) = self.members.after(number)?;
        Some(Member::new(number, &member.subject, &member.presence, member.away))
    }

    fn member_count(&self) -> usize {
        self.members.len()
    }

    fn event(&mut self, payload: &[u8]) -> Result<(), Reason> {
        self.check(payload)?;
        self.gathering.event(MemberNumber::ROOM, payload, self.limits)
    }

    fn direct(&mut self, to: MemberNumber, answers: u64, payload: &[u8]) -> Result<(), Reason> {
        self.check(payload)?;
        self.members.get(to).ok_or(Reason::NO_SUCH_MEMBER)?;
        let payload = Bytes::copy_from_slice(payload);
        let from = MemberNumber::ROOM;
        self.gathering.direct(PendingDirect { from, to, number: 0, answers, urgent: false, payload }, self.limits)
    }

    fn value(&mut self, key: u64, payload: &[u8]) -> Result<(), Reason> {
        self.check(payload)?;
        // PROTOCOL 7.2: with its scope, a key is below 2^53.
        if key >= 1 << 52 {
            return Err(Reason::ARGUMENT);
        }
        self.gathering.value(MemberNumber::ROOM, Key::room(key), payload, self.limits)
    }
}
