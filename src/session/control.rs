//! The commands of a peer: hello first, then what it asks of rooms (PROTOCOL 6).
//!
//! ```text
//! HELLO ──> WELCOME, open            JOIN, LEAVE, PRESENCE ──> command for the room's shard
//! anything else before it ──> end    what cannot be obeyed ──> REFUSED, and the session goes on
//! ```

use std::hash::BuildHasher;

use bytes::Bytes;

use super::resume::Held;
use super::{Early, Ending, Greeting, Output, Route, Session, State, Token, Violation};
use crate::command::{Command, Hold, JoinCommand, What};
use crate::name::RoomName;
use crate::time::Time;
use crate::wire::control::{self, Command as Ask, Join, Mode};
use crate::wire::extension::kind;
use crate::wire::{
    Capabilities, Control, DecodeError, Epoch, Extensions, Frame, Handle, Position, Reader, Reason, RequestId,
};

impl Session {
    pub(super) fn handle_control(&mut self, frame: &Frame, now: Time, output: &mut Output) -> Result<(), Ending> {
        let Control { request, command, .. } = Control::decode(&frame.payload)?;
        match (&command, self.state) {
            (Ask::Hello(hello), State::Hello | State::Preamble) => {
                let token = hello.extensions.get(kind::TOKEN).map(|token| frame.payload.slice_ref(token));
                return self.handle_hello(request, hello, token, now, output);
            }
            (Ask::Hello(_), _) => return Err(Violation::HelloTwice.into()),
            (_, State::Hello | State::Preamble | State::Waiting) => return Err(Violation::HelloExpected.into()),
            (Ask::Close(_), _) => {
                return Err(Ending { request, ..Ending::because(Reason::FINISHED) });
            }
            _ => {}
        }
        match self.handle_command(request, &command, frame, now) {
            Ok(Some(routed)) => output.commands.push(routed),
            Ok(None) => {}
            Err(reason) => return self.refuse_command(request, reason, now, output),
        }
        Ok(())
    }

    fn handle_hello(
        &mut self,
        request: RequestId,
        hello: &control::Hello<'_>,
        token: Option<Bytes>,
        now: Time,
        output: &mut Output,
    ) -> Result<(), Ending> {
        let answered = |violation: Violation| Ending { request, ..violation.into() };
        if hello.extensions.unknown_critical(&[kind::TOKEN]).is_some() {
            return Err(answered(Violation::UnknownExtension));
        }
        let limits = &self.facts.limits;
        if token.as_ref().is_some_and(|token| token.len() > limits.max_token) {
            return Err(answered(Violation::TokenTooLong));
        }
        let takes = |most: u64, sent: usize| most == 0 || most >= sent as u64;
        let takes_all = takes(hello.max_record, limits.max_message) && takes(hello.max_frame, limits.max_frame);
        let mut offered = self.facts.capabilities;
        if self.tokens.latest().is_none() {
            offered.0 &= !Capabilities::RESUME.0;
        }
        let capabilities = hello.capabilities.common(offered);
        let wanted = hello.extensions.get(kind::RESUME).filter(|_| capabilities.has(Capabilities::RESUME));
        let wanted = wanted.map(read_resume).transpose().map_err(|_| answered(Violation::Argument))?;
        let greeting = Greeting { request, capabilities, takes_all, wanted: wanted.flatten() };
        let unproven = self.take_credential(request, token)?;
        if greeting.wanted.is_some() || unproven.is_some() {
            self.state = State::Waiting;
            let early = self.early.get_or_insert_default();
            (early.greeting, early.unproven) = (Some(greeting), unproven);
            return Ok(());
        }
        self.open(&greeting, now, output)
    }

    /// A session begins.
    pub(super) fn open(&mut self, greeting: &Greeting, now: Time, output: &mut Output) -> Result<(), Ending> {
        self.takes_all = greeting.takes_all;
        self.capabilities = greeting.capabilities;
        self.state = State::Open;
        self.liveness.handle_open(now);
        self.welcome(greeting.request, false, None, now, output);
        let Early { first_room, going_away, .. } = self.early.take().map_or_else(Early::default, |early| *early);
        if let Some((reconnect, closes)) = going_away {
            self.handle_going_away(reconnect, closes, &[], output);
        }
        if let Some(name) = first_room {
            // PROTOCOL 4.2: as if JOIN with request 0, handle 0 and mode 3 had come first.
            let join = Join { mode: Mode::BOTH, name: &name, ..Join::default() };
            let presence = self.info().cloned().unwrap_or_default();
            match self.join(RequestId(0), &join, presence, Bytes::new(), now) {
                Ok(routed) => output.commands.push(routed),
                Err(reason) => return self.refuse_command(RequestId(0), reason, now, output),
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
                let presence = self.shown(join.extensions.get(kind::PRESENCE).map(own))?;
                let data = join.extensions.get(kind::LOGIC).map(own).unwrap_or_default();
                self.join(request, join, presence, data, now).map(Some)
            }
            Ask::Leave(leave) => {
                understood(leave.extensions)?;
                let route = self.route(leave.handle)?;
                self.give_up(|held| held.hold.handle == leave.handle, now);
                Ok(Some((route, Command::Leave { request, handle: leave.handle })))
            }
            Ask::SetPresence(presence) => {
                understood(presence.extensions)?;
                let route = self.route(presence.handle)?;
                if presence.data.len() > self.facts.limits.max_presence_data {
                    return Err(Reason::ARGUMENT);
                }
                let data = self.shown(Some(own(presence.data)))?;
                Ok(Some((route, Command::SetPresence { request, handle: presence.handle, data })))
            }
            Ask::Receive(receive) if self.capabilities.has(Capabilities::RECEIVE) => {
                understood(receive.extensions)?;
                let what = What::from_wire(receive.what).ok_or(Reason::ARGUMENT)?;
                // PROTOCOL 6.11: they have a capability of their own.
                if receive.divisor != 1 || receive.area != 0 {
                    return Err(Reason::CAPABILITY);
                }
                let handle = receive.handle;
                Ok(Some((self.route(handle)?, Command::Receive { request, handle, what })))
            }
            Ask::Members(members) if self.capabilities.has(Capabilities::PAGES) => {
                understood(members.extensions)?;
                let (handle, after) = (members.handle, members.after);
                Ok(Some((self.route(handle)?, Command::Members { request, handle, after })))
            }
            Ask::Token(newer) if self.capabilities.has(Capabilities::TOKEN) => {
                understood(newer.extensions)?;
                self.renew(request, own(newer.token), now).map(|()| None)
            }
            // PROTOCOL 10.3.
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
        data: Bytes,
        now: Time,
    ) -> Result<(Route, Command), Reason> {
        let facts = std::sync::Arc::clone(&self.facts);
        let limits = &facts.limits;
        let name = RoomName::new(join.name).ok_or(Reason::ROOM_NAME)?;
        if !join.mode.is_valid() || presence.len() > limits.max_presence_data || data.len() > limits.max_join_data {
            return Err(Reason::ARGUMENT);
        }
        let since = join.extensions.get(kind::SINCE).map(read_since).transpose().map_err(|_| Reason::ARGUMENT)?;
        let route = Route(self.facts.hasher.hash_one(&name));
        let place = self.find(join.handle);
        let held = self.held(join.handle);
        // PROTOCOL 12.2: a resumed session joins again on the handles it holds.
        let returning = held.is_some_and(|held| held.away && held.route == route);
        match () {
            () if place.is_ok() && !returning => return Err(Reason::HANDLE_IN_USE),
            () if !returning && self.rooms.len() >= limits.max_rooms => return Err(Reason::TOO_MANY_JOINS),
            () if !self.may_join(now) => return Err(Reason::RATE),
            () if !self.takes_all => return Err(Reason::CLIENT_TOO_SMALL),
            () if self.state == State::Draining => return Err(Reason::GOING_AWAY),
            () if self.has_expired(now) => return Err(Reason::TOKEN_EXPIRED),
            () => {}
        }
        self.joined += 1;
        let hold = Hold { handle: join.handle, serial: self.joined };
        match place {
            Err(place) => self.rooms.insert(place, Held { hold, route, away: false }),
            Ok(place) => self.rooms.get_mut(place).into_iter().for_each(|held| (held.hold, held.away) = (hold, false)),
        }
        self.liveness.handle_rooms(self.rooms.len(), now);
        let command = JoinCommand {
            serial: hold.serial,
            subject: self.subject().clone(),
            identity: self.identity.clone(),
            presence,
            since,
            data,
            capabilities: self.capabilities,
            returning,
            ..JoinCommand::new(request, join.handle, name, join.mode)
        };
        Ok((route, Command::Join(Box::new(command))))
    }

    /// The presence data of a member: what its token says, or what its client says (PROTOCOL 6.13).
    fn shown(&self, brought: Option<Bytes>) -> Result<Bytes, Reason> {
        match self.info() {
            Some(info) if brought.as_ref().is_none_or(|brought| brought == info) => Ok(info.clone()),
            Some(_) => Err(Reason::NOT_ALLOWED),
            None => Ok(brought.unwrap_or_default()),
        }
    }

    fn route(&self, handle: Handle) -> Result<Route, Reason> {
        self.held(handle).map(|held| held.route).ok_or(Reason::NOT_JOINED)
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

/// PROTOCOL 6.1, extension 4: a token that is not one of ours asks for nothing.
fn read_resume(content: &[u8]) -> Result<Option<(Token, u64)>, DecodeError> {
    let mut reader = Reader::new(content);
    let token = Token::read(reader.string()?);
    let directs = reader.varint()?;
    Ok(token.map(|token| (token, directs)))
}
