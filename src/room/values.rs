//! The latest values of a room, and what this tick changed of them (PROTOCOL 11.2).
//!
//! ```text
//! publish ──> pending (last write wins) ──flush──> records, and the latest for newcomers
//! ```

mod table;

use self::table::Table;
use super::segment::Segment;
use crate::limits::Limits;
use crate::wire::{Key, Kind, MemberNumber, Reason};

/// The values of a room.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// How many flushes there were, and the last one that deleted something.
    flushes: u64,
    deleted: u64,
    /// As the table has it: every message asks for it.
    pending_bytes: usize,
    /// Made for the first value: many rooms never have one.
    table: Option<Box<Table>>,
}

impl Values {
    /// Whether this tick has written something.
    pub(super) const fn has_pending(&self) -> bool {
        self.pending_bytes > 0
    }

    /// This tick's writes, and those among them that are replaced already; the latter from zero again.
    pub(super) fn take_counts(&mut self) -> (usize, u64) {
        self.table.as_mut().map_or((0, 0), |table| table.take_counts())
    }

    /// Bytes that this tick's writes will take in the batch, about.
    pub(super) const fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Bytes of all values, as they will be after the flush.
    pub(super) fn bytes(&self) -> usize {
        self.table.as_ref().map_or(0, |table| table.bytes())
    }

    /// The number of the last flush.
    pub(super) const fn flushes(&self) -> u64 {
        self.flushes
    }

    /// Writes, or with an empty payload deletes. Growth is refused where `may_grow` says so.
    #[inline]
    pub(super) fn write(
        &mut self,
        sender: MemberNumber,
        key: Key,
        payload: &[u8],
        may_grow: bool,
        limits: &Limits,
    ) -> Result<(), Reason> {
        let table = match &mut self.table {
            Some(table) => table,
            None if payload.is_empty() => return Ok(()),
            none => none.insert(Box::default()),
        };
        table.write(sender, key, payload, may_grow, limits)?;
        self.pending_bytes = table.pending_bytes();
        Ok(())
    }

    /// Deletes what a member owns, since it has left.
    pub(super) fn delete_owned(&mut self, owner: MemberNumber) {
        if let Some(table) = &mut self.table {
            table.delete_owned(owner);
            self.pending_bytes = table.pending_bytes();
        }
    }

    /// Turns this tick's writes into records, and makes them the latest.
    pub(super) fn flush(&mut self, segment: &mut Segment, max_frame: usize) {
        self.flushes += 1;
        self.pending_bytes = 0;
        if let Some(table) = &mut self.table
            && table.flush(self.flushes, segment, max_frame)
        {
            self.deleted = self.flushes;
        }
    }

    /// What changed after flush `since`, where that can be said with values alone and is less than
    /// half of them.
    pub(super) fn changes(&self, since: u64, max_frame: usize) -> Option<Segment> {
        // A deletion leaves nothing behind that could be told.
        if self.deleted > since {
            return None;
        }
        self.table.as_ref().map_or_else(|| Some(Segment::new(Kind::Value)), |table| table.changes(since, max_frame))
    }

    /// Gives the buffers back, and the places of values that are gone.
    pub(super) fn rest(&mut self) {
        if let Some(table) = &mut self.table {
            table.rest();
        }
        self.table = self.table.take().filter(|table| !table.is_empty());
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.table.as_ref().map_or(0, |table| table.len())
    }

    /// The latest values as of the last flush.
    pub(super) fn snapshot(&self, max_frame: usize) -> Segment {
        self.table.as_ref().map_or_else(|| Segment::new(Kind::Snapshot), |table| table.snapshot(max_frame))
    }

    /// Every value as it is after the flush: its owner and key, who wrote it, and what it is.
    pub(super) fn current(&self) -> impl Iterator<Item = ((MemberNumber, Key), MemberNumber, &[u8])> {
        self.table.iter().flat_map(|table| table.current())
    }

    /// One of them.
    pub(super) fn now(&self, owner: MemberNumber, key: Key) -> Option<(MemberNumber, &[u8])> {
        self.table.as_ref()?.now(owner, key)
    }
}
