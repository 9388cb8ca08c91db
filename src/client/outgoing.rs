//! What waits to be written, gathered into as few writes as there are.
//!
//! ```text
//! publish ──chunk, may wait──┐
//! commands, pings, urgent ───┴─> queue ─> | chunk | chunk | chunk | ──time or 16 KiB──> one write
//!                  leaves at once ────────────────────────────────┘
//! ```
//!
//! What may wait does so until its time has come, until there is enough for a write, or until
//! something follows that may not wait. Nothing overtakes anything.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::wire::Header;

/// Bytes gathered for one write. 16 KiB: beyond it a write costs what its bytes cost.
const MAX_WRITE: usize = 16 * 1024;

/// Whole frames on their way to the socket.
#[derive(Debug)]
pub(super) struct Chunk {
    frames: Bytes,
    /// Until when it may wait for others. None: it leaves at once, with what waits before it.
    waits_until: Option<Instant>,
}

impl Chunk {
    /// Leaves at once.
    pub(super) const fn at_once(frames: Bytes) -> Self {
        Self { frames, waits_until: None }
    }

    /// May wait until then.
    pub(super) const fn waiting(frames: Bytes, until: Instant) -> Self {
        Self { frames, waits_until: Some(until) }
    }
}

/// The queue's other end. Holds at most what one write takes, and one chunk that found no place in it.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Goes before the queue.
    ready: VecDeque<Chunk>,
    queue: mpsc::Receiver<Chunk>,
    gathered: BytesMut,
    /// Bytes of one write.
    most: usize,
}

impl Outgoing {
    /// Hands out `first`, and then what is queued.
    ///
    /// PROTOCOL 4.2: a message is at most the server's `max_frame` + 4 bytes.
    pub(super) fn new(first: Vec<Bytes>, queue: mpsc::Receiver<Chunk>, max_frame: u64) -> Self {
        let most =
            usize::try_from(max_frame).map_or(MAX_WRITE, |largest| MAX_WRITE.min(largest.saturating_add(Header::LEN)));
        let ready = first.into_iter().map(Chunk::at_once).collect();
        Self { ready, queue, gathered: BytesMut::new(), most }
    }

    /// Waits for whole frames to write at once. None when the queue's senders are gone and nothing is
    /// left. Not cancel safe.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let first = match self.ready.pop_front() {
            Some(ready) => ready,
            None => self.queue.recv().await?,
        };
        let mut waits_until = first.waits_until;
        self.gathered.extend_from_slice(&first.frames);
        while self.gathered.len() < self.most {
            let here = self.ready.pop_front().or_else(|| self.queue.try_recv().ok());
            let next = match (here, waits_until) {
                (Some(next), _) => next,
                (None, None) => break,
                (None, Some(until)) => match timeout_at(until, self.queue.recv()).await {
                    Ok(Some(next)) => next,
                    // Its time has come, or nobody is left who could send more.
                    Ok(None) | Err(_) => break,
                },
            };
            if self.gathered.len() + next.frames.len() > self.most {
                self.ready.push_front(next);
                break;
            }
            if next.waits_until.is_none() {
                waits_until = None;
            }
            self.gathered.extend_from_slice(&next.frames);
        }
        Some(self.gathered.split().freeze())
    }
}
