//! What the rooms of a shard keep together: history and values have one budget (PROTOCOL 12.1).
//!
//! ```text
//! kept batches, oldest first, of all rooms:  (room 3, 17) (room 9, 4) (room 3, 18) ...
//!                                              └ let go of first, and told as a gap
//! ```

use std::collections::VecDeque;

use super::{FEW, RoomIndex};
use crate::places::Places;
use crate::wire::{Epoch, Position};

/// A kept batch: its room, the life of that room, its position.
type Kept = (RoomIndex, Epoch, Position);

/// How much is kept, and in which order it goes.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: usize,
    batches: usize,
    /// Some of these are gone already: rooms have bounds of their own.
    order: VecDeque<Kept>,
}

impl Budget {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, used: 0, batches: 0, order: VecDeque::new() }
    }

    /// From now on so much is kept. What is beyond goes with the next flush.
    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(super) const fn used(&self) -> usize {
        self.used
    }

    /// Whether values may grow.
    pub(super) const fn allows_growth(&self) -> bool {
        self.used <= self.limit
    }

    /// A room kept so many bytes and batches before, and so many now; `added` is its newest batch.
    pub(super) fn change(&mut self, before: (usize, usize), after: (usize, usize), added: Option<Kept>) {
        self.used = self.used - before.0 + after.0;
        self.batches = self.batches - before.1 + after.1;
        self.order.extend(added);
    }

    /// The oldest batch, where there is too much. Every call takes one out of the order.
    pub(super) fn oldest_over(&mut self) -> Option<Kept> {
        if self.used > self.limit { self.order.pop_front() } else { None }
    }

    /// Nothing has been kept for a while: gives places back.
    pub(super) fn rest(&mut self) {
        self.order.shrink_to_fit();
    }

    /// Forgets batches that rooms have let go of on their own, once they are the most.
    pub(super) fn tidy(&mut self, is_kept: impl Fn(&Kept) -> bool) {
        if self.batches == 0 {
            self.order.clear();
        } else if self.order.len() > self.batches * 2 + 1024 {
            self.order.retain(is_kept);
        }
        self.order.give_back(FEW);
    }
}
