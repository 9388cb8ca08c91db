//! The directs of a session: numbered over all its rooms, and kept until its client has confirmed
//! them (PROTOCOL 8.6, 12.2).
//!
//! ```text
//! lost ─┐   ┌ kept for a connection that resumes ┐
//!   4   5   6   7   8   9 <── last
//!       └ confirmed in a ping, or no room for more
//! ```

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::dispatcher::Direct;
use crate::limits::Limits;
use crate::wire::header::flags;
use crate::wire::{Head, Kind, Position, Record, encode_server_header};

/// What a session was sent as directs.
#[derive(Debug, Default)]
pub(super) struct Directs {
    last: u64,
    /// The newest ones, without holes, ending with `last`.
    unconfirmed: VecDeque<Bytes>,
    bytes: usize,
    /// Whether the session can be resumed at all.
    keeps: bool,
}

impl Directs {
    /// From now on they are kept.
    pub(super) const fn keep(&mut self) {
        self.keeps = true;
    }

    /// Numbers a direct and makes its frame.
    pub(super) fn push(&mut self, direct: &Direct, limits: &Limits) -> Bytes {
        self.last += 1;
        let head = Head { room: direct.room, position: Position(self.last), tick: direct.tick };
        let record = Record { member: direct.from, key: Some(direct.answers), payload: &direct.payload };
        let mut frame = BytesMut::with_capacity(32 + record.encoded_len());
        let options = if direct.urgent { flags::URGENT } else { 0 };
        encode_server_header(Kind::Direct, options, &head, record.encoded_len(), &mut frame);
        record.encode(&mut frame);
        let frame = frame.freeze();
        if self.keeps {
            self.bytes += frame.len();
            self.unconfirmed.push_back(frame.clone());
            while self.unconfirmed.len() > limits.max_unconfirmed || self.bytes > limits.outbox_bytes / 4 {
                self.drop_oldest();
            }
        }
        frame
    }

    /// All up to `number` have been taken.
    pub(super) fn confirm(&mut self, number: u64) {
        while !self.unconfirmed.is_empty() && self.first_kept() <= number {
            self.drop_oldest();
        }
    }

    /// Those that are kept, oldest first.
    pub(super) fn unconfirmed(&self) -> impl Iterator<Item = &Bytes> {
        self.unconfirmed.iter()
    }

    /// First and last of those that a client who has seen all up to `seen` will never get.
    pub(super) fn lost(&self, seen: u64) -> Option<(u64, u64)> {
        let (first, last) = (seen.saturating_add(1), self.first_kept() - 1);
        (first <= last).then_some((first, last))
    }

    fn first_kept(&self) -> u64 {
        // Kept without holes, so there are never more than were numbered.
        self.last + 1 - self.unconfirmed.len() as u64
    }

    fn drop_oldest(&mut self) {
        if let Some(frame) = self.unconfirmed.pop_front() {
            self.bytes -= frame.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{MemberNumber, RoomId};

    #[test]
    fn what_is_not_confirmed_is_kept_and_what_does_not_fit_is_told() {
        let limits = Limits { max_unconfirmed: 3, ..Limits::default() };
        let mut directs = Directs::default();
        directs.keep();
        let payload = Bytes::from_static(b"x");
        let direct = Direct { room: RoomId(1), tick: 0, from: MemberNumber(2), answers: 0, payload, urgent: false };
        for _ in 0..5 {
            directs.push(&direct, &limits);
        }
        assert_eq!((directs.unconfirmed().count(), directs.lost(0), directs.lost(1)), (3, Some((1, 2)), Some((2, 2))));
        assert_eq!((directs.lost(2), directs.lost(4)), (None, None));
        directs.confirm(3);
        assert_eq!((directs.unconfirmed().count(), directs.lost(3)), (2, None));
        directs.confirm(99);
        assert_eq!((directs.unconfirmed().count(), directs.bytes, directs.lost(99)), (0, 0, None));
        directs.push(&direct, &limits);
        assert_eq!((directs.unconfirmed().count(), directs.lost(5)), (1, None));
    }
}
