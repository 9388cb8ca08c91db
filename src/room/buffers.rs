//! Buffers for frames: about as large as what they hold, and used again once nobody has a frame in
//! them any more.
//!
//! ```text
//! take ──> | frame | frame |..| ──> queues ──> written, and dropped
//!   ^                 └────────────> history ──> evicted ──┐
//!   ├── lent: a handle waits here for the last one to drop  │
//!   └── given back <────────────────────────────────────────┘
//! ```
//!
//! So a room in its steady state asks the allocator for nothing: what history lets go of, or the
//! last receiver has written, is what the next batch is written into. Where no buffer is free there
//! is a new one, so that nobody waits for a slow receiver.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Buffers that are free, or will be when their last frame is dropped. One for all rooms of a shard.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// By size, those that have waited for longest in front.
    classes: [VecDeque<BytesMut>; CLASSES],
    /// What all of them take.
    bytes: usize,
    /// The class that gives one up next, where there are too many.
    hand: usize,
}

/// Sizes in a doubling. 8: a buffer is at most an eighth larger than what it holds.
const STEPS: usize = 8;

/// The smallest size, in bytes: what a frame with one short message takes.
const SMALLEST: usize = 32;

const CLASSES: usize = (Buffers::LARGEST.ilog2() - SMALLEST.ilog2()) as usize * STEPS + 1;

/// What all of them may take, in bytes. 256 KiB a shard: a thousand rooms with a short batch in every tick.
const KEPT: usize = 256 * 1024;

/// What a buffer takes beside its bytes: its count of references, and its place here.
const OVERHEAD: usize = 96;

/// Buffers looked at before a new one is made. 4: of those that a slow receiver holds there are few.
const TRIES: usize = 4;

impl Default for Buffers {
    fn default() -> Self {
        Self { classes: std::array::from_fn(|_| VecDeque::new()), bytes: 0, hand: 0 }
    }
}

impl Buffers {
    /// The largest that are used again, in bytes, and the most that frames share: so much a frame
    /// in a queue may pin beside itself. 16 KiB: the largest frame.
    pub(crate) const LARGEST: usize = 16 * 1024;

    /// An empty buffer that has room for `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> BytesMut {
        let Some((class, capacity)) = class(len) else { return BytesMut::with_capacity(len) };
        let waiting = &mut self.classes[class];
        for _ in 0..waiting.len().min(TRIES) {
            let Some(mut buffer) = waiting.pop_front() else { break };
            // All of it, which it only has when no frame is left in it.
            if buffer.try_reclaim(capacity) {
                self.bytes -= capacity + OVERHEAD;
                return buffer;
            }
            waiting.push_back(buffer);
        }
        BytesMut::with_capacity(capacity)
    }

    /// Waits for the frames in a buffer that was taken for `len` bytes; `rest` is what is left of it.
    pub(super) fn lend(&mut self, len: usize, rest: BytesMut) {
        debug_assert!(rest.is_empty() && len > 0, "frames were split off");
        if let Some((class, capacity)) = class(len)
            && self.makes_room(capacity)
        {
            self.classes[class].push_back(rest);
        }
    }

    /// A frame that history lets go of: its buffer is free, where it was the last one in it. Of frames
    /// that share a buffer, the first comes last.
    pub(super) fn give_back(&mut self, frame: Bytes) {
        let Ok(mut buffer) = frame.try_into_mut() else { return };
        if let Some((class, capacity)) = class(buffer.capacity())
            && buffer.capacity() == capacity
            && self.makes_room(capacity)
        {
            buffer.clear();
            self.classes[class].push_front(buffer);
        }
    }

    /// Counts one more, for which another one goes where there are too many: from one class after
    /// another, so that sizes which are not used any more do not stay.
    fn makes_room(&mut self, capacity: usize) -> bool {
        for _ in 0..CLASSES {
            if self.bytes + capacity + OVERHEAD <= KEPT {
                self.bytes += capacity + OVERHEAD;
                return true;
            }
            self.hand = (self.hand + 1) % CLASSES;
            if self.classes[self.hand].pop_front().is_some() {
                self.bytes -= size(self.hand) + OVERHEAD;
            }
        }
        false
    }
}

/// The class for so many bytes, and the size of its buffers; `None` where they are too many.
fn class(len: usize) -> Option<(usize, usize)> {
    if len > Buffers::LARGEST {
        return None;
    }
    let len = len.max(SMALLEST);
    let size = len.next_multiple_of((1 << len.ilog2()) / STEPS);
    let doubling = size.ilog2();
    let step = size * STEPS / (1 << doubling) - STEPS;
    Some(((doubling - SMALLEST.ilog2()) as usize * STEPS + step, size))
}

/// The size of a class's buffers.
const fn size(class: usize) -> usize {
    (SMALLEST << (class / STEPS)) / STEPS * (STEPS + class % STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of `len` bytes, and its buffer's address.
    fn send(buffers: &mut Buffers, len: usize, lend: bool) -> (Bytes, *const u8) {
        let mut buffer = buffers.take(len);
        assert!(buffer.is_empty() && buffer.capacity() >= len);
        buffer.resize(len, b'x');
        let frame = buffer.split().freeze();
        if lend {
            buffers.lend(len, buffer);
        }
        let address = frame.as_ptr();
        (frame, address)
    }

    #[test]
    fn a_buffer_is_at_most_an_eighth_larger() {
        for len in 1..=Buffers::LARGEST {
            let (class, capacity) = class(len).unwrap();
            assert!(class < CLASSES && size(class) == capacity);
            assert!(capacity >= len && (capacity == SMALLEST || capacity - len <= len / STEPS));
        }
        assert_eq!(class(Buffers::LARGEST), Some((CLASSES - 1, Buffers::LARGEST)));
        assert_eq!(class(Buffers::LARGEST + 1), None);
    }

    #[test]
    fn a_lent_buffer_comes_back_when_its_last_frame_is_dropped() {
        let mut buffers = Buffers::default();
        let (held, first) = send(&mut buffers, 100, true);
        let (dropped, second) = send(&mut buffers, 90, true);
        assert_ne!(first, second, "somebody holds the first");
        drop(dropped);
        let (_again, third) = send(&mut buffers, 98, true);
        assert_ne!(second, third, "90 bytes are of another class");
        let (_again, fourth) = send(&mut buffers, 90, true);
        assert_eq!(second, fourth);
        assert_eq!(held, [b'x'; 100][..]);
        drop(held);
        assert_eq!(send(&mut buffers, 97, true).1, first);
    }

    #[test]
    fn what_history_lets_go_of_is_used_again() {
        let mut buffers = Buffers::default();
        let (frame, first) = send(&mut buffers, 1000, false);
        let queued = frame.clone();
        buffers.give_back(frame);
        let (frame, second) = send(&mut buffers, 1000, false);
        assert_ne!(first, second, "a queue still has it");
        assert_eq!(queued, frame);
        buffers.give_back(frame);
        assert_eq!(send(&mut buffers, 1000, false).1, second);
        // Two frames of one buffer, the first one last.
        let mut buffer = buffers.take(200);
        let frames = [b"first", b"later"].map(|text| {
            buffer.extend_from_slice(text);
            buffer.split().freeze()
        });
        drop(buffer);
        let address = frames[0].as_ptr();
        frames.into_iter().rev().for_each(|frame| buffers.give_back(frame));
        assert_eq!(send(&mut buffers, 200, false).1, address);
    }

    #[test]
    fn what_is_kept_is_bounded_and_old_sizes_go() {
        let mut buffers = Buffers::default();
        let counted = |buffers: &Buffers| {
            let sizes = buffers.classes.iter().enumerate();
            sizes.map(|(class, waiting)| waiting.len() * (size(class) + OVERHEAD)).sum::<usize>()
        };
        let large: Vec<_> = (0..100).map(|_| send(&mut buffers, Buffers::LARGEST, true)).collect();
        assert!(buffers.bytes <= KEPT && buffers.bytes > KEPT / 2);
        assert_eq!(counted(&buffers), buffers.bytes);
        drop(large);
        let small: Vec<_> = (0..2400).map(|_| send(&mut buffers, 30, true)).collect();
        assert!(buffers.bytes <= KEPT && buffers.classes[0].len() > 1500);
        assert_eq!(counted(&buffers), buffers.bytes);
        drop(small);
        // Too large to be kept at all.
        let (frame, _) = send(&mut buffers, Buffers::LARGEST + 1, true);
        buffers.give_back(frame);
        assert_eq!(counted(&buffers), buffers.bytes);
    }
}
