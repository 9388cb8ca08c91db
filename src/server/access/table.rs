//! Who connects, by some key, within a bound.
//!
//! ```text
//! key ──> slot: connections, and what else is known
//!           └─ no connection ──> idle, oldest first ──> forgotten where there are too many
//! ```
//!
//! The table is bounded: a key without connections is forgotten when others need the place, the one that was
//! idle for longest first. Whoever comes with many keys can make us forget how often others connected, and
//! nothing else; what has a connection is never forgotten.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Every key that is known, with an `E` for each.
#[derive(Debug)]
pub(super) struct Table<K, E> {
    slots: HashMap<K, Slot<E>>,
    /// Keys by the time their last connection went. Some have come back since: these are skipped.
    idle: VecDeque<(K, u64)>,
    /// Numbers for `idle`.
    serial: u64,
}

/// What is known of a key.
#[derive(Debug)]
pub(super) struct Slot<E> {
    pub(super) connections: usize,
    pub(super) entry: E,
    /// Where it is in `idle`, while it has no connection.
    idle: u64,
}

impl<K, E> Default for Table<K, E> {
    fn default() -> Self {
        Self { slots: HashMap::new(), idle: VecDeque::new(), serial: 0 }
    }
}

impl<K: Clone + Eq + Hash, E> Table<K, E> {
    /// The slot of a key, of which at most so many are remembered.
    pub(super) fn slot(&mut self, key: &K, most: usize, make: impl FnOnce() -> E) -> Option<&mut Slot<E>> {
        if !self.slots.contains_key(key) {
            self.make_room(most);
            self.slots.insert(key.clone(), Slot { connections: 0, entry: make(), idle: 0 });
            self.put_down_as_idle(key);
        }
        self.slots.get_mut(key)
    }

    /// What is known of a key.
    pub(super) fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut E>
    where
        K: Borrow<Q>,
    {
        self.slots.get_mut(key).map(|slot| &mut slot.entry)
    }

    /// One of its connections is gone.
    pub(super) fn leave(&mut self, key: &K) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.connections = slot.connections.saturating_sub(1);
        if slot.connections == 0 {
            self.put_down_as_idle(key);
        }
    }

    /// How many are remembered, and how long the line of those is that were idle.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.slots.len(), self.idle.len())
    }

    fn put_down_as_idle(&mut self, key: &K) {
        self.serial += 1;
        if let Some(slot) = self.slots.get_mut(key) {
            slot.idle = self.serial;
            self.idle.push_back((key.clone(), self.serial));
        }
        // Twice as long as it could be: most of it has come back since.
        if self.idle.len() > 2 * self.slots.len() + 64 {
            let slots = &self.slots;
            self.idle.retain(|place| is_idle(slots, place));
        }
    }

    /// Forgets idle keys until there is a place for another. Where none is idle the table grows with the
    /// connections, which have a bound of their own.
    fn make_room(&mut self, most: usize) {
        while self.slots.len() >= most
            && let Some(place) = self.idle.pop_front()
        {
            if is_idle(&self.slots, &place) {
                self.slots.remove(&place.0);
            }
        }
    }
}

fn is_idle<K: Eq + Hash, E>(slots: &HashMap<K, Slot<E>>, (key, serial): &(K, u64)) -> bool {
    slots.get(key).is_some_and(|slot| slot.connections == 0 && slot.idle == *serial)
}
