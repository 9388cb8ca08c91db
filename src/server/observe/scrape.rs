//! A scrape: every shard is asked for its numbers, by mail, and answers when its turn comes.
//!
//! ```text
//! scrape ──Mail::Observe──> shard ──Snapshot──> scrape, at most a second later
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::{ByReason, Histogram, Observe, Tally, lock};
use crate::dispatcher::{Counters, Volume};
use crate::server::Handle;
use crate::server::mailbox::Mail;
use crate::time::Time;

/// How long a shard may take to answer. 1 s: a scraper gives up after ten. What it said last stands in.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a shard has counted, and has now.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Snapshot {
    pub(in crate::server) counters: Counters,
    pub(in crate::server) volume: Volume,
    /// Of the connections of its worker.
    pub(in crate::server) tally: Tally,
    /// What the shard refused.
    pub(in crate::server) refused: ByReason,
    pub(in crate::server) ticks: Ticks,
    pub(in crate::server) rooms: usize,
    /// Sessions that are in a room.
    pub(in crate::server) sessions: usize,
    pub(in crate::server) kept_bytes: usize,
}

/// How a shard's ticks were.
#[derive(Clone, Debug)]
pub(in crate::server) struct Ticks {
    /// Microseconds from when a tick was due to when its flush began.
    pub(in crate::server) lag: Histogram,
    /// Microseconds of the flush, the writes of the worker's own connections included.
    pub(in crate::server) duration: Histogram,
    /// Frames that a tick made.
    pub(in crate::server) frames: Histogram,
}

impl Default for Ticks {
    fn default() -> Self {
        Self { lag: Histogram::new(), duration: Histogram::new(), frames: Histogram::new() }
    }
}

/// Somebody wants to know what a shard has counted.
#[derive(Debug)]
pub(in crate::server) struct Asked {
    reply: oneshot::Sender<Box<Snapshot>>,
    _owed: Owed,
}

impl Asked {
    pub(in crate::server) fn answer(self, snapshot: Box<Snapshot>) {
        // Whoever asked may have given up.
        let _late = self.reply.send(snapshot);
    }
}

/// At most one question waits in a mailbox, however long its shard is busy.
#[derive(Debug)]
struct Owed(Arc<AtomicBool>);

impl Drop for Owed {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Everything that a page of metrics is made of.
#[derive(Debug, Default)]
pub(super) struct Scrape {
    /// By shard.
    pub(super) shards: Vec<ShardScrape>,
    /// All connections together.
    pub(super) tally: Tally,
    pub(super) refused: ByReason,
    pub(super) counters: Counters,
    pub(super) volume: Volume,
    pub(super) ticks: Ticks,
    pub(super) outboxes: Outboxes,
    /// Shards that did not answer: their figures are older.
    pub(super) silent: u64,
    pub(super) connections: usize,
    pub(super) max_connections: usize,
    pub(super) sessions: usize,
    /// By cause.
    pub(super) turned_away: Vec<(&'static str, u64)>,
    pub(super) watchers: u64,
    /// Wrong keys of operators.
    pub(super) key_failures: u64,
    pub(super) ready: bool,
    pub(super) uptime: Duration,
}

/// What a shard has now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ShardScrape {
    pub(super) rooms: usize,
    pub(super) sessions: usize,
    pub(super) kept_bytes: usize,
    /// Mail that waits for it.
    pub(super) mailbox: usize,
}

/// What is queued for all peers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outboxes {
    pub(super) bytes: u64,
    pub(super) frames: u64,
    /// The fullest one.
    pub(super) largest: u64,
    /// How many are empty, and filled up to a quarter, a half, three quarters, and beyond.
    pub(super) filled: [u64; 5],
}

impl Outboxes {
    fn add(&mut self, bytes: usize, frames: usize, most: usize) {
        self.bytes += bytes as u64;
        self.frames += frames as u64;
        self.largest = self.largest.max(bytes as u64);
        // Above the bound is where the last rung of the ladder is; it counts as full.
        let quarter = bytes.saturating_mul(4).div_ceil(most.max(1)).min(self.filled.len() - 1);
        self.filled[quarter] += 1;
    }
}

/// Looks at everything. Cancel safe.
pub(super) async fn scrape(server: &Handle) -> Scrape {
    let observe = server.registry.observe();
    let surroundings = server.surroundings();
    let mailboxes = &surroundings.mailboxes;
    // It is never closed.
    let _one = observe.scraping.acquire().await;
    let depths: Vec<usize> = (0..observe.shards.len()).map(|shard| mailboxes.depth(shard)).collect();
    let mut scrape = Scrape { silent: ask_all(server).await, ..Scrape::default() };
    for (shard, mailbox) in observe.shards.iter().zip(depths) {
        scrape.add_shard(lock(&shard.last).as_deref(), mailbox);
    }
    for row in &observe.rows {
        scrape.tally += &lock(row);
    }
    let surroundings = server.surroundings();
    let limits = &surroundings.facts.limits;
    for (_, outbox) in server.registry.outboxes() {
        let charge = outbox.charged();
        scrape.outboxes.add(charge.bytes, charge.frames, limits.outbox_bytes);
    }
    scrape.add_server(server, observe);
    scrape
}

/// Whether every shard answers in time. Cancel safe.
pub(super) async fn answers(server: &Handle) -> bool {
    // It is never closed.
    let _one = server.registry.observe().scraping.acquire().await;
    ask_all(server).await == 0
}

/// Asks every shard. How many did not answer.
async fn ask_all(server: &Handle) -> u64 {
    let observe = server.registry.observe();
    let surroundings = server.surroundings();
    let mailboxes = &surroundings.mailboxes;
    let mut asked = Vec::with_capacity(observe.shards.len());
    for (index, shard) in observe.shards.iter().enumerate() {
        // It still owes an answer to somebody who has given up.
        if shard.owes.swap(true, Ordering::SeqCst) {
            continue;
        }
        let (reply, answer) = oneshot::channel();
        let question = Asked { reply, _owed: Owed(Arc::clone(&shard.owes)) };
        if mailboxes.send(index, Mail::Observe(question), Time::ZERO).is_ok() {
            asked.push((shard, answer));
        }
    }
    let mut silent = (observe.shards.len() - asked.len()) as u64;
    let deadline = Instant::now() + PATIENCE;
    for (shard, answer) in asked {
        // What is there already is taken, also after the deadline.
        match timeout_at(deadline, answer).await {
            Ok(Ok(snapshot)) => *lock(&shard.last) = Some(snapshot),
            Ok(Err(_)) | Err(_) => silent += 1,
        }
    }
    silent
}

impl Scrape {
    fn add_shard(&mut self, snapshot: Option<&Snapshot>, mailbox: usize) {
        let mut shard = ShardScrape { mailbox, ..ShardScrape::default() };
        if let Some(snapshot) = snapshot {
            shard.rooms = snapshot.rooms;
            shard.sessions = snapshot.sessions;
            shard.kept_bytes = snapshot.kept_bytes;
            self.tally += &snapshot.tally;
            self.refused += &snapshot.refused;
            self.counters += snapshot.counters;
            self.volume += snapshot.volume;
            self.ticks.lag += &snapshot.ticks.lag;
            self.ticks.duration += &snapshot.ticks.duration;
            self.ticks.frames += &snapshot.ticks.frames;
        }
        self.shards.push(shard);
    }

    fn add_server(&mut self, server: &Handle, observe: &Observe) {
        self.refused += &self.tally.refused.clone();
        self.connections = server.connections();
        self.max_connections = server.surroundings().facts.limits.max_connections;
        self.sessions = server.sessions();
        self.turned_away = server.rejections().entries().collect();
        self.watchers = observe.watchers.load(Ordering::Relaxed);
        self.key_failures = server.operators.failures();
        self.ready = observe.is_ready();
        self.uptime = server.surroundings().clock.now().since(Time::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outboxes_are_sorted_by_how_full_they_are() {
        let mut outboxes = Outboxes::default();
        for bytes in [0, 1, 25, 26, 50, 75, 76, 100, 300] {
            outboxes.add(bytes, 1, 100);
        }
        assert_eq!(outboxes.filled, [1, 2, 2, 1, 3]);
        assert_eq!((outboxes.bytes, outboxes.frames, outboxes.largest), (653, 9, 300));
    }
}
