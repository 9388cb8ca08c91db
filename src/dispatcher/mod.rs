//! The rooms of one shard, and who is in them: commands in, frames out (PROTOCOL 11).
//!
//! ```text
//! (session, command, now) ──> seat ──> room ──dirty──> schedule ──edge──> flush ──> Outlet
//!                                       └──urgent, or period 0 when drained──────────^
//! ```
//!
//! One owner, ordinary `&mut` code: no locks, no waiting, no clock.

mod agenda;
mod away;
mod budget;
pub(crate) mod fanout;
mod ids;
mod left;
mod logic;
mod membership;
pub mod operate;
mod rest;
mod rooms;
mod schedule;
mod table;
mod ticks;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use self::agenda::Agenda;
use self::budget::Budget;
use self::fanout::Paid;
use self::ids::RoomIds;
use self::rest::Resting;
use self::schedule::Schedule;
use self::table::RoomTable;
use crate::bucket::Bucket;
use crate::class::{RoomClass, RoomClasses};
use crate::command::{Command, Publish, SessionId};
use crate::limits::{Limits, Over};
use crate::logic::Logics;
use crate::places::Places;
use crate::rights::Authorise;
pub use crate::room::{Batch, Counters, Direct, FrameClass, Lag, Outlet, Refusal, Taken, Volume};
use crate::room::{Due, FlushScratch, Room, Tools, encode};
use crate::time::Time;
use crate::wire::control::{Command as Tell, Done};
use crate::wire::{Control, Extensions, Handle, MemberNumber, Reason, RequestId};

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
    /// Which rooms have rules of an application.
    pub logics: Logics,
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
        let (authorise, logics) = (Authorise::default(), Logics::none());
        Self { limits, classes, authorise, logics, shard: 0, shards: 1, seed }
    }
}

/// The rooms of one shard. `H` is the owner's handle of a session's output.
#[derive(Debug)]
pub struct Dispatcher<H> {
    config: DispatcherConfig,
    /// The classes, each once for all its rooms; the default comes last.
    classes: Vec<Arc<RoomClass>>,
    rooms: RoomTable<H>,
    /// By handle. Most sessions are in one room.
    seats: FastMap<SessionId, Seats>,
    ids: RoomIds,
    schedule: Schedule,
    /// Dirty rooms of period 0, which flush when the mailbox is drained.
    drained: Vec<RoomIndex>,
    /// Empty rooms, by when they are forgotten.
    lingering: Agenda,
    resting: Resting,
    scratch: FlushScratch,
    due: Vec<RoomIndex>,
    /// Rooms whose receivers wait for something, and when they are looked after.
    straggling: Vec<RoomIndex>,
    tend_at: Option<Time>,
    /// Rooms whose logic was called where nothing could be sent.
    unsettled: Vec<RoomIndex>,
    /// How many rooms may be made.
    making: Bucket,
    /// Whoever joins has asked for a room beyond that rate, and when it would have been allowed.
    beyond_rooms: Option<(Over, Duration)>,
    budget: Budget,
    tools: Tools,
    random: u64,
    /// The server is going away: nothing more is taken, and no position moves.
    going_away: bool,
    /// Rooms, and receivers behind, that were looked at because time passed.
    #[cfg(test)]
    looks: usize,
}

/// How often stragglers are looked after. 10 ms: a receiver on a fast line that has drained waits
/// less than a tick.
const TEND: Duration = Duration::from_millis(10);

/// A room's place on this shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoomIndex(u32);

impl RoomIndex {
    const fn place(self) -> usize {
        self.0 as usize
    }
}

/// Places that the lists of a shard keep in any case. 64: below 4 KiB for each of them.
const FEW: usize = 64;

#[derive(Debug)]
struct Slot<H> {
    room: Room<H>,
    /// Whether the schedule, or the list of drained rooms, has it.
    scheduled: bool,
    /// Whether the list of rooms with stragglers has it.
    tended: bool,
    lingers_until: Option<Time>,
    /// When it was last flushed, or its stragglers looked after; and whether it is in the list of rooms
    /// that will rest.
    flushed: Time,
    warm: bool,
    /// When the past it keeps is too old, where it rests.
    ages_at: Option<Time>,
    /// Bytes and batches that the budget counts for it.
    kept: (usize, usize),
}

// There is one for every room, and rooms linger: docs/memory.md says where each byte of it is.
const _: () = assert!(size_of::<Slot<usize>>() <= 552);

impl<H: Clone> Slot<H> {
    /// Something was made that is kept for the next time.
    fn keep_warm(&mut self, index: RoomIndex, now: Time, resting: &mut Resting) {
        self.flushed = now;
        if !std::mem::replace(&mut self.warm, true) {
            resting.push(index, self.room.epoch(), now);
        }
    }
}

/// A session's membership.
#[derive(Clone, Copy, Debug)]
struct Seat {
    handle: Handle,
    room: RoomIndex,
    member: MemberNumber,
}

/// A session's memberships on this shard.
#[derive(Clone, Debug, Default)]
struct Seats {
    by_handle: SmallVec<[Seat; 1]>,
    /// When all is paid off that its messages have caused here.
    paid: Paid,
}

impl<H: Clone> Dispatcher<H> {
    /// A dispatcher without rooms.
    #[must_use]
    pub fn new(config: DispatcherConfig) -> Self {
        Self {
            ids: RoomIds::new(config.shard, config.shards),
            budget: Budget::new(config.limits.kept_bytes / config.shards.max(1) as usize),
            random: config.seed ^ u64::from(config.shard).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            tools: Tools::new(&config.limits),
            making: Bucket::full(config.limits.rooms_burst, Time::ZERO),
            beyond_rooms: None,
            classes: classes(&config.classes),
            config,
            rooms: RoomTable::default(),
            seats: FastMap::default(),
            schedule: Schedule::default(),
            drained: Vec::new(),
            lingering: Agenda::default(),
            resting: Resting::default(),
            scratch: FlushScratch::default(),
            due: Vec::new(),
            straggling: Vec::new(),
            tend_at: None,
            unsettled: Vec::new(),
            going_away: false,
            #[cfg(test)]
            looks: 0,
        }
    }

    /// Has rooms keep to other bounds from now on; rooms that are made from now on are of other classes, where those are
    /// given. Those that a room and all its receivers must agree on have to be what they were: frames, messages, batches
    /// and outboxes.
    pub fn handle_rules(&mut self, limits: &Limits, classes: Option<&RoomClasses>) {
        self.budget.set_limit(limits.kept_bytes / self.config.shards.max(1) as usize);
        self.tools.set_limits(limits);
        // A session sees to the number that it was told itself.
        let max_rooms = limits.max_rooms.max(self.config.limits.max_rooms);
        self.config.limits = Limits { max_rooms, ..limits.clone() };
        if let Some(changed) = classes {
            self.classes = self::classes(changed);
            self.config.classes.clone_from(changed);
        }
    }

    /// What was done so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.tools.counters
    }

    /// How much has gone through the rooms so far.
    #[must_use]
    pub const fn volume(&self) -> Volume {
        self.tools.volume
    }

    /// Bytes that rooms keep beyond their ticks: history and values.
    #[must_use]
    pub const fn kept_bytes(&self) -> usize {
        self.budget.used()
    }

    /// Rooms that exist, the lingering ones included.
    #[must_use]
    pub fn room_count(&self) -> usize {
        self.rooms.count()
    }

    /// Sessions that are in a room.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.seats.values().filter(|seats| !seats.by_handle.is_empty()).count()
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
        self.settle_all(now, out);
        let refused = match command {
            Command::Publish(message) => {
                let number = message.number;
                let published = self.publish(session, &message, now, out);
                if let Some(beyond) = self.tools.fanout.beyond.take() {
                    self.tools.counters.fanout_exceeded += 1;
                    handle_beyond(beyond, outlet, out);
                }
                published.map_err(|reason| (RequestId(0), number, reason, None))
            }
            Command::Join(join) if self.going_away => Err((join.request, 0, Reason::GOING_AWAY, Some(join.hold()))),
            Command::SetPresence { request, .. } if self.going_away => Err((request, 0, Reason::GOING_AWAY, None)),
            Command::Join(join) => {
                let joined = self.join(session, outlet, &join, now, out);
                if let Some(beyond) = self.beyond_rooms.take() {
                    handle_beyond(beyond, outlet, out);
                }
                joined.map_err(|reason| (join.request, 0, reason, Some(join.hold())))
            }
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
            Command::Renew { handle, identity } => {
                self.renew(session, handle, &identity, now, out);
                Ok(())
            }
            Command::Members { request, handle, after } => {
                let seat = self.seat(session, handle);
                let told = seat.map(|seat| self.members(seat, outlet, request, after, now, out));
                told.map_err(|reason| (request, 0, reason, None))
            }
        };
        if let Err((request, number, reason, joining)) = refused {
            // What others have filled is not this peer's fault, nor that it could not hear the notice yet.
            let others = [
                Reason::ROOM_FULL,
                Reason::BATCH_FULL,
                Reason::VALUES_FULL,
                Reason::TOO_MANY_ROOMS,
                Reason::GOING_AWAY,
            ];
            let avoidable = !others.contains(&reason);
            out.refuse(outlet, &Refusal { request, number, reason, joining, avoidable });
        }
    }

    /// Looks at what a message of this session will touch, so that it need not wait for memory then. Several looks
    /// in a row wait together.
    #[inline]
    pub fn warm(&self, session: SessionId) {
        let Some(seat) = self.seats.get(&session).and_then(|seats| seats.by_handle.first()) else { return };
        if let Some(slot) = self.rooms.get(seat.room) {
            slot.room.warm(seat.member);
        }
    }

    /// A session's connection is gone, and may come back: its members are away (PROTOCOL 12.2).
    pub fn handle_away(&mut self, session: SessionId, now: Time) {
        for seat in self.seats.get(&session).cloned().unwrap_or_default().by_handle {
            if let Some(slot) = self.rooms.get_mut(seat.room) {
                slot.room.away(seat.member);
                self.mark_dirty(seat.room, now);
                self.tell_away(seat, now);
            }
        }
    }

    /// A session has ended: it leaves its rooms, and `reason` is its last will.
    pub fn handle_ended(&mut self, session: SessionId, reason: Reason, now: Time) {
        for seat in self.seats.remove(&session).unwrap_or_default().by_handle {
            self.end_membership(seat, reason, now);
        }
        self.seats.give_back(FEW);
    }

    #[inline]
    fn publish(
        &mut self,
        session: SessionId,
        message: &Publish,
        now: Time,
        out: &mut impl Outlet<H>,
    ) -> Result<(), Reason> {
        if self.going_away {
            return Err(Reason::GOING_AWAY);
        }
        let seats = self.seats.get_mut(&session).ok_or(Reason::NOT_JOINED)?;
        let seat = seats.seat(message.handle)?;
        self.tools.fanout.paid = seats.paid;
        let slot = self.rooms.get_mut(seat.room).ok_or(Reason::NOT_JOINED)?;
        slot.room.allow_growth(self.budget.allows_growth());
        let mut published = slot.room.publish(seat.member, message, now, &self.config.limits, &mut self.tools);
        seats.paid = self.tools.fanout.paid;
        let has_logic = slot.room.has_logic();
        // PROTOCOL 11.6: a full batch leaves early. Not where logic has weighed the message already.
        if published == Err(Reason::BATCH_FULL) && !has_logic && slot.room.may_flush_early(now, &self.config.limits) {
            self.flush_early(seat.room, now, out);
            let slot = self.rooms.get_mut(seat.room).ok_or(Reason::NOT_JOINED)?;
            published = slot.room.publish(seat.member, message, now, &self.config.limits, &mut self.tools);
            if let Some(seats) = self.seats.get_mut(&session) {
                seats.paid = self.tools.fanout.paid;
            }
        }
        match published {
            Ok(Due::Tick) => self.mark_dirty(seat.room, now),
            Ok(Due::Now) => {
                self.mark_dirty(seat.room, now);
                self.flush_early(seat.room, now, out);
            }
            Err(_) => {}
        }
        if has_logic {
            self.settle(seat.room, now, out);
        }
        published.map(|_| ())
    }
}

/// Somebody has caused more than it may.
fn handle_beyond<H>((over, by): (Over, Duration), outlet: &H, out: &mut impl Outlet<H>) {
    match over {
        // The refusal is the message's own, or the join's.
        Over::Drop => {}
        Over::Delay => out.delay(outlet, by),
        Over::Close => out.close(outlet, Reason::RATE),
    }
}

/// Every class once, in the order they are tried.
fn classes(classes: &RoomClasses) -> Vec<Arc<RoomClass>> {
    let by_pattern = classes.by_pattern.iter().map(|(_, class)| class);
    by_pattern.chain([&classes.default]).map(|class| Arc::new(class.clone())).collect()
}

#[cfg(test)]
mod tests;
