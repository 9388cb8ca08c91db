//! How much has gone through a shard's rooms, in plain numbers that only grow.
//!
//! ```text
//! message ──taken──> tick's batch ──made once──> frames ──reached──> receivers
//!              └──conflated: a later write of the tick came
//! ```
//!
//! Counted at the flush, so that a message costs nothing or an addition.

/// Counts since the start. Each shard has its own; whoever wants the server's adds them up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume {
    /// Memberships that began, those of returning members included.
    pub joins: u64,
    /// Events that were sent, each once however many got it.
    pub events: u64,
    /// Values that were sent, deletions included.
    pub values: u64,
    /// Writes of values that a later one of the same tick has replaced.
    pub conflated: u64,
    /// Directs that were sent, or refused because their receiver had left.
    pub directs: u64,
    /// Events, by receiver: an event that three members got is three.
    pub event_deliveries: u64,
    /// Values, by receiver.
    pub value_deliveries: u64,
    /// Directs that reached their receiver's outbox.
    pub direct_deliveries: u64,
    /// Flushes of rooms that sent something to everybody.
    pub batches: u64,
    /// Frames of those, each made once.
    pub frames: u64,
    /// Bytes of batches before they were compressed.
    pub deflate_in: u64,
    /// Bytes of the same batches after.
    pub deflate_out: u64,
}

/// The messages of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Messages {
    pub(super) events: u64,
    pub(super) values: u64,
}

impl Volume {
    /// A batch of so many frames was sent: its events to so many, its values to so many.
    pub(super) const fn handle_batch(&mut self, batch: Messages, frames: usize, events_to: usize, values_to: usize) {
        self.batches += 1;
        self.frames += frames as u64;
        self.events += batch.events;
        self.values += batch.values;
        self.event_deliveries += batch.events * events_to as u64;
        self.value_deliveries += batch.values * values_to as u64;
    }
}

impl std::ops::AddAssign for Volume {
    fn add_assign(&mut self, other: Self) {
        self.joins += other.joins;
        self.events += other.events;
        self.values += other.values;
        self.conflated += other.conflated;
        self.directs += other.directs;
        self.event_deliveries += other.event_deliveries;
        self.value_deliveries += other.value_deliveries;
        self.direct_deliveries += other.direct_deliveries;
        self.batches += other.batches;
        self.frames += other.frames;
        self.deflate_in += other.deflate_in;
        self.deflate_out += other.deflate_out;
    }
}
