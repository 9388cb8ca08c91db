//! The table of a room's values: by owner and key, each with this tick's write.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::limits::Limits;
use crate::room::segment::Segment;
use crate::wire::{Key, Kind, MemberNumber, Reason, Record};

/// Values by owner and key.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<ValueKey, Entry, foldhash::fast::RandomState>,
    /// Which keys a member owns, so that its leaving costs what it owned and not what the room has.
    owned: HashMap<MemberNumber, SmallVec<[Key; 2]>, foldhash::fast::RandomState>,
    /// This tick's writes, in the order their keys were first written.
    pending: Vec<Write>,
    /// Buffers of earlier writes, kept so that a steady room allocates nothing.
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
    /// Payloads and overhead of all values, as they will be after the flush.
    bytes: usize,
    pending_bytes: usize,
    /// This tick's writes that a later one has replaced.
    conflated: u64,
}

/// Who owns a value, and its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ValueKey {
    /// Member 0 for values of the room.
    owner: MemberNumber,
    key: Key,
}

#[derive(Debug, Default)]
struct Entry {
    /// As of the last flush; `None` where the key is new.
    stored: Option<Stored>,
    /// Index of this tick's write.
    pending: Option<usize>,
}

#[derive(Debug)]
struct Stored {
    sender: MemberNumber,
    payload: Vec<u8>,
    /// The flush that sent it.
    changed: u64,
}

#[derive(Debug)]
struct Write {
    key: ValueKey,
    sender: MemberNumber,
    payload: Vec<u8>,
}

/// Bytes of buffers kept for reuse, [`SPARE_OVERHEAD`] counted for each. 64 KiB: a thousand small values
/// that change in every tick.
const SPARE: usize = 64 * 1024;

/// What a buffer costs beside its bytes.
const SPARE_OVERHEAD: usize = 32;

/// The largest buffer kept for reuse, in bytes, so that one large value does not stay.
const SPARE_LEN: usize = 1024;

impl Table {
    /// This tick's writes, and those among them that are replaced already; the latter from zero again.
    pub(super) const fn take_counts(&mut self) -> (usize, u64) {
        let conflated = self.conflated;
        self.conflated = 0;
        (self.pending.len(), conflated)
    }

    /// Bytes that this tick's writes will take in the batch, about: 0 only where there are none.
    pub(super) const fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Bytes of all values, as they will be after the flush.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes, or with an empty payload deletes. Growth is refused where `may_grow` says so.
    pub(super) fn write(
        &mut self,
        sender: MemberNumber,
        key: Key,
        payload: &[u8],
        may_grow: bool,
        limits: &Limits,
    ) -> Result<(), Reason> {
        let key = ValueKey { owner: if key.is_room() { MemberNumber::ROOM } else { sender }, key };
        let (old, known) = match self.entries.get(&key) {
            None if payload.is_empty() => return Ok(()),
            None => (0, false),
            Some(entry) => (Limits::VALUE_OVERHEAD + self.current_len(entry), true),
        };
        let new = Limits::VALUE_OVERHEAD + payload.len();
        // PROTOCOL 11.2: new keys are refused at the limit, and growth of known ones at the bound of bytes.
        let full = !known && (self.entries.len() >= limits.max_room_values || self.owns_all(key, limits));
        let grows = new > old && (!may_grow || self.bytes - old + new > limits.max_value_bytes);
        if full || grows {
            return Err(Reason::VALUES_FULL);
        }
        self.bytes = self.bytes - old + new;
        if !known && !key.key.is_room() {
            self.owned.entry(key.owner).or_default().push(key.key);
        }
        self.set_pending(key, sender, payload);
        Ok(())
    }

    /// Whether the owner has as many values as it may.
    fn owns_all(&self, key: ValueKey, limits: &Limits) -> bool {
        let owned = self.owned.get(&key.owner).map_or(0, SmallVec::len);
        !key.key.is_room() && owned >= limits.max_member_values
    }

    /// Deletes what a member owns, since it has left.
    pub(super) fn delete_owned(&mut self, owner: MemberNumber) {
        // The flush takes the keys out of the list, one by one.
        let keys = self.owned.get(&owner).cloned().unwrap_or_default();
        for key in keys {
            let key = ValueKey { owner, key };
            let old = self.entries.get(&key).map_or(0, |entry| self.current_len(entry));
            self.bytes -= old;
            self.set_pending(key, owner, &[]);
        }
    }

    /// Turns this tick's writes into records, and makes them the latest, as of flush `changed`. Whether it has
    /// deleted something.
    pub(super) fn flush(&mut self, changed: u64, segment: &mut Segment, max_frame: usize) -> bool {
        let mut deleted = false;
        for write in self.pending.drain(..) {
            let Write { key, sender, payload } = write;
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.pending = None;
            let record = Record { member: record_member(key, sender), key: Some(key.key.wire()), payload: &payload };
            let spare = if payload.is_empty() {
                // PROTOCOL 11.2: a key that was made and deleted within the tick is not told.
                if entry.stored.is_some() {
                    segment.push(&record, max_frame);
                    deleted = true;
                }
                self.bytes -= Limits::VALUE_OVERHEAD;
                if let Some(owned) = self.owned.get_mut(&key.owner) {
                    owned.retain(|other| *other != key.key);
                    if owned.is_empty() {
                        self.owned.remove(&key.owner);
                    }
                }
                self.entries.remove(&key).and_then(|entry| entry.stored).map(|stored| stored.payload)
            } else {
                segment.push(&record, max_frame);
                entry.stored.replace(Stored { sender, payload, changed }).map(|stored| stored.payload)
            };
            if let Some(spare) = spare
                && (1..=SPARE_LEN).contains(&spare.capacity())
                && self.spare_bytes + SPARE_OVERHEAD + spare.capacity() <= SPARE
            {
                self.spare_bytes += SPARE_OVERHEAD + spare.capacity();
                self.spare.push(spare);
            }
        }
        self.pending_bytes = 0;
        deleted
    }

    /// What is there that changed after flush `since`, where it is less than half of the values.
    pub(super) fn changes(&self, since: u64, max_frame: usize) -> Option<Segment> {
        let mut segment = Segment::new(Kind::Value);
        let mut count = 0;
        for (key, entry) in &self.entries {
            let Some(stored) = entry.stored.as_ref().filter(|stored| stored.changed > since) else { continue };
            count += 1;
            if count * 2 > self.entries.len() {
                return None;
            }
            let member = record_member(*key, stored.sender);
            segment.push(&Record { member, key: Some(key.key.wire()), payload: &stored.payload }, max_frame);
        }
        Some(segment)
    }

    /// Gives the buffers back, and the places of values that are gone.
    pub(super) fn rest(&mut self) {
        self.entries.shrink_to_fit();
        self.owned.shrink_to_fit();
        self.pending.shrink_to_fit();
        self.spare = Vec::new();
        self.spare_bytes = 0;
    }

    /// Whether there is nothing to keep it for.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.pending.is_empty()
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The latest values as of the last flush.
    pub(super) fn snapshot(&self, max_frame: usize) -> Segment {
        let mut segment = Segment::new(Kind::Snapshot);
        for (key, entry) in &self.entries {
            let Some(stored) = &entry.stored else { continue };
            let member = record_member(*key, stored.sender);
            segment.push(&Record { member, key: Some(key.key.wire()), payload: &stored.payload }, max_frame);
        }
        segment
    }

    /// Every value as it is after the flush: its owner and key, who wrote it, and what it is.
    pub(super) fn current(&self) -> impl Iterator<Item = ((MemberNumber, Key), MemberNumber, &[u8])> {
        let current = |(key, entry): (&ValueKey, _)| {
            let (sender, payload) = self.after_flush(entry)?;
            Some(((key.owner, key.key), sender, payload))
        };
        self.entries.iter().filter_map(current)
    }

    /// One of them.
    pub(super) fn now(&self, owner: MemberNumber, key: Key) -> Option<(MemberNumber, &[u8])> {
        self.after_flush(self.entries.get(&ValueKey { owner, key })?)
    }

    fn after_flush<'a>(&'a self, entry: &'a Entry) -> Option<(MemberNumber, &'a [u8])> {
        let pending = entry.pending.and_then(|index| self.pending.get(index));
        let (sender, payload) = match (pending, &entry.stored) {
            (Some(write), _) => (write.sender, &write.payload),
            (None, Some(stored)) => (stored.sender, &stored.payload),
            (None, None) => return None,
        };
        // An empty one is on its way out.
        (!payload.is_empty()).then_some((sender, payload))
    }

    fn set_pending(&mut self, key: ValueKey, sender: MemberNumber, payload: &[u8]) {
        let entry = self.entries.entry(key).or_default();
        if let Some(write) = entry.pending.and_then(|index| self.pending.get_mut(index)) {
            self.pending_bytes = self.pending_bytes - write.payload.len() + payload.len();
            write.sender = sender;
            write.payload.clear();
            write.payload.extend_from_slice(payload);
            self.conflated += 1;
            return;
        }
        entry.pending = Some(self.pending.len());
        self.pending_bytes += payload.len() + Record::MAX_OVERHEAD;
        let mut buffer = self.spare.pop().unwrap_or_default();
        if buffer.capacity() > 0 {
            self.spare_bytes -= SPARE_OVERHEAD + buffer.capacity();
            buffer.clear();
        }
        buffer.extend_from_slice(payload);
        self.pending.push(Write { key, sender, payload: buffer });
    }

    /// The payload length that counts: this tick's write, or else the stored one.
    fn current_len(&self, entry: &Entry) -> usize {
        let pending = entry.pending.and_then(|index| self.pending.get(index)).map(|write| write.payload.len());
        pending.or_else(|| entry.stored.as_ref().map(|stored| stored.payload.len())).unwrap_or_default()
    }
}

/// A member's value names its owner; a room's value names who wrote it last.
const fn record_member(key: ValueKey, sender: MemberNumber) -> MemberNumber {
    if key.key.is_room() { sender } else { key.owner }
}
