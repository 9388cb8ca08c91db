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

mod bucket;
mod liveness;
mod violation;

use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use self::bucket::Bucket;
use self::liveness::Liveness;
pub use self::violation::{Ending, Violation};
use crate::command::{Command, JoinCommand, Publish};
use crate::limits::Limits;
use crate::name::RoomName;
use crate::time::{Time, micros};
use crate::wire::control::{self, Join, Mode, Refused, Welcome};
use crate::wire::extension::kind;
use crate::wire::header::flags;
use crate::wire::{
    Capabilities, ClientData, Control, DecodeError, Epoch, Extensions, Frame, FrameType, Handle, MAGIC, Ping, PingBody,
    Position, Reader, Reason, RequestId, Sender, VARINT_END, VERSION,
};
use control::Command as Ask;

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
}

/// One peer.
#[derive(Debug)]
pub struct Session {
    facts: Arc<Facts>,
    state: State,
    liveness: Liveness,
    capabilities: Capabilities,
    /// The path of the WebSocket request may name a room to join.
    first_room: Option<Bytes>,
    /// The client takes frames and messages as large as the server's.
    takes_all: bool,
    rooms: SmallVec<[(Handle, Route); 2]>,
    data_frames: u64,
    consumed: u64,
    directs: u64,
    refusals: Bucket,
    pings: Bucket,
    /// The server is going away, and hello has not come: what to say after WELCOME.
    going_away: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    Hello,
    Open,
    Draining,
}

impl Session {
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
            first_room,
            takes_all: false,
            rooms: SmallVec::new(),
            data_frames: 0,
            consumed: 0,
            directs: 0,
            refusals: Bucket::full(limits.refusals_burst, connected),
            pings: Bucket::full(limits.pings_burst, connected),
            going_away: None,
            facts,
        }
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
        self.consumed
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
    pub fn handle_frame(&mut self, frame: &Frame, now: Time, output: &mut Output) -> Result<(), Ending> {
        self.liveness.handle_heard(now);
        match frame.header.frame_type {
            FrameType::Data if self.is_open() => self.handle_data(frame, now, output),
            FrameType::Control => self.handle_control(frame, now, output),
            FrameType::Ping if self.is_open() => self.handle_ping(frame, now, output),
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
    pub fn deadline(&self) -> Time {
        self.liveness.deadline(&self.facts.limits)
    }

    /// Time has passed. Calling it early does nothing.
    ///
    /// # Errors
    /// Where the peer should have said something.
    pub fn handle_timeout(&mut self, now: Time, output: &mut Output) -> Result<(), Ending> {
        if self.liveness.check(&self.facts.limits, now)? {
            self.ask(now, output);
        }
        Ok(())
    }

    /// Something is being sent: a ping goes with it where one is due (PROTOCOL 9).
    pub fn handle_sending(&mut self, now: Time, output: &mut Output) {
        if self.is_open() && self.liveness.busy_ping_due(&self.facts.limits, now) {
            self.ask(now, output);
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

    /// A join was refused, or the room ended the membership: the handle is free again.
    pub fn handle_released(&mut self, handle: Handle, now: Time) {
        self.rooms.retain(|(held, _)| *held != handle);
        self.liveness.handle_rooms(self.rooms.len(), now);
    }

    /// The server is going away: tells the peer, and refuses joins from now on (PROTOCOL 6.9).
    /// Times are milliseconds from now.
    pub fn handle_going_away(&mut self, reconnect: u64, closes: u64, output: &mut Output) {
        match self.state {
            State::Preamble | State::Hello => {
                self.going_away = Some((reconnect, closes));
                return;
            }
            State::Draining => return,
            State::Open => self.state = State::Draining,
        }
        let notice = control::GoingAway { reconnect, closes, extensions: Extensions::NONE };
        Control::new(RequestId(0), Ask::GoingAway(notice)).encode(&mut output.replies);
    }

    fn handle_data(&mut self, frame: &Frame, now: Time, output: &mut Output) -> Result<(), Ending> {
        // PROTOCOL 12.3: data frames are numbered from 1, the refused ones included.
        self.data_frames += 1;
        let data = match ClientData::decode(frame.header.flags, &frame.payload) {
            Ok(data) => data,
            Err(error) if error.closes() => return Err(error.into()),
            Err(error) => return self.refuse_data(error.reason(), now, output),
        };
        let known = self.rooms.iter().find(|(handle, _)| *handle == data.handle);
        let reason = match known {
            _ if !self.capable(data.options) => Reason::CAPABILITY,
            None => Reason::NOT_JOINED,
            _ if data.payload.len() > self.facts.limits.max_message => Reason::MESSAGE_TOO_LARGE,
            Some((_, route)) => {
                let command = Command::Publish(Publish {
                    handle: data.handle,
                    number: self.data_frames,
                    target: data.target,
                    urgent: data.options & flags::URGENT != 0,
                    payload: frame.payload.slice_ref(data.payload),
                });
                output.commands.push((*route, command));
                return Ok(());
            }
        };
        self.refuse_data(reason, now, output)
    }

    /// PROTOCOL 10.3: flags that need a capability.
    const fn capable(&self, options: u8) -> bool {
        let compressed = options & flags::COMPRESSED == 0 || self.capabilities.has(Capabilities::DEFLATE);
        compressed && (options & flags::ACKNOWLEDGE == 0 || self.capabilities.has(Capabilities::ACCEPTED))
    }

    fn handle_control(&mut self, frame: &Frame, now: Time, output: &mut Output) -> Result<(), Ending> {
        let Control { request, command, .. } = Control::decode(&frame.payload)?;
        match (&command, self.state) {
            (Ask::Hello(hello), State::Hello | State::Preamble) => {
                return self.handle_hello(request, hello, now, output);
            }
            (Ask::Hello(_), _) => return Err(Violation::HelloTwice.into()),
            (_, State::Hello | State::Preamble) => return Err(Violation::HelloExpected.into()),
            (Ask::Close(_), _) => {
                return Err(Ending { request, ..Ending::because(Reason::FINISHED) });
            }
            _ => {}
        }
        match self.handle_command(request, &command, frame, now) {
            Ok(Some(routed)) => output.commands.push(routed),
            Ok(None) => {}
            Err(reason) => return self.refuse(request, 0, reason, now, output),
        }
        Ok(())
    }

    fn handle_hello(
        &mut self,
        request: RequestId,
        hello: &control::Hello<'_>,
        now: Time,
        output: &mut Output,
    ) -> Result<(), Ending> {
        let answered = |violation: Violation| Ending { request, ..violation.into() };
        if hello.extensions.unknown_critical(&[kind::TOKEN]).is_some() {
            return Err(answered(Violation::UnknownExtension));
        }
        let limits = &self.facts.limits;
        if hello.extensions.get(kind::TOKEN).is_some_and(|token| token.len() > limits.max_token) {
            return Err(answered(Violation::TokenTooLong));
        }
        let takes = |most: u64, sent: usize| most == 0 || most >= sent as u64;
        self.takes_all = takes(hello.max_record, limits.max_message) && takes(hello.max_frame, limits.max_frame);
        self.capabilities = hello.capabilities.common(self.facts.capabilities);
        self.state = State::Open;
        self.liveness.handle_open(now);
        let welcome = Welcome {
            capabilities: self.capabilities,
            flags: 0,
            clock: self.facts.clock,
            time: now.micros(),
            wall: self.facts.wall,
            max_message: limits.max_message as u64,
            max_frame: limits.max_frame as u64,
            max_rooms: limits.max_rooms as u64,
            ping: micros(limits.ping_interval) / 1000,
            accepted: 0,
            extensions: Extensions::NONE,
        };
        Control::new(request, Ask::Welcome(welcome)).encode(&mut output.replies);
        if let Some((reconnect, closes)) = self.going_away.take() {
            self.handle_going_away(reconnect, closes, output);
        }
        if let Some(name) = self.first_room.take() {
            // PROTOCOL 4.2: as if JOIN with request 0, handle 0 and mode 3 had come first.
            let join = Join { mode: Mode::BOTH, name: &name, ..Join::default() };
            match self.join(RequestId(0), &join, Bytes::new(), now) {
                Ok(routed) => output.commands.push(routed),
                Err(reason) => return self.refuse(RequestId(0), 0, reason, now, output),
            }
        }
        Ok(())
    }

    fn handle_command(
        &mut self,
        request: RequestId,
        command: &Ask<'_>,
        frame: &Frame,
        now: Time,
    ) -> Result<Option<(Route, Command)>, Reason> {
        let own = |bytes: &[u8]| frame.payload.slice_ref(bytes);
        match command {
            Ask::Join(join) => {
                understood(join.extensions)?;
                let presence = join.extensions.get(kind::PRESENCE).map(own).unwrap_or_default();
                self.join(request, join, presence, now).map(Some)
            }
            Ask::Leave(leave) => {
                understood(leave.extensions)?;
                let route = self.route(leave.handle)?;
                self.handle_released(leave.handle, now);
                Ok(Some((route, Command::Leave { request, handle: leave.handle })))
            }
            Ask::SetPresence(presence) => {
                understood(presence.extensions)?;
                let route = self.route(presence.handle)?;
                if presence.data.len() > self.facts.limits.max_presence_data {
                    return Err(Reason::ARGUMENT);
                }
                let data = own(presence.data);
                Ok(Some((route, Command::SetPresence { request, handle: presence.handle, data })))
            }
            // PROTOCOL 10.3: refused while the server does not offer them.
            Ask::Receive(_) | Ask::Token(_) | Ask::Members(_) => Err(Reason::CAPABILITY),
            Ask::Application(..) | Ask::Unknown(..) => Err(Reason::UNKNOWN_COMMAND),
            _ => Err(Reason::SERVER_COMMAND),
        }
    }

    fn join(
        &mut self,
        request: RequestId,
        join: &Join<'_>,
        presence: Bytes,
        now: Time,
    ) -> Result<(Route, Command), Reason> {
        let limits = &self.facts.limits;
        let name = RoomName::new(join.name).ok_or(Reason::ROOM_NAME)?;
        let logic = join.extensions.get(kind::LOGIC).unwrap_or_default();
        if !join.mode.is_valid() || presence.len() > limits.max_presence_data || logic.len() > limits.max_join_data {
            return Err(Reason::ARGUMENT);
        }
        let since = join.extensions.get(kind::SINCE).map(read_since).transpose().map_err(|_| Reason::ARGUMENT)?;
        match () {
            () if self.route(join.handle).is_ok() => return Err(Reason::HANDLE_IN_USE),
            () if self.rooms.len() >= limits.max_rooms => return Err(Reason::TOO_MANY_JOINS),
            () if !self.takes_all => return Err(Reason::CLIENT_TOO_SMALL),
            () if self.state == State::Draining => return Err(Reason::GOING_AWAY),
            () => {}
        }
        let route = Route(self.facts.hasher.hash_one(&name));
        self.rooms.push((join.handle, route));
        self.liveness.handle_rooms(self.rooms.len(), now);
        let command =
            JoinCommand { request, handle: join.handle, name, mode: join.mode, subject: Bytes::new(), presence, since };
        Ok((route, Command::Join(Box::new(command))))
    }

    fn route(&self, handle: Handle) -> Result<Route, Reason> {
        let found = self.rooms.iter().find(|(held, _)| *held == handle);
        found.map(|(_, route)| *route).ok_or(Reason::NOT_JOINED)
    }

    fn handle_ping(&mut self, frame: &Frame, now: Time, output: &mut Output) -> Result<(), Ending> {
        let ping = Ping::decode(frame.header.flags, &frame.payload, Sender::Client)?;
        let PingBody::Client { answer, consumed, directs } = ping.body else {
            return Err(DecodeError::ReservedFlags(frame.header.flags).into());
        };
        // What a client says of itself only ever grows.
        self.consumed = self.consumed.max(consumed);
        self.directs = self.directs.max(directs);
        if answer {
            self.liveness.handle_answer(ping.time);
            return Ok(());
        }
        self.take_ping(now)?;
        let body =
            PingBody::ServerAnswer { clock: self.facts.clock, received: now.micros(), sent: now.micros(), accepted: 0 };
        Ping { time: ping.time, body, extensions: Extensions::NONE }.encode(&mut output.replies);
        Ok(())
    }

    fn take_ping(&mut self, now: Time) -> Result<(), Ending> {
        let limits = &self.facts.limits;
        let allowed = self.pings.take(limits.pings_burst, limits.pings_per_sec, now);
        if allowed { Ok(()) } else { Err(Violation::TooManyPings.into()) }
    }

    fn ask(&mut self, now: Time, output: &mut Output) {
        debug_assert!(now.micros() < VARINT_END, "a server does not run for 285 years");
        let body = PingBody::ServerAsk { accepted: 0 };
        Ping { time: now.micros(), body, extensions: Extensions::NONE }.encode(&mut output.replies);
        self.liveness.handle_asked(now);
    }

    fn refuse_data(&mut self, reason: Reason, now: Time, output: &mut Output) -> Result<(), Ending> {
        self.refuse(RequestId(0), self.data_frames, reason, now, output)
    }

    /// Refuses what was asked, and closes where that happens too often.
    fn refuse(
        &mut self,
        request: RequestId,
        number: u64,
        reason: Reason,
        now: Time,
        output: &mut Output,
    ) -> Result<(), Ending> {
        self.count_refusal(now)?;
        let refused = Refused { number, reason, extensions: Extensions::NONE };
        Control::new(request, Ask::Refused(refused)).encode(&mut output.replies);
        Ok(())
    }

    /// A shard refused something of this peer: it counts like one of the session's own.
    ///
    /// # Errors
    /// Where that happened too often.
    pub fn count_refusal(&mut self, now: Time) -> Result<(), Ending> {
        let limits = &self.facts.limits;
        let allowed = self.refusals.take(limits.refusals_burst, limits.refusals_per_sec, now);
        if allowed { Ok(()) } else { Err(Violation::TooManyRefusals.into()) }
    }
}

/// PROTOCOL 3.3: an odd type that is unknown must not be ignored.
fn understood(extensions: Extensions<'_>) -> Result<(), Reason> {
    match extensions.unknown_critical(&[]) {
        None => Ok(()),
        Some(_) => Err(Reason::UNKNOWN_EXTENSION),
    }
}

/// PROTOCOL 6.3, extension 4.
fn read_since(content: &[u8]) -> Result<(Epoch, Position), DecodeError> {
    let mut reader = Reader::new(content);
    Ok((Epoch(reader.array()?), Position(reader.varint()?)))
}
