//! Events, in the order in which a program gets them: changes of state first, then what has come.

use super::intake::Span;
use super::{Device, Event, Message};
use crate::wire::{Key, Kind, MemberNumber, Position, Presence, Reason};

/// An event whose bytes are still in a buffer.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Event(Event<'static>),
    /// Why a session, or an attempt, ends: goes with the state.
    Ending {
        text: Span,
        address: Span,
    },
    Received(Received),
    Mine(Mine),
}

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) room: usize,
    pub(super) kind: Kind,
    pub(super) member: MemberNumber,
    pub(super) key: Key,
    pub(super) position: Position,
    pub(super) tick: u64,
    pub(super) payload: Span,
}

/// A message of the device itself, by its place in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mine {
    Refused { at: Option<usize>, reason: Reason },
    Unconfirmed,
}

impl<const ROOMS: usize> Device<'_, ROOMS> {
    /// Takes what has happened next; `None`: nothing more for now, then look for output, and sleep no
    /// longer than [`wait`](Self::wait). Each round of the caller's loop takes all.
    pub fn next_event(&mut self) -> Option<Event<'_>> {
        if self.pop {
            self.pop = false;
            self.queue.drop_unconfirmed();
        }
        loop {
            if let Some(event) = self.change() {
                return Some(event);
            }
            if self.queue.unconfirmed {
                self.pop = true;
                return self.show(Told::Mine(Mine::Unconfirmed));
            }
            let mut told = None;
            if !self.step(&mut told) {
                return None;
            }
            match told {
                // An attempt that the server has ended leaves the state as it was: why is told all the same.
                Some(Told::Ending { text, address }) => {
                    let event = self.state_event();
                    return Some(with_ending(event, self.intake.at(text), self.intake.at(address)));
                }
                Some(told) => return self.show(told),
                None => {}
            }
        }
    }

    /// What is to be told before anything else is read.
    fn change(&mut self) -> Option<Event<'static>> {
        if self.state != self.told {
            return Some(self.state_event());
        }
        for (index, room) in self.rooms.iter_mut().enumerate() {
            if room.state != room.told {
                let before = core::mem::replace(&mut room.told, room.state);
                let dropped = core::mem::take(&mut room.dropped);
                let (after, reason, member) = (room.state, room.reason, room.member);
                return Some(Event::Room { room: index, before, after, reason, member, dropped });
            }
            if let Some(outcome) = room.outcome.take() {
                return Some(Event::Outcome { room: index, outcome });
            }
        }
        if let Some(error) = self.error.take() {
            return Some(Event::Error(error));
        }
        if core::mem::take(&mut self.token.tell) {
            return Some(Event::TokenWanted);
        }
        self.directs_lost.take().map(|from| Event::LostDirects { from, to: self.directs })
    }

    fn state_event(&mut self) -> Event<'static> {
        let before = core::mem::replace(&mut self.told, self.state);
        let dropped = core::mem::take(&mut self.dropped);
        Event::State { before, after: self.state, reason: self.reason, text: &[], address: &[], dropped }
    }

    fn show(&self, told: Told) -> Option<Event<'_>> {
        match told {
            Told::Event(event) => Some(event),
            Told::Ending { .. } => None,
            Told::Received(received) => self.show_received(received),
            Told::Mine(Mine::Refused { at, reason }) => {
                let message = at.and_then(|at| self.queue.message(at));
                Some(Event::Refused { message, reason })
            }
            Told::Mine(Mine::Unconfirmed) => {
                let message: Message<'_> = self.queue.message(0)?;
                Some(Event::Unconfirmed { message })
            }
        }
    }

    fn show_received(&self, received: Received) -> Option<Event<'_>> {
        let Received { room, kind, member, key, position, tick, payload } = received;
        let payload = self.intake.at(payload);
        Some(match kind {
            Kind::Event => Event::Message { room, member, payload, position, tick },
            Kind::Value | Kind::Snapshot => {
                Event::Value { room, member, key, payload, tick, snapshot: kind == Kind::Snapshot }
            }
            Kind::Direct => Event::Direct { room, member, answers: key.wire(), number: position.0, payload },
            Kind::Presence | Kind::Members => {
                let presence = Presence::decode(payload).ok()?;
                Event::Presence { room, member, presence, snapshot: kind == Kind::Members }
            }
        })
    }
}

/// The change of state, with what the server said of it.
fn with_ending<'b>(event: Event<'static>, text: &'b [u8], address: &'b [u8]) -> Event<'b> {
    match event {
        Event::State { before, after, reason, dropped, .. } => {
            Event::State { before, after, reason, text, address, dropped }
        }
        event => event,
    }
}
