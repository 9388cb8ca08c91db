//! The batches a room has sent, for those who come back (PROTOCOL 12.1).
//!
//! ```text
//!            oldest ── evicted by number, bytes, age, or the server's budget
//! [ 41 ] [ 42 ] [ 43 ] ... [ 97 ] newest           one entry a position, without holes
//!    |      |  └──┐
//! [ f ]  [ f ]  [ f  f ] ...                       their frames, in a row
//! ```
//!
//! The frames are the very bytes that receivers got, in buffers of about their size: a small batch
//! pins no large one. What is let go of is what the next batches are written into.

use std::collections::{VecDeque, vec_deque};

use bytes::{Buf, BufMut, Bytes};

use super::buffers::Buffers;
use super::shelf::Shelf;
use crate::class::HistoryBounds;
use crate::places::move_together;
use crate::time::Time;
use crate::wire::{Header, Position};

/// The past of one room.
#[derive(Debug, Default)]
pub(super) struct History {
    /// While the room is busy, and where there is much of it. A box: rooms at rest are many.
    lists: Option<Box<Lists>>,
    /// While it rests; there are no lists then.
    shelved: Option<Shelved>,
    /// The position of the oldest batch, where there is one.
    oldest: Position,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Lists {
    batches: VecDeque<Past>,
    frames: VecDeque<Bytes>,
    /// Frames that were let go of so far.
    gone: u64,
}

/// The past of a room at rest, written down.
#[derive(Debug)]
struct Shelved {
    batches: u32,
    /// When the newest batch was sent.
    newest: Time,
    written: Bytes,
}

/// A batch, of which its place says the position.
#[derive(Debug)]
struct Past {
    at: Time,
    /// The running number of its first frame, the low half: there are never so many at a time.
    first: u32,
    bytes: u32,
}

// There is one for every batch that any room keeps, and the other for every room.
const _: () = assert!(size_of::<Past>() == 16 && size_of::<History>() <= 72);

impl History {
    /// What an entry costs: its place, and for each frame a reference, and a buffer that may be an
    /// eighth larger than its bytes.
    const fn cost(frames: usize, bytes: usize) -> usize {
        size_of::<Past>() + frames * (size_of::<Bytes>() + 48) + bytes + bytes / 8
    }

    /// Bytes held, what the entries themselves take included.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Batches.
    pub(super) fn len(&self) -> usize {
        let shelved = self.shelved.as_ref().map_or(0, |shelved| shelved.batches as usize);
        self.lists.as_ref().map_or(shelved, |lists| lists.batches.len())
    }

    /// The oldest position that is still there.
    pub(super) fn first(&self) -> Option<Position> {
        (self.len() > 0).then_some(self.oldest)
    }

    /// The frames of a batch.
    pub(super) fn get(&mut self, position: Position) -> Option<vec_deque::Iter<'_, Bytes>> {
        let index = usize::try_from(position.0.checked_sub(self.first()?.0)?).ok()?;
        let lists = self.lists();
        let first = lists.place(lists.batches.get(index)?);
        let end = lists.batches.get(index + 1).map_or(lists.frames.len(), |next| lists.place(next));
        Some(lists.frames.range(first..end))
    }

    /// Keeps a batch, and lets go of what is beyond the bounds. True where it was kept.
    pub(super) fn push<'a>(
        &mut self,
        position: Position,
        frames: impl Iterator<Item = &'a Bytes>,
        now: Time,
        bounds: HistoryBounds,
        buffers: &mut Buffers,
    ) -> bool {
        if bounds.batches == 0 {
            return false;
        }
        if self.len() == 0 {
            self.oldest = position;
        }
        debug_assert_eq!(position.0, self.oldest.0 + self.len() as u64);
        self.bytes += self.lists().push(frames, now);
        while self.len() > bounds.batches || self.bytes > bounds.bytes {
            self.evict(buffers);
        }
        self.expire(now, bounds, buffers);
        self.len() > 0
    }

    /// Lets go of what is too old.
    pub(super) fn expire(&mut self, now: Time, bounds: HistoryBounds, buffers: &mut Buffers) {
        while self.len() > 0 && self.lists().batches.front().is_some_and(|past| now > past.at.after(bounds.age)) {
            self.evict(buffers);
        }
    }

    /// When the newest batch was sent.
    pub(super) fn newest_at(&self) -> Option<Time> {
        let listed = self.lists.as_ref().and_then(|lists| lists.batches.back()).map(|past| past.at);
        listed.or_else(|| self.shelved.as_ref().map(|shelved| shelved.newest))
    }

    /// Moves to the shelf, beside the past of others at rest: as one piece where it is little, else frame by frame.
    pub(super) fn rest(&mut self, shelf: &mut Shelf) {
        let Some(lists) = &mut self.lists else { return };
        if let Some(shelved) = lists.write_down(shelf) {
            (self.shelved, self.lists) = (Some(shelved), None);
            return;
        }
        for frame in &mut lists.frames {
            *frame = shelf.put(frame);
        }
        move_together(&mut lists.frames);
        move_together(&mut lists.batches);
        self.shrink();
    }

    /// Gives back the places that no batch has.
    pub(super) fn shrink(&mut self) {
        self.lists.take_if(|lists| lists.batches.is_empty());
        if let Some(lists) = &mut self.lists {
            lists.frames.shrink_to_fit();
            lists.batches.shrink_to_fit();
        }
    }

    /// Lets go of everything up to `position`.
    pub(super) fn evict_through(&mut self, position: Position, buffers: &mut Buffers) {
        while self.first().is_some_and(|first| first <= position) {
            self.evict(buffers);
        }
    }

    fn evict(&mut self, buffers: &mut Buffers) {
        if let Some(bytes) = self.lists().evict(buffers) {
            self.bytes -= bytes;
            self.oldest = self.oldest.next();
        }
    }

    /// The past in lists, also where it was written down.
    fn lists(&mut self) -> &mut Lists {
        if let Some(shelved) = self.shelved.take() {
            self.lists = Some(Box::new(Lists::read_back(shelved)));
        }
        self.lists.get_or_insert_default()
    }
}

impl Lists {
    /// Where a batch's first frame stands.
    fn place(&self, past: &Past) -> usize {
        past.first.wrapping_sub(low(self.gone)) as usize
    }

    /// Appends a batch. What it costs.
    fn push<'a>(&mut self, frames: impl Iterator<Item = &'a Bytes>, now: Time) -> usize {
        let before = self.frames.len();
        self.frames.extend(frames.cloned());
        self.close(before, now)
    }

    /// The frames from this place on are a batch. What it costs.
    fn close(&mut self, before: usize, at: Time) -> usize {
        let len = self.frames.range(before..).map(Bytes::len).sum();
        // No batch is so large; should one be, what is added here is still what goes with it.
        let bytes = u32::try_from(History::cost(self.frames.len() - before, len)).unwrap_or(u32::MAX);
        self.batches.push_back(Past { at, first: low(self.gone + before as u64), bytes });
        bytes as usize
    }

    /// Lets go of the oldest batch. What it had cost.
    fn evict(&mut self, buffers: &mut Buffers) -> Option<usize> {
        let past = self.batches.pop_front()?;
        let end = self.batches.front().map_or(self.frames.len(), |next| self.place(next));
        self.gone += end as u64;
        // The first one last: it has the whole buffer, where they share one.
        self.frames.drain(..end).rev().for_each(|frame| buffers.give_back(frame));
        Some(past.bytes as usize)
    }

    /// Bytes of a batch on the shelf before its frames: when it was sent, and how many there are.
    const SHELVED_HEAD: usize = 12;

    /// All of it on the shelf, where it is little.
    fn write_down(&self, shelf: &mut Shelf) -> Option<Shelved> {
        let newest = self.batches.back()?.at;
        let batches = u32::try_from(self.batches.len()).ok()?;
        let frames: usize = self.frames.iter().map(Bytes::len).sum();
        let len = frames + self.batches.len() * Self::SHELVED_HEAD;
        if len > Shelf::SMALL {
            return None;
        }
        let mut written = Vec::with_capacity(len);
        let mut frames = self.frames.iter();
        for (index, past) in self.batches.iter().enumerate() {
            let end = self.batches.get(index + 1).map_or(self.frames.len(), |next| self.place(next));
            let count = end - self.place(past);
            written.put_u64_le(past.at.micros());
            written.put_u32_le(u32::try_from(count).unwrap_or(u32::MAX));
            frames.by_ref().take(count).for_each(|frame| written.put_slice(frame));
        }
        Some(Shelved { batches, newest, written: shelf.write(&written) })
    }

    /// Takes what was written down apart again.
    fn read_back(Shelved { batches, mut written, .. }: Shelved) -> Self {
        let mut lists = Self::default();
        for _ in 0..batches {
            let (Ok(at), Ok(count)) = (written.try_get_u64_le(), written.try_get_u32_le()) else { break };
            let first = lists.frames.len();
            for _ in 0..count {
                // A frame says how long it is (PROTOCOL 5).
                let Some(&[_, high, low, _]) = written.first_chunk() else { break };
                let len = Header::LEN + usize::from(u16::from_be_bytes([high, low]));
                lists.frames.push_back(written.split_to(len.min(written.len())));
            }
            lists.close(first, Time::from_micros(at));
        }
        debug_assert!(written.is_empty());
        lists
    }
}

/// The low half of a running number.
const fn low(number: u64) -> u32 {
    (number & 0xffff_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn push(history: &mut History, position: u64, len: usize, second: u64, bounds: HistoryBounds) {
        let frame = Bytes::from(vec![1; len]);
        let (frames, now) = ([&frame, &frame].into_iter(), Time::from_micros(second * 1_000_000));
        history.push(Position(position), frames, now, bounds, &mut Buffers::default());
    }

    #[test]
    fn each_bound_lets_go_of_the_oldest() {
        let bounds = HistoryBounds { batches: 3, bytes: 10_000, age: Duration::from_secs(10) };
        let mut history = History::default();
        for position in 5..=9 {
            push(&mut history, position, 10, 0, bounds);
        }
        assert_eq!((history.first(), history.len()), (Some(Position(7)), 3));
        assert!(history.get(Position(6)).is_none() && history.get(Position(10)).is_none());
        assert_eq!(history.get(Position(9)).map(|frames| frames.len()), Some(2));
        push(&mut history, 10, 4000, 0, bounds);
        assert_eq!(history.first(), Some(Position(8)));
        push(&mut history, 11, 10, 11, bounds);
        assert_eq!((history.first(), history.len()), (Some(Position(11)), 1));
        history.evict_through(Position(11), &mut Buffers::default());
        assert_eq!((history.bytes(), history.len()), (0, 0));
        // A batch above the bound is not kept at all, and the next starts anew.
        push(&mut history, 12, 6000, 11, bounds);
        assert_eq!((history.bytes(), history.first()), (0, None));
        push(&mut history, 13, 6, 11, HistoryBounds::NONE);
        assert_eq!(history.len(), 0);
    }

    #[test]
    fn frames_are_found_beyond_four_thousand_million_of_them() {
        let bounds = HistoryBounds { batches: 3, bytes: 10_000, age: Duration::from_secs(10) };
        let lists = Lists { gone: u64::from(u32::MAX) - 3, ..Lists::default() };
        let mut history = History { lists: Some(Box::new(lists)), ..History::default() };
        for position in 1..=7 {
            push(&mut history, position, 10 + position as usize, 0, bounds);
            let frames = history.get(Position(position)).unwrap();
            assert!(frames.map(Bytes::len).eq([10 + position as usize; 2]));
        }
        assert_eq!((history.first(), history.lists().gone), (Some(Position(5)), u64::from(u32::MAX) + 5));
    }

    #[test]
    fn a_short_past_comes_back_from_the_shelf_as_it_went() {
        let bounds = HistoryBounds { batches: 9, bytes: 100_000, age: Duration::from_secs(10) };
        let (mut history, mut shelf) = (History::default(), Shelf::default());
        let frame = |position: u64, len: usize| {
            let mut frame = vec![1, 0, len as u8, 0];
            frame.resize(Header::LEN + len, position as u8);
            Bytes::from(frame)
        };
        let keep = |history: &mut History, position: u64, second: u64| {
            let frames = (0..position % 3).map(|more| frame(position, 10 + more as usize)).collect::<Vec<_>>();
            let now = Time::from_micros(second * 1_000_000);
            history.push(Position(position), frames.iter(), now, bounds, &mut Buffers::default());
        };
        for position in 4..=8 {
            keep(&mut history, position, position);
        }
        let told = |history: &mut History| -> Vec<(u64, Option<Vec<Bytes>>)> {
            (3..=10)
                .map(|position| (position, history.get(Position(position)).map(|frames| frames.cloned().collect())))
                .collect()
        };
        let (before, bytes) = (told(&mut history), history.bytes());
        history.rest(&mut shelf);
        history.rest(&mut shelf);
        assert!(history.lists.is_none());
        let at_rest = (history.len(), history.first(), history.bytes(), history.newest_at());
        assert_eq!(at_rest, (5, Some(Position(4)), bytes, Some(Time::from_micros(8_000_000))));
        assert_eq!(told(&mut history), before);
        // Batches go and come as if nothing had been.
        history.rest(&mut shelf);
        history.evict_through(Position(5), &mut Buffers::default());
        assert_eq!((history.len(), history.first()), (3, Some(Position(6))));
        history.rest(&mut shelf);
        keep(&mut history, 9, 17);
        assert_eq!(
            (history.len(), history.first(), history.newest_at()),
            (3, Some(Position(7)), Some(Time::from_micros(17_000_000)))
        );
        history.evict_through(Position(9), &mut Buffers::default());
        assert_eq!((history.len(), history.bytes(), history.first()), (0, 0, None));
    }

    #[test]
    fn a_long_past_stays_a_list() {
        let mut history = History::default();
        let bounds = HistoryBounds { batches: 9, bytes: 100_000, age: Duration::from_secs(10) };
        push(&mut history, 1, 400, 0, bounds);
        push(&mut history, 2, 400, 0, bounds);
        history.rest(&mut Shelf::default());
        assert!(history.shelved.is_none() && history.len() == 2);
    }
}
