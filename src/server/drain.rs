//! How a server ends: it says so, waits for its clients, and closes who stayed (PROTOCOL 6.9).

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::info;

use super::{Handle, random};
use crate::session::Ending;
use crate::time::micros;
use crate::wire::Reason;

/// Whether the server is to end.
#[derive(Debug, Default)]
pub(super) struct Drain {
    wanted: watch::Sender<bool>,
}

impl Drain {
    /// From now on it is.
    pub(super) fn begin(&self) {
        self.wanted.send_replace(true);
    }

    /// Waits until it is. Cancel safe.
    pub(super) async fn wanted(&self) {
        let mut wanted = self.wanted.subscribe();
        // The sender is ours: it lives as long as this.
        let _there = wanted.wait_for(|wanted| *wanted).await;
    }
}

/// Tells everyone, waits, and closes who stayed (PROTOCOL 6.9).
pub(super) async fn run(handle: &Handle) {
    let limits = &handle.surroundings.facts.limits;
    let closes = micros(limits.drain_timeout) / 1000;
    handle.registry.tell_latecomers(RESTART + SHORTEST_SLOPE, closes);
    let outboxes = handle.registry.outboxes();
    if !outboxes.is_empty() {
        info!("going away: {} connections have {} s to leave", outboxes.len(), limits.drain_timeout.as_secs());
    }
    // A slope: so many clients that each millisecond brings back one, the server's own restart ahead.
    let slots = (outboxes.len() as u64).max(SHORTEST_SLOPE);
    let mut seed = random();
    for outbox in &outboxes {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        outbox.go_away(RESTART + (seed >> 33) % slots, closes);
    }
    if timeout(limits.drain_timeout, handle.registry.emptied()).await.is_ok() {
        return;
    }
    for outbox in handle.registry.outboxes() {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let reconnect = Some(RESTART + (seed >> 33) % slots);
        outbox.end(Ending { reconnect, ..Ending::because(Reason::GOING_AWAY) });
    }
    // A closing takes at most so long; the second more is for the tasks to be scheduled.
    let closing = limits.discard_timeout + Duration::from_secs(1);
    let _rest = timeout(closing, handle.registry.emptied()).await;
}

/// Milliseconds over which even a few clients are spread.
const SHORTEST_SLOPE: u64 = 1000;

/// Milliseconds that a restart takes: nobody should come back before.
const RESTART: u64 = 500;
