//! What an operator sees of a server: counters and gauges, whether it is ready, who left, and a room's
//! events over HTTP.
//!
//! ```text
//! worker ──its own plain counters──┐
//! worker ──────────────────────────┼──asked by mail──> scrape ──> /metrics
//! tasks ───rows, one lock each─────┘                     ^
//! outboxes, registry, mailboxes ──looked at──────────────┘
//! ```
//!
//! Nobody counts in memory that others write: a worker counts for itself, and is asked for its numbers
//! by mail, as for anything else. So nothing is paid for while nobody asks.

mod access;
pub(super) mod admin;
mod escaped;
#[cfg(feature = "console")]
mod figures;
mod histogram;
pub(super) mod json;
mod metrics;
mod scrape;
mod sse;
pub(super) mod tally;
mod text;
pub(super) mod visitor;
mod watch;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use tokio::sync::Semaphore;

use self::access::Access;
pub(super) use self::access::Leaving;
#[cfg(feature = "console")]
pub(super) use self::figures::Figures;
pub(super) use self::histogram::Histogram;
pub(super) use self::scrape::{Asked, Snapshot, Ticks};
#[cfg(feature = "api")]
pub(super) use self::sse::read_id;
pub(super) use self::tally::{ByReason, Flow, Tally};

use super::Handle;

#[expect(clippy::disallowed_types, reason = "a row is locked for some additions, once a turn of a connection")]
type Lock<T> = std::sync::Mutex<T>;

/// What a server tells of itself, beside what its shards count.
#[derive(Debug)]
pub(super) struct Observe {
    /// Whether the server is going away.
    stopping: AtomicBool,
    /// What connections count that are tasks. Several, so that tasks seldom meet.
    rows: Box<[Lock<Tally>]>,
    /// Watchers of rooms over HTTP.
    watchers: AtomicU64,
    pub(super) access: Access,
    /// One scrape at a time.
    scraping: Semaphore,
    /// What each shard said last, and whether it still owes an answer.
    shards: Box<[Shard]>,
}

/// A shard, as scrapes see it.
#[derive(Debug, Default)]
struct Shard {
    last: Lock<Option<Box<Snapshot>>>,
    owes: Arc<AtomicBool>,
}

impl Observe {
    pub(super) fn new(shards: u32, access: u64) -> Arc<Self> {
        Arc::new(Self {
            stopping: AtomicBool::new(false),
            rows: (0..shards).map(|_| Lock::default()).collect(),
            watchers: AtomicU64::new(0),
            access: Access::new(access),
            scraping: Semaphore::new(1),
            shards: (0..shards).map(|_| Shard::default()).collect(),
        })
    }

    /// The server is going away.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether new clients should come here.
    pub(super) fn is_ready(&self) -> bool {
        !self.stopping.load(Ordering::SeqCst)
    }

    /// Counts for a connection that is a task: `turn` chooses its row.
    pub(super) fn count(&self, turn: u64, count: impl FnOnce(&mut Tally)) {
        let row = turn.checked_rem(self.rows.len() as u64).and_then(|row| usize::try_from(row).ok());
        if let Some(row) = row.and_then(|row| self.rows.get(row)) {
            count(&mut lock(row));
        }
    }
}

/// The page of metrics.
pub(super) async fn metrics(server: &Handle) -> String {
    metrics::page(&scrape::scrape(server).await)
}

/// Whether every shard answers.
pub(super) async fn answers(server: &Handle) -> bool {
    scrape::answers(server).await
}

/// Nothing under these locks panics; should it, what they hold is still whole.
fn lock<T>(lock: &Lock<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
