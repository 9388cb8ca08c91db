//! What `benches/instructions.rs` counts of the server's inside. No part of the interface: it may
//! change with every release.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::outbox::{Charge, Outbox};
use crate::dispatcher::{Batch, Taken};
use crate::session::Facts;

/// A connection's queue, from both sides.
#[derive(Debug)]
pub struct Queue {
    outbox: Outbox,
    written: Charge,
    taken: VecDeque<Bytes>,
}

impl Queue {
    /// An empty one.
    #[must_use]
    pub fn new(facts: &Arc<Facts>) -> Self {
        Self { outbox: Outbox::new(facts), written: Charge::default(), taken: VecDeque::new() }
    }

    /// A shard appends a batch.
    pub fn push_batch(&self, batch: &Batch<'_>) -> Taken {
        self.outbox.push_batch(batch).0
    }

    /// A shard appends a frame.
    pub fn push(&self, frame: &Bytes) {
        let _nobody_to_wake = self.outbox.push(frame);
    }

    /// The connection takes what is queued, and writes it. How many frames there were.
    pub fn take(&mut self) -> usize {
        let _none = self.outbox.take(self.written, 0, &mut self.taken);
        self.written = Charge { bytes: self.taken.iter().map(Bytes::len).sum(), frames: self.taken.len() };
        self.taken.clear();
        self.written.frames
    }
}
