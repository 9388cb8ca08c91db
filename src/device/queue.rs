//! Messages of a device, from `publish` until they are accepted.
//!
//! ```text
//! | sent, not accepted | on its way | waits ...            | free |
//! 0                  cursor  +tx   (kept)                len
//! after a resume the cursor is 0 again, and what was not accepted leaves once more (PROTOCOL 12.2)
//! ```

use super::{Message, Refusal};
use crate::wire::header::flags;
use crate::wire::{ClientData, Handle, Header, SliceWriter, Target};

/// Encoded data frames in a fixed buffer.
#[derive(Debug)]
pub(super) struct Queue<'a> {
    bytes: &'a mut [u8],
    len: usize,
    /// Bytes of messages that have left whole, and so have numbers.
    kept: usize,
    /// What leaves next.
    cursor: usize,
    /// Bytes of it that have left.
    tx: usize,
    /// Data frames up to here are accepted, or refused (PROTOCOL 12.3).
    pub(super) accepted: u64,
    /// How many `kept` are.
    pub(super) sent: u64,
    /// What is kept belongs to a session that is over.
    pub(super) unconfirmed: bool,
    /// The room of what is on its way has been left.
    astray: bool,
}

impl<'a> Queue<'a> {
    pub(super) const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, len: 0, kept: 0, cursor: 0, tx: 0, accepted: 0, sent: 0, unconfirmed: false, astray: false }
    }

    /// Bytes that have not been accepted.
    pub(super) const fn pending(&self) -> usize {
        self.len
    }

    pub(super) const fn is_within_frame(&self) -> bool {
        self.tx > 0
    }

    /// Whether something has to leave again before anything can leave for the first time.
    pub(super) const fn repeats(&self) -> bool {
        self.cursor < self.kept
    }

    /// Adds a message; of a value only the last one waits (clients/SPEC.md, 5). Its payload is below 64 KiB.
    pub(super) fn push(&mut self, data: &ClientData<'_>) -> Result<(), Refusal> {
        let len = data.encoded_len();
        if len > self.bytes.len() {
            return Err(Refusal::TooLarge);
        }
        let old = self.waiting_value(data);
        let old_len = old.map_or(0, |(_, len)| len);
        if len > self.bytes.len() - self.len + old_len {
            return Err(Refusal::Full);
        }
        if let Some((offset, len)) = old {
            self.remove(offset, len);
        }
        data.encode(&mut SliceWriter::new(self.bytes.get_mut(self.len..).unwrap_or_default()));
        self.len += len;
        Ok(())
    }

    /// The value of the same key that waits.
    fn waiting_value(&self, data: &ClientData<'_>) -> Option<(usize, usize)> {
        let mut offset = self.unsent();
        while let Some((old, len)) = self.at(offset) {
            if matches!(data.target, Target::Value(_)) && (old.handle, old.target) == (data.handle, data.target) {
                return Some((offset, len));
            }
            offset += len;
        }
        None
    }

    /// Gives up what has not left, of one room or of all: how many messages. One that is leaving goes on, but with this
    /// connection only: the room's place may be another's by the next.
    pub(super) fn purge(&mut self, room: Option<usize>) -> usize {
        let (mut offset, mut count) = (self.unsent(), 0);
        if let Some((leaving, _)) = self.at(self.kept).filter(|_| offset > self.kept) {
            self.astray |= room.is_none_or(|room| place(leaving.handle) == room);
        }
        while let Some((data, len)) = self.at(offset) {
            if room.is_none_or(|room| place(data.handle) == room) {
                self.remove(offset, len);
                count += 1;
            } else {
                offset += len;
            }
        }
        count
    }

    /// Gives up what has not left, for good: how many messages. What has left is unconfirmed (clients/SPEC.md, 4).
    pub(super) fn give_up(&mut self) -> usize {
        let count = self.purge(None);
        self.handle_fresh();
        count
    }

    /// The bytes that leave next. `may_leave` says of which rooms a message may leave for the first time; `asks`,
    /// whether the server tells what it has accepted.
    pub(super) fn output(&mut self, may_leave: impl Fn(usize) -> bool, asks: bool) -> &[u8] {
        if self.unconfirmed || (self.cursor == self.kept && self.tx == 0 && !self.select(may_leave, asks)) {
            return &[];
        }
        let len = self.at(self.cursor).map_or(0, |(_, len)| len);
        self.bytes.get(self.cursor + self.tx..self.cursor + len).unwrap_or_default()
    }

    /// So many of those bytes have left. `keeps` as `asks` above.
    pub(super) fn handle_written(&mut self, len: usize, keeps: bool) {
        let Some((_, whole)) = self.at(self.cursor) else { return };
        self.tx += len;
        if self.tx < whole {
            return;
        }
        self.tx = 0;
        self.astray = false;
        self.cursor += whole;
        if self.cursor <= self.kept {
            return;
        }
        self.kept = self.cursor;
        if keeps {
            self.sent += 1;
        } else {
            // PROTOCOL 12.3: nobody will say more of it, but its number counts.
            self.remove(0, self.kept);
            self.accepted += 1;
        }
    }

    /// The connection is gone; half a message has not arrived. How many are given up: one, where its room has been left.
    pub(super) fn handle_lost(&mut self) -> usize {
        self.tx = 0;
        if !core::mem::take(&mut self.astray) {
            return 0;
        }
        let len = self.at(self.cursor).map_or(0, |(_, len)| len);
        self.remove(self.cursor, len);
        1
    }

    /// The session goes on: what is not accepted leaves again.
    pub(super) const fn handle_resumed(&mut self) {
        self.cursor = 0;
    }

    /// The session is a new one: nobody knows what became of what was sent.
    pub(super) const fn handle_fresh(&mut self) {
        self.accepted = 0;
        self.sent = 0;
        self.cursor = 0;
        self.unconfirmed = self.kept > 0;
    }

    /// Everything up to this number is accepted. False where that cannot be.
    pub(super) fn handle_accepted(&mut self, number: u64, has_left: bool) -> bool {
        if number > self.accepted + self.sent {
            return false;
        }
        while self.accepted < number {
            let Some((_, len)) = self.at(0) else { return false };
            // After a resume: accepted, but not sent again yet.
            if has_left && self.cursor < len {
                return false;
            }
            self.remove(0, len);
            self.accepted += 1;
            self.sent -= 1;
        }
        true
    }

    /// The first message that is unconfirmed has been told.
    pub(super) fn drop_unconfirmed(&mut self) {
        let len = self.at(0).map_or(0, |(_, len)| len);
        self.remove(0, len);
        self.cursor = 0;
        self.unconfirmed = self.kept > 0;
    }

    /// Where the message with this number is, if it has left and was not accepted.
    pub(super) fn find(&self, number: u64) -> Option<usize> {
        let mut ahead = number.checked_sub(self.accepted + 1).filter(|ahead| *ahead < self.sent)?;
        let mut offset = 0;
        while ahead > 0 {
            offset += self.at(offset)?.1;
            ahead -= 1;
        }
        Some(offset)
    }

    /// The message there.
    pub(super) fn message(&self, offset: usize) -> Option<Message<'_>> {
        let (data, _) = self.at(offset)?;
        Some(Message { room: place(data.handle), target: data.target, payload: data.payload })
    }

    /// Brings the next message that may leave to the front of those that have not: events and directs, then values.
    fn select(&mut self, may_leave: impl Fn(usize) -> bool, asks: bool) -> bool {
        for values in [false, true] {
            let mut offset = self.kept;
            while let Some((data, len)) = self.at(offset) {
                if matches!(data.target, Target::Value(_)) == values && may_leave(place(data.handle)) {
                    self.bring_forward(offset, len, asks);
                    return true;
                }
                offset += len;
            }
        }
        false
    }

    fn bring_forward(&mut self, offset: usize, len: usize, asks: bool) {
        // PROTOCOL 12.3: one answer for what leaves together, and sooner where place is short.
        let asks = asks && (self.kept + len == self.len || self.len > self.bytes.len() / 2);
        if let Some(part) = self.bytes.get_mut(self.kept..offset + len) {
            part.rotate_right(len);
            if let Some([_, _, _, options, ..]) = part.first_chunk_mut::<{ Header::LEN }>().filter(|_| asks) {
                *options |= flags::ACKNOWLEDGE;
            }
        }
    }

    /// The first message that has never left, and is not leaving now.
    fn unsent(&self) -> usize {
        let leaving = self.cursor == self.kept && self.tx > 0;
        self.kept + if leaving { self.at(self.kept).map_or(0, |(_, len)| len) } else { 0 }
    }

    fn remove(&mut self, offset: usize, len: usize) {
        self.bytes.copy_within(offset + len..self.len, offset);
        self.len -= len;
        if offset < self.kept {
            self.kept -= len;
        }
        if offset < self.cursor {
            self.cursor -= len;
        }
    }

    /// The message at an offset, and its bytes with the header. Only whole frames that were encoded here are in the buffer.
    fn at(&self, offset: usize) -> Option<(ClientData<'_>, usize)> {
        let ([_, high, low, options], rest) = self.bytes.get(offset..self.len)?.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        Some((ClientData::decode(*options, rest.get(..len)?).ok()?, Header::LEN + len))
    }
}

/// The place of a room with this handle: handles begin with 1.
pub(super) fn place(handle: Handle) -> usize {
    usize::try_from(handle.0).map_or(usize::MAX, |handle| handle.wrapping_sub(1))
}
