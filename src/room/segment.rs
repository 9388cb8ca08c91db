//! A segment under construction: records of one kind, cut into frames at record boundaries.
//!
//! ```text
//! |  room for header and head  | record | record |  room for header and head  | record | ...
//!                     └ frame ┘                                      └ frame ┘
//! ```
//!
//! Each frame's header and head are written into the room left for them when the segment is
//! frozen, because only then the position is known. So records are encoded once, in place. Frozen,
//! they are copied to a buffer of their size: the one they were encoded into stays here for the next
//! flush, and what a queue or a room's history holds pins little more than its own bytes. The frames
//! of a segment share one up to [`Buffers::LARGEST`], since who takes one of them takes them all.

use bytes::Bytes;

use super::buffers::Buffers;
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

/// What becomes of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// They are sent, and then forgotten.
    Sent,
    /// History keeps them, and gives them back.
    Kept,
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
    pub(super) fn freeze(
        &mut self,
        head: &Head,
        options: u8,
        more: bool,
        buffers: &mut Buffers,
        fate: Fate,
        frames: &mut Vec<Bytes>,
    ) {
        let start = self.write_heads(head, options, more);
        let mut first = 0;
        while first < self.cuts.len() {
            let (mut len, mut next) = (self.frame(first, start).len(), first + 1);
            while next < self.cuts.len() && len + self.frame(next, start).len() <= Buffers::LARGEST {
                len += self.frame(next, start).len();
                next += 1;
            }
            let mut buffer = buffers.take(len);
            for index in first..next {
                buffer.extend_from_slice(self.frame(index, start));
                frames.push(buffer.split().freeze());
            }
            if fate == Fate::Sent {
                buffers.lend(len, buffer);
            }
            first = next;
        }
        self.clear();
    }

    /// Writes header and head of each frame: so many bytes before its records.
    fn write_heads(&mut self, head: &Head, options: u8, more: bool) -> usize {
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
        start
    }

    /// A frame with its header and head, which take `start` bytes.
    fn frame(&self, index: usize, start: usize) -> &[u8] {
        let begin = self.cuts[index] + ROOM - start;
        let end = self.cuts.get(index + 1).copied().unwrap_or(self.bytes.len());
        &self.bytes[begin..end]
    }

    fn clear(&mut self) {
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

    /// Makes frames of what was gathered, each in a buffer of its own: they are sent one by one, and
    /// one that waits for a slow reader must not keep a whole snapshot.
    pub(super) fn freeze_alone(mut self, head: &Head) -> Vec<Bytes> {
        let start = self.write_heads(head, 0, false);
        (0..self.cuts.len()).map(|index| Bytes::copy_from_slice(self.frame(index, start))).collect()
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
        segment.freeze(&HEAD, 0, false, &mut Buffers::default(), Fate::Kept, &mut frames);
        assert!(segment.is_empty());
        assert_eq!(segment.len(), 0);
        let shared = |frame: &Bytes| !frame.is_unique();
        assert!(frames.iter().all(shared), "they are small, and share a buffer");
        let mut next = 0;
        for (index, bytes) in frames.iter().enumerate() {
            let (frame, rest) = split_frame(bytes, 256, Sender::Server).unwrap().unwrap();
            assert!(rest.is_empty());
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
    fn what_frames_share_is_bounded() {
        let records = |segment: &mut Segment| {
            for payload in [[b'x'; 5000]; 8] {
                segment.push(&Record { member: MemberNumber(1), key: None, payload: &payload }, 6000);
            }
        };
        let (mut segment, mut buffers, mut frames) = (Segment::new(Kind::Event), Buffers::default(), Vec::new());
        records(&mut segment);
        segment.freeze(&HEAD, 0, false, &mut buffers, Fate::Kept, &mut frames);
        // Three of 5 KB fit, and the last two are together.
        for (place, kept) in [(0, 3), (3, 3), (6, 2)] {
            let shared: Vec<_> = frames.drain(..kept).collect();
            assert!(shared.iter().all(|frame| frame.len() > 5000 && !frame.is_unique()), "{place}");
            let last = shared.into_iter().next_back().unwrap();
            assert!(last.is_unique(), "{place}: no frame of another buffer pins it");
        }
        records(&mut segment);
        let alone = segment.freeze_alone(&HEAD);
        assert!(alone.len() == 8 && alone.iter().all(Bytes::is_unique));
    }

    #[test]
    fn a_snapshot_may_be_empty() {
        let frames = Segment::new(Kind::Snapshot).freeze_snapshot(&HEAD);
        assert_eq!(frames, [&[1, 0, 4, 8, 1, 2, 0, 3][..]]);
    }
}
