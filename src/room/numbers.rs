//! Member numbers that nobody has, and that history may still name (PROTOCOL 11.3).
//!
//! ```text
//! given back ──> [ 7 ] [ 8 ] [ 9 ] [ 3 ] ──rested──> given again        at rest: 7..9, 3 on the shelf
//! ```

use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;

use super::shelf::Shelf;
use crate::limits::Limits;
use crate::places::{Places, move_together};
use crate::time::Time;
use crate::wire::{MemberNumber, Position};

/// Numbers that were given back, oldest first.
#[derive(Debug, Default)]
pub(super) struct RestingNumbers {
    /// A box, since rooms that nobody has left, or that rest themselves, are many.
    listed: Option<Box<Listed>>,
    /// The same, written down while the room rests: there is no list then.
    shelved: Bytes,
}

#[derive(Debug, Default)]
struct Listed(VecDeque<Resting>);

/// A number that was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resting {
    number: MemberNumber,
    since: Time,
    /// The batch that told of the leaving.
    position: Position,
}

impl Resting {
    /// PROTOCOL 11.3. `oldest` is the first batch that history still has.
    fn has_rested(self, now: Time, oldest: Option<Position>, limits: &Limits) -> bool {
        now >= self.since.after(limits.number_quarantine) && oldest.is_none_or(|oldest| oldest > self.position)
    }

    /// Whether it is the number behind `count` others that begin with `first`, and went with them.
    fn follows(self, first: Self, count: u64) -> bool {
        let number = MemberNumber(first.number.0.saturating_add(count));
        self == Self { number, ..first }
    }
}

/// Places that are kept while others come and go.
const FEW: usize = 16;

/// Bytes of a run of numbers on the shelf: the first, how many, since when, and the batch.
const RUN: usize = 32;

impl RestingNumbers {
    /// Whether the oldest has rested.
    pub(super) fn has_rested(&mut self, now: Time, oldest: Option<Position>, limits: &Limits) -> bool {
        self.unshelve();
        let front = self.listed.as_ref().and_then(|listed| listed.0.front());
        front.is_some_and(|front| front.has_rested(now, oldest, limits))
    }

    /// Takes the oldest, where it has rested.
    pub(super) fn take(&mut self, now: Time, oldest: Option<Position>, limits: &Limits) -> Option<MemberNumber> {
        if !self.has_rested(now, oldest, limits) {
            return None;
        }
        let numbers = &mut self.listed.as_mut()?.0;
        let front = numbers.pop_front();
        numbers.give_back(FEW);
        front.map(|front| front.number)
    }

    /// Puts one that was just taken back: it has its rest behind it.
    pub(super) fn put_back(&mut self, number: MemberNumber) {
        self.list().push_front(Resting { number, since: Time::ZERO, position: Position(0) });
    }

    /// A number begins to rest, whose leaving is told with this batch.
    pub(super) fn push(&mut self, number: MemberNumber, since: Time, position: Position) {
        self.list().push_back(Resting { number, since, position });
    }

    /// Goes to the shelf, where it is little.
    pub(super) fn rest(&mut self, shelf: &mut Shelf) {
        let Some(listed) = &mut self.listed else { return };
        let mut runs: Vec<(Resting, u64)> = Vec::new();
        for number in &listed.0 {
            let full = (runs.len() + 1) * RUN > Shelf::SMALL;
            match runs.last_mut() {
                Some((first, count)) if number.follows(*first, *count) => *count += 1,
                _ if full => return move_together(&mut listed.0),
                _ => runs.push((*number, 1)),
            }
        }
        if !runs.is_empty() {
            let fields = |(first, count): &(Resting, u64)| {
                [first.number.0, *count, first.since.micros(), first.position.0].map(u64::to_le_bytes)
            };
            let written: Vec<[u8; 8]> = runs.iter().flat_map(fields).collect();
            self.shelved = shelf.write(written.as_flattened());
        }
        self.listed = None;
    }

    fn list(&mut self) -> &mut VecDeque<Resting> {
        self.unshelve();
        &mut self.listed.get_or_insert_default().0
    }

    fn unshelve(&mut self) {
        for run in mem::take(&mut self.shelved).chunks_exact(RUN) {
            if let &[first, count, since, position] = run.as_chunks().0 {
                let (first, count) = (u64::from_le_bytes(first), u64::from_le_bytes(count));
                let (since, position) = (u64::from_le_bytes(since), u64::from_le_bytes(position));
                let (since, position) = (Time::from_micros(since), Position(position));
                let numbers = (first..first.saturating_add(count)).map(MemberNumber);
                self.listed.get_or_insert_default().0.extend(numbers.map(|number| Resting { number, since, position }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(numbers: &mut RestingNumbers) -> Vec<u64> {
        let end = Time::from_micros(u64::MAX / 2);
        std::iter::from_fn(|| numbers.take(end, None, &Limits::default())).map(|number| number.0).collect()
    }

    #[test]
    fn numbers_come_back_from_the_shelf_as_they_went() {
        let (mut numbers, mut shelf) = (RestingNumbers::default(), Shelf::default());
        numbers.rest(&mut shelf);
        let went = [(7, 1, 1), (8, 1, 1), (9, 1, 1), (3, 1, 1), (4, 2, 1), (5, 2, 2), (1, 9, 9), (2, 9, 9)];
        for (number, since, position) in went {
            numbers.push(MemberNumber(number), Time::from_micros(since), Position(position));
        }
        let before = numbers.list().clone();
        numbers.rest(&mut shelf);
        assert_eq!((numbers.listed.is_none(), numbers.shelved.len()), (true, 5 * RUN));
        // Once more, without anything in between.
        numbers.rest(&mut shelf);
        assert_eq!(*numbers.list(), before);
        numbers.rest(&mut shelf);
        numbers.put_back(MemberNumber(11));
        assert_eq!(take_all(&mut numbers), [11, 7, 8, 9, 3, 4, 5, 1, 2]);
    }

    #[test]
    fn many_that_went_one_by_one_stay_a_list() {
        let (mut numbers, mut shelf) = (RestingNumbers::default(), Shelf::default());
        for number in (1..=100).rev() {
            numbers.push(MemberNumber(number), Time::ZERO, Position(1));
        }
        numbers.rest(&mut shelf);
        assert!(numbers.shelved.is_empty());
        assert!(take_all(&mut numbers).into_iter().eq((1..=100).rev()));
    }
}
