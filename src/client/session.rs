//! The client's protocol state: frames in, events and answers out (PROTOCOL 10.2).
//!
//! ```text
//! greeting ──WELCOME──> open ──CLOSE──> closed
//! ```
//!
//! No socket and no clock: `now` is an argument, in microseconds of the client's own time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::clock::Sample;
use super::event::{Batch, Closing, Event, Refusal};
use super::{Error, Membership, Surprise, Terms};
use crate::wire::control::{Close, Command, Gap, GoingAway, Joined, Left, Refused, Welcome};
use crate::wire::extension::kind;
use crate::wire::header::flags;
use crate::wire::{
    Control, Extensions, Frame, FrameType, Handle, Header, Kind, Ping, PingBody, Position, Presence, Reader, RequestId,
    RoomId, Sender, ServerData,
};

/// Rooms a server may make this client know. 4096: far beyond what servers grant, and a bound on
/// what a hostile one can make grow.
const MAX_ROOMS: usize = 4096;

/// What the application has taken, told in pings (PROTOCOL 9). Both halves of a client know it.
#[derive(Debug, Default)]
pub(super) struct Consumption {
    bytes: AtomicU64,
    directs: AtomicU64,
}

impl Consumption {
    /// The application has taken a frame; a direct has a number.
    pub(super) fn handle_taken(&self, bytes: u64, direct: Option<u64>) {
        // Two numbers that only grow and that nothing else depends on: no order is needed.
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(number) = direct {
            self.directs.fetch_max(number, Ordering::Relaxed);
        }
    }

    pub(super) fn encode_ping(&self, time: u64, answer: bool, out: &mut BytesMut) {
        let consumed = self.bytes.load(Ordering::Relaxed);
        let body = PingBody::Client { answer, consumed, directs: self.directs.load(Ordering::Relaxed) };
        Ping { time, body, extensions: Extensions::NONE }.encode(out);
    }
}

/// One connection's state.
#[derive(Debug)]
pub(super) struct Session {
    terms: Option<Terms>,
    rooms: HashMap<RoomId, Room, foldhash::fast::RandomState>,
    /// The highest direct that came.
    directs: u64,
    /// A clock reading that came with the last frame.
    sample: Option<(u32, Sample)>,
    /// Answers to pings, for the server.
    pub(super) replies: BytesMut,
    pub(super) consumption: Arc<Consumption>,
}

#[derive(Debug)]
struct Room {
    handle: Handle,
    /// The last position that is complete (PROTOCOL 8.3).
    complete: Position,
    /// The last tick seen, to extend the next one.
    tick: u64,
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            terms: None,
            rooms: HashMap::default(),
            directs: 0,
            sample: None,
            replies: BytesMut::new(),
            consumption: Arc::default(),
        }
    }

    /// What the server said in its WELCOME, once it has.
    pub(super) const fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref()
    }

    /// The clock reading that came with the last frame.
    pub(super) const fn take_sample(&mut self) -> Option<(u32, Sample)> {
        self.sample.take()
    }

    /// A whole frame came. Its bytes are counted as taken when there is no event; otherwise that
    /// is the caller's to say.
    pub(super) fn handle_frame(&mut self, frame: Frame, now: u64) -> Result<Option<Event>, Error> {
        let bytes = (Header::LEN + frame.payload.len()) as u64;
        let event = match frame.header.frame_type {
            FrameType::Control => self.handle_control(&frame.payload, now),
            // PROTOCOL 10.2: WELCOME or CLOSE comes first.
            _ if self.terms.is_none() => Err(Surprise::NotWelcome.into()),
            FrameType::Data => self.handle_data(&frame),
            FrameType::Ping => self.handle_ping(&frame, now),
        }?;
        if event.is_none() {
            self.consumption.handle_taken(bytes, None);
        }
        Ok(event)
    }

    fn handle_control(&mut self, payload: &Bytes, now: u64) -> Result<Option<Event>, Error> {
        let Control { request, command, .. } = Control::decode(payload)?;
        if self.terms.is_none() && !matches!(command, Command::Welcome(_) | Command::Close(_)) {
            return Err(Surprise::NotWelcome.into());
        }
        match command {
            Command::Welcome(welcome) if understood(welcome.extensions) => self.handle_welcome(&welcome, now),
            Command::Joined(joined) if understood(joined.extensions) => self.handle_joined(request, &joined),
            Command::Left(left) if understood(left.extensions) => Ok(Some(self.handle_left(request, &left))),
            Command::Refused(refused) if understood(refused.extensions) => Ok(Some(refusal(request, &refused))),
            // PROTOCOL 3.3: in CLOSE and in pings odd extensions are ignored too.
            Command::Close(close) => Ok(Some(closed(&close))),
            Command::GoingAway(notice) if understood(notice.extensions) => Ok(Some(going_away(&notice))),
            Command::Gap(gap) if understood(gap.extensions) => self.handle_gap(&gap).map(Some),
            Command::Done(done) if understood(done.extensions) => Ok(Some(Event::Done { request })),
            // PROTOCOL 6: what a client does not know, it ignores; 3.3: also what it must not misread.
            _ => Ok(None),
        }
    }

    fn handle_welcome(&mut self, welcome: &Welcome<'_>, now: u64) -> Result<Option<Event>, Error> {
        if self.terms.is_some() {
            return Err(Surprise::WelcomeTwice.into());
        }
        // Hello was sent at time 0, so it was the first question.
        if let Some(sample) = Sample::new(0, welcome.time, welcome.time, now) {
            self.sample = Some((welcome.clock, sample));
        }
        self.terms = Some(Terms::new(welcome));
        Ok(None)
    }

    fn handle_joined(&mut self, request: RequestId, joined: &Joined<'_>) -> Result<Option<Event>, Error> {
        if self.rooms.len() >= MAX_ROOMS {
            return Err(Surprise::TooManyRooms.into());
        }
        let room = Room { handle: joined.handle, complete: joined.position, tick: joined.tick };
        self.rooms.insert(joined.room, room);
        Ok(Some(Event::Joined { request, membership: Membership::new(joined) }))
    }

    fn handle_left(&mut self, request: RequestId, left: &Left<'_>) -> Event {
        self.rooms.retain(|_, room| room.handle != left.handle);
        Event::Left { request, handle: left.handle, reason: left.reason }
    }

    fn handle_gap(&mut self, gap: &Gap<'_>) -> Result<Event, Error> {
        let room = self.rooms.get_mut(&gap.room).ok_or(Surprise::UnknownRoom(gap.room))?;
        // PROTOCOL 6.10: below, nothing is lost but values.
        if gap.to >= gap.from {
            room.complete = gap.to;
        }
        Ok(Event::Gap { handle: room.handle, from: gap.from, to: gap.to })
    }

    fn handle_data(&mut self, frame: &Frame) -> Result<Option<Event>, Error> {
        // PROTOCOL 5: reserved kinds are ignored.
        let Some(data) = ServerData::decode(frame.header.flags, &frame.payload)? else { return Ok(None) };
        if data.options & flags::COMPRESSED != 0 {
            return Err(Surprise::Compressed.into());
        }
        let room = self.rooms.get_mut(&data.head.room).ok_or(Surprise::UnknownRoom(data.head.room))?;
        if data.kind.is_numbered() {
            room.handle_position(&data)?;
        }
        let count = read_all(&data)?;
        if data.kind == Kind::Direct {
            let expected = self.directs + 1;
            let found = data.head.position.0;
            if found != expected {
                return Err(Surprise::DirectNumber { expected, found }.into());
            }
            // No overflow: counted one by one.
            self.directs += count;
        }
        let tick = Membership::extend_tick(room.tick, data.head.tick);
        // PROTOCOL 8.4: a snapshot may carry an old tick, or 0.
        if !matches!(data.kind, Kind::Snapshot | Kind::Members) {
            room.tick = tick;
        }
        let batch = Batch {
            handle: room.handle,
            kind: data.kind,
            options: data.options,
            position: data.head.position,
            tick,
            records: frame.payload.slice_ref(data.records),
        };
        Ok(Some(match data.kind {
            Kind::Event | Kind::Value => Event::Batch(batch),
            Kind::Presence | Kind::Members => Event::Presence(batch),
            Kind::Snapshot => Event::Snapshot(batch),
            Kind::Direct => Event::Direct(batch),
        }))
    }

    fn handle_ping(&mut self, frame: &Frame, now: u64) -> Result<Option<Event>, Error> {
        let ping = Ping::decode(frame.header.flags, &frame.payload, Sender::Server)?;
        match ping.body {
            PingBody::ServerAnswer { clock, received, sent, .. } => {
                // An answer to nothing that was asked tells nothing.
                let Some(sample) = Sample::new(ping.time, received, sent, now) else { return Ok(None) };
                self.sample = Some((clock, sample));
                Ok(Some(Event::Pong(sample)))
            }
            PingBody::ServerAsk { .. } => {
                self.consumption.encode_ping(ping.time, true, &mut self.replies);
                Ok(None)
            }
            PingBody::Client { .. } => Ok(None),
        }
    }
}

impl Room {
    /// PROTOCOL 8.3: numbered frames follow each other without a hole.
    fn handle_position(&mut self, data: &ServerData<'_>) -> Result<(), Surprise> {
        let (expected, found) = (self.complete.next(), data.head.position);
        if found != expected {
            return Err(Surprise::Position { expected, found });
        }
        if data.options & flags::MORE == 0 {
            self.complete = found;
        }
        Ok(())
    }
}

/// Reads every record once, so that whoever holds the batch need not check again: how many there are.
fn read_all(data: &ServerData<'_>) -> Result<u64, Error> {
    let mut count = 0;
    for record in data.records() {
        let record = record?;
        if matches!(data.kind, Kind::Presence | Kind::Members) {
            Presence::decode(record.payload)?;
        }
        count += 1;
    }
    Ok(count)
}

/// PROTOCOL 3.3: a frame with an odd extension that this client does not know is ignored.
fn understood(extensions: Extensions<'_>) -> bool {
    extensions.unknown_critical(&[]).is_none()
}

fn text(extensions: Extensions<'_>) -> String {
    extensions.get(kind::TEXT).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

/// Milliseconds to wait, where they are told and can be read.
fn after(extensions: Extensions<'_>) -> Option<Duration> {
    Reader::new(extensions.get(kind::AFTER)?).varint().ok().map(Duration::from_millis)
}

fn refusal(request: RequestId, refused: &Refused<'_>) -> Event {
    let (text, after) = (text(refused.extensions), after(refused.extensions));
    Event::Refused(Refusal { request, number: refused.number, reason: refused.reason, text, after })
}

fn closed(close: &Close<'_>) -> Event {
    let (text, after) = (text(close.extensions), after(close.extensions));
    Event::Closed(Closing { reason: Some(close.reason), text, after })
}

const fn going_away(notice: &GoingAway<'_>) -> Event {
    Event::GoingAway {
        reconnect: Duration::from_millis(notice.reconnect),
        closes: Duration::from_millis(notice.closes),
    }
}
