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
//! A room is plain data: whoever owns it passes the time in and an [`Outlet`] for what goes out.
//! `H` is the owner's handle of a session's output; the room only clones it and hands it back.

mod flush;
mod members;
mod segment;
mod values;

use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::flush::FlushScratch;
use self::members::Members;
use self::segment::Segment;
use self::values::{Values, Written};
use crate::class::{PresenceMode, RoomClass};
use crate::command::{JoinCommand, Publish};
use crate::limits::Limits;
use crate::name::RoomName;
use crate::time::{Time, micros};
use crate::wire::control::{Command as Tell, Joined, Mode, Outcome};
use crate::wire::{
    Control, Epoch, Extensions, Handle, Head, Kind, MemberNumber, Position, Presence, Reason, Record, RoomId, Target,
    put_extension, put_varint,
};

/// Where a room's output goes. Nothing here may block or wait for a peer.
pub trait Outlet<H> {
    /// A whole frame for one session; `frame` is shared by all who get it.
    fn frame(&mut self, to: &H, class: FrameClass, frame: &Bytes);

    /// A direct for one session, which numbers it (PROTOCOL 8.6).
    fn direct(&mut self, to: &H, direct: &Direct);

    /// A data frame or command was refused: the session counts it, where its peer could have known
    /// better, and frees the handle, where a join is meant.
    fn refused(&mut self, to: &H, joining: Option<Handle>, avoidable: bool);
}

/// What a frame is to a receiver that lags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameClass {
    /// Answers: never left out.
    Control,
    /// Presence and events: left out only with a gap.
    Numbered,
    /// Values: replaced by a later snapshot.
    Values,
    /// The latest values, or the members.
    Snapshot,
}

/// A message for one member, on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    /// The room.
    pub room: RoomId,
    /// The low 16 bits of the tick.
    pub tick: u16,
    /// Who sent it.
    pub from: MemberNumber,
    /// The receiver's data frame that this answers, or 0.
    pub answers: u64,
    /// The message.
    pub payload: Bytes,
    /// Whether it left early.
    pub urgent: bool,
}

/// One room.
#[derive(Debug)]
pub(crate) struct Room<H> {
    pub(crate) id: RoomId,
    /// Held as long as a frame of this room may be on its way to somebody.
    pub(crate) lease: Arc<()>,
    pub(crate) name: RoomName,
    pub(crate) class: RoomClass,
    epoch: Epoch,
    start: Time,
    position: Position,
    members: Members<H>,
    values: Values,
    events: Segment,
    directs: Vec<PendingDirect>,
    direct_bytes: usize,
    /// What the presence of those who came or changed since the last flush takes, about.
    presence_bytes: usize,
    /// The latest values and the members, encoded, until a flush changes them.
    value_snapshot: Option<Arc<[Bytes]>>,
    member_snapshot: Option<Arc<[Bytes]>>,
    flushed_tick: u64,
    /// The tick of the last early flush, and how many it had.
    early: (u64, u32),
}

#[derive(Debug)]
struct PendingDirect {
    from: MemberNumber,
    to: MemberNumber,
    number: u64,
    urgent: bool,
    payload: Bytes,
}

/// What publishing asks of the room's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// A flush at the tick.
    Tick,
    /// A flush now.
    Now,
}

impl<H: Clone> Room<H> {
    pub(crate) fn new(id: RoomId, name: RoomName, class: RoomClass, epoch: Epoch, start: Time) -> Self {
        Self {
            id,
            lease: Arc::new(()),
            name,
            class,
            epoch,
            start,
            position: Position(0),
            members: Members::default(),
            values: Values::default(),
            events: Segment::new(Kind::Event),
            directs: Vec::new(),
            direct_bytes: 0,
            presence_bytes: 0,
            value_snapshot: None,
            member_snapshot: None,
            flushed_tick: 0,
            early: (0, 0),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.members.len() == 0
    }

    /// Whether a flush would send or change something.
    pub(crate) fn is_dirty(&self) -> bool {
        self.members.has_touched() || !self.events.is_empty() || self.values.has_pending() || !self.directs.is_empty()
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

    /// Makes a session a member and answers it: JOINED, then the snapshots.
    pub(crate) fn join(
        &mut self,
        outlet: &H,
        join: &JoinCommand,
        now: Time,
        limits: &Limits,
        out: &mut impl Outlet<H>,
    ) -> Result<MemberNumber, Reason> {
        if self.members.len() >= limits.max_members || !self.members.has_number(now, limits) {
            return Err(Reason::ROOM_FULL);
        }
        let listed = if join.mode.has(Mode::MEMBERS) { Some(self.members_frames(limits)) } else { None };
        // PROTOCOL 6.3: a list that no queue holds would only close the client.
        if listed.iter().flat_map(|frames| frames.iter()).map(Bytes::len).sum::<usize>() > limits.outbox_snapshots / 2 {
            return Err(Reason::CAPABILITY);
        }
        self.gather_presence_bytes(join.subject.len() + join.presence.len(), limits)?;
        let number = self.members.insert(outlet.clone(), join, now, limits);
        let (outcome, lost) = self.outcome(join.since);
        let mut extensions = Vec::new();
        if let Some((from, to)) = lost {
            let mut content = Vec::new();
            put_varint(from.0, &mut content);
            put_varint(to.0, &mut content);
            put_extension(crate::wire::extension::kind::LOST, &content, &mut extensions);
        }
        let tick = self.tick(now);
        let joined = Joined {
            handle: join.handle,
            room: self.id,
            member: number,
            mode: join.mode,
            outcome,
            epoch: self.epoch,
            position: self.position,
            period: micros(self.class.period),
            tick,
            tick_time: self.start.micros() + tick * self.tick_len(),
            extensions: Extensions::from_encoded(&extensions).unwrap_or_default(),
        };
        out.frame(outlet, FrameClass::Control, &encode(Control::new(join.request, Tell::Joined(joined))));
        for frame in listed.iter().flat_map(|frames| frames.iter()) {
            out.frame(outlet, FrameClass::Snapshot, frame);
        }
        if join.mode.has(Mode::RECEIVE) {
            for frame in self.values_frames(limits).iter() {
                out.frame(outlet, FrameClass::Snapshot, frame);
            }
        }
        Ok(number)
    }

    /// PROTOCOL 12.1: whether a newcomer that names its last position has missed something.
    fn outcome(&self, since: Option<(Epoch, Position)>) -> (Outcome, Option<(Position, Position)>) {
        match since {
            None => (Outcome::FRESH, None),
            Some((epoch, last)) if epoch == self.epoch && last == self.position => (Outcome::RECOVERED, None),
            Some((epoch, last)) if epoch == self.epoch && last < self.position => {
                (Outcome::GAP, Some((last.next(), self.position)))
            }
            Some(_) => (Outcome::GAP, None),
        }
    }

    /// Ends a membership. Its values are deleted with the next flush.
    pub(crate) fn leave(&mut self, number: MemberNumber, reason: Reason) {
        let owns_values = self.members.get(number).is_some_and(|member| member.values > 0);
        if self.members.leave(number, reason) && owns_values {
            self.values.delete_owned(number);
        }
    }

    /// Replaces what a member shows of itself.
    pub(crate) fn set_presence(&mut self, number: MemberNumber, data: &[u8], limits: &Limits) -> Result<(), Reason> {
        self.gather_presence_bytes(data.len(), limits)?;
        self.members.set_presence(number, data);
        Ok(())
    }

    /// Takes a member's message into this tick's batch: the one copy of an event's payload.
    #[inline]
    pub(crate) fn publish(
        &mut self,
        from: MemberNumber,
        message: &Publish,
        now: Time,
        limits: &Limits,
    ) -> Result<Due, Reason> {
        let member = self.members.get(from).ok_or(Reason::NOT_JOINED)?;
        if !member.mode.has(Mode::PUBLISH) {
            return Err(Reason::NOT_PUBLISHING);
        }
        if message.urgent && !self.class.urgent {
            return Err(Reason::NOT_ALLOWED);
        }
        self.has_room_for(message.payload.len(), limits)?;
        match message.target {
            Target::Event => {
                let record = Record { member: from, key: None, payload: &message.payload };
                self.events.push(&record, limits.max_frame);
            }
            Target::Value(key) => {
                let owned = if key.is_room() { 0 } else { member.values };
                let written = self.values.write(from, key, &message.payload, owned, limits)?;
                if matches!(written, Written::New)
                    && !key.is_room()
                    && let Some(member) = self.members.get_mut(from)
                {
                    member.values += 1;
                }
            }
            Target::Direct(to) => self.push_direct(from, to, message, limits)?,
        }
        Ok(if message.urgent && self.may_flush_early(now, limits) { Due::Now } else { Due::Tick })
    }

    /// Whether the batch may take so much more (PROTOCOL 13).
    fn has_room_for(&self, payload: usize, limits: &Limits) -> Result<(), Reason> {
        let gathered = self.events.len() + self.values.pending_bytes() + self.direct_bytes + self.presence_bytes;
        let full = gathered + payload + Record::MAX_OVERHEAD > limits.max_batch;
        if full { Err(Reason::BATCH_FULL) } else { Ok(()) }
    }

    fn gather_presence_bytes(&mut self, len: usize, limits: &Limits) -> Result<(), Reason> {
        if self.class.presence == PresenceMode::Full {
            self.has_room_for(len, limits)?;
            self.presence_bytes += len + Record::MAX_OVERHEAD;
        }
        Ok(())
    }

    fn push_direct(
        &mut self,
        from: MemberNumber,
        to: MemberNumber,
        message: &Publish,
        limits: &Limits,
    ) -> Result<(), Reason> {
        self.members.get(to).ok_or(Reason::NO_SUCH_MEMBER)?;
        if self.directs.len() >= limits.max_directs {
            return Err(Reason::BATCH_FULL);
        }
        self.direct_bytes += message.payload.len() + Record::MAX_OVERHEAD;
        self.directs.push(PendingDirect {
            from,
            to,
            number: message.number,
            urgent: message.urgent,
            // It waits for the tick: a copy does not pin the buffer it was read into.
            payload: Bytes::copy_from_slice(&message.payload),
        });
        Ok(())
    }

    /// PROTOCOL 11.6: so many early flushes a tick; a further urgent message waits.
    const fn early_tick(&self, tick: u64) -> u32 {
        if self.early.0 == tick { self.early.1 } else { 0 }
    }

    fn may_flush_early(&mut self, now: Time, limits: &Limits) -> bool {
        let tick = self.tick(now);
        let count = self.early_tick(tick);
        if count >= limits.max_early_flushes {
            return false;
        }
        self.early = (tick, count + 1);
        true
    }

    fn values_frames(&mut self, limits: &Limits) -> Arc<[Bytes]> {
        let head = self.snapshot_head();
        let values = &self.values;
        let made = || values.snapshot(limits.max_frame).freeze_snapshot(&head).into();
        Arc::clone(self.value_snapshot.get_or_insert_with(made))
    }

    fn members_frames(&mut self, limits: &Limits) -> Arc<[Bytes]> {
        let head = self.snapshot_head();
        let (members, presence) = (&self.members, self.class.presence);
        let made = || {
            let mut segment = Segment::new(Kind::Members);
            for (number, member, data) in members.told().filter(|_| presence == PresenceMode::Full) {
                push_here(&mut segment, number, &member.subject, data, limits.max_frame);
            }
            segment.freeze_snapshot(&head).into()
        };
        Arc::clone(self.member_snapshot.get_or_insert_with(made))
    }

    /// PROTOCOL 8.4: a snapshot describes the last flush.
    fn snapshot_head(&self) -> Head {
        Head { room: self.id, position: self.position, tick: Self::wire_tick(self.flushed_tick) }
    }
}

fn push_here(segment: &mut Segment, number: MemberNumber, subject: &[u8], data: &[u8], max_frame: usize) {
    let mut payload = Vec::with_capacity(4 + subject.len() + data.len());
    Presence::Here { subject, data }.encode(&mut payload);
    segment.push(&Record { member: number, key: None, payload: &payload }, max_frame);
}

/// A control frame as bytes of its own.
pub(crate) fn encode(control: Control<'_>) -> Bytes {
    let mut bytes = Vec::with_capacity(control.encoded_len());
    control.encode(&mut bytes);
    bytes.into()
}
