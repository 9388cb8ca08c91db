//! What a program says.

use super::{Device, Refusal, State};
use crate::wire::header::flags;
use crate::wire::{Capabilities, ClientData, Handle, Key, MemberNumber, Target};

/// The most a message may have before the server's own limit is known: what a frame holds, with handle and key.
const MAX_MESSAGE: usize = 0xffff - 16;

impl<const ROOMS: usize> Device<'_, ROOMS> {
    /// Publishes an event. Events and directs wait in order until they can leave.
    ///
    /// # Errors
    /// Every [`Refusal`] but [`Dropped`](Refusal::Dropped).
    pub fn publish(&mut self, room: usize, payload: &[u8]) -> Result<(), Refusal> {
        self.message(room, Target::Event, 0, payload)
    }

    /// The same, but the room flushes at once (PROTOCOL 11.6).
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_urgent(&mut self, room: usize, payload: &[u8]) -> Result<(), Refusal> {
        self.message(room, Target::Event, flags::URGENT, payload)
    }

    /// Sets a value; an empty one deletes. Of those that wait only the last one of a key leaves.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn set(&mut self, room: usize, key: Key, payload: &[u8]) -> Result<(), Refusal> {
        self.message(room, Target::Value(key), 0, payload)
    }

    /// Sends a direct to a member; 0 is the room's logic.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn send(&mut self, room: usize, member: MemberNumber, payload: &[u8]) -> Result<(), Refusal> {
        self.message(room, Target::Direct(member), 0, payload)
    }

    /// Publishes an event now, or not at all.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), and [`Refusal::Dropped`] where it cannot leave at once.
    pub fn publish_or_drop(&mut self, room: usize, payload: &[u8]) -> Result<(), Refusal> {
        let is_in = self.rooms.get(room).is_some_and(super::room::Room::is_in);
        if !is_in || !self.session.welcomed || self.queue.unconfirmed {
            return Err(Refusal::Dropped);
        }
        self.publish(room, payload).map_err(|refusal| if refusal == Refusal::Full { Refusal::Dropped } else { refusal })
    }

    /// How many bytes of messages have neither been accepted nor told; 0: everything has arrived, or was told not to have.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.queue.pending()
    }

    fn message(&mut self, room: usize, target: Target, options: u8, payload: &[u8]) -> Result<(), Refusal> {
        if self.state == State::Closed || !self.rooms.get(room).is_some_and(|room| room.wanted) {
            return Err(Refusal::NoRoom);
        }
        let most = if self.session.max_message > 0 { self.session.max_message } else { MAX_MESSAGE };
        if payload.len() > most.min(MAX_MESSAGE) {
            return Err(Refusal::TooLarge);
        }
        let data = ClientData { handle: Handle(room as u64 + 1), target, options, payload };
        self.queue.push(&data)
    }

    /// So many of the bytes that [`output`](Self::output) gave have left.
    pub fn written(&mut self, len: usize) {
        if self.control_len == 0 {
            self.queue.handle_written(len, self.can(Capabilities::ACCEPTED));
            return;
        }
        self.control_at += len;
        if self.control_at >= self.control_len {
            (self.control_at, self.control_len) = (0, 0);
        }
    }

    /// Bytes for the server; none where it is empty. Tell by [`written`](Self::written) how many of them went.
    pub fn output(&mut self) -> &[u8] {
        if !self.may_write() {
            return &[];
        }
        if self.control_len == 0 && !self.queue.is_within_frame() {
            self.control_len = self.compose();
        }
        if self.control_len > 0 {
            return self.control.get(self.control_at..self.control_len).unwrap_or_default();
        }
        if !self.session.welcomed {
            return &[];
        }
        let asks = self.can(Capabilities::ACCEPTED);
        let rooms = &self.rooms;
        self.queue.output(|room| rooms.get(room).is_some_and(super::room::Room::is_in), asks)
    }
}
