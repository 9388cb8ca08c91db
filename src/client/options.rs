//! What a client asks of a room: how to join it, and how much of it to receive.

use bytes::Bytes;

use crate::wire::control::Mode;
use crate::wire::extension::{kind, put_extension};
use crate::wire::{Epoch, Position, Put, put_varint};

/// How to join a room (PROTOCOL 6.3). Start from [`JoinOptions::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinOptions {
    /// Publish, receive, list members.
    pub mode: Mode,
    /// The life of the room and the last position that is known, to get what was missed
    /// (PROTOCOL 12.1). None.
    pub since: Option<(Epoch, Position)>,
    /// Data for the room's logic; a server takes 1024 bytes by default. Empty.
    pub data: Bytes,
    /// What other members see of this one; a server takes 256 bytes by default. Empty.
    pub presence: Bytes,
}

impl JoinOptions {
    /// Joins in this mode, as if for the first time.
    #[must_use]
    pub const fn new(mode: Mode) -> Self {
        Self { mode, since: None, data: Bytes::new(), presence: Bytes::new() }
    }

    /// Sets from where on batches are wanted, as [`Client::position`](super::Client::position) tells it.
    #[must_use]
    pub const fn since(mut self, epoch: Epoch, position: Position) -> Self {
        self.since = Some((epoch, position));
        self
    }

    /// Sets the data for the room's logic.
    #[must_use]
    pub fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.data = data.into();
        self
    }

    /// Sets what other members see.
    #[must_use]
    pub fn presence(mut self, presence: impl Into<Bytes>) -> Self {
        self.presence = presence.into();
        self
    }

    /// The extensions of JOIN.
    pub(super) fn extensions(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.data.is_empty() {
            put_extension(kind::LOGIC, &self.data, &mut out);
        }
        if let Some((epoch, position)) = self.since {
            let mut content = Vec::new();
            content.put(&epoch.0);
            put_varint(position.0, &mut content);
            put_extension(kind::SINCE, &content, &mut out);
        }
        if !self.presence.is_empty() {
            put_extension(kind::PRESENCE, &self.presence, &mut out);
        }
        out
    }
}

/// How much of a room to receive (PROTOCOL 6.11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum What {
    /// Everything.
    #[default]
    All = 0,
    /// Presence and events, no values.
    Events = 1,
    /// Nothing. Directs still come.
    Paused = 2,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_stand_in_ascending_order() {
        assert!(JoinOptions::new(Mode::BOTH).extensions().is_empty());
        let options =
            JoinOptions::new(Mode::BOTH).since(Epoch([9; 8]), Position(200)).data(&b"d"[..]).presence(&b"pq"[..]);
        let expected = [2, 1, b'd', 4, 10, 9, 9, 9, 9, 9, 9, 9, 9, 0xc8, 1, 6, 2, b'p', b'q'];
        assert_eq!(options.extensions(), expected);
    }
}
