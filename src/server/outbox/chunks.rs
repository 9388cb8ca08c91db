//! Chunks of commands on their way to shards: how many there are, and which data frame is the first of them.
//!
//! ```text
//! connection ──chunk_sent──> mailbox ──> shard ──chunk_done──> is the reader waiting? does the peer want to know?
//! ```

use std::sync::atomic::Ordering;

use super::Outbox;

/// A chunk in a mailbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    ticket: u64,
    /// The number of its first data frame.
    pub(super) first: u64,
    /// Whether the peer wants to be told at once.
    acknowledge: bool,
}

impl Outbox {
    /// The peer waits to be told what is accepted: from now on every chunk that is done wakes.
    pub(crate) fn await_accepted(&self, awaited: bool) {
        self.lock().awaited = awaited;
    }

    /// A chunk goes to a mailbox. `first` is the number of its first data frame, where somebody wants
    /// to know when it is done; the ticket is for [`chunk_done`](Self::chunk_done).
    pub(crate) fn chunk_sent(&self, first: Option<u64>, acknowledge: bool) -> u64 {
        self.lasting.chunks.fetch_add(1, Ordering::Relaxed);
        let Some(first) = first else { return 0 };
        let mut state = self.lock();
        state.tickets += 1;
        let ticket = state.tickets;
        state.under_way.push(Chunk { ticket, first, acknowledge });
        ticket
    }

    /// A shard has dealt with a chunk. True where the caller is the one who has to wake.
    pub(crate) fn chunk_done(&self, ticket: u64) -> bool {
        let before = self.lasting.chunks.fetch_sub(1, Ordering::SeqCst);
        let mut state = if ticket == 0 && before != self.facts.limits.connection_chunks {
            return false;
        } else {
            self.lock()
        };
        let place = state.under_way.iter().position(|chunk| chunk.ticket == ticket);
        let done = place.map(|place| state.under_way.swap_remove(place));
        let tells = done.is_some_and(|chunk| chunk.acknowledge || state.awaited);
        let marks = tells && !std::mem::replace(&mut state.marked, true);
        // The reader registered its waker before it looked, so one of the two sees the other.
        if before == self.facts.limits.connection_chunks {
            let successor = state.successor.clone();
            drop(state);
            self.wake();
            successor.iter().for_each(|successor| successor.wake());
        }
        marks
    }

    /// Chunks that wait in mailboxes: with as many as may, the socket is not read.
    pub(crate) fn chunks(&self) -> usize {
        self.lasting.chunks.load(Ordering::SeqCst)
    }
}
