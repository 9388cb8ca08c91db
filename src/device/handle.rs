//! What a server's frames make of a device (PROTOCOL 10.2).
//!
//! ```text
//! Piece ──> Control: state, rooms   Ping: clock, accepted   Head, Record, End: data.rs
//! ```

use super::compose::{self, Asked, asked_by};
use super::ending::Link;
use super::intake::{Piece, Span};
use super::queue::place;
use super::room::Phase;
use super::show::{Mine, Told};
use super::{Breach, Device, Error, Event, RoomState, State};
use crate::wire::control::{self, Command, Gap, Joined, Refused, Welcome};
use crate::wire::extension::kind;
use crate::wire::header::flags;
use crate::wire::{Capabilities, Control, Extensions, Handle, Ping, PingBody, Reader, Reason, RequestId, Sender};

pub(super) type Handled = Result<Option<Told>, Breach>;

impl<const ROOMS: usize> Device<'_, ROOMS> {
    /// How many bytes [`feed`](Self::feed) would take now; 0 where an answer has to leave first.
    #[must_use]
    pub const fn space(&self) -> usize {
        // What comes behind the end is thrown away.
        if matches!(self.link, Link::Open) { self.intake.space() } else { usize::MAX }
    }

    /// Brings bytes of the server: how many were taken, which is all of them up to [`space`](Self::space).
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        if self.link != Link::Open {
            return bytes.len();
        }
        let len = self.intake.feed(bytes);
        // Nothing is no sign of life.
        if self.session.welcomed && len > 0 {
            self.time.handle_bytes();
        }
        len
    }

    /// Reads one piece of what has come. False where more bytes are needed, or an answer has to leave first.
    pub(super) fn step(&mut self, told: &mut Option<Told>) -> bool {
        // PROTOCOL 9: the answer first, or the next ping would take its place.
        if self.session.pong.is_some() || self.link != Link::Open {
            return false;
        }
        let piece = match self.intake.next() {
            Ok(Some(piece)) => piece,
            Ok(None) => return false,
            Err(breach) => {
                self.break_off(breach);
                return true;
            }
        };
        match self.handle_piece(piece) {
            Ok(event) => *told = event,
            Err(breach) => self.break_off(breach),
        }
        true
    }

    fn handle_piece(&mut self, piece: Piece) -> Handled {
        match piece {
            Piece::Foreign if !self.session.welcomed => {
                // No Tickwire server begins like this, and none will be here soon.
                self.error = Some(Error::Version);
                self.end(Some(Reason::NOT_TICKWIRE), None, None);
                Ok(None)
            }
            // PROTOCOL 5: its length is known.
            Piece::Foreign => Ok(None),
            Piece::Control { span, is_partial } => self.handle_control(span, is_partial),
            Piece::Ping { span, flags } => self.handle_ping(span, flags),
            Piece::Head(kind, options, head) => self.handle_head(kind, options, head),
            Piece::Record { member, key, len, payload } => self.handle_record(member, key, len, payload),
            Piece::End(bytes) => {
                // PROTOCOL 9: beginning with WELCOME.
                self.session.consumed += bytes;
                Ok(self.handle_end())
            }
        }
    }

    fn handle_control(&mut self, span: Span, is_partial: bool) -> Handled {
        let bytes = self.intake.at(span.clone());
        let decoded = match Control::decode(bytes) {
            // Of extensions that do not fit the end is not here: as many of them as are whole.
            Err(_) if is_partial => (0..bytes.len()).rev().find_map(|len| Control::decode(bytes.get(..len)?).ok()),
            decoded => Some(decoded?),
        };
        let Some(Control { request, command, .. }) = decoded else { return Err(Breach::Greeting) };
        let greets = matches!(command, Command::Welcome(_));
        if !matches!(command, Command::Close(_)) && greets == self.session.welcomed {
            return Err(Breach::Greeting);
        }
        match command {
            // PROTOCOL 3.3: CLOSE is obeyed whatever it says beside.
            Command::Close(close) => {
                let ends = Ending { reason: close.reason, told: after(close.extensions), say: None };
                let (text, address) = (close.extensions.get(kind::TEXT), close.extensions.get(kind::ADDRESS));
                let told = Told::Ending { text: self.span_of(&span, text), address: self.span_of(&span, address) };
                self.handle_ending(&ends);
                Ok(Some(told))
            }
            Command::GoingAway(notice) if understood(notice.extensions) => {
                // PROTOCOL 6.9: the time is exact, and whoever goes keeps no session.
                let ends =
                    Ending { reason: Reason::GOING_AWAY, told: Some(notice.reconnect), say: Some(Reason::FINISHED) };
                let address = self.span_of(&span, notice.extensions.get(kind::ADDRESS));
                self.handle_ending(&ends);
                Ok(Some(Told::Ending { text: 0..0, address }))
            }
            Command::Welcome(welcome) if understood(welcome.extensions) => {
                // Its token is copied out of the bytes that it was read from.
                let token = self.span_of(&span, welcome.extensions.get(kind::RESUME_TOKEN));
                let lost = welcome.extensions.get(kind::LOST_DIRECTS).and_then(two_varints);
                let welcome = Welcome { extensions: Extensions::NONE, ..welcome };
                self.handle_welcome(&welcome, token, lost)
            }
            Command::Joined(joined) if understood(joined.extensions) => {
                let joined = Joined { extensions: Extensions::NONE, ..joined };
                self.handle_joined(&joined)
            }
            Command::Left(left) if understood(left.extensions) => {
                let (handle, reason) = (left.handle, left.reason);
                self.handle_left(handle, reason)
            }
            Command::Refused(refused) if understood(refused.extensions) => {
                let told = after(refused.extensions);
                let refused = Refused { extensions: Extensions::NONE, ..refused };
                Ok(self.handle_refused(request, &refused, told))
            }
            Command::Done(control::Done { extensions }) if understood(extensions) => Ok(paused(request, None)),
            Command::Gap(gap) if understood(gap.extensions) => {
                let gap = Gap { extensions: Extensions::NONE, ..gap };
                self.handle_gap(&gap)
            }
            Command::Accepted(accepted) if understood(accepted.extensions) => {
                let number = accepted.number;
                self.handle_accepted(number)
            }
            _ => Ok(None),
        }
    }

    /// Where a part of the bytes in `span` is in the buffer.
    fn span_of(&self, span: &Span, part: Option<&[u8]>) -> Span {
        let whole = self.intake.at(span.clone());
        let ahead = part.map_or(0, |part| part.as_ptr().addr().saturating_sub(whole.as_ptr().addr()));
        span.start + ahead..span.start + ahead + part.map_or(0, <[u8]>::len)
    }

    fn handle_ending(&mut self, ends: &Ending) {
        if ends.reason == Reason::VERSION {
            self.error = Some(Error::Version);
        }
        self.end(Some(ends.reason), ends.told, ends.say);
    }

    fn handle_welcome(&mut self, welcome: &Welcome<'_>, token: Span, lost: Option<(u64, u64)>) -> Handled {
        let resumed = welcome.flags & flags::RESUMED != 0;
        if resumed && self.resume_len == 0 {
            return Err(Breach::Resumed);
        }
        self.session.capabilities = welcome.capabilities;
        self.session.max_message = usize::try_from(welcome.max_message).unwrap_or(usize::MAX);
        self.session.consumed = 0;
        self.time.handle_welcome(welcome.time, welcome.ping);
        if resumed {
            self.queue.handle_resumed();
            if welcome.accepted < self.queue.accepted || !self.queue.handle_accepted(welcome.accepted, false) {
                return Err(Breach::Accepted);
            }
            if let Some((first, last)) = lost.filter(|(first, last)| first <= last && *last > self.directs) {
                // What was told of them before is not told again.
                self.directs_lost = Some(first.max(self.directs + 1));
                self.directs = last;
            }
        } else {
            self.directs = 0;
            self.queue.handle_fresh();
            for room in &mut self.rooms {
                room.id = None;
                if room.phase == Phase::Held {
                    room.phase = Phase::None;
                }
            }
        }
        self.resume_len = 0;
        let token = self.intake.at(token);
        if let Some(place) = self.resume.get_mut(..token.len()) {
            place.copy_from_slice(token);
            self.resume_len = token.len();
        }
        self.session.welcomed = true;
        self.token.asked = false;
        self.state = State::Connected;
        self.reason = None;
        Ok(None)
    }

    fn handle_joined(&mut self, joined: &Joined<'_>) -> Handled {
        let room = self.rooms.get_mut(place(joined.handle)).ok_or(Breach::Room)?;
        match room.phase {
            Phase::Asked => room.handle_joined(joined).map(|()| None),
            Phase::Leaving => {
                // News of it come until LEFT, and are hidden.
                room.id = Some(joined.room);
                Ok(None)
            }
            _ => Err(Breach::Room),
        }
    }

    fn handle_left(&mut self, handle: Handle, reason: Reason) -> Handled {
        let index = place(handle);
        let room = self.rooms.get_mut(index).ok_or(Breach::Room)?;
        match room.phase {
            Phase::Leaving => room.forget(),
            Phase::In => self.refuse(index, reason, None),
            _ => {}
        }
        Ok(None)
    }

    fn handle_refused(&mut self, request: RequestId, refused: &Refused<'_>, told: Option<u64>) -> Option<Told> {
        let reason = refused.reason;
        if refused.number > 0 {
            return Some(Told::Mine(Mine::Refused { at: self.queue.find(refused.number), reason }));
        }
        if request == compose::TOKEN {
            self.error = Some(Error::Token(reason));
            return None;
        }
        let (index, asked) = asked_by(request)?;
        let room = self.rooms.get_mut(index)?;
        match (asked, room.phase) {
            (Asked::Join, Phase::Asked) => self.refuse(index, reason, told),
            // It had ended before.
            (Asked::Leave, Phase::Leaving) => room.forget(),
            (Asked::Receive, _) => return paused(request, Some(reason)),
            _ => {}
        }
        None
    }

    /// The server does not want this client in a room, for now or for good.
    fn refuse(&mut self, index: usize, reason: Reason, told: Option<u64>) {
        let mut tries = self.rooms.get(index).map_or(0, |room| room.tries);
        let again = self.again(Some(reason), told, &mut tries);
        let Some(room) = self.rooms.get_mut(index) else { return };
        let gone = room.leave || !room.wanted;
        room.forget();
        room.leave = false;
        if gone {
            return;
        }
        room.reason = Some(reason);
        room.tries = tries;
        if let Some(at) = again {
            (room.state, room.retry_at) = (RoomState::Joining, at);
        } else {
            (room.state, room.wanted, room.since) = (RoomState::Left, false, None);
            room.dropped = self.queue.purge(Some(index));
        }
    }

    fn handle_gap(&mut self, gap: &Gap<'_>) -> Handled {
        let room = self.rooms.iter_mut().find(|room| room.id == Some(gap.room)).ok_or(Breach::Room)?;
        if room.is_in() { room.handle_gap(gap).map(|()| None) } else { Ok(None) }
    }

    fn handle_accepted(&mut self, number: u64) -> Handled {
        let fine = !self.can(Capabilities::ACCEPTED) || self.queue.handle_accepted(number, true);
        if fine { Ok(None) } else { Err(Breach::Accepted) }
    }

    fn handle_ping(&mut self, span: Span, flags: u8) -> Handled {
        if !self.session.welcomed {
            return Err(Breach::Greeting);
        }
        let ping = Ping::decode(flags, self.intake.at(span), Sender::Server)?;
        let (time, body) = (ping.time, ping.body);
        match body {
            PingBody::ServerAsk { accepted } => {
                self.session.pong = Some(time);
                self.handle_accepted(accepted)
            }
            PingBody::ServerAnswer { received, sent, accepted, .. } => {
                self.time.handle_pong(time, received, sent);
                self.handle_accepted(accepted)
            }
            PingBody::Client { .. } => Ok(None),
        }
    }
}

/// How a session ends.
struct Ending {
    reason: Reason,
    told: Option<u64>,
    say: Option<Reason>,
}

/// PROTOCOL 3.3: a frame with an odd extension that this client does not know is ignored.
fn understood(extensions: Extensions<'_>) -> bool {
    extensions.unknown_critical(&[]).is_none()
}

fn two_varints(content: &[u8]) -> Option<(u64, u64)> {
    let mut reader = Reader::new(content);
    Some((reader.varint().ok()?, reader.varint().ok()?))
}

/// Milliseconds to wait, where they are told and can be read.
fn after(extensions: Extensions<'_>) -> Option<u64> {
    Reader::new(extensions.get(kind::AFTER)?).varint().ok()
}

/// The answer to a RECEIVE.
fn paused(request: RequestId, refused: Option<Reason>) -> Option<Told> {
    let (room, Asked::Receive) = asked_by(request)? else { return None };
    Some(Told::Event(Event::Paused { room, refused }))
}
