//! The rooms of one shard, and who is in them: commands in, frames out (PROTOCOL 11).
//!
//! ```text
//! (session, command, now) ──> seat ──> room ──dirty──> schedule ──edge──> flush ──> Outlet
//!                                       └──urgent, or period 0 when drained──────────^
//! ```
//!
//! One owner, ordinary `&mut` code: no locks, no waiting, no clock.

mod ids;
mod schedule;

use std::collections::{BTreeSet, HashMap};

use smallvec::SmallVec;

use self::ids::RoomIds;
use self::schedule::Schedule;
use crate::class::RoomClasses;
use crate::command::{Command, JoinCommand, Publish, SessionId};
use crate::limits::Limits;
use crate::name::RoomName;
pub use crate::room::{Direct, FrameClass, Outlet};
use crate::room::{Due, FlushScratch, Room, encode};
use crate::time::{Time, micros};
use crate::wire::control::{Command as Tell, Done, Left, Refused};
use crate::wire::{Control, Epoch, Extensions, Handle, MemberNumber, Reason, RequestId};

type FastMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What a dispatcher is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DispatcherConfig {
    /// The server's bounds.
    pub limits: Limits,
    /// How rooms behave, by name.
    pub classes: RoomClasses,
    /// Which of the shards this is, from 0.
    pub shard: u32,
    /// How many shards there are.
    pub shards: u32,
    /// Where epochs come from: another number for every start of every server.
    pub seed: u64,
}

impl DispatcherConfig {
    /// The only shard of a server with these classes.
    #[must_use]
    pub const fn new(limits: Limits, classes: RoomClasses, seed: u64) -> Self {
        Self { limits, classes, shard: 0, shards: 1, seed }
    }
}

/// The rooms of one shard. `H` is the owner's handle of a session's output.
#[derive(Debug)]
pub struct Dispatcher<H> {
    config: DispatcherConfig,
    rooms: Vec<Option<Slot<H>>>,
    free: Vec<RoomIndex>,
    names: FastMap<RoomName, RoomIndex>,
    seats: FastMap<SessionId, SmallVec<[Seat; 2]>>,
    ids: RoomIds,
    schedule: Schedule,
    /// Dirty rooms of period 0, which flush when the mailbox is drained.
    drained: Vec<RoomIndex>,
    lingering: BTreeSet<(Time, RoomIndex)>,
    scratch: FlushScratch,
    due: Vec<RoomIndex>,
    random: u64,
}

/// A room's place on this shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoomIndex(usize);

#[derive(Debug)]
struct Slot<H> {
    room: Room<H>,
    /// Whether the schedule, or the list of drained rooms, has it.
    scheduled: bool,
    lingers_until: Option<Time>,
}

/// A session's membership.
#[derive(Clone, Copy, Debug)]
struct Seat {
    handle: Handle,
    room: RoomIndex,
    member: MemberNumber,
}

impl<H: Clone> Dispatcher<H> {
    /// A dispatcher without rooms.
    #[must_use]
    pub fn new(config: DispatcherConfig) -> Self {
        Self {
            ids: RoomIds::new(config.shard, config.shards),
            random: config.seed ^ u64::from(config.shard).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            config,
            rooms: Vec::new(),
            free: Vec::new(),
            names: FastMap::default(),
            seats: FastMap::default(),
            schedule: Schedule::default(),
            drained: Vec::new(),
            lingering: BTreeSet::new(),
            scratch: FlushScratch::default(),
            due: Vec::new(),
        }
    }

    /// Rooms that exist, the lingering ones included.
    #[must_use]
    pub fn room_count(&self) -> usize {
        self.names.len()
    }

    /// Sessions that are in a room.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.seats.len()
    }

    /// Does what a session asks; `outlet` is where its answers go.
    pub fn handle_command(
        &mut self,
        session: SessionId,
        outlet: &H,
        command: Command,
        now: Time,
        out: &mut impl Outlet<H>,
    ) {
        let refused = match command {
            Command::Publish(message) => {
                let number = message.number;
                self.publish(session, &message, now, out).map_err(|reason| (RequestId(0), number, reason, None))
            }
            Command::Join(join) => self
                .join(session, outlet, &join, now, out)
                .map_err(|reason| (join.request, 0, reason, Some(join.handle))),
            Command::Leave { request, handle } => {
                self.leave(session, outlet, request, handle, now, out).map_err(|reason| (request, 0, reason, None))
            }
            Command::SetPresence { request, handle, data } => {
                let set = self.set_presence(session, handle, &data, now);
                if set.is_ok() {
                    let done = Tell::Done(Done { extensions: Extensions::NONE });
                    out.frame(outlet, FrameClass::Control, &encode(Control::new(request, done)));
                }
                set.map_err(|reason| (request, 0, reason, None))
            }
        };
        if let Err((request, number, reason, joining)) = refused {
            let refused = Refused { number, reason, extensions: Extensions::NONE };
            let frame = encode(Control::new(request, Tell::Refused(refused)));
            // First the handle, then the frame: a client that has read it may use the handle again.
            // What others have filled is not this peer's fault.
            let others = [Reason::ROOM_FULL, Reason::BATCH_FULL, Reason::VALUES_FULL, Reason::TOO_MANY_ROOMS];
            out.refused(outlet, joining, !others.contains(&reason));
            out.frame(outlet, FrameClass::Control, &frame);
        }
    }

    /// A session has ended: it leaves its rooms, and `reason` is its last will.
    pub fn handle_ended(&mut self, session: SessionId, reason: Reason, now: Time) {
        for seat in self.seats.remove(&session).unwrap_or_default() {
            self.end_membership(seat, reason, now);
        }
    }

    /// The mailbox is empty: rooms of period 0 flush.
    pub fn handle_drained(&mut self, now: Time, out: &mut impl Outlet<H>) {
        let mut rooms = std::mem::take(&mut self.drained);
        for room in rooms.drain(..) {
            self.flush(room, false, now, out);
        }
        self.drained = rooms;
    }

    /// Time has passed: rooms whose tick has come flush, rooms that lingered long enough are
    /// forgotten. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Time, out: &mut impl Outlet<H>) {
        let mut rooms = std::mem::take(&mut self.due);
        self.schedule.take_due(now, &mut rooms);
        for room in rooms.drain(..) {
            self.flush(room, false, now, out);
        }
        self.due = rooms;
        while let Some(&(until, room)) = self.lingering.first()
            && now >= until
        {
            self.lingering.pop_first();
            self.forget(room);
        }
    }

    /// The next moment at which [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let linger = self.lingering.first().map(|(until, _)| *until);
        self.schedule.deadline().into_iter().chain(linger).min()
    }

    #[inline]
    fn publish(
        &mut self,
        session: SessionId,
        message: &Publish,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<(), Reason> {
        let seat = self.seat(session, message.handle)?;
        let slot = self.rooms.get_mut(seat.room.0).and_then(Option::as_mut).ok_or(Reason::NOT_JOINED)?;
        match slot.room.publish(seat.member, message, now, &self.config.limits)? {
            Due::Tick => self.mark_dirty(seat.room, now),
            Due::Now => {
                self.mark_dirty(seat.room, now);
                self.flush_early(seat.room, now, out);
            }
        }
        Ok(())
    }

    fn join(
        &mut self,
        session: SessionId,
        outlet: &H,
        join: &JoinCommand,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<(), Reason> {
        let seats = self.seats.get(&session).map_or(&[][..], SmallVec::as_slice);
        if let Some(index) = self.names.get(&join.name)
            && seats.iter().any(|seat| seat.room == *index)
        {
            return Err(Reason::ALREADY_JOINED);
        }
        // The session bounds these too, but it hears of refused joins later than a hostile client
        // can use that.
        if seats.iter().any(|seat| seat.handle == join.handle) {
            return Err(Reason::HANDLE_IN_USE);
        }
        if seats.len() >= self.config.limits.max_rooms {
            return Err(Reason::TOO_MANY_JOINS);
        }
        let index = self.room(&join.name, now)?;
        let slot = self.rooms.get_mut(index.0).and_then(Option::as_mut).ok_or(Reason::INTERNAL)?;
        let joined = slot.room.join(outlet, join, now, &self.config.limits, out);
        if joined.is_err() && slot.room.is_empty() && !slot.scheduled && slot.lingers_until.is_none() {
            // Made for nothing: it lingers like any other that is empty.
            slot.lingers_until = Some(now);
            self.lingering.insert((now, index));
        }
        let member = joined?;
        if let Some(until) = slot.lingers_until.take() {
            self.lingering.remove(&(until, index));
        }
        self.seats.entry(session).or_default().push(Seat { handle: join.handle, room: index, member });
        self.mark_dirty(index, now);
        Ok(())
    }

    fn leave(
        &mut self,
        session: SessionId,
        outlet: &H,
        request: RequestId,
        handle: Handle,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<(), Reason> {
        let seat = self.seat(session, handle)?;
        if let Some(seats) = self.seats.get_mut(&session) {
            seats.retain(|seat| seat.handle != handle);
            if seats.is_empty() {
                self.seats.remove(&session);
            }
        }
        let left = Left { handle, reason: Reason::FINISHED, extensions: Extensions::NONE };
        let frame = encode(Control::new(request, Tell::Left(left)));
        if let Some(slot) = self.rooms.get(seat.room.0).and_then(Option::as_ref) {
            // The last frame of this room for this session: while it waits, the id stays taken.
            let leased = bytes::Bytes::from_owner(Leased { frame, _lease: slot.room.lease.clone() });
            out.frame(outlet, FrameClass::Control, &leased);
        }
        self.end_membership(seat, Reason::FINISHED, now);
        Ok(())
    }

    fn set_presence(&mut self, session: SessionId, handle: Handle, data: &[u8], now: Time) -> Result<(), Reason> {
        let seat = self.seat(session, handle)?;
        if let Some(slot) = self.rooms.get_mut(seat.room.0).and_then(Option::as_mut) {
            slot.room.set_presence(seat.member, data, &self.config.limits)?;
            self.mark_dirty(seat.room, now);
        }
        Ok(())
    }

    fn end_membership(&mut self, seat: Seat, reason: Reason, now: Time) {
        let Some(slot) = self.rooms.get_mut(seat.room.0).and_then(Option::as_mut) else { return };
        slot.room.leave(seat.member, reason);
        self.mark_dirty(seat.room, now);
    }

    #[inline]
    fn seat(&self, session: SessionId, handle: Handle) -> Result<Seat, Reason> {
        let seats = self.seats.get(&session).ok_or(Reason::NOT_JOINED)?;
        seats.iter().find(|seat| seat.handle == handle).copied().ok_or(Reason::NOT_JOINED)
    }

    /// The room of this name, made where there is none.
    fn room(&mut self, name: &RoomName, now: Time) -> Result<RoomIndex, Reason> {
        if let Some(index) = self.names.get(name) {
            return Ok(*index);
        }
        if self.names.len() >= self.config.limits.max_shard_rooms {
            return Err(Reason::TOO_MANY_ROOMS);
        }
        let class = self.config.classes.of(name).clone();
        let start = match micros(class.period) {
            0 => now,
            period => self.schedule.edge(period, self.config.shard, self.config.shards, now),
        };
        let epoch = self.epoch();
        let room = Room::new(self.ids.take(), name.clone(), class, epoch, start);
        let slot = Slot { room, scheduled: false, lingers_until: None };
        let index = self.free.pop().unwrap_or_else(|| {
            self.rooms.push(None);
            RoomIndex(self.rooms.len() - 1)
        });
        self.rooms[index.0] = Some(slot);
        self.names.insert(name.clone(), index);
        Ok(index)
    }

    fn mark_dirty(&mut self, index: RoomIndex, now: Time) {
        let Some(slot) = self.rooms.get_mut(index.0).and_then(Option::as_mut) else { return };
        if slot.scheduled {
            return;
        }
        slot.scheduled = true;
        match micros(slot.room.class.period) {
            0 => self.drained.push(index),
            period => self.schedule.push(period, self.config.shard, self.config.shards, index, now),
        }
    }

    fn flush(&mut self, index: RoomIndex, urgent: bool, now: Time, out: &mut impl Outlet<H>) {
        let Some(slot) = self.rooms.get_mut(index.0).and_then(Option::as_mut) else { return };
        slot.scheduled = false;
        self.flush_early_or_due(index, urgent, now, out);
    }

    /// The room stays scheduled: at its tick there may be nothing more to do, which is cheap.
    fn flush_early(&mut self, index: RoomIndex, now: Time, out: &mut impl Outlet<H>) {
        self.flush_early_or_due(index, true, now, out);
    }

    fn flush_early_or_due(&mut self, index: RoomIndex, urgent: bool, now: Time, out: &mut impl Outlet<H>) {
        let Some(slot) = self.rooms.get_mut(index.0).and_then(Option::as_mut) else { return };
        if slot.room.is_dirty() {
            slot.room.flush(urgent, now, &self.config.limits, &mut self.scratch, out);
        }
        if slot.room.is_empty() && slot.lingers_until.is_none() {
            let until = now.after(slot.room.class.linger);
            slot.lingers_until = Some(until);
            self.lingering.insert((until, index));
        }
    }

    fn forget(&mut self, index: RoomIndex) {
        let Some(Slot { room, .. }) = self.rooms.get_mut(index.0).and_then(Option::take) else { return };
        self.names.remove(&room.name);
        self.ids.give_back(room.id, room.lease);
        // A room in the schedule keeps its place until the schedule has let go of it; it is not
        // scheduled here, since it lingers only after a flush and leaves that state when it is joined.
        self.free.push(index);
    }

    /// The next epoch: SplitMix64, whose numbers do not repeat in its period. An epoch is no secret.
    fn epoch(&mut self) -> Epoch {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Epoch((mixed ^ (mixed >> 31)).to_be_bytes())
    }
}

/// A frame that keeps its room's id taken while it is on its way.
struct Leased {
    frame: bytes::Bytes,
    _lease: std::sync::Arc<()>,
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}
