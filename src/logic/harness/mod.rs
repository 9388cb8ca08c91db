//! A room without a server: inputs and ticks in, and what each member was told out.
//!
//! ```text
//! join, event, value, request, leave ──> Dispatcher with one room ──frames──> heard, by member
//! tick, advance, stall ────────────────^   time is a number
//! ```

mod heard;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use self::heard::Desk;
pub use self::heard::Heard;
use super::{Logics, RoomLogic};
use crate::class::{RoomClass, RoomClasses};
use crate::command::{Command, JoinCommand, Publish, SessionId};
use crate::dispatcher::{Counters, Dispatcher, DispatcherConfig};
use crate::limits::Limits;
use crate::name::{Pattern, RoomName};
use crate::time::{Time, micros};
use crate::wire::control::Mode;
use crate::wire::{Handle, Key, MemberNumber, Reason, RequestId, Target};

/// One room with a logic, on a clock that only the test moves. See [`logic`](super) for an example.
///
/// Members are known by the numbers that the room gives them, from 1. Time begins with the first tick,
/// and the room's first join makes the room.
#[derive(Debug)]
pub struct Harness {
    dispatcher: Dispatcher<SessionId>,
    desk: Desk,
    name: RoomName,
    /// Microseconds of a tick.
    period: u64,
    now: Time,
    sessions: BTreeMap<MemberNumber, Peer>,
    last_session: u64,
}

/// A session behind a member.
#[derive(Debug)]
struct Peer {
    session: SessionId,
    subject: Bytes,
    data_frames: u64,
}

/// A session's only room.
const HANDLE: Handle = Handle(1);

impl Harness {
    /// A room called "room" with this logic, of the default class, within the default limits.
    pub fn new<L, F>(make: F) -> Self
    where
        L: RoomLogic + 'static,
        F: Fn(&RoomName) -> L + Send + Sync + 'static,
    {
        Self::with("room", Limits::default(), RoomClass::default(), make)
    }

    /// A room of another name, class, or with other limits.
    ///
    /// # Panics
    /// Where `name` cannot be a room's name.
    pub fn with<L, F>(name: &str, limits: Limits, class: RoomClass, make: F) -> Self
    where
        L: RoomLogic + 'static,
        F: Fn(&RoomName) -> L + Send + Sync + 'static,
    {
        let name = RoomName::new(name.as_bytes()).expect("the name of a room");
        let period = micros(class.period).max(1000);
        let classes = RoomClasses { default: class, by_pattern: Vec::new() };
        let mut config = DispatcherConfig::new(limits, classes, 1);
        config.logics = Logics::none().with(Pattern::new("**").expect("it fits all"), make);
        Self {
            dispatcher: Dispatcher::new(config),
            desk: Desk::default(),
            name,
            period,
            // An edge of every period there is.
            now: Time::from_micros(period * 1000),
            sessions: BTreeMap::new(),
            last_session: 0,
        }
    }

    /// A session that the server knows as `subject` joins, to publish and to receive; `data` is for the
    /// logic. What it is told begins with [`Heard::Joined`].
    ///
    /// # Errors
    /// The reason it was refused with.
    pub fn join(&mut self, subject: &str, data: &[u8]) -> Result<MemberNumber, Reason> {
        self.join_as(subject, data, Mode::BOTH)
    }

    /// As [`join`](Self::join), to publish or to receive only.
    ///
    /// # Errors
    /// The reason it was refused with.
    pub fn join_as(&mut self, subject: &str, data: &[u8], mode: Mode) -> Result<MemberNumber, Reason> {
        self.last_session += 1;
        let session = SessionId(self.last_session);
        let mut join = JoinCommand::new(RequestId(1), HANDLE, self.name.clone(), mode);
        join.subject = Bytes::copy_from_slice(subject.as_bytes());
        join.data = Bytes::copy_from_slice(data);
        let peer = Peer { session, subject: join.subject.clone(), data_frames: 0 };
        self.ask(session, Command::Join(Box::new(join)))?;
        let member = self.desk.take_joined(session).ok_or(Reason::INTERNAL)?;
        self.sessions.insert(member, peer);
        Ok(member)
    }

    /// A member leaves.
    ///
    /// # Errors
    /// [`Reason::NOT_JOINED`] where it has left before, or was removed.
    pub fn leave(&mut self, member: MemberNumber) -> Result<(), Reason> {
        let session = self.session(member)?;
        self.ask(session, Command::Leave { request: RequestId(2), handle: HANDLE })
    }

    /// A member's session ends without a word.
    ///
    /// # Errors
    /// As for [`leave`](Self::leave).
    pub fn end(&mut self, member: MemberNumber, reason: Reason) -> Result<(), Reason> {
        let session = self.session(member)?;
        self.dispatcher.handle_ended(session, reason, self.now);
        self.drain();
        Ok(())
    }

    /// A member's connection is gone, and may come [`back`](Self::back).
    ///
    /// # Errors
    /// As for [`leave`](Self::leave).
    pub fn away(&mut self, member: MemberNumber) -> Result<(), Reason> {
        let session = self.session(member)?;
        self.dispatcher.handle_away(session, self.now);
        self.drain();
        Ok(())
    }

    /// A member that was away is back, and keeps its number.
    ///
    /// # Errors
    /// As for [`leave`](Self::leave).
    pub fn back(&mut self, member: MemberNumber) -> Result<(), Reason> {
        let session = self.session(member)?;
        let mut join = JoinCommand::new(RequestId(3), HANDLE, self.name.clone(), Mode::BOTH);
        join.subject = self.sessions.get(&member).map(|peer| peer.subject.clone()).unwrap_or_default();
        join.returning = true;
        self.ask(session, Command::Join(Box::new(join)))
    }

    /// A member publishes an event.
    ///
    /// # Errors
    /// The reason it was refused with.
    pub fn event(&mut self, from: MemberNumber, payload: &[u8]) -> Result<(), Reason> {
        self.publish(from, Target::Event, false, payload).map(|_| ())
    }

    /// A member sets a value; an empty payload deletes it.
    ///
    /// # Errors
    /// The reason it was refused with.
    pub fn value(&mut self, from: MemberNumber, key: Key, payload: &[u8]) -> Result<(), Reason> {
        self.publish(from, Target::Value(key), false, payload).map(|_| ())
    }

    /// A member sends to another.
    ///
    /// # Errors
    /// The reason it was refused with.
    pub fn direct(&mut self, from: MemberNumber, to: MemberNumber, payload: &[u8]) -> Result<(), Reason> {
        self.publish(from, Target::Direct(to), false, payload).map(|_| ())
    }

    /// A member asks the logic. The result is the id that the answer carries: [`Heard::Direct`].
    ///
    /// # Errors
    /// The reason it was refused with.
    pub fn request(&mut self, from: MemberNumber, payload: &[u8]) -> Result<u64, Reason> {
        self.publish(from, Target::Direct(MemberNumber::ROOM), false, payload)
    }

    /// A member publishes anything, urgently or not. The result counts its messages, from 1.
    ///
    /// # Errors
    /// The reason it was refused with.
    pub fn publish(&mut self, from: MemberNumber, target: Target, urgent: bool, payload: &[u8]) -> Result<u64, Reason> {
        let peer = self.sessions.get_mut(&from).ok_or(Reason::NOT_JOINED)?;
        peer.data_frames += 1;
        let (session, number) = (peer.session, peer.data_frames);
        let payload = Bytes::copy_from_slice(payload);
        let publish =
            Publish { handle: HANDLE, number, target, urgent, acknowledge: false, compressed: false, payload };
        self.ask(session, Command::Publish(publish)).map(|()| number)
    }

    /// Goes on to the next tick.
    pub fn tick(&mut self) {
        let next = self.now.micros() / self.period * self.period + self.period;
        self.at(Time::from_micros(next));
    }

    /// Lets time pass, with every tick in it happening when it is due.
    pub fn advance(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while let Some(next) = self.dispatcher.deadline().filter(|next| *next <= end) {
            self.at(next);
        }
        self.at(end);
    }

    /// Lets time pass in which nothing happens at all, as on a machine that stood still.
    pub fn stall(&mut self, duration: Duration) {
        self.at(self.now.after(duration));
    }

    /// Takes what a member was told since the last time, in order; also one that has left.
    pub fn heard(&mut self, member: MemberNumber) -> Vec<Heard> {
        let Some(peer) = self.sessions.get(&member) else { return Vec::new() };
        self.desk.take(peer.session)
    }

    /// Forgets what all members were told so far.
    pub fn skip(&mut self) {
        self.desk.clear();
    }

    /// Whether the room exists; also one that is empty and lingers.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.dispatcher.room_count() > 0
    }

    /// What happened that has a counter.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.dispatcher.counters()
    }

    /// Server time.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    fn at(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.dispatcher.handle_timeout(self.now, &mut self.desk);
        self.drain();
    }

    /// A server's shard does this when it has read what there is.
    fn drain(&mut self) {
        self.dispatcher.handle_drained(self.now, &mut self.desk);
    }

    fn session(&self, member: MemberNumber) -> Result<SessionId, Reason> {
        self.sessions.get(&member).map(|peer| peer.session).ok_or(Reason::NOT_JOINED)
    }

    fn ask(&mut self, session: SessionId, command: Command) -> Result<(), Reason> {
        self.desk.handle_asking(session);
        self.dispatcher.handle_command(session, &session, command, self.now, &mut self.desk);
        let refused = self.desk.take_refusal();
        self.drain();
        refused.map_or(Ok(()), Err)
    }
}
