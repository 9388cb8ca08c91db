//! Places that collections keep for later, and when they are given back.
//!
//! ```text
//! places   [x][x][ ][ ][ ][ ][ ][ ][ ]      less than a quarter in use ──> twice what is in use
//! ```
//!
//! Giving back copies what is there, so it waits until at least as many entries have gone as are
//! copied: a step costs the same on average, however large the collection has been.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};

use smallvec::{Array, SmallVec};

/// A collection that keeps places for later.
pub(crate) trait Places {
    /// Places, and how many of them are in use.
    fn places(&self) -> (usize, usize);

    /// Keeps at least so many.
    fn keep_places(&mut self, places: usize);

    /// Gives places back where less than a quarter of them is in use. `few` is what may stay in any case.
    #[inline]
    fn give_back(&mut self, few: usize) {
        let (_, used) = self.places();
        self.give_back_after(used, few);
    }

    /// As [`give_back`](Self::give_back) for a list that is emptied each time, and had `used` entries then.
    #[inline]
    fn give_back_after(&mut self, used: usize, few: usize) {
        let (places, _) = self.places();
        if places > few && used < places / 4 {
            self.keep_places(used * 2);
        }
    }
}

/// Puts the entries of a list into memory of just their size. Shrinking would leave them where they are, in a
/// page between what has gone; what is asked for in one go lies side by side.
pub(crate) fn move_together<T>(list: &mut VecDeque<T>) {
    let mut moved = VecDeque::with_capacity(list.len());
    moved.append(list);
    *list = moved;
}

impl<T> Places for Vec<T> {
    fn places(&self) -> (usize, usize) {
        (self.capacity(), self.len())
    }

    fn keep_places(&mut self, places: usize) {
        self.shrink_to(places);
    }
}

impl<T> Places for VecDeque<T> {
    fn places(&self) -> (usize, usize) {
        (self.capacity(), self.len())
    }

    fn keep_places(&mut self, places: usize) {
        self.shrink_to(places);
    }
}

impl<T: Ord> Places for BinaryHeap<T> {
    fn places(&self) -> (usize, usize) {
        (self.capacity(), self.len())
    }

    fn keep_places(&mut self, places: usize) {
        self.shrink_to(places);
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Places for HashMap<K, V, S> {
    fn places(&self) -> (usize, usize) {
        (self.capacity(), self.len())
    }

    fn keep_places(&mut self, places: usize) {
        self.shrink_to(places);
    }
}

impl<A: Array> Places for SmallVec<A> {
    fn places(&self) -> (usize, usize) {
        (self.capacity(), self.len())
    }

    fn keep_places(&mut self, _places: usize) {
        // It goes back to its inline places only as a whole.
        self.shrink_to_fit();
    }
}

/// Places for one more, where there is none: a quarter more and not twice as many, since there are
/// many of these collections, and they stay as they are for long.
#[inline]
pub(crate) fn grow<T>(entries: &mut Vec<T>) {
    if entries.len() == entries.capacity() {
        entries.reserve_exact((entries.len() / 4).max(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_go_when_most_are_free_and_few_are_copied_for_that() {
        let (mut entries, mut copied) = (Vec::new(), 0);
        let mut give_back = |entries: &mut Vec<u64>| {
            let before = entries.capacity();
            entries.give_back(16);
            copied += if entries.capacity() < before { entries.len() } else { 0 };
        };
        for entry in 0..100_000 {
            entries.push(entry);
            give_back(&mut entries);
        }
        while entries.pop().is_some() {
            give_back(&mut entries);
            assert!(entries.capacity() <= 16.max(4 * entries.len() + 4));
        }
        assert!((1..100_000).contains(&copied), "{copied} copied for 100,000 that went");
    }

    #[test]
    fn growing_by_a_quarter_copies_few_too() {
        let (mut entries, mut copied) = (Vec::new(), 0);
        for entry in 0..100_000_u64 {
            let before = entries.capacity();
            grow(&mut entries);
            copied += if entries.capacity() > before { entries.len() } else { 0 };
            entries.push(entry);
        }
        assert!(copied < 500_000 && entries.capacity() < 125_001);
    }
}
