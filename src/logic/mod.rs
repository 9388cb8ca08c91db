//! Rules of an application inside a room: what may happen there, and what the room itself says
//! (PROTOCOL 1, 7.3, 8.6).
//!
//! ```text
//!  join ───> joined ──answer──> JOINED          Ok: the member is in      Err: refused, no trace
//!  event, value, direct ───> message ──Verdict──> this tick's batch
//!  direct to member 0 ─────> request ──answer───> a direct from member 0
//!  tick ───────────────────> flush ──events, values of the room──> this tick's batch
//!  nobody is left ─────────> idle ──> linger, or be forgotten
//! ```
//!
//! A [`RoomLogic`] is plain data with `&mut self`: it runs on the shard that owns its room, one call at
//! a time, without locks. It must not wait, and what it does in a call holds up every room of its shard
//! for so long. What it says goes into the batch of the tick like any member's messages, as member 0,
//! and is bounded like them (PROTOCOL 13).
//!
//! Which rooms have which logic is decided by name, with [`Logics`] (`Builder::logic` in a server); a
//! room that has none relays. A logic lives as long as its room, the lingering included, and a room's
//! next life starts with a new one.
//!
//! # A panic
//!
//! A panic inside a logic closes that room and nothing else: its members are told LEFT with reason 6,
//! after what the tick had gathered, and the room is forgotten. The next join begins another life.
//! [`Counters::logic_panics`](crate::dispatcher::Counters::logic_panics) counts it. (A program built
//! with `panic = "abort"` has no such second chance.)
//!
//! # An example, with its test
//!
//! A [`Harness`] is a room without a server: inputs and ticks in, and what each member was told out.
//!
//! ```
//! use bytes::Bytes;
//! use tickwire::logic::{Context, Harness, Heard, Message, RoomLogic, Tick, Verdict};
//! use tickwire::wire::{MemberNumber, Reason};
//!
//! /// Counts what is said, refuses shouting, and shows the count as value 0 of the room.
//! #[derive(Default)]
//! struct Counter {
//!     said: u64,
//! }
//!
//! impl RoomLogic for Counter {
//!     fn message(&mut self, _from: MemberNumber, message: &Message<'_>, _room: &mut Context<'_>) -> Verdict {
//!         if message.payload.ends_with(b"!") {
//!             return Verdict::Refuse(Reason(960));
//!         }
//!         self.said += 1;
//!         Verdict::Relay
//!     }
//!
//!     fn flush(&mut self, _tick: Tick, room: &mut Context<'_>) {
//!         // A full room refuses even its logic: the next tick tries again.
//!         let _refused = room.set(0, self.said.to_string().as_bytes());
//!     }
//! }
//!
//! let mut room = Harness::new(|_| Counter::default());
//! let anna = room.join("anna", b"").unwrap();
//! room.tick();
//! room.skip();
//!
//! room.event(anna, b"hello").unwrap();
//! assert_eq!(room.event(anna, b"hello!"), Err(Reason(960)));
//! room.tick();
//! assert_eq!(room.heard(anna), [Heard::event(anna, "hello"), Heard::room_value(0, "1")]);
//! ```

mod context;
mod harness;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use self::context::{Context, Member, Members};
pub(crate) use self::context::{Inside, Order, Orders};
pub use self::harness::{Harness, Heard};
use crate::name::{Pattern, RoomName};
use crate::time::Time;
use crate::wire::{MemberNumber, Reason, Target};

/// The rules of one room. Every method has a default, and the defaults together relay.
///
/// Reasons that a logic gives are shown to clients, who act on their range (PROTOCOL 14): 900 to 929
/// retry, 930 to 959 later, 960 to 999 never. A number outside 1 to 999 becomes
/// [`Reason::NOT_ALLOWED`].
pub trait RoomLogic: Send {
    /// Whether [`flush`](Self::flush) is to be called at every tick while there are members. Yes; a
    /// logic that only reacts says no, and is called at ticks that something has come for. Asked again
    /// after every call, so that a game can rest between rounds.
    ///
    /// Rooms of period 0 have no ticks to be called at: they flush when something has come.
    fn wants_ticks(&self) -> bool {
        true
    }

    /// A session wants to be a member; `data` came with its join, at most
    /// [`Limits::max_join_data`](crate::limits::Limits::max_join_data) bytes. It is among
    /// [`Context::members`] already, and can be sent directs. The answer travels in JOINED, and has the
    /// same bound; a longer one refuses the join with [`Reason::ROOM_FAILED`].
    ///
    /// # Errors
    /// The reason to refuse it with. Nobody is told then, and its number goes to the next one.
    fn joined(&mut self, member: MemberNumber, data: &[u8], room: &mut Context<'_>) -> Result<Bytes, Reason> {
        let _relaying = (member, data, room);
        Ok(Bytes::new())
    }

    /// A member has left, was removed, or its session has ended. It is no longer among
    /// [`Context::members`].
    fn left(&mut self, member: MemberNumber, reason: Reason, room: &mut Context<'_>) {
        let _relaying = (member, reason, room);
    }

    /// A member's connection is gone and may come back (PROTOCOL 12.2). Directs to it are kept.
    fn away(&mut self, member: MemberNumber, room: &mut Context<'_>) {
        let _relaying = (member, room);
    }

    /// A member that was away is back. It is not joined again.
    fn back(&mut self, member: MemberNumber, room: &mut Context<'_>) {
        let _relaying = (member, room);
    }

    /// A member has sent an event, a value, or a direct to another member, and may do so. What
    /// is relayed may still be refused, where the room is full (PROTOCOL 7.4).
    fn message(&mut self, from: MemberNumber, message: &Message<'_>, room: &mut Context<'_>) -> Verdict {
        let _relaying = (from, message, room);
        Verdict::Relay
    }

    /// A member has sent a direct to member 0. [`Context::answer`] answers, now or later.
    ///
    /// # Errors
    /// The reason to refuse the request with. The default takes none.
    fn request(&mut self, asked: Asked, payload: &[u8], room: &mut Context<'_>) -> Result<(), Reason> {
        let _relaying = (asked, payload, room);
        Err(Reason::NO_SUCH_MEMBER)
    }

    /// The room is about to flush: what is sent and set here is in the batch. Called once per flush,
    /// also where that is an early one (then [`Tick::elapsed`] may be 0), and also for the one
    /// that tells of the last member's leaving.
    fn flush(&mut self, tick: Tick, room: &mut Context<'_>) {
        let _relaying = (tick, room);
    }

    /// The last member has left, and the flush has told of it. An empty room gets no ticks.
    fn idle(&mut self, room: &Context<'_>) -> Idle {
        let _relaying = room;
        Idle::Linger
    }
}

/// A logic that is chosen at run time.
impl<L: RoomLogic + ?Sized> RoomLogic for Box<L> {
    fn wants_ticks(&self) -> bool {
        (**self).wants_ticks()
    }

    fn joined(&mut self, member: MemberNumber, data: &[u8], room: &mut Context<'_>) -> Result<Bytes, Reason> {
        (**self).joined(member, data, room)
    }

    fn left(&mut self, member: MemberNumber, reason: Reason, room: &mut Context<'_>) {
        (**self).left(member, reason, room);
    }

    fn away(&mut self, member: MemberNumber, room: &mut Context<'_>) {
        (**self).away(member, room);
    }

    fn back(&mut self, member: MemberNumber, room: &mut Context<'_>) {
        (**self).back(member, room);
    }

    fn message(&mut self, from: MemberNumber, message: &Message<'_>, room: &mut Context<'_>) -> Verdict {
        (**self).message(from, message, room)
    }

    fn request(&mut self, asked: Asked, payload: &[u8], room: &mut Context<'_>) -> Result<(), Reason> {
        (**self).request(asked, payload, room)
    }

    fn flush(&mut self, tick: Tick, room: &mut Context<'_>) {
        (**self).flush(tick, room);
    }

    fn idle(&mut self, room: &Context<'_>) -> Idle {
        (**self).idle(room)
    }
}

/// The default: everything is relayed, and nothing is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relay;

impl RoomLogic for Relay {
    fn wants_ticks(&self) -> bool {
        false
    }
}

/// A message on its way into the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// An event, a value, or a direct to a member that is there.
    pub target: Target,
    /// Whether its sender asks for an early flush.
    pub urgent: bool,
    /// The message: the sender's word. For a value, empty deletes.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    pub(crate) const fn new(target: Target, urgent: bool, payload: &'a [u8]) -> Self {
        Self { target, urgent, payload }
    }
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It goes where its sender wanted it, as it is.
    Relay,
    /// It goes there with other bytes, still in its sender's name. Longer than
    /// [`Limits::max_message`](crate::limits::Limits::max_message), it is refused.
    Change(Bytes),
    /// It was accepted, and goes nowhere. An urgent one flushes early only where something else has been
    /// gathered; else it is for the logic to [`flush_now`](Context::flush_now).
    Swallow,
    /// Its sender is told this reason.
    Refuse(Reason),
}

/// Who asked, and by what the answer is known: the number of the asker's data frame (PROTOCOL 8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The member.
    pub from: MemberNumber,
    /// Counts the data frames of its session, from 1.
    pub id: u64,
}

/// The tick that a flush belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tick {
    /// Its number since the room's start, whose low 16 bits travel with the batch.
    pub number: u64,
    /// Ticks since the last flush, or since the room was empty: 1 from one tick to the next, 0 for an
    /// early flush, 100 after a stall of a hundred ticks. Rooms of period 0 count milliseconds.
    pub elapsed: u64,
    /// Server time.
    pub now: Time,
}

/// What becomes of an empty room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// It lingers as its class says.
    #[default]
    Linger,
    /// It is forgotten at once, with its values and history.
    Close,
}

/// Which rooms have which logic: the first pattern that fits decides.
#[derive(Clone, Default)]
pub struct Logics {
    by_pattern: Vec<(Pattern, Make)>,
}

type Make = Arc<dyn Fn(&RoomName) -> Box<dyn RoomLogic> + Send + Sync>;

impl Logics {
    /// All rooms relay.
    #[must_use]
    pub const fn none() -> Self {
        Self { by_pattern: Vec::new() }
    }

    /// Rooms whose names fit have the logic that `make` makes, one for each life of each room. Where
    /// `make` panics, the join that wanted the room is refused with [`Reason::ROOM_FAILED`].
    #[must_use]
    pub fn with<L, F>(mut self, pattern: Pattern, make: F) -> Self
    where
        L: RoomLogic + 'static,
        F: Fn(&RoomName) -> L + Send + Sync + 'static,
    {
        self.by_pattern.push((pattern, Arc::new(move |name| Box::new(make(name)))));
        self
    }

    /// As [`with`](Self::with), before all others.
    #[cfg(feature = "console")]
    pub(crate) fn with_first<L, F>(mut self, pattern: Pattern, make: F) -> Self
    where
        L: RoomLogic + 'static,
        F: Fn(&RoomName) -> L + Send + Sync + 'static,
    {
        self.by_pattern.insert(0, (pattern, Arc::new(move |name| Box::new(make(name)))));
        self
    }

    /// A new logic for a room; `None` where it relays.
    pub(crate) fn make(&self, name: &RoomName) -> Option<Box<dyn RoomLogic>> {
        let fitting = self.by_pattern.iter().find(|(pattern, _)| pattern.matches(name));
        fitting.map(|(_, make)| make(name))
    }
}

impl fmt::Debug for Logics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_pattern.iter().map(|(pattern, _)| pattern)).finish()
    }
}

/// A reason as a logic may give it.
pub(crate) const fn told(reason: Reason) -> Reason {
    if reason.0 >= 1 && reason.0 <= 999 { reason } else { Reason::NOT_ALLOWED }
}
