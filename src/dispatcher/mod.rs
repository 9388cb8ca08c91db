//! The rooms of one shard, and who is in them: commands in, frames out (PROTOCOL 11).
//!
//! ```text
//! (session, command, now) ──> seat ──> room ──dirty──> schedule ──edge──> flush ──> Outlet
//!                                       └──urgent, or period 0 when drained──────────^
//! ```
//!
//! One owner, ordinary `&mut` code: no locks, no waiting, no clock.

mod budget;
mod ids;
mod schedule;

use std::collections::{BTreeSet, HashMap};

use smallvec::SmallVec;

use self::budget::Budget;
use self::ids::RoomIds;
use self::schedule::Schedule;
use crate::class::RoomClasses;
use crate::command::{Command, JoinCommand, Publish, SessionId};
use crate::limits::Limits;
use crate::name::RoomName;
use crate::rights::{Asking, Authorise};
pub use crate::room::{Batch, Counters, Direct, FrameClass, Lag, Outlet, Refusal, Taken};
use crate::room::{Due, FlushScratch, Room, Tools, Turn, What, encode};
use crate::time::{Time, micros};
use crate::wire::control::{Command as Tell, Done, Left};
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
    /// Who may be in a room, and what it is told there.
    pub authorise: Authorise,
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
    pub fn new(limits: Limits, classes: RoomClasses, seed: u64) -> Self {
        Self { limits, classes, authorise: Authorise::default(), shard: 0, shards: 1, seed }
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
    /// Rooms whose receivers wait for something, and when they are looked after.
    straggling: Vec<RoomIndex>,
    tend_at: Option<Time>,
    budget: Budget,
    tools: Tools,
    random: u64,
}

/// How often stragglers are looked after. 10 ms: a receiver on a fast line that has drained waits
/// less than a tick.
const TEND: core::time::Duration = core::time::Duration::from_millis(10);

/// A room's place on this shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoomIndex(usize);

#[derive(Debug)]
struct Slot<H> {
    room: Room<H>,
    /// Whether the schedule, or the list of drained rooms, has it.
    scheduled: bool,
    /// Whether the list of rooms with stragglers has it.
    tended: bool,
    lingers_until: Option<Time>,
    /// Bytes and batches that the budget counts for it.
    kept: (usize, usize),
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
            budget: Budget::new(config.limits.kept_bytes / config.shards.max(1) as usize),
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
            straggling: Vec::new(),
            tend_at: None,
            tools: Tools::default(),
        }
    }

    /// What was done so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.tools.counters
    }

    /// Bytes that rooms keep beyond their ticks: history and values.
    #[must_use]
    pub const fn kept_bytes(&self) -> usize {
        self.budget.used()
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
            Command::Receive { request, handle, what } => {
                self.receive(session, handle, request, what, now, out).map_err(|reason| (request, 0, reason, None))
            }
            Command::Members { request, handle, after } => {
                let seat = self.seat(session, handle);
                let told = seat.map(|seat| self.members(seat, outlet, request, after, now, out));
                told.map_err(|reason| (request, 0, reason, None))
            }
        };
        if let Err((request, number, reason, joining)) = refused {
            // What others have filled is not this peer's fault.
            let others = [Reason::ROOM_FULL, Reason::BATCH_FULL, Reason::VALUES_FULL, Reason::TOO_MANY_ROOMS];
            let avoidable = !others.contains(&reason);
            out.refuse(outlet, &Refusal { request, number, reason, joining, avoidable });
        }
    }

    /// A session's connection is gone, and may come back: its members are away (PROTOCOL 12.2).
    pub fn handle_away(&mut self, session: SessionId, now: Time) {
        for seat in self.seats.get(&session).cloned().unwrap_or_default() {
            if let Some(slot) = self.rooms.get_mut(seat.room.0).and_then(Option::as_mut) {
                slot.room.away(seat.member);
                self.mark_dirty(seat.room, now);
            }
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
        self.tend(now, out);
        while let Some(&(until, room)) = self.lingering.first()
            && now >= until
        {
            self.lingering.pop_first();
            self.forget(room);
        }
    }

    /// Looks after receivers that wait for something.
    fn tend(&mut self, now: Time, out: &mut impl Outlet<H>) {
        if self.tend_at.is_none_or(|at| now < at) {
            return;
        }
        self.tend_at = None;
        let Self { rooms, config, tools, .. } = self;
        let mut turn = Turn { now, limits: &config.limits, out, tools };
        self.straggling.retain(|index| {
            let Some(slot) = rooms.get_mut(index.0).and_then(Option::as_mut) else { return false };
            slot.room.tend(&mut turn);
            slot.tended = slot.room.is_straggling();
            slot.tended
        });
        if !self.straggling.is_empty() {
            self.tend_at = Some(now.after(TEND));
        }
    }

    /// The next moment at which [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let linger = self.lingering.first().map(|(until, _)| *until);
        self.schedule.deadline().into_iter().chain(linger).chain(self.tend_at).min()
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
        slot.room.allow_growth(self.budget.allows_growth());
        match slot.room.publish(seat.member, message, now, &self.config.limits, &mut self.tools)? {
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
        if join.returning && self.come_back(session, outlet, join, now, out)? {
            return Ok(());
        }
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
        let rights = self.authorise(join)?;
        let index = self.room(&join.name, now)?;
        let slot = self.rooms.get_mut(index.0).and_then(Option::as_mut).ok_or(Reason::INTERNAL)?;
        let mut turn = Turn { now, limits: &self.config.limits, out, tools: &mut self.tools };
        let joined = slot.room.join(outlet, join, rights, &mut turn);
        if joined.is_err() && slot.room.is_empty() && !slot.scheduled && slot.lingers_until.is_none() {
            // Made for nothing: it lingers like any other that is empty.
            slot.lingers_until = Some(now);
            self.lingering.insert((now, index));
        }
        let member = joined?;
        slot.room.welcome(member, join, &[], &mut turn);
        if let Some(until) = slot.lingers_until.take() {
            self.lingering.remove(&(until, index));
        }
        self.seats.entry(session).or_default().push(Seat { handle: join.handle, room: index, member });
        self.mark_dirty(index, now);
        self.mark_straggling(index, now);
        Ok(())
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
        if self.names.get(&join.name) != Some(&seat.room) {
            return Err(Reason::HANDLE_IN_USE);
        }
        let rights = self.authorise(join);
        let came = rights.and_then(|rights| {
            let slot = self.rooms.get_mut(seat.room.0).and_then(Option::as_mut).ok_or(Reason::INTERNAL)?;
            let mut turn = Turn { now, limits: &self.config.limits, out, tools: &mut self.tools };
            slot.room.come_back(seat.member, outlet, join, rights, &turn)?;
            slot.room.welcome(seat.member, join, &[], &mut turn);
            Ok(())
        });
        if let Err(reason) = came {
            // PROTOCOL 6.6: a refused join frees its handle, so there is no member behind it any more.
            self.unseat(session, join.handle);
            self.end_membership(seat, reason, now);
            return Err(reason);
        }
        self.mark_dirty(seat.room, now);
        self.mark_straggling(seat.room, now);
        Ok(true)
    }

    /// PROTOCOL 15: one decision for live batches, history, snapshots and resumed sessions.
    fn authorise(&self, join: &JoinCommand) -> Result<crate::rights::Rights, Reason> {
        self.config.authorise.ask(&Asking { subject: &join.subject, room: &join.name, mode: join.mode })
    }

    fn receive(
        &mut self,
        session: SessionId,
        handle: Handle,
        request: RequestId,
        what: What,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<(), Reason> {
        let seat = self.seat(session, handle)?;
        let slot = self.rooms.get_mut(seat.room.0).and_then(Option::as_mut).ok_or(Reason::NOT_JOINED)?;
        let mut turn = Turn { now, limits: &self.config.limits, out, tools: &mut self.tools };
        slot.room.receive(seat.member, request, what, &mut turn)?;
        self.mark_straggling(seat.room, now);
        Ok(())
    }

    fn members(
        &mut self,
        seat: Seat,
        outlet: &H,
        request: RequestId,
        after: MemberNumber,
        now: Time,
        out: &mut impl Outlet<H>,
    ) {
        if let Some(slot) = self.rooms.get_mut(seat.room.0).and_then(Option::as_mut) {
            let mut turn = Turn { now, limits: &self.config.limits, out, tools: &mut self.tools };
            slot.room.members_page(seat.member, outlet, request, after, &mut turn);
        }
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
        self.unseat(session, handle);
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

    fn unseat(&mut self, session: SessionId, handle: Handle) {
        if let Some(seats) = self.seats.get_mut(&session) {
            seats.retain(|seat| seat.handle != handle);
            if seats.is_empty() {
                self.seats.remove(&session);
            }
        }
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
        let slot = Slot { room, scheduled: false, tended: false, lingers_until: None, kept: (0, 0) };
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
            let position = slot.room.position();
            let mut turn = Turn { now, limits: &self.config.limits, out, tools: &mut self.tools };
            slot.room.flush(urgent, &mut self.scratch, &mut turn);
            let added = slot.room.position() != position && slot.room.kept_batches() > 0;
            let entry = added.then(|| (index, slot.room.epoch(), slot.room.position()));
            let kept = (slot.room.kept_bytes(), slot.room.kept_batches());
            self.budget.change(std::mem::replace(&mut slot.kept, kept), kept, entry);
        }
        if slot.room.is_empty() && slot.lingers_until.is_none() {
            let until = now.after(slot.room.class.linger);
            slot.lingers_until = Some(until);
            self.lingering.insert((until, index));
        }
        self.mark_straggling(index, now);
        self.keep_to_budget();
    }

    /// Puts a room down to be looked after, where receivers of it wait for something.
    fn mark_straggling(&mut self, index: RoomIndex, now: Time) {
        let Some(slot) = self.rooms.get_mut(index.0).and_then(Option::as_mut) else { return };
        if slot.room.is_straggling() && !std::mem::replace(&mut slot.tended, true) {
            self.straggling.push(index);
            self.tend_at.get_or_insert_with(|| now.after(TEND));
        }
    }

    /// Lets go of the oldest batches, and then of the rooms that were empty for longest, while
    /// rooms keep more than they may together.
    fn keep_to_budget(&mut self) {
        while let Some((index, epoch, position)) = self.budget.oldest_over() {
            let Some(slot) = self.rooms.get_mut(index.0).and_then(Option::as_mut) else { continue };
            if slot.room.epoch() == epoch {
                let batches = slot.room.kept_batches();
                slot.room.evict_through(position);
                let kept = (slot.room.kept_bytes(), slot.room.kept_batches());
                self.tools.counters.evicted += (batches - kept.1) as u64;
                self.budget.change(std::mem::replace(&mut slot.kept, kept), kept, None);
            }
        }
        let rooms = &self.rooms;
        self.budget.tidy(|(index, epoch, position)| {
            let slot = rooms.get(index.0).and_then(Option::as_ref);
            slot.is_some_and(|slot| slot.room.epoch() == *epoch && slot.room.keeps(*position))
        });
        while !self.budget.allows_growth()
            && let Some((_, index)) = self.lingering.pop_first()
        {
            self.forget(index);
        }
    }

    fn forget(&mut self, index: RoomIndex) {
        let Some(Slot { room, kept, .. }) = self.rooms.get_mut(index.0).and_then(Option::take) else { return };
        self.names.remove(&room.name);
        self.budget.change(kept, (0, 0), None);
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
