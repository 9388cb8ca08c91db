//! The rooms of a shard, by number and by name.
//!
//! ```text
//! name ──hash──> index ──> page 0  [ room ][ room ][      ][ room ]
//!                          page 1  -                                 gone with its last room
//!                          page 2  [ room ][      ] ...
//! ```
//!
//! A room stays for a while when everybody has left it. In pages, rooms that stay lie side by side, and not
//! between the memory of connections that have gone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::{FEW, RoomIndex, Slot};
use crate::name::RoomName;
use crate::places::Places;

/// Rooms of a page. 64: about 34 KiB, so that a page comes from where there is much room and little of it lies beside
/// what goes, and one that is left with a single room is no great loss.
const PAGE: usize = 64;

/// The rooms of a shard.
#[derive(Debug)]
pub(super) struct RoomTable<H> {
    pages: Vec<Page<H>>,
    /// Places there are: none behind the last room.
    len: usize,
    /// Places without a room, the lowest first. Some of these are taken again or behind the last room.
    free: BinaryHeap<Reverse<RoomIndex>>,
    names: HashTable<RoomIndex>,
    hasher: foldhash::fast::RandomState,
}

#[derive(Debug)]
struct Page<H> {
    /// Up to the last one that was ever there; none where the page has no room.
    slots: Vec<Option<Slot<H>>>,
    rooms: usize,
}

impl<H> Default for RoomTable<H> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            len: 0,
            free: BinaryHeap::new(),
            names: HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

impl<H> RoomTable<H> {
    /// Rooms there are.
    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    /// Places there are, with a room or without.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The room at a place.
    #[inline]
    pub(super) fn get(&self, index: RoomIndex) -> Option<&Slot<H>> {
        get(&self.pages, index)
    }

    /// The room at a place.
    #[inline]
    pub(super) fn get_mut(&mut self, index: RoomIndex) -> Option<&mut Slot<H>> {
        self.pages.get_mut(index.place() / PAGE)?.slots.get_mut(index.place() % PAGE)?.as_mut()
    }

    /// Where the room of this name is.
    pub(super) fn find(&self, name: &RoomName) -> Option<RoomIndex> {
        let is_it = |index: &RoomIndex| self.get(*index).is_some_and(|slot| slot.room.name == *name);
        self.names.find(self.hasher.hash_one(name), is_it).copied()
    }

    /// All rooms, in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot<H>> {
        self.pages.iter().flat_map(|page| page.slots.iter().flatten())
    }

    /// Takes a room whose name no other has; `None` where there are as many as can be numbered.
    pub(super) fn insert(&mut self, slot: Slot<H>) -> Option<RoomIndex> {
        let index = match self.free_place() {
            Some(index) => index,
            None => {
                let index = RoomIndex(u32::try_from(self.len).ok()?);
                self.len += 1;
                index
            }
        };
        let hash = self.hasher.hash_one(&slot.room.name);
        while self.pages.len() <= index.place() / PAGE {
            self.pages.push(Page { slots: Vec::new(), rooms: 0 });
        }
        let page = self.pages.get_mut(index.place() / PAGE)?;
        if page.slots.capacity() == 0 {
            // In one go, so that a page never moves.
            page.slots.reserve_exact(PAGE);
        }
        let place = index.place() % PAGE;
        page.slots.resize_with(page.slots.len().max(place + 1), || None);
        *page.slots.get_mut(place)? = Some(slot);
        page.rooms += 1;
        let Self { pages, names, hasher, .. } = self;
        names.insert_unique(hash, index, |index| get(pages, *index).map_or(0, |slot| hasher.hash_one(&slot.room.name)));
        Some(index)
    }

    /// Takes a room out; its place, and with the last one its page, is free.
    pub(super) fn remove(&mut self, index: RoomIndex) -> Option<Slot<H>> {
        let page = self.pages.get_mut(index.place() / PAGE)?;
        let slot = page.slots.get_mut(index.place() % PAGE)?.take()?;
        page.rooms -= 1;
        if page.rooms == 0 {
            page.slots = Vec::new();
        }
        if let Ok(entry) = self.names.find_entry(self.hasher.hash_one(&slot.room.name), |other| *other == index) {
            entry.remove();
        }
        self.free.push(Reverse(index));
        self.give_back();
        Some(slot)
    }

    /// Places that are kept: for rooms, for names, and of those that are free.
    #[cfg(test)]
    pub(super) fn capacities(&self) -> [usize; 3] {
        let places = self.pages.iter().map(|page| page.slots.capacity()).sum();
        [places, self.names.capacity(), self.free.capacity()]
    }

    /// A place that a room has left.
    fn free_place(&mut self) -> Option<RoomIndex> {
        while let Some(Reverse(index)) = self.free.pop() {
            // Places at the end are gone when they are free, and may have come again since.
            if index.place() < self.len && self.get(index).is_none() {
                return Some(index);
            }
        }
        None
    }

    fn give_back(&mut self) {
        while let Some(last) = self.len.checked_sub(1)
            && u32::try_from(last).is_ok_and(|last| self.get(RoomIndex(last)).is_none())
        {
            self.len = last;
        }
        self.pages.truncate(self.len.div_ceil(PAGE));
        self.pages.give_back(FEW);
        if self.len == 0 {
            self.free.clear();
        }
        self.free.give_back(FEW);
        let Self { pages, names, hasher, .. } = self;
        if names.capacity() > FEW && names.len() < names.capacity() / 4 {
            names.shrink_to(names.len() * 2, |index| {
                get(pages, *index).map_or(0, |slot| hasher.hash_one(&slot.room.name))
            });
        }
    }
}

#[inline]
fn get<H>(pages: &[Page<H>], index: RoomIndex) -> Option<&Slot<H>> {
    pages.get(index.place() / PAGE)?.slots.get(index.place() % PAGE)?.as_ref()
}
