//! A room: its members, its values, and what this tick has gathered (PROTOCOL 8 and 11).
//!
//! ```text
//! join, leave ──> members ─┐                       ┌ presence: who came   ┐ position p
//! event ─────────────────> events ──── flush ────> │ events               │
//! value ─────────────────> values ─┘               │ values (follow p)    │
//! direct ──────────────────────────────────┐       └ presence: who left   ┘
//!                                          └────> directs, after the batch
//! ```
//!
//! What is sent is kept for a while ([`history`]), and a receiver that does not keep up is told the
//! latest state when it has drained ([`straggler`]).
//!
//! A room is plain data: whoever owns it passes the time in and an [`Outlet`] for what goes out.
//! `H` is the owner's handle of a session's output; the room only clones it and hands it back.

mod buffers;
mod counters;
mod deflation;
mod flush;
mod gathering;
mod history;
mod join;
mod look;
mod members;
mod mind;
mod numbers;
mod outlet;
mod own;
mod receivers;
mod segment;
mod shelf;
mod snapshot;
mod straggler;
mod values;
mod volume;

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::buffers::Buffers;
pub use self::counters::Counters;
use self::deflation::Deflation;
pub(crate) use self::flush::FlushScratch;
use self::gathering::{Gathering, PendingDirect};
use self::history::History;
use self::members::Members;
use self::mind::Mind;
pub(crate) use self::mind::{Thinking, guard};
pub use self::outlet::{Batch, Direct, FrameClass, Lag, Outlet, Refusal, Taken};
pub use self::receivers::What;
use self::shelf::Shelf;
use self::snapshot::Snapshots;
pub use self::volume::Volume;
use crate::class::{PresenceMode, RoomClass};
use crate::command::{Publish, SessionId};
use crate::deflate::{Deflater, InflateError, Inflater};
use crate::dispatcher::fanout::Fanout;
use crate::limits::Limits;
use crate::name::RoomName;
use crate::time::{Time, micros};
use crate::wire::control::Mode;
use crate::wire::{Control, Epoch, MemberNumber, Position, Reason, Record, RoomId, Target};

/// What every step of a room needs from its owner.
pub(crate) struct Turn<'a, O> {
    pub(crate) now: Time,
    pub(crate) limits: &'a Limits,
    pub(crate) out: &'a mut O,
    pub(crate) tools: &'a mut Tools,
}

impl<O> Turn<'_, O> {
    /// What a call of logic needs.
    pub(crate) const fn thinking(&mut self) -> Thinking<'_> {
        Thinking { now: self.now, limits: self.limits, counters: &mut self.tools.counters }
    }
}

/// What all rooms of a shard share, since each needs it only for a moment.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    pub(crate) counters: Counters,
    pub(crate) volume: Volume,
    pub(crate) deflater: Deflater,
    pub(crate) buffers: Buffers,
    pub(crate) shelf: Shelf,
    pub(crate) fanout: Fanout,
    inflater: Inflater,
    inflated: Vec<u8>,
}

impl Tools {
    /// No room has done anything for a while.
    pub(crate) fn rest(&mut self) {
        self.buffers = Buffers::default();
        self.shelf.rest();
    }
}

/// One room.
#[derive(Debug)]
pub(crate) struct Room<H> {
    pub(crate) id: RoomId,
    /// Held as long as a LEFT of this room may be on its way to somebody; made for the first one.
    lease: Option<Arc<()>>,
    pub(crate) name: RoomName,
    /// Shared by all rooms of the class.
    pub(crate) class: Arc<RoomClass>,
    epoch: Epoch,
    start: Time,
    position: Position,
    members: Members<H>,
    gathering: Gathering,
    history: History,
    snapshots: Snapshots,
    deflation: Deflation,
    /// The application's rules; a room without them relays.
    mind: Option<Box<Mind>>,
    flushed_tick: u64,
    /// The tick of the last early flush, and how many it had.
    early: (u64, u32),
    /// Messages that were sent to all, and bytes of their batches.
    sent: (u64, u64),
}

/// What publishing asks of the room's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// A flush at the tick.
    Tick,
    /// A flush now.
    Now,
}

impl Tools {
    pub(crate) fn new(limits: &Limits) -> Self {
        let (deflater, fanout) = (Deflater::new(limits.deflate_threshold), Fanout::new(limits));
        Self { deflater, fanout, ..Self::default() }
    }

    /// Other bounds. Called between commands: nobody is about to pay.
    pub(crate) fn set_limits(&mut self, limits: &Limits) {
        (self.deflater, self.fanout) = (Deflater::new(limits.deflate_threshold), Fanout::new(limits));
    }
}

impl<H: Clone> Room<H> {
    pub(crate) fn new(id: RoomId, name: RoomName, class: Arc<RoomClass>, epoch: Epoch, start: Time) -> Self {
        Self {
            id,
            lease: None,
            name,
            class,
            epoch,
            start,
            position: Position(0),
            members: Members::default(),
            gathering: Gathering::new(),
            history: History::default(),
            snapshots: Snapshots::default(),
            deflation: Deflation::default(),
            mind: None,
            flushed_tick: 0,
            early: (0, 0),
            sent: (0, 0),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.members.len() == 0
    }

    /// Whether a flush would send or change something.
    pub(crate) fn is_dirty(&self) -> bool {
        self.members.has_touched() || !self.gathering.is_empty()
    }

    /// A share of the room's lease, which keeps its id from being another's.
    pub(crate) fn lease(&mut self) -> Arc<()> {
        Arc::clone(self.lease.get_or_insert_default())
    }

    /// The id, and who may still have a frame with it.
    pub(crate) fn into_id(self) -> (RoomId, Option<Arc<()>>) {
        (self.id, self.lease)
    }

    /// Which life of its name this is.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    /// Bytes kept beyond this tick: history and values.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.history.bytes() + self.gathering.values.bytes()
    }

    /// Batches kept.
    pub(crate) fn kept_batches(&self) -> usize {
        self.history.len()
    }

    /// Whether a batch is still kept.
    pub(crate) fn keeps(&self, position: Position) -> bool {
        self.history.first().is_some_and(|first| first <= position)
    }

    /// Lets go of the past up to a position.
    pub(crate) fn evict_through(&mut self, position: Position, tools: &mut Tools) {
        self.history.evict_through(position, &mut tools.buffers);
    }

    /// Lets go of what is too old.
    pub(crate) fn expire(&mut self, now: Time, tools: &mut Tools) {
        self.history.expire(now, self.class.history, &mut tools.buffers);
        self.history.shrink();
    }

    /// When all that is kept of the past is too old, where there is something.
    pub(crate) fn ages_at(&self) -> Option<Time> {
        // A moment later: what is as old as it may be is still kept.
        let beyond = self.class.history.age.saturating_add(core::time::Duration::from_micros(1));
        self.history.newest_at().map(|newest| newest.after(beyond))
    }

    /// Nothing has happened for a while: gives back what is kept only for the next flush.
    pub(crate) fn rest(&mut self, tools: &mut Tools) {
        self.members.rest(&mut tools.shelf);
        self.gathering.rest();
        self.history.rest(&mut tools.shelf);
        self.snapshots.rest();
    }

    /// Whether values may grow.
    pub(crate) const fn allow_growth(&mut self, allowed: bool) {
        self.gathering.may_grow = allowed;
    }

    /// Microseconds of a tick; a period of 0 counts milliseconds (PROTOCOL 1).
    fn tick_len(&self) -> u64 {
        match micros(self.class.period) {
            0 => 1000,
            period => period,
        }
    }

    /// The number of the tick at `now`: from the clock, never counted.
    fn tick(&self, now: Time) -> u64 {
        micros(now.since(self.start)) / self.tick_len()
    }

    /// The low 16 bits of a tick, as heads carry it.
    fn wire_tick(tick: u64) -> u16 {
        // Masked, so nothing is lost that should not be (PROTOCOL 8.1).
        (tick & 0xffff) as u16
    }

    /// Ends a membership. Its values are deleted with the next flush.
    pub(crate) fn leave(&mut self, number: MemberNumber, reason: Reason) {
        if self.members.leave(number, reason) {
            self.gathering.values.delete_owned(number);
        }
    }

    /// A member's connection is gone; its place is kept (PROTOCOL 12.2).
    pub(crate) fn away(&mut self, number: MemberNumber) {
        self.members.away(number);
    }

    /// Every receiver's session, with this room's number on the wire and its position (PROTOCOL 6.9).
    pub(crate) fn final_positions(&self) -> impl Iterator<Item = (SessionId, RoomId, Position)> {
        let receives = self.members.all().filter(|(_, member)| member.mode.has(Mode::RECEIVE));
        receives.map(|(_, member)| (member.session, self.id, self.position))
    }

    /// Replaces what a member shows of itself.
    pub(crate) fn set_presence(&mut self, number: MemberNumber, data: &[u8], limits: &Limits) -> Result<(), Reason> {
        self.gather_presence_bytes(data.len(), limits)?;
        self.members.set_presence(number, data);
        Ok(())
    }

    /// The mode that a member was granted.
    pub(crate) fn mode(&self, number: MemberNumber) -> Option<Mode> {
        self.members.get(number).map(|member| member.mode)
    }

    /// Looks at what a message of a member will touch.
    pub(crate) fn warm(&self, from: MemberNumber) {
        let member = self.members.get(from);
        black_box(member.map(|member| (member.mode, member.session)));
    }

    /// Takes a member's message into this tick's batch.
    #[inline]
    pub(crate) fn publish(
        &mut self,
        from: MemberNumber,
        message: &Publish,
        now: Time,
        limits: &Limits,
        tools: &mut Tools,
    ) -> Result<Due, Reason> {
        let member = self.members.get(from).ok_or(Reason::NOT_JOINED)?;
        if !member.rights.publish().allows(message.target, message.urgent) {
            return Err(if member.mode.has(Mode::PUBLISH) { Reason::NOT_ALLOWED } else { Reason::NOT_PUBLISHING });
        }
        if message.urgent && !self.class.urgent {
            return Err(Reason::NOT_ALLOWED);
        }
        let Tools { inflater, inflated, counters, fanout, .. } = tools;
        let mut payload = &message.payload[..];
        if message.compressed {
            // PROTOCOL 15: never before it is known that its sender may publish here.
            inflater.inflate(payload, limits.max_message, inflated).map_err(|error| match error {
                InflateError::TooLarge => Reason::MESSAGE_TOO_LARGE,
                InflateError::Corrupt => Reason::INFLATE,
            })?;
            payload = inflated;
        }
        let receivers = if matches!(message.target, Target::Direct(_)) { 1 } else { self.members.receiver_count() };
        let paid = fanout.ask(payload.len() + Record::MAX_OVERHEAD, receivers, now)?;
        if self.mind.is_some() {
            self.weigh(from, message, payload, Thinking { now, limits, counters })?;
        } else {
            self.gather(from, message, payload, limits)?;
        }
        fanout.pay(paid);
        // What logic has swallowed may leave nothing to flush.
        let swallowed = self.mind.is_some() && !self.is_dirty();
        let early = message.urgent && !swallowed && self.may_flush_early(now, limits);
        Ok(if early { Due::Now } else { Due::Tick })
    }

    /// Takes what may be published: the one copy of an event's payload.
    #[inline]
    fn gather(&mut self, from: MemberNumber, message: &Publish, payload: &[u8], limits: &Limits) -> Result<(), Reason> {
        match message.target {
            Target::Event => self.gathering.event(from, payload, limits),
            Target::Value(key) => self.gathering.value(from, key, payload, limits),
            Target::Direct(to) => {
                self.members.get(to).ok_or(Reason::NO_SUCH_MEMBER)?;
                let (number, urgent) = (message.number, message.urgent);
                // It waits for the tick: a copy does not pin the buffer it was read into.
                let payload = Bytes::copy_from_slice(payload);
                self.gathering.direct(PendingDirect { from, to, number, answers: 0, urgent, payload }, limits)
            }
        }
    }

    fn gather_presence_bytes(&mut self, len: usize, limits: &Limits) -> Result<(), Reason> {
        if self.class.presence == PresenceMode::Full { self.gathering.presence(len, limits) } else { Ok(()) }
    }

    /// PROTOCOL 11.6: so many early flushes a tick; a further urgent message waits.
    const fn early_tick(&self, tick: u64) -> u32 {
        if self.early.0 == tick { self.early.1 } else { 0 }
    }

    pub(crate) fn may_flush_early(&mut self, now: Time, limits: &Limits) -> bool {
        let tick = self.tick(now);
        let count = self.early_tick(tick);
        if count >= limits.max_early_flushes {
            return false;
        }
        self.early = (tick, count + 1);
        true
    }
}

/// A control frame as bytes of its own.
pub(crate) fn encode(control: Control<'_>) -> Bytes {
    let mut bytes = Vec::with_capacity(control.encoded_len());
    control.encode(&mut bytes);
    bytes.into()
}
