//! What a room gathers between two flushes.
//!
//! ```text
//! event ──> events      value ──> values (last write wins)      direct ──> directs
//!           └───────────── all together at most Limits::max_batch ──────────┘
//! ```

use bytes::Bytes;

use super::segment::Segment;
use super::values::Values;
use crate::limits::Limits;
use crate::wire::{Key, Kind, MemberNumber, Reason, Record};

/// This tick's messages.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) events: Segment,
    /// How many those are.
    pub(super) event_count: u64,
    pub(super) values: Values,
    /// A box, since rooms without any are many.
    directs: Option<Box<Directs>>,
    /// What those take, about: nothing where there are none.
    direct_bytes: usize,
    /// What the presence of those who came or changed takes, about.
    presence_bytes: usize,
    /// Whether values may grow: the server's budget decides.
    pub(super) may_grow: bool,
}

/// Directs that wait.
#[derive(Debug, Default)]
struct Directs(Vec<PendingDirect>);

/// A direct that waits for its room's next batch.
#[derive(Debug)]
pub(super) struct PendingDirect {
    pub(super) from: MemberNumber,
    pub(super) to: MemberNumber,
    /// The sender's data frame, to refuse it by; 0 where the room itself sends.
    pub(super) number: u64,
    /// The receiver's data frame that this answers, or 0.
    pub(super) answers: u64,
    pub(super) urgent: bool,
    pub(super) payload: Bytes,
}

impl Gathering {
    pub(super) fn new() -> Self {
        Self {
            events: Segment::new(Kind::Event),
            event_count: 0,
            values: Values::default(),
            directs: None,
            direct_bytes: 0,
            presence_bytes: 0,
            may_grow: true,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.events.is_empty() && !self.values.has_pending() && self.direct_bytes == 0
    }

    /// Takes an event: the one copy of its payload.
    pub(super) fn event(&mut self, from: MemberNumber, payload: &[u8], limits: &Limits) -> Result<(), Reason> {
        self.has_room_for(payload.len(), limits)?;
        self.events.push(&Record { member: from, key: None, payload }, limits.max_frame);
        self.event_count += 1;
        Ok(())
    }

    /// Takes a value; an empty payload deletes.
    pub(super) fn value(
        &mut self,
        from: MemberNumber,
        key: Key,
        payload: &[u8],
        limits: &Limits,
    ) -> Result<(), Reason> {
        self.has_room_for(payload.len(), limits)?;
        self.values.write(from, key, payload, self.may_grow, limits)
    }

    /// Takes a direct.
    pub(super) fn direct(&mut self, direct: PendingDirect, limits: &Limits) -> Result<(), Reason> {
        self.has_room_for(direct.payload.len(), limits)?;
        let directs = &mut self.directs.get_or_insert_default().0;
        if directs.len() >= limits.max_directs {
            return Err(Reason::BATCH_FULL);
        }
        self.direct_bytes += direct.payload.len() + Record::MAX_OVERHEAD;
        directs.push(direct);
        Ok(())
    }

    /// The directs that wait: the flush sends them.
    pub(super) fn drain_directs(&mut self) -> impl Iterator<Item = PendingDirect> {
        self.direct_bytes = 0;
        self.directs.iter_mut().flat_map(|directs| directs.0.drain(..))
    }

    /// Counts the presence of somebody who came or changed.
    pub(super) fn presence(&mut self, len: usize, limits: &Limits) -> Result<(), Reason> {
        self.has_room_for(len, limits)?;
        self.presence_bytes += len + Record::MAX_OVERHEAD;
        Ok(())
    }

    /// Forgets somebody who was refused: its presence, where that was counted, and the directs that
    /// logic has sent it.
    pub(super) fn withdraw(&mut self, member: MemberNumber, presence: Option<usize>) {
        let counted = presence.map_or(0, |len| len + Record::MAX_OVERHEAD);
        self.presence_bytes = self.presence_bytes.saturating_sub(counted);
        let Some(directs) = &mut self.directs else { return };
        let bytes = &mut self.direct_bytes;
        directs.0.retain(|direct| {
            let stays = direct.to != member;
            if !stays {
                *bytes = bytes.saturating_sub(direct.payload.len() + Record::MAX_OVERHEAD);
            }
            stays
        });
    }

    /// A flush has sent everything.
    pub(super) const fn handle_flushed(&mut self) {
        self.event_count = 0;
        self.presence_bytes = 0;
    }

    /// Nothing was gathered for a while: gives the buffers back.
    pub(super) fn rest(&mut self) {
        self.events.rest();
        self.values.rest();
        self.directs.take_if(|directs| directs.0.is_empty());
    }

    /// Whether the batch may take so much more (PROTOCOL 13).
    pub(super) fn has_room_for(&self, payload: usize, limits: &Limits) -> Result<(), Reason> {
        let gathered = self.events.len() + self.values.pending_bytes() + self.direct_bytes + self.presence_bytes;
        let full = gathered + payload + Record::MAX_OVERHEAD > limits.max_batch;
        if full { Err(Reason::BATCH_FULL) } else { Ok(()) }
    }
}
