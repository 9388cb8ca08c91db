//! When rooms are to be looked at, soonest first.
//!
//! ```text
//! push ──> [ 12 s: room 4 ][ 15 s: room 9 ][ 15 s: room 2 ] ──pop──> is it still so?
//! ```
//!
//! What is not to be done after all stays where it is and means nothing: whoever takes an entry out asks the
//! room whether it is so still. A tree could take it out; its nodes would lie between the memory of what has gone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{FEW, RoomIndex};
use crate::places::Places;
use crate::time::Time;

/// Rooms by when something is due.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BinaryHeap<Reverse<(Time, RoomIndex)>>,
    /// How many of them mean nothing.
    void: usize,
}

impl Agenda {
    pub(super) fn push(&mut self, at: Time, index: RoomIndex) {
        self.entries.push(Reverse((at, index)));
    }

    /// The first moment at which something may be due.
    pub(super) fn first(&self) -> Option<Time> {
        self.entries.peek().map(|Reverse((at, _))| *at)
    }

    /// The first entry, which may mean nothing: then the caller says so ([`handle_void`](Self::handle_void)).
    pub(super) fn pop(&mut self) -> Option<(Time, RoomIndex)> {
        let Reverse(first) = self.entries.pop()?;
        self.entries.give_back(FEW);
        Some(first)
    }

    /// The first entry, where it is due by `now`.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<(Time, RoomIndex)> {
        self.first().filter(|at| *at <= now)?;
        self.pop()
    }

    /// An entry that was taken out meant nothing.
    pub(super) const fn handle_void(&mut self) {
        self.void = self.void.saturating_sub(1);
    }

    /// An entry that is in it means nothing any more.
    pub(super) const fn make_void(&mut self) {
        self.void += 1;
    }

    /// Lets go of entries that mean nothing, once they are the most: so each is looked at about once.
    pub(super) fn tidy(&mut self, is_so: impl Fn(Time, RoomIndex) -> bool) {
        if self.void > self.entries.len() / 2 + FEW {
            self.entries.retain(|Reverse((at, index))| is_so(*at, *index));
            self.entries.give_back(FEW);
            self.void = 0;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
