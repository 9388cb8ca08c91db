//! The client's protocol state: frames in, events and answers out (PROTOCOL 10.2).
//!
//! ```text
//! Greeting ──WELCOME──> open ──CLOSE──> closed
//!             ping: accepted -> Progress, answer -> replies
//!             data: Room (position), Inflater, Directs (number) -> event
//! ```
//!
//! No socket and no clock: `now` is an argument, in microseconds of the client's own time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::clock::Sample;
use super::directs::Directs;
use super::event::{Batch, Closing, Event, Refusal};
use super::greeting::Greeting;
use super::inflate::Inflater;
use super::progress::Progress;
use super::room::Room;
use super::{Error, MembersPage, Membership, Surprise, Terms};
use crate::wire::control::{Close, Command, Gap, GoingAway, Joined, Left, Refused};
use crate::wire::extension::kind;
use crate::wire::header::flags;
use crate::wire::{
    Capabilities, Control, Extensions, Frame, FrameType, Header, Kind, Ping, PingBody, Position, Presence, Reader,
    Records, RequestId, RoomId, Sender, ServerData,
};

/// Rooms a server may make this client know. 4096: far beyond what servers grant, and a bound on
/// what a hostile one can make grow.
const MAX_ROOMS: usize = 4096;

/// What the application has taken, told in pings (PROTOCOL 9). Both halves of a client know it.
#[derive(Debug)]
pub(super) struct Consumption {
    bytes: AtomicU64,
    directs: AtomicU64,
}

impl Consumption {
    const fn new(bytes: u64, directs: u64) -> Self {
        Self { bytes: AtomicU64::new(bytes), directs: AtomicU64::new(directs) }
    }

    /// The highest direct the application has taken.
    pub(super) fn directs(&self) -> u64 {
        self.directs.load(Ordering::Relaxed)
    }

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
        let body = PingBody::Client { answer, consumed, directs: self.directs() };
        Ping { time, body, extensions: Extensions::NONE }.encode(out);
    }
}

/// One connection's state, after WELCOME.
#[derive(Debug)]
pub(super) struct Session {
    terms: Terms,
    rooms: HashMap<RoomId, Room, foldhash::fast::RandomState>,
    directs: Directs,
    /// Made when it is needed: its window is larger than everything else here.
    inflater: Option<Inflater>,
    /// A clock reading that came with the last frame.
    sample: Option<(u32, Sample)>,
    /// Answers to pings, for the server.
    pub(super) replies: BytesMut,
    pub(super) consumption: Arc<Consumption>,
    pub(super) progress: Arc<Progress>,
}

impl Session {
    /// The state that WELCOME leaves; `rooms` are those of a session that was resumed.
    pub(super) fn new(
        greeting: &Greeting,
        progress: Arc<Progress>,
        directs: Directs,
        rooms: impl Iterator<Item = (RoomId, Room)>,
    ) -> Self {
        Self {
            terms: greeting.terms.clone(),
            rooms: rooms.collect(),
            directs,
            inflater: None,
            sample: greeting.sample.map(|sample| (greeting.terms.clock, sample)),
            replies: BytesMut::new(),
            // PROTOCOL 9: beginning with WELCOME.
            consumption: Arc::new(Consumption::new(greeting.bytes, directs.seen())),
            progress,
        }
    }

    /// What the server said in its WELCOME.
    pub(super) const fn terms(&self) -> &Terms {
        &self.terms
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
            FrameType::Control => self.handle_control(&frame.payload),
            FrameType::Data => self.handle_data(&frame),
            FrameType::Ping => self.handle_ping(&frame, now),
        }?;
        if event.is_none() {
            self.consumption.handle_taken(bytes, None);
        }
        Ok(event)
    }

    fn handle_control(&mut self, payload: &Bytes) -> Result<Option<Event>, Error> {
        let Control { request, command, .. } = Control::decode(payload)?;
        match command {
            Command::Welcome(welcome) if understood(welcome.extensions) => Err(Surprise::WelcomeTwice.into()),
            Command::Joined(joined) if understood(joined.extensions) => self.handle_joined(request, &joined).map(Some),
            Command::Left(left) if understood(left.extensions) => Ok(Some(self.handle_left(request, &left))),
            Command::Refused(refused) if understood(refused.extensions) => Ok(self.handle_refused(request, &refused)),
            // PROTOCOL 3.3: in CLOSE and in pings odd extensions are ignored too.
            Command::Close(close) => Ok(Some(Event::Closed(closed(&close)))),
            Command::GoingAway(notice) if understood(notice.extensions) => Ok(Some(self.going_away(&notice))),
            Command::Gap(gap) if understood(gap.extensions) => self.handle_gap(&gap),
            Command::Done(done) if understood(done.extensions) => Ok(Some(Event::Done { request })),
            Command::Page(page) if understood(page.extensions) => {
                Ok(Some(Event::Page { request, page: MembersPage::new(&page)? }))
            }
            Command::Accepted(accepted) if understood(accepted.extensions) => self.handle_accepted(accepted.number),
            // PROTOCOL 6: what a client does not know, it ignores; 3.3: also what it must not misread.
            _ => Ok(None),
        }
    }

    fn handle_joined(&mut self, request: RequestId, joined: &Joined<'_>) -> Result<Event, Error> {
        if self.rooms.len() >= MAX_ROOMS {
            return Err(Surprise::TooManyRooms.into());
        }
        let since = self.progress.handle_joined(joined.handle, joined.room);
        let room = Room::joined(joined, since)?;
        // Another life of a room has another number.
        self.rooms.retain(|_, known| known.handle != joined.handle);
        self.rooms.insert(joined.room, room);
        Ok(Event::Joined { request, membership: Membership::new(joined) })
    }

    fn handle_left(&mut self, request: RequestId, left: &Left<'_>) -> Event {
        self.rooms.retain(|_, room| room.handle != left.handle);
        Event::Left { request, handle: left.handle, reason: left.reason }
    }

    fn handle_refused(&mut self, request: RequestId, refused: &Refused<'_>) -> Option<Event> {
        // PROTOCOL 12.2: after a resume some come again.
        if self.progress.knows_refusal(refused.number) {
            return None;
        }
        if let Some(handle) = self.progress.handle_join_refused(request) {
            self.rooms.retain(|_, room| room.handle != handle);
        }
        Some(refusal(request, refused))
    }

    /// PROTOCOL 6.9: positions of rooms that this client does not know are skipped, and so is what cannot
    /// be read.
    fn going_away(&self, notice: &GoingAway<'_>) -> Event {
        let mut reader = Reader::new(notice.extensions.get(kind::POSITIONS).unwrap_or_default());
        let pair = || Some((RoomId(reader.varint().ok()?), Position(reader.varint().ok()?)));
        let named = std::iter::from_fn(pair);
        let positions = named.filter_map(|(room, position)| Some((self.rooms.get(&room)?.handle, position)));
        Event::GoingAway {
            reconnect: Duration::from_millis(notice.reconnect),
            closes: Duration::from_millis(notice.closes),
            positions: positions.collect(),
            address: address(notice.extensions),
        }
    }

    fn handle_gap(&mut self, gap: &Gap<'_>) -> Result<Option<Event>, Error> {
        let room = self.rooms.get_mut(&gap.room).ok_or(Surprise::UnknownRoom(gap.room))?;
        if room.is_rejoining() {
            return Ok(None);
        }
        room.handle_gap(gap)?;
        Ok(Some(Event::Gap { handle: room.handle, epoch: gap.epoch, from: gap.from, to: gap.to }))
    }

    fn handle_data(&mut self, frame: &Frame) -> Result<Option<Event>, Error> {
        // PROTOCOL 5: reserved kinds are ignored.
        let Some(data) = ServerData::decode(frame.header.flags, &frame.payload)? else { return Ok(None) };
        let room = self.rooms.get_mut(&data.head.room).ok_or(Surprise::UnknownRoom(data.head.room))?;
        if room.is_rejoining() && data.kind != Kind::Direct {
            return Ok(None);
        }
        if data.kind.is_numbered() {
            room.handle_position(&data)?;
        }
        let mut records = match data.options & flags::COMPRESSED {
            0 => frame.payload.slice_ref(data.records),
            _ if !self.terms.capabilities.has(Capabilities::DEFLATE) => return Err(Surprise::Compressed.into()),
            _ => self.inflater.get_or_insert_with(Inflater::new).inflate(data.records)?,
        };
        let count = read_all(data.kind, &records)?;
        let mut position = data.head.position;
        if data.kind == Kind::Direct {
            let again = self.directs.handle(position.0, count)?;
            if again > 0 && again == count {
                return Ok(None);
            }
            records = skip(&records, again);
            position = Position(position.0 + again);
        }
        // PROTOCOL 8.4: a snapshot may carry an old tick, or 0.
        let tick = room.handle_tick(data.head.tick, matches!(data.kind, Kind::Snapshot | Kind::Members));
        let options = data.options & !flags::COMPRESSED;
        let batch = Batch { handle: room.handle, kind: data.kind, options, position, tick, records };
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
            PingBody::ServerAnswer { clock, received, sent, accepted } => {
                let told = self.handle_accepted(accepted)?;
                // An answer to nothing that was asked tells nothing of the time.
                let Some(sample) = Sample::new(ping.time, received, sent, now) else { return Ok(told) };
                self.sample = Some((clock, sample));
                Ok(Some(Event::Pong(sample)))
            }
            PingBody::ServerAsk { accepted } => {
                self.consumption.encode_ping(ping.time, true, &mut self.replies);
                self.handle_accepted(accepted)
            }
            PingBody::Client { .. } => Ok(None),
        }
    }

    fn handle_accepted(&self, number: u64) -> Result<Option<Event>, Error> {
        Ok(self.progress.handle_accepted(number)?.then_some(Event::Accepted(number)))
    }
}

/// Reads every record once, so that whoever holds the batch need not check again: how many there are.
fn read_all(kind: Kind, records: &[u8]) -> Result<u64, Error> {
    let mut count = 0;
    for record in Records::new(kind, records) {
        let record = record?;
        if matches!(kind, Kind::Presence | Kind::Members) {
            Presence::decode(record.payload)?;
        }
        count += 1;
    }
    Ok(count)
}

/// The directs behind the first `count`.
fn skip(records: &Bytes, count: u64) -> Bytes {
    let mut rest = Records::new(Kind::Direct, records);
    for _ in 0..count {
        rest.next();
    }
    records.slice_ref(rest.rest())
}

/// PROTOCOL 3.3: a frame with an odd extension that this client does not know is ignored.
pub(super) fn understood(extensions: Extensions<'_>) -> bool {
    extensions.unknown_critical(&[]).is_none()
}

fn text(extensions: Extensions<'_>) -> String {
    extensions.get(kind::TEXT).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

/// Another server, where one is told.
fn address(extensions: Extensions<'_>) -> Option<String> {
    let address = extensions.get(kind::ADDRESS)?;
    std::str::from_utf8(address).ok().map(str::to_owned)
}

/// Milliseconds to wait, where they are told and can be read.
fn after(extensions: Extensions<'_>) -> Option<Duration> {
    Reader::new(extensions.get(kind::AFTER)?).varint().ok().map(Duration::from_millis)
}

fn refusal(request: RequestId, refused: &Refused<'_>) -> Event {
    let (text, after) = (text(refused.extensions), after(refused.extensions));
    Event::Refused(Refusal { request, number: refused.number, reason: refused.reason, text, after })
}

/// What a CLOSE says.
pub(super) fn closed(close: &Close<'_>) -> Closing {
    let (text, after) = (text(close.extensions), after(close.extensions));
    Closing { reason: Some(close.reason), text, after, address: address(close.extensions) }
}
