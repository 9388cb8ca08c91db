//! Numbers for rooms: small, server-wide, and used again only when no frame of the old room can
//! still come (PROTOCOL 11.4).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use super::FEW;
use crate::places::Places;
use crate::wire::RoomId;

/// The room numbers of one shard: every `shards`-th number, so that shards need not agree.
#[derive(Debug)]
pub(super) struct RoomIds {
    shard: u64,
    shards: u64,
    next: u64,
    free: BinaryHeap<Reverse<u64>>,
    /// Numbers of rooms that are gone, with a lease that frames on their way still hold.
    resting: VecDeque<(u64, Arc<()>)>,
}

/// Resting numbers looked at for each that is taken. 8: more come free than are taken, and ten
/// thousand peers who do not read their LEFT cost a new room nothing.
const LOOKS: usize = 8;

impl RoomIds {
    pub(super) fn new(shard: u32, shards: u32) -> Self {
        debug_assert!(shard < shards);
        Self { shard: shard.into(), shards: shards.into(), next: 0, free: BinaryHeap::new(), resting: VecDeque::new() }
    }

    /// The smallest number that is known to be free. Numbers start at 1.
    pub(super) fn take(&mut self) -> RoomId {
        for _ in 0..LOOKS.min(self.resting.len()) {
            match self.resting.pop_front() {
                Some((index, lease)) if Arc::strong_count(&lease) > 1 => self.resting.push_back((index, lease)),
                Some((index, _)) => self.free.push(Reverse(index)),
                None => {}
            }
        }
        let index = self.free.pop().map_or_else(
            || {
                self.next += 1;
                self.next - 1
            },
            |Reverse(index)| index,
        );
        RoomId(index * self.shards + self.shard + 1)
    }

    /// Gives a number back once nobody else holds its `lease` any more.
    pub(super) fn give_back(&mut self, id: RoomId, lease: Option<Arc<()>>) {
        let index = (id.0 - 1 - self.shard) / self.shards;
        match lease.filter(|lease| Arc::strong_count(lease) > 1) {
            Some(lease) => self.resting.push_back((index, lease)),
            None => self.free.push(Reverse(index)),
        }
        self.forget_free();
    }

    /// Forgets the free numbers where none is taken, so that they need not be kept.
    fn forget_free(&mut self) {
        self.resting.give_back(FEW);
        if self.free.len() as u64 == self.next {
            self.next = 0;
            self.free = BinaryHeap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_small_disjoint_and_rest_while_leased() {
        let (mut first, mut second) = (RoomIds::new(0, 2), RoomIds::new(1, 2));
        assert_eq!([first.take().0, first.take().0], [1, 3]);
        assert_eq!([second.take().0, second.take().0], [2, 4]);
        let lease = Arc::new(());
        let frame = Arc::clone(&lease);
        first.give_back(RoomId(1), Some(lease));
        assert_eq!(first.take().0, 5);
        drop(frame);
        assert_eq!(first.take().0, 1);
    }

    #[test]
    fn numbers_that_rest_are_looked_at_a_few_at_a_time() {
        let mut ids = RoomIds::new(0, 1);
        let taken: Vec<_> = (0..1000).map(|_| ids.take()).collect();
        let frames: Vec<_> = (1..1000).map(|_| Arc::new(())).collect();
        for (id, frame) in taken.iter().skip(1).zip(&frames) {
            ids.give_back(*id, Some(Arc::clone(frame)));
        }
        let first: Vec<_> = ids.resting.iter().take(LOOKS).map(|(index, _)| *index).collect();
        assert_eq!(ids.take().0, 1001);
        let turned: Vec<_> = ids.resting.iter().skip(999 - LOOKS).map(|(index, _)| *index).collect();
        assert_eq!(first, turned, "only these were looked at");
        drop(frames);
        let again: Vec<_> = (0..999).map(|_| ids.take().0).collect();
        assert!(again.iter().all(|id| (2..=1000).contains(id)), "{again:?}");
    }

    #[test]
    fn numbers_start_anew_where_none_is_taken() {
        let mut ids = RoomIds::new(0, 1);
        let taken: Vec<_> = (0..1000).map(|_| ids.take()).collect();
        for id in taken {
            ids.give_back(id, None);
        }
        assert_eq!((ids.free.capacity(), ids.next), (0, 0));
        assert_eq!(ids.take().0, 1);
    }
}
