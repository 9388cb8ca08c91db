//! A segment under construction: records of one kind, cut into frames at record boundaries.
//!
//! ```text
//! |  room for header and head  | record | record |  room for header and head  | record | ...
//!                     └ frame ┘                                      └ frame ┘
//! ```
//!
//! Each frame's header and head are written into the room left for them when the segment is
//! frozen, because only then the position is known. So records are encoded once, in place. Frozen,
//! they are cut to size: the buffer stays here for the next flush, and what a queue or a room's
//! history holds pins no more than its own bytes.

use bytes::Bytes;

use crate::limits::Limits;
use crate::wire::header::flags;
use crate::wire::{Head, Header, Kind, Record, SliceWriter, encode_server_header};

/// Records gathered for one flush.
#[derive(Debug)]
pub(super) struct Segment {
    kind: Kind,
    bytes: Vec<u8>,
    /// Where each frame's room begins.
    cuts: Vec<usize>,
}

/// Bytes of the buffer kept between flushes. 16 KiB: more than most batches.
const KEPT: usize = 16 * 1024;

/// The most that stands before a frame's records.
const ROOM: usize = Header::LEN + Limits::HEAD;

impl Segment {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, bytes: Vec::new(), cuts: Vec::new() }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// Bytes gathered, the room for heads included.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a record; `max_frame` is the largest frame payload in bytes.
    pub(super) fn push(&mut self, record: &Record<'_>, max_frame: usize) {
        debug_assert_eq!(record.key.is_some(), self.kind.has_key());
        let len = record.encoded_len();
        let frame = self.bytes.len() - self.cuts.last().copied().unwrap_or_default();
        // A frame's payload is its head and records; the header is not part of it.
        if self.cuts.is_empty() || frame - Header::LEN + len > max_frame {
            self.cut();
        }
        record.encode(&mut self.bytes);
    }

    /// Starts a frame. Called without a record for an empty snapshot.
    fn cut(&mut self) {
        self.cuts.push(self.bytes.len());
        self.bytes.extend_from_slice(&[0; ROOM]);
    }

    /// Makes frames of what was gathered and starts anew. All but the last are flagged as followed
    /// by more; the last where `more` says so.
    pub(super) fn freeze(&mut self, head: &Head, options: u8, more: bool, frames: &mut Vec<Bytes>) {
        let start = Header::LEN + head.encoded_len();
        for index in 0..self.cuts.len() {
            let followed = more || index + 1 < self.cuts.len();
            let options = options | if followed { flags::MORE } else { 0 };
            let begin = self.cuts[index] + ROOM - start;
            let records = self.cuts[index] + ROOM;
            let end = self.cuts.get(index + 1).copied().unwrap_or(self.bytes.len());
            let mut writer = SliceWriter::new(&mut self.bytes[begin..records]);
            encode_server_header(self.kind, options, head, end - records, &mut writer);
            debug_assert!(writer.written().is_some_and(|written| written.len() == start));
        }
        if self.cuts.is_empty() {
            return;
        }
        for index in 0..self.cuts.len() {
            let begin = self.cuts[index] + ROOM - start;
            let end = self.cuts.get(index + 1).copied().unwrap_or(self.bytes.len());
            // Each frame alone: one that waits for a slow reader must not keep a whole snapshot.
            frames.push(Bytes::copy_from_slice(&self.bytes[begin..end]));
        }
        self.cuts.clear();
        self.bytes.clear();
        // One large batch must not stay for the life of its room.
        self.bytes.shrink_to(KEPT);
    }

    /// Gives the buffer back, where it is empty.
    pub(super) fn rest(&mut self) {
        self.bytes.shrink_to_fit();
        self.cuts.shrink_to_fit();
    }

    /// Makes frames of what was gathered, for one receiver.
    pub(super) fn freeze_alone(mut self, head: &Head) -> Vec<Bytes> {
        let mut frames = Vec::with_capacity(self.cuts.len());
        self.freeze(head, 0, false, &mut frames);
        frames
    }

    /// Makes the frames of a snapshot: at least one, even without a record (PROTOCOL 8.4).
    pub(super) fn freeze_snapshot(mut self, head: &Head) -> Vec<Bytes> {
        if self.is_empty() {
            self.cut();
        }
        self.freeze_alone(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{MemberNumber, Position, RoomId, Sender, ServerData, split_frame};

    const HEAD: Head = Head { room: RoomId(1), position: Position(2), tick: 3 };

    #[test]
    fn large_segments_are_split_between_records() {
        let mut segment = Segment::new(Kind::Event);
        for number in 0..100 {
            let payload = [number; 50];
            segment.push(&Record { member: MemberNumber(1), key: None, payload: &payload }, 256);
        }
        let mut frames = Vec::new();
        segment.freeze(&HEAD, 0, false, &mut frames);
        assert!(segment.is_empty());
        assert_eq!(segment.len(), 0);
        let mut next = 0;
        for (index, bytes) in frames.iter().enumerate() {
            let (frame, rest) = split_frame(bytes, 256, Sender::Server).unwrap().unwrap();
            assert!(rest.is_empty());
            assert!(bytes.is_unique(), "a frame keeps no other");
            let data = ServerData::decode(frame.header.flags, frame.payload).unwrap().unwrap();
            assert_eq!(data.head, HEAD);
            assert_eq!(data.options & flags::MORE != 0, index + 1 < frames.len());
            for record in data.records() {
                assert_eq!(record.unwrap().payload, [next; 50]);
                next += 1;
            }
        }
        assert_eq!(next, 100);
        assert!(frames.len() > 20);
    }

    #[test]
    fn a_snapshot_may_be_empty() {
        let frames = Segment::new(Kind::Snapshot).freeze_snapshot(&HEAD);
        assert_eq!(frames, [&[1, 0, 4, 8, 1, 2, 0, 3][..]]);
    }
}
