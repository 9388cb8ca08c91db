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
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, mpsc};
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
    /// Of a message; 0 for everything else.
    number: u64,
}

impl Chunk {
    /// Leaves at once.
    pub(super) const fn at_once(frames: Bytes) -> Self {
        Self { frames, waits_until: None, number: 0 }
    }

    /// May wait until then.
    pub(super) const fn waiting(frames: Bytes, until: Instant) -> Self {
        Self { frames, waits_until: Some(until), number: 0 }
    }

    /// Is a message's frame.
    pub(super) const fn message(mut self, number: u64) -> Self {
        self.number = number;
        self
    }
}

/// What a sender knows of its messages on their way to the socket.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: AtomicUsize,
    /// The highest message of which a byte may have left.
    begun: AtomicU64,
    changed: Notify,
}

impl Backlog {
    /// Of a connection on which messages up to this one are sent again.
    pub(super) fn new(begun: u64) -> Self {
        Self { begun: AtomicU64::new(begun), ..Self::default() }
    }

    /// Bytes of messages that were not written yet.
    pub(super) fn bytes(&self) -> usize {
        // A number that nothing else depends on: no order is needed, here and below.
        self.bytes.load(Ordering::Relaxed)
    }

    /// The highest message of which a byte may have left.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Waits until bytes were written. Cancel safe.
    pub(super) async fn changed(&self) {
        // A wake-up between a look and this wait is kept: there is one sender.
        self.changed.notified().await;
    }

    pub(super) fn handle_queued(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn handle_written(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.changed.notify_one();
    }
}

/// The queue's other end. Holds at most what one write takes, and one chunk that found no place in it.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Goes before the queue.
    ready: VecDeque<Chunk>,
    queue: mpsc::Receiver<Chunk>,
    gathered: BytesMut,
    backlog: Arc<Backlog>,
    /// Bytes of messages in what was gathered last.
    messages: usize,
    /// Bytes of one write.
    most: usize,
}

impl Outgoing {
    /// Hands out `first`, and then what is queued.
    ///
    /// PROTOCOL 4.2: a message is at most the server's `max_frame` + 4 bytes.
    pub(super) fn new(first: Vec<Bytes>, queue: mpsc::Receiver<Chunk>, max_frame: u64, backlog: Arc<Backlog>) -> Self {
        let most =
            usize::try_from(max_frame).map_or(MAX_WRITE, |largest| MAX_WRITE.min(largest.saturating_add(Header::LEN)));
        let ready = first.into_iter().map(Chunk::at_once).collect();
        Self { ready, queue, gathered: BytesMut::new(), backlog, messages: 0, most }
    }

    /// Waits for whole frames to write at once. None when the queue's senders are gone and nothing is
    /// left. Not cancel safe.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let first = match self.ready.pop_front() {
            Some(ready) => ready,
            None => self.queue.recv().await?,
        };
        let mut waits_until = first.waits_until;
        self.gather(&first);
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
            self.gather(&next);
        }
        Some(self.gathered.split().freeze())
    }

    /// What [`next`](Self::next) gave last was written.
    pub(super) fn handle_written(&mut self) {
        self.backlog.handle_written(std::mem::take(&mut self.messages));
    }

    fn gather(&mut self, chunk: &Chunk) {
        self.gathered.extend_from_slice(&chunk.frames);
        if chunk.number > 0 {
            self.messages += chunk.frames.len();
            self.backlog.begun.fetch_max(chunk.number, Ordering::Relaxed);
        }
    }
}
