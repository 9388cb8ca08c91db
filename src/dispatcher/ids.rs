//! Numbers for rooms: small, server-wide, and used again only when no frame of the old room can
//! still come (PROTOCOL 11.4).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::wire::RoomId;

/// The room numbers of one shard: every `shards`-th number, so that shards need not agree.
#[derive(Debug)]
pub(super) struct RoomIds {
    shard: u64,
    shards: u64,
    next: u64,
    free: BinaryHeap<Reverse<u64>>,
    /// Numbers of rooms that are gone, with a lease that frames on their way still hold.
    resting: Vec<(u64, Arc<()>)>,
}

impl RoomIds {
    pub(super) fn new(shard: u32, shards: u32) -> Self {
        debug_assert!(shard < shards);
        Self { shard: shard.into(), shards: shards.into(), next: 0, free: BinaryHeap::new(), resting: Vec::new() }
    }

    /// The smallest number that is free. Numbers start at 1.
    pub(super) fn take(&mut self) -> RoomId {
        let free = &mut self.free;
        self.resting.retain(|(index, lease)| {
            let held = Arc::strong_count(lease) > 1;
            if !held {
                free.push(Reverse(*index));
            }
            held
        });
        let index = self.free.pop().map_or_else(
            || {
                self.next += 1;
                self.next - 1
            },
            |Reverse(index)| index,
        );
        RoomId(index * self.shards + self.shard + 1)
    }

    /// Gives a number back once nobody holds `lease` any more.
    pub(super) fn give_back(&mut self, id: RoomId, lease: Arc<()>) {
        self.resting.push(((id.0 - 1 - self.shard) / self.shards, lease));
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
        first.give_back(RoomId(1), lease);
        assert_eq!(first.take().0, 5);
        drop(frame);
        assert_eq!(first.take().0, 1);
    }
}
