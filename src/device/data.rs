//! What data frames of a server make of a device (PROTOCOL 8).
//!
//! ```text
//! Piece::Head ──> Current: which room, from where on   Record ... ──> Told   End ──> Room: how far
//! ```

use super::handle::Handled;
use super::intake::Span;
use super::show::{Received, Told};
use super::{Breach, Device, Event};
use crate::wire::header::flags;
use crate::wire::{Head, Key, Kind, MemberNumber, Position, Presence};

/// What a data frame is, while its records come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current {
    kind: Kind,
    /// The room's place; none where nobody wants to know.
    room: Option<usize>,
    /// Of the batch, or the number of the next direct.
    position: Position,
    has_more: bool,
}

impl<const ROOMS: usize> Device<'_, ROOMS> {
    pub(super) fn handle_head(&mut self, kind: Kind, options: u8, head: Head) -> Handled {
        if !self.session.welcomed {
            return Err(Breach::Greeting);
        }
        if options & flags::COMPRESSED != 0 {
            return Err(Breach::Compressed);
        }
        let index = self.rooms.iter().position(|room| room.id == Some(head.room)).ok_or(Breach::Room)?;
        let room = self.rooms.get_mut(index).ok_or(Breach::Room)?;
        let has_more = options & flags::MORE != 0;
        let mut current = Current { kind, room: Some(index), position: head.position, has_more };
        // PROTOCOL 12.2: directs come before the room is joined again; all else comes again behind that.
        let shown = if kind == Kind::Direct { room.takes_directs() } else { room.is_in() };
        if !shown {
            current.room = None;
            self.current = Some(current);
            self.intake.skip_frame();
            return Ok(None);
        }
        self.current = Some(current);
        // PROTOCOL 8.3: numbered frames follow each other without a hole.
        if kind.is_numbered() && head.position != room.position().next() {
            return Err(Breach::Position);
        }
        if !matches!(kind, Kind::Snapshot | Kind::Members) {
            room.handle_tick(head.tick);
            return Ok(None);
        }
        let begins = !core::mem::replace(&mut room.collecting, true);
        Ok(begins.then_some(Told::Event(Event::Snapshot { room: index, kind, whole: false })))
    }

    pub(super) fn handle_record(&mut self, member: MemberNumber, key: u64, len: u64, payload: Option<Span>) -> Handled {
        let Some(Current { kind, room: Some(index), position, .. }) = self.current else { return Ok(None) };
        let Some(room) = self.rooms.get_mut(index) else { return Ok(None) };
        if kind == Kind::Direct {
            if let Some(current) = &mut self.current {
                current.position = position.next();
            }
            // PROTOCOL 8.6: after a resume some come again.
            if position.0 <= self.directs {
                return Ok(None);
            }
            self.directs = position.0;
        } else if kind.is_numbered() {
            room.run = room.run.saturating_add(1);
            if room.run <= room.seen {
                return Ok(None);
            }
            room.seen = room.run;
        }
        let own = matches!(kind, Kind::Event | Kind::Value) && member == room.member && !room.options.echo;
        if own || (kind != Kind::Direct && !room.is_in()) {
            return Ok(None);
        }
        let tick = room.tick;
        let Some(payload) = payload else {
            return Ok(Some(Told::Event(Event::Skipped { room: index, kind, member, len })));
        };
        if matches!(kind, Kind::Presence | Kind::Members) {
            let presence = Presence::decode(self.intake.at(payload.clone()))?;
            // PROTOCOL 8.5: to be ignored.
            if matches!(presence, Presence::Unknown(_)) {
                return Ok(None);
            }
        }
        let key = Key::from_wire(key);
        Ok(Some(Told::Received(Received { room: index, kind, member, key, position, tick, payload })))
    }

    /// A frame has ended.
    pub(super) fn handle_end(&mut self) -> Option<Told> {
        let Current { kind, room, position, has_more } = self.current.take()?;
        let index = room?;
        let room = self.rooms.get_mut(index).filter(|room| room.is_in() && !has_more)?;
        if kind.is_numbered() {
            room.handle_complete(position);
        }
        if !matches!(kind, Kind::Snapshot | Kind::Members) {
            return None;
        }
        room.collecting = false;
        Some(Told::Event(Event::Snapshot { room: index, kind, whole: true }))
    }
}
