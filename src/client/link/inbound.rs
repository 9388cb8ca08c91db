//! What a connection brings, put away and told (clients/SPEC.md 4, 6).
//!
//! ```text
//! JOINED, LEFT, REFUSED, GAP ──> room's state, outcome
//! batches, snapshots ──> known ──> messages, ticks
//! ```

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::entry::Entry;
use super::error::{LinkError, TokenError};
use super::event::{
    Content, LinkEvent, Message, MessageId, Outcome, Presence, PresenceChange, RefusedMessage, RoomState, escaped,
};
use super::known::TooMuch;
use super::log::Log;
use super::open::{Asked, Ended, Open, Retry};
use super::shared::State;
use super::waiting::Waits;
use crate::client::{Batch, Comeback, Error, Event, Member, Membership, Refusal, Unconfirmed};
use crate::name::RoomName;
use crate::wire::control::{Mode, Outcome as Told};
use crate::wire::{Advice, Epoch, Handle, Key, Kind, Position, Presence as Record, Reason, RequestId};

/// Memberships that nobody wants which are left. 64: a server may make one, by the address.
const MAX_STRAYS: usize = 64;

impl Open<'_> {
    /// Something came, with the bytes of its frame.
    pub(super) fn handle_event(&mut self, event: Event, bytes: u64) -> Result<(), Ended> {
        if self.going.is_none() && matches!(event, Event::GoingAway { .. }) {
            self.comeback.handle_event(&event);
        }
        match event {
            Event::Batch(batch) | Event::Presence(batch) | Event::Snapshot(batch) | Event::Direct(batch) => {
                return self.handle_batch(&batch, bytes);
            }
            Event::Closed(closing) => return Err(Ended::Failed(Error::Closed(closing))),
            Event::Joined { membership, .. } => self.handle_joined(membership),
            Event::Left { handle, reason, .. } => self.handle_left(handle, reason),
            Event::Refused(refusal) if refusal.number > 0 => self.handle_message_refused(&refusal),
            Event::Refused(refusal) => self.handle_refused(&refusal),
            Event::Gap { handle, epoch, from, to } => self.handle_gap(handle, epoch, from, to),
            Event::Done { request } => self.handle_done(request),
            Event::Accepted(_) => {
                let unaccepted = self.sender.progress().unaccepted();
                self.shared.change(|state| state.unaccepted = unaccepted);
            }
            Event::Pong(sample) => {
                let clock = self.receiver.clock().clone();
                // Pings tell what was accepted too.
                let unaccepted = self.sender.progress().unaccepted();
                self.shared.change(|state| {
                    (state.clock, state.rtt) = (Some(clock), Some(sample.round_trip));
                    state.unaccepted = unaccepted;
                });
            }
            Event::GoingAway { reconnect, closes, address, .. } if self.going.is_none() => {
                self.address = address;
                self.prepare_to_go((reconnect / 2).min(closes / 2));
            }
            _ => {}
        }
        // These frames make no events that wait for the application.
        self.receiver.consumption().handle_taken(bytes, None);
        Ok(())
    }

    fn handle_joined(&mut self, membership: Membership) {
        let Some(asked) = self.asked.get_mut(&membership.handle) else {
            // The address has named a room: nobody here has.
            if self.strays.len() < MAX_STRAYS {
                self.strays.push(membership.handle);
            }
            return;
        };
        asked.joined = true;
        let (name, generation, leaving) = (asked.name.clone(), asked.generation, asked.leaving);
        if leaving {
            return;
        }
        self.retries.remove(&name);
        self.shared.change(|state| {
            state.tell_tick(&name, generation);
            let entry = state.rooms.get_mut(&name).filter(|entry| entry.generation == generation);
            let Some(entry) = entry else { return };
            let known = entry.since;
            let (told, lost, last) = (membership.outcome, membership.lost, membership.position);
            let is_new = entry.handle_joined(membership);
            let outcome = match (told, known) {
                (Told::RECOVERED, Some(_)) if !is_new => Outcome::Recovered,
                (Told::GAP, Some((_, before))) if !is_new => {
                    let (from, to) = lost.unwrap_or_else(|| (before.next(), last));
                    Outcome::Gap(from, to)
                }
                _ => Outcome::Snapshot,
            };
            state.set_room(&name, RoomState::Joined, Reason(0), "");
            state.tell(LinkEvent::Outcome(name.clone(), outcome));
        });
    }

    fn handle_left(&mut self, handle: Handle, reason: Reason) {
        let Some(asked) = self.asked.remove(&handle) else { return };
        self.shared.change(|state| {
            state.tell_tick(&asked.name, asked.generation);
            state.stop_draining(asked.generation);
            let entry = state.rooms.get_mut(&asked.name).filter(|entry| entry.generation == asked.generation);
            let Some(entry) = entry else { return };
            if !entry.wanted || reason.advice() == Advice::Never {
                return state.remove_room(&asked.name, reason, reason.sentence());
            }
            let failures = failures(&self.retries, &asked) + 1;
            let at = Instant::now() + Comeback::draw(failures);
            self.retries.insert(asked.name.clone(), Retry { generation: asked.generation, at, failures });
            state.set_room(&asked.name, RoomState::Joining, reason, reason.sentence());
        });
    }

    /// A command was refused.
    fn handle_refused(&mut self, refusal: &Refusal) {
        let (reason, text) = (refusal.reason, escaped(&refusal.text));
        if self.renewal.handle_refused(refusal.request) {
            let error = LinkError::Token(TokenError::Refused(reason));
            return self.shared.change(|state| state.error(error));
        }
        if let Some((handle, _)) = self.pauses.remove(&refusal.request) {
            let Some(asked) = self.asked.get_mut(&handle) else { return };
            return self.shared.change(|state| {
                if let Some(entry) = state.rooms.get_mut(&asked.name) {
                    asked.paused = entry.is_paused;
                    entry.paused = entry.is_paused;
                    entry.pause_refusals += 1;
                }
            });
        }
        let is_it = |request: RequestId| request.0 != 0 && request == refusal.request;
        let handle = self.asked.iter().find_map(|(handle, asked)| is_it(asked.request).then_some(*handle));
        let Some(asked) = handle.and_then(|handle| self.asked.remove(&handle)) else { return };
        let failures = failures(&self.retries, &asked) + 1;
        self.shared.change(|state| {
            let entry = state.rooms.get_mut(&asked.name).filter(|entry| entry.generation == asked.generation);
            let Some(entry) = entry else { return };
            let mode = entry.join_options().mode;
            if reason == Reason::CAPABILITY && mode.has(Mode::MEMBERS) {
                // PROTOCOL 6.3: the list of members is too long. It is asked for again at once, without.
                entry.has_long_list = true;
            } else if reason.advice() == Advice::Never {
                state.remove_room(&asked.name, reason, &text);
                state.error(LinkError::Refused { room: asked.name, reason, text });
            } else {
                let wait = refusal.after.unwrap_or_else(|| Comeback::draw(failures)).min(Comeback::MOST);
                let at = Instant::now() + wait;
                self.retries.insert(asked.name, Retry { generation: asked.generation, at, failures });
            }
        });
    }

    fn handle_message_refused(&mut self, refusal: &Refusal) {
        // It has not arrived, whatever becomes of the session.
        let Some(logged) = self.log.take(refusal.number) else { return };
        // PROTOCOL 6.9: it may be sent again to the server that comes.
        let again = (refusal.reason == Reason::GOING_AWAY).then(|| self.sender.progress().kept(refusal.number));
        let again = again.flatten().and_then(|frame| Unconfirmed::new(refusal.number, &frame));
        self.shared.change(|state| {
            if let Some(message) = again
                && state.take_back(&logged.room, Waits::again(&logged, message))
            {
                return;
            }
            let (id, room, reason) = (logged.id, logged.room, refusal.reason);
            state.tell(LinkEvent::Refused(RefusedMessage { id, room, reason, text: escaped(&refusal.text) }));
        });
    }

    fn handle_gap(&mut self, handle: Handle, epoch: Epoch, from: Position, to: Position) {
        let Some(asked) = self.asked.get(&handle) else { return };
        self.shared.change(|state| {
            state.tell_tick(&asked.name, asked.generation);
            let entry = state.rooms.get_mut(&asked.name).filter(|entry| entry.generation == asked.generation);
            let Some(entry) = entry else { return };
            let outcome = entry.handle_gap(epoch, from, to);
            state.tell(LinkEvent::Outcome(asked.name.clone(), outcome));
        });
    }

    fn handle_done(&mut self, request: RequestId) {
        if self.renewal.handle_done(request) {
            return;
        }
        let Some((handle, paused)) = self.pauses.remove(&request) else { return };
        let Some(asked) = self.asked.get(&handle) else { return };
        self.shared.change(|state| {
            if let Some(entry) = state.rooms.get_mut(&asked.name) {
                entry.is_paused = paused;
                if paused {
                    // PROTOCOL 6.11: asking for less makes void what has begun.
                    entry.known.forget_under_way();
                }
            }
        });
    }

    fn handle_batch(&mut self, batch: &Batch, bytes: u64) -> Result<(), Ended> {
        let consumption = self.receiver.consumption();
        let asked = self.asked.get(&batch.room()).filter(|asked| !asked.leaving);
        let Some(asked) = asked else {
            consumption.handle_taken(bytes, None);
            return Ok(());
        };
        let name = &asked.name;
        let mut state = self.shared.lock();
        let entry = state.rooms.get_mut(name).filter(|entry| entry.generation == asked.generation);
        let Some(entry) = entry else {
            consumption.handle_taken(bytes, None);
            return Ok(());
        };
        let mut events = Vec::new();
        if entry.tick.is_some_and(|tick| tick != (batch.tick(), batch.position())) {
            events.extend(entry.take_tick().map(|(tick, position)| told_tick(name, tick, position)));
        }
        let put = put_away(name, entry, batch, self.log, &mut events);
        state.tell_frame(events, consumption, bytes);
        drop(state);
        self.shared.waker.wake();
        put.map_err(|TooMuch| {
            self.receiver.break_off();
            Ended::Stopped(LinkError::TooMuch(name.clone()), Reason::MALFORMED)
        })?;
        self.ticks.insert((name.clone(), asked.generation));
        Ok(())
    }

    /// Nothing more is here: batches that are whole are through.
    pub(super) fn tell_ticks(&mut self) {
        if self.ticks.is_empty() {
            return;
        }
        let ticks = std::mem::take(&mut self.ticks);
        self.shared.change(|state| {
            for (name, generation) in &ticks {
                state.tell_tick(name, *generation);
            }
        });
    }
}

impl State {
    /// Takes back a message that did not leave after all. False where nobody wants its room any more.
    pub(super) fn take_back(&mut self, room: &RoomName, message: Waits) -> bool {
        let Some(entry) = self.rooms.get_mut(room).filter(|entry| entry.wanted) else { return false };
        entry.waiting.push_front(message, &mut self.loads);
        true
    }

    /// The batch of a room that came last is through, if it came whole and was not told yet.
    fn tell_tick(&mut self, room: &RoomName, generation: u64) {
        let entry = self.rooms.get_mut(room).filter(|entry| entry.generation == generation);
        if let Some((tick, position)) = entry.and_then(Entry::take_tick) {
            self.tell(told_tick(room, tick, position));
        }
    }
}

fn told_tick(room: &RoomName, tick: u64, position: Position) -> LinkEvent {
    LinkEvent::Tick { room: room.clone(), tick, position }
}

/// How often this join of a room has failed in a row.
fn failures(retries: &BTreeMap<RoomName, Retry>, asked: &Asked) -> u32 {
    let retry = retries.get(&asked.name).filter(|retry| retry.generation == asked.generation);
    retry.map_or(0, |retry| retry.failures)
}

/// Makes of a frame what is known, and what is told.
fn put_away(
    name: &RoomName,
    entry: &mut Entry,
    batch: &Batch,
    log: &Log,
    events: &mut Vec<LinkEvent>,
) -> Result<(), TooMuch> {
    let (tick, position) = (batch.tick(), batch.position());
    let mut again = 0;
    if batch.kind().is_numbered() {
        let count = batch.records().count();
        let is_presence = batch.kind() == Kind::Presence;
        again = entry.shown.handle_frame(position, is_presence, count, batch.has_more());
        if let Some((_, last)) = &mut entry.since
            && !batch.has_more()
        {
            *last = position;
        }
    }
    match batch.kind() {
        Kind::Event | Kind::Value | Kind::Direct => {
            if batch.kind() == Kind::Value {
                entry.known.handle_values(batch)?;
            }
            for record in batch.records().skip(again) {
                let content = match (batch.kind(), record.key) {
                    (Kind::Direct, number) => Content::Direct(answered(log, number)),
                    (Kind::Value, Some(key)) => Content::Value(Key::from_wire(key)),
                    _ => Content::Event,
                };
                // Who writes to itself wants to read it.
                if batch.kind() == Kind::Direct || entry.shows(record.member) {
                    let (room, member, early) = (name.clone(), record.member, batch.is_early());
                    let payload = batch.records.slice_ref(record.payload);
                    events.push(LinkEvent::Message(Message { room, member, content, payload, tick, position, early }));
                }
            }
        }
        Kind::Presence => {
            entry.known.handle_presence(batch)?;
            for record in batch.records().skip(again) {
                if let Some(change) = change(record.member, record.payload) {
                    events.push(LinkEvent::Presence(PresenceChange { room: name.clone(), tick, position, change }));
                }
            }
        }
        Kind::Members => entry.known.handle_presence(batch)?,
        Kind::Snapshot => {
            if entry.known.handle_snapshot(batch)? {
                let values = entry.known.values();
                events.push(LinkEvent::Snapshot { room: name.clone(), tick, position, values });
            }
        }
    }
    if matches!(batch.kind(), Kind::Event | Kind::Value | Kind::Presence) {
        entry.tick = (!batch.has_more()).then_some((tick, position));
    }
    Ok(())
}

/// The message that a direct answers.
fn answered(log: &Log, number: Option<u64>) -> Option<MessageId> {
    log.find(number.filter(|number| *number > 0)?).map(|logged| logged.id)
}

fn change(number: crate::wire::MemberNumber, payload: &[u8]) -> Option<Presence> {
    Some(match Record::decode(payload).ok()? {
        Record::Here { subject, data } => {
            Presence::Here(Member { number, subject: subject.to_vec(), data: data.to_vec(), away: false })
        }
        Record::Away => Presence::Away(number),
        Record::Left(reason) => Presence::Left(number, reason),
        Record::Count(members) => Presence::Count(members),
        _ => return None,
    })
}
