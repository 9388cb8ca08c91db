//! One peer's protocol state (PROTOCOL 10.1): frames in, commands and answers out.
//!
//! ```text
//! preamble ──magic──> hello ──HELLO──> open ──going away──> draining
//!     └──────────────────┴──────────────┴──── any Ending ────────┴──> closed
//! ```
//!
//! A session knows no socket and no clock: `now` is an argument. What a frame causes is appended
//! to an [`Output`]; what ends the session is returned as an [`Ending`], after which the owner
//! sends [`Ending`]'s CLOSE and passes nothing in any more.

mod consumption;
mod control;
mod data;
mod identity;
mod liveness;
mod pace;
mod refusals;
mod resume;
mod violation;

use std::hint::black_box;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use self::consumption::Consumption;
pub use self::identity::Proof;
use self::identity::Unproven;
use self::liveness::Liveness;
use self::pace::Pace;
pub use self::resume::{Greeting, Token};
use self::resume::{Held, Refusals, Tokens};
pub use self::violation::{Ending, Violation};
use crate::bucket::Bucket;
use crate::command::{Command, Hold};
use crate::identity::Identity;
use crate::limits::Limits;
use crate::places::Places;
use crate::rejections::Rejections;
use crate::time::Time;
use crate::wire::control::{Command as Ask, GoingAway};
use crate::wire::extension::{kind, put_extension};
use crate::wire::{
    Capabilities, Control, DecodeError, Extensions, Frame, FrameType, Handle, MAGIC, Ping, PingBody, Reason, RequestId,
    Sender, VARINT_END, VERSION,
};

/// What all sessions of a server share.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The server's bounds.
    pub limits: Limits,
    /// What the server supports.
    pub capabilities: Capabilities,
    /// Names the server's clock: random at start.
    pub clock: u32,
    /// What to add to server time for microseconds since 1970.
    pub wall: u64,
    /// Routes room names; seeded, since the names are the clients'.
    pub hasher: foldhash::fast::RandomState,
    /// What was turned away so far.
    pub rejections: Arc<Rejections>,
}

/// Where a command goes: the same number for the same room name, for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route(
    /// A hash of the room's name.
    pub u64,
);

/// What frames caused.
#[derive(Debug, Default)]
pub struct Output {
    /// Whole frames for the peer, ahead of what is queued for it.
    pub replies: BytesMut,
    /// Commands for the shards, in order.
    pub commands: Vec<(Route, Command)>,
    /// What the session itself has refused, for its owner to count. What shards refuse is counted there.
    /// One word: every connection has an output, and most never refuse anything.
    pub refused: Option<Box<Vec<Reason>>>,
}

impl Output {
    fn count_refused(&mut self, reason: Reason) {
        self.refused.get_or_insert_default().push(reason);
    }
}

/// One peer.
#[derive(Debug)]
pub struct Session {
    facts: Arc<Facts>,
    state: State,
    liveness: Liveness,
    capabilities: Capabilities,
    /// What matters until hello is accepted, and while a token is verified.
    early: Option<Box<Early>>,
    /// The client takes frames and messages as large as the server's.
    takes_all: bool,
    /// By handle. Most sessions are in one room.
    rooms: SmallVec<[Held; 1]>,
    /// Joins so far, each of which holds its handle.
    joined: u64,
    /// What the client may not have heard; most sessions never have anything of that.
    unheard: Option<Box<Unheard>>,
    data_frames: u64,
    /// All data frames up to this one have been accepted or refused.
    accepted: u64,
    /// The client wants to be told when these are accepted: the first of them, and the last.
    acknowledge: Option<(u64, u64)>,
    consumption: Consumption,
    directs: u64,
    /// Who the peer has proved to be.
    identity: Option<Arc<Identity>>,
    /// When its token is not valid any more.
    expires: Option<Time>,
    tokens: Tokens,
    refusals: Bucket,
    joins: Bucket,
    pings: Bucket,
    /// Only where messages have a rate, or the peer was delayed.
    pace: Option<Box<Pace>>,
}

// There is one for every connection, idle ones too.
const _: () = assert!(size_of::<Session>() <= 440);

/// What matters until hello is accepted, and is let go of then; and a token that is being verified.
#[derive(Debug, Default)]
struct Early {
    /// The path of the WebSocket request may name a room to join.
    first_room: Option<Bytes>,
    /// Hello asks for a session, which the owner looks for.
    greeting: Option<Greeting>,
    /// The server is going away, and hello has not come: what to say after WELCOME.
    going_away: Option<(u64, u64)>,
    /// The token of the WebSocket request.
    credential: Option<Bytes>,
    /// A token that the owner is to verify.
    unproven: Option<Unproven>,
}

/// What the client may not have heard.
#[derive(Debug, Default)]
struct Unheard {
    /// Memberships that rooms have ended lately.
    left: SmallVec<[(Handle, Time); 1]>,
    refused: Refusals,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    Hello,
    /// Hello asks for a session, which the owner looks for.
    Waiting,
    Open,
    Draining,
}

impl Session {
    /// Memberships remembered that rooms have ended. 8: a game that ends for a player in all its rooms.
    const LEFT: usize = 8;

    /// How long a client may not know of that. 5 s: a round trip on a bad line.
    const UNKNOWING: core::time::Duration = core::time::Duration::from_secs(5);

    /// A session over TCP: the magic comes first.
    #[must_use]
    pub fn over_tcp(facts: Arc<Facts>, connected: Time) -> Self {
        Self::new(facts, State::Preamble, None, connected)
    }

    /// A session over WebSocket, whose request may have named a room to join (PROTOCOL 4.2).
    #[must_use]
    pub fn over_websocket(facts: Arc<Facts>, room: Option<Bytes>, connected: Time) -> Self {
        Self::new(facts, State::Hello, room, connected)
    }

    fn new(facts: Arc<Facts>, state: State, first_room: Option<Bytes>, connected: Time) -> Self {
        let limits = &facts.limits;
        Self {
            state,
            liveness: Liveness::new(connected, limits),
            capabilities: Capabilities::default(),
            early: first_room.map(|room| Box::new(Early { first_room: Some(room), ..Early::default() })),
            takes_all: false,
            rooms: SmallVec::new(),
            joined: 0,
            unheard: None,
            data_frames: 0,
            accepted: 0,
            acknowledge: None,
            consumption: Consumption::default(),
            directs: 0,
            identity: None,
            expires: None,
            tokens: Tokens::default(),
            refusals: Bucket::full(limits.refusals_burst, connected),
            joins: Bucket::full(limits.joins_burst, connected),
            pings: Bucket::full(limits.pings_burst, connected),
            pace: Pace::of(limits, connected),
            facts,
        }
    }

    /// The session can be resumed with this token: told in WELCOME to a client that can do that.
    #[must_use]
    pub const fn with_token(mut self, token: Token) -> Self {
        self.tokens = Tokens::first(token);
        self
    }

    /// Looks at what most frames touch.
    pub fn warm(&self) {
        black_box((
            self.liveness.heard(),
            self.expires,
            self.rooms.len(),
            self.data_frames,
            self.pace.is_some(),
            self.state,
        ));
    }

    /// What both sides can do.
    #[must_use]
    pub const fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Whether hello was accepted.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open | State::Draining)
    }

    /// The largest frame payload to take now, in bytes.
    #[must_use]
    pub fn max_frame(&self) -> usize {
        if self.is_open() { self.facts.limits.max_frame } else { self.facts.limits.max_hello_frame }
    }

    /// Bytes of frames the peer's application says it has taken; 0 where it does not report.
    #[must_use]
    pub const fn consumed(&self) -> u64 {
        self.consumption.consumed()
    }

    /// Bytes of frames that were sent and not taken by the peer's application, as far as that is
    /// known. `sent` is what has been sent since WELCOME.
    #[must_use]
    pub fn unconsumed(&self, sent: u64, now: Time) -> u64 {
        self.consumption.unconsumed(sent, now, &self.facts.limits)
    }

    /// The highest direct that the peer's application says it has taken.
    #[must_use]
    pub const fn directs(&self) -> u64 {
        self.directs
    }

    /// The four bytes that start a TCP stream, if `buffer` has them.
    ///
    /// # Errors
    /// A wrong magic, at the first byte that differs, or a version that is not spoken here.
    pub fn handle_preamble(&mut self, buffer: &mut BytesMut) -> Result<bool, Ending> {
        if self.state != State::Preamble {
            return Ok(true);
        }
        if buffer.iter().zip(MAGIC).any(|(byte, magic)| *byte != magic) {
            return Err(Violation::WrongMagic.into());
        }
        let Some([_, _, _, version]) = buffer.first_chunk().copied() else { return Ok(false) };
        if version != VERSION {
            return Err(Violation::Version(version).into());
        }
        let _magic = buffer.split_to(4);
        self.state = State::Hello;
        Ok(true)
    }

    /// A whole frame came.
    ///
    /// # Errors
    /// What closes the session. What was done before stays done.
    #[inline]
    pub fn handle_frame(&mut self, frame: Frame, now: Time, output: &mut Output) -> Result<(), Ending> {
        self.liveness.handle_heard(now);
        match frame.header.frame_type {
            FrameType::Data if self.is_open() => self.handle_data(frame, now, output),
            FrameType::Control => self.handle_control(&frame, now, output),
            FrameType::Ping if self.is_open() => self.handle_ping(&frame, now, output),
            _ => Err(Violation::HelloExpected.into()),
        }
    }

    /// A WebSocket ping came; the transport has answered it (PROTOCOL 4.2).
    ///
    /// # Errors
    /// Where there are too many.
    pub fn handle_websocket_ping(&mut self, now: Time) -> Result<(), Ending> {
        self.liveness.handle_heard(now);
        self.take_ping(now)
    }

    /// The next moment at which [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn deadline(&self, now: Time) -> Time {
        let liveness = self.liveness.deadline(&self.facts.limits);
        let consumption = self.consumption.deadline(now, &self.facts.limits).filter(|_| self.is_open());
        let delayed = self.delayed_until().filter(|until| *until > now);
        [consumption, self.expiry_deadline(), delayed].into_iter().flatten().fold(liveness, Time::min)
    }

    /// Time has passed. Calling it early does nothing. `sent` as in [`unconsumed`](Self::unconsumed).
    ///
    /// # Errors
    /// Where the peer should have said something.
    pub fn handle_timeout(&mut self, sent: u64, now: Time, output: &mut Output) -> Result<(), Ending> {
        // PROTOCOL 15.1.
        if self.expiry_deadline().is_some_and(|deadline| now >= deadline) {
            return Err(Ending::because(Reason::TOKEN_EXPIRED));
        }
        let silent = self.liveness.check(&self.facts.limits, now)?;
        if silent || self.is_open() && self.consumption.is_due(sent, now, &self.facts.limits) {
            self.ask(sent, now, output);
        }
        Ok(())
    }

    /// Something is being sent: a ping goes with it where one is due (PROTOCOL 9).
    pub fn handle_sending(&mut self, sent: u64, now: Time, output: &mut Output) {
        let limits = &self.facts.limits;
        let due = self.liveness.busy_ping_due(limits, now) || self.consumption.is_due(sent, now, limits);
        if self.is_open() && due {
            self.ask(sent, now, output);
        }
    }

    /// The server stopped reading from this peer.
    pub fn handle_paused(&mut self, now: Time) {
        self.liveness.handle_paused(now);
    }

    /// The server reads again.
    pub fn handle_resumed(&mut self, now: Time) {
        self.liveness.handle_resumed(now);
    }

    /// A join was refused, or the room ended the membership: the handle is free again, where it has not
    /// been taken anew since.
    pub fn handle_released(&mut self, hold: Hold, now: Time) {
        self.give_up(|held| held.hold == hold, now);
    }

    /// The room ended the membership. What is on its way to it is refused without being counted for a
    /// while: the client could not know.
    pub fn handle_left(&mut self, hold: Hold, now: Time) {
        self.handle_released(hold, now);
        let left = &mut self.unheard.get_or_insert_default().left;
        if left.len() == Self::LEFT {
            left.remove(0);
        }
        left.push((hold.handle, now));
    }

    fn give_up(&mut self, gone: impl Fn(&Held) -> bool, now: Time) {
        self.rooms.retain(|held| !gone(held));
        self.rooms.give_back(2);
        self.liveness.handle_rooms(self.rooms.len(), now);
    }

    /// Whether a room has ended the membership on this handle so lately that its client may not know.
    fn has_just_left(&self, handle: Handle, now: Time) -> bool {
        let left = self.unheard.iter().flat_map(|unheard| &unheard.left);
        left.into_iter().any(|(left, at)| *left == handle && now < at.after(Self::UNKNOWING))
    }

    /// The question of `time` was answered: what stood before it was read.
    fn handle_heard_until(&mut self, time: u64, now: Time) {
        let Some(unheard) = &mut self.unheard else { return };
        unheard.refused.handle_answer(time);
        unheard.left.retain(|(_, at)| now < at.after(Self::UNKNOWING));
        if unheard.left.is_empty() && unheard.refused.is_empty() {
            self.unheard = None;
        }
    }

    /// Where the room of a handle is, or belongs: a message costs as much in many rooms as in one.
    #[inline]
    fn find(&self, handle: Handle) -> Result<usize, usize> {
        self.rooms.binary_search_by_key(&handle, |held| held.hold.handle)
    }

    /// The room of a handle.
    #[inline]
    fn held(&self, handle: Handle) -> Option<&Held> {
        self.find(handle).ok().and_then(|place| self.rooms.get(place))
    }

    /// The server is going away: tells the peer, and refuses joins from now on (PROTOCOL 6.9).
    /// Times are milliseconds from now; `positions` are pairs of room and last position, as they stand on
    /// the wire, or nothing.
    pub fn handle_going_away(&mut self, reconnect: u64, closes: u64, positions: &[u8], output: &mut Output) {
        match self.state {
            State::Preamble | State::Hello | State::Waiting => {
                self.early.get_or_insert_default().going_away = Some((reconnect, closes));
                return;
            }
            State::Draining => return,
            State::Open => self.state = State::Draining,
        }
        let mut extensions = Vec::new();
        if !positions.is_empty() {
            put_extension(kind::POSITIONS, positions, &mut extensions);
        }
        // What was put there can be read.
        let extensions = Extensions::from_encoded(&extensions).unwrap_or_default();
        let notice = GoingAway { reconnect, closes, extensions };
        Control::new(RequestId(0), Ask::GoingAway(notice)).encode(&mut output.replies);
    }

    fn handle_ping(&mut self, frame: &Frame, now: Time, output: &mut Output) -> Result<(), Ending> {
        let ping = Ping::decode(frame.header.flags, &frame.payload, Sender::Client)?;
        let PingBody::Client { answer, consumed, directs } = ping.body else {
            return Err(DecodeError::ReservedFlags(frame.header.flags).into());
        };
        // What a client says of itself only ever grows.
        self.consumption.handle_report(consumed);
        self.directs = self.directs.max(directs);
        if answer {
            self.consumption.handle_answer(ping.time);
            self.handle_heard_until(ping.time, now);
            self.liveness.handle_answer(ping.time);
            return Ok(());
        }
        self.take_ping(now)?;
        let (clock, time, accepted) = (self.facts.clock, now.micros(), self.told_accepted());
        let body = PingBody::ServerAnswer { clock, received: time, sent: time, accepted };
        Ping { time: ping.time, body, extensions: Extensions::NONE }.encode(&mut output.replies);
        Ok(())
    }

    fn ask(&mut self, sent: u64, now: Time, output: &mut Output) {
        debug_assert!(now.micros() < VARINT_END, "a server does not run for 285 years");
        let body = PingBody::ServerAsk { accepted: self.told_accepted() };
        Ping { time: now.micros(), body, extensions: Extensions::NONE }.encode(&mut output.replies);
        self.consumption.handle_asked(sent, now);
        self.liveness.handle_asked(now);
    }
}
