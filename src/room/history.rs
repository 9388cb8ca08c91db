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

use bytes::Bytes;

use super::buffers::Buffers;
use super::shelf::Shelf;
use crate::class::HistoryBounds;
use crate::places::move_together;
use crate::time::Time;
use crate::wire::Position;

/// The past of one room.
#[derive(Debug, Default)]
pub(super) struct History {
    batches: VecDeque<Past>,
    frames: VecDeque<Bytes>,
    /// Frames that were let go of so far.
    gone: u64,
    /// The running number of the first frame that was not moved by [`rest`](Self::rest).
    shelved: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Past {
    position: Position,
    at: Time,
    /// The running number of its first frame.
    first: u64,
    bytes: usize,
}

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

    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// The oldest position that is still there.
    pub(super) fn first(&self) -> Option<Position> {
        self.batches.front().map(|past| past.position)
    }

    /// The frames of a batch.
    pub(super) fn get(&self, position: Position) -> Option<vec_deque::Iter<'_, Bytes>> {
        let index = usize::try_from(position.0.checked_sub(self.first()?.0)?).ok()?;
        let first = self.place(self.batches.get(index)?);
        let end = self.batches.get(index + 1).map_or(self.frames.len(), |next| self.place(next));
        Some(self.frames.range(first..end))
    }

    /// Where a batch's first frame stands.
    fn place(&self, past: &Past) -> usize {
        usize::try_from(past.first - self.gone).unwrap_or(usize::MAX)
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
        let before = self.frames.len();
        self.frames.extend(frames.cloned());
        let len = self.frames.range(before..).map(Bytes::len).sum();
        let bytes = Self::cost(self.frames.len() - before, len);
        self.bytes += bytes;
        self.batches.push_back(Past { position, at: now, first: self.gone + before as u64, bytes });
        while self.batches.len() > bounds.batches || self.bytes > bounds.bytes {
            self.evict(buffers);
        }
        self.expire(now, bounds, buffers);
        !self.batches.is_empty()
    }

    /// Lets go of what is too old.
    pub(super) fn expire(&mut self, now: Time, bounds: HistoryBounds, buffers: &mut Buffers) {
        while self.batches.front().is_some_and(|past| now > past.at.after(bounds.age)) {
            self.evict(buffers);
        }
    }

    /// When the newest batch was sent.
    pub(super) fn newest_at(&self) -> Option<Time> {
        self.batches.back().map(|past| past.at)
    }

    /// Moves together with the past of others at rest, and gives back the places that no batch has.
    pub(super) fn rest(&mut self, shelf: &mut Shelf) {
        let there = usize::try_from(self.shelved.saturating_sub(self.gone)).unwrap_or(usize::MAX);
        for frame in self.frames.iter_mut().skip(there) {
            *frame = shelf.put(frame);
        }
        self.shelved = self.gone + self.frames.len() as u64;
        move_together(&mut self.frames);
        move_together(&mut self.batches);
    }

    /// Gives back the places that no batch has.
    pub(super) fn shrink(&mut self) {
        self.frames.shrink_to_fit();
        self.batches.shrink_to_fit();
    }

    /// Lets go of everything up to `position`.
    pub(super) fn evict_through(&mut self, position: Position, buffers: &mut Buffers) {
        while self.first().is_some_and(|first| first <= position) {
            self.evict(buffers);
        }
    }

    fn evict(&mut self, buffers: &mut Buffers) {
        let Some(past) = self.batches.pop_front() else { return };
        self.bytes -= past.bytes;
        let end = self.batches.front().map_or(self.frames.len(), |next| self.place(next));
        self.gone += end as u64;
        // The first one last: it has the whole buffer, where they share one.
        self.frames.drain(..end).rev().for_each(|frame| buffers.give_back(frame));
    }
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
}
