//! How a server ends: rooms come to rest, clients are told when to come back, and who stays is closed
//! (PROTOCOL 6.9).
//!
//! ```text
//! SIGTERM        notices                deadline   restarted
//!    ├─ rooms ─────┤                       │           │
//!    │  flush and  ├─ clients leave ───────┤           ├─ slot ─ slot ─ slot ─ slot ──>
//!    │  take no    │                       │           │    in the order of a shuffle
//!    │  more       └── drain_timeout ──────┴─ restart ─┴── clients / rate ────────────
//! ```
//!
//! What a shard read before it was told leaves before the notice, so a notice names the last position of
//! each room; whatever comes after it is refused. Slots begin when the server is back for certain, however
//! long a deaf client holds it up: nobody finds the door closed.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::mailbox::Mail;
use super::outbox::GoingAway;
use super::{Handle, random};
use crate::command::SessionId;
use crate::limits::Limits;
use crate::session::Ending;
use crate::time::{Time, micros};
use crate::wire::{Reason, put_varint};

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

/// Brings rooms to rest, tells everyone, waits, and closes who stayed.
pub(super) async fn run(handle: &Handle) {
    let surroundings = handle.surroundings();
    let limits = &surroundings.facts.limits;
    let deadline = Instant::now() + limits.drain_timeout;
    let mut positions = bring_to_rest(handle, deadline).await;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let rate = handle.registry.handshake_cost().per_second(cores);
    let back = deadline + limits.drain_restart;
    let slots = |clients| Slots::new(back, clients, rate);
    let mut outboxes = handle.registry.go_away(|clients| Latecomers { slots: slots(clients), next: clients, deadline });
    let slots = slots(outboxes.len());
    if !outboxes.is_empty() {
        let (clients, left) = (outboxes.len(), limits.drain_timeout.as_secs_f32());
        let (first, window) = (left + limits.drain_restart.as_secs_f32(), slots.window.as_secs_f32());
        info!(
            "going away: {clients} connections have {left} s to leave, and return {first} s from now over {window} s ({rate} a second)"
        );
    }
    shuffle(&mut outboxes);
    let mut told = HashMap::with_capacity(outboxes.len());
    let now = Instant::now();
    for (index, (session, outbox)) in outboxes.into_iter().enumerate() {
        let slot = slots.at(index);
        let positions = positions.remove(&session).unwrap_or_default();
        outbox.go_away(notice(slot, deadline, positions.into(), now));
        told.insert(session, slot);
    }
    drop(positions);
    if timeout_at(deadline, handle.registry.emptied()).await.is_ok() {
        return;
    }
    close_the_rest(handle, &told, slots).await;
}

/// Every shard flushes its rooms and takes nothing more. For each session: its rooms and where they end.
async fn bring_to_rest(handle: &Handle, deadline: Instant) -> HashMap<SessionId, Vec<u8>> {
    let surroundings = handle.surroundings();
    let Limits { max_frame, .. } = surroundings.facts.limits;
    let mailboxes = &surroundings.mailboxes;
    // Every shard is told before one is waited for.
    let asked = (0..mailboxes.len()).filter_map(|shard| {
        let (reply, answer) = oneshot::channel();
        mailboxes.send(shard, Mail::GoAway(reply), Time::ZERO).ok()?;
        Some(answer)
    });
    let asked: Vec<_> = asked.collect();
    let mut positions: HashMap<SessionId, Vec<u8>> = HashMap::new();
    for answer in asked {
        match timeout_at(deadline, answer).await {
            Ok(Ok(finals)) => {
                for (session, room, position) in finals {
                    let told = positions.entry(session).or_default();
                    put_varint(room.0, told);
                    put_varint(position.0, told);
                }
            }
            // A shard that died has taken its rooms along.
            Ok(Err(_)) => {}
            Err(_) => warn!("a shard was too busy to bring its rooms to rest before the deadline"),
        }
    }
    // PROTOCOL 6.9: they may be left out; the notice must fit a frame.
    positions.retain(|_, told| told.len() <= max_frame / 2);
    positions
}

/// It is the deadline.
async fn close_the_rest(handle: &Handle, told: &HashMap<SessionId, Instant>, slots: Slots) {
    let now = Instant::now();
    for (late, (session, outbox)) in (told.len()..).zip(handle.registry.outboxes()) {
        let slot = told.get(&session).copied().unwrap_or_else(|| slots.at(late));
        let reconnect = Some(millis(slot.saturating_duration_since(now)));
        outbox.end(Ending { reconnect, ..Ending::because(Reason::GOING_AWAY) });
    }
    // Half of the time for a restart is the next process's: who is deaf to CLOSE is left behind.
    let surroundings = handle.surroundings();
    let limits = &surroundings.facts.limits;
    let closing = limits.discard_timeout.min(limits.drain_restart / 2).max(SHORTEST_CLOSING);
    let _rest = timeout_at(now + closing, handle.registry.emptied()).await;
}

/// When clients come back: one after the other, at even distances.
#[derive(Clone, Copy, Debug)]
struct Slots {
    first: Instant,
    window: Duration,
    clients: u32,
}

/// For CLOSE to leave, where no time for a restart is asked for. 100 ms: a few round trips.
const SHORTEST_CLOSING: Duration = Duration::from_millis(100);

/// Over which even a few clients are spread. 1 s.
const SHORTEST_WINDOW: Duration = Duration::from_secs(1);

impl Slots {
    /// So many clients, of whom so many can be greeted a second.
    fn new(first: Instant, clients: usize, rate: u64) -> Self {
        let clients = u32::try_from(clients).unwrap_or(u32::MAX).max(1);
        let window = Duration::from_micros(u64::from(clients) * 1_000_000 / rate.max(1));
        Self { first, window: window.max(SHORTEST_WINDOW), clients }
    }

    /// The slot of the client with this number; numbers beyond the clients go on behind them.
    fn at(&self, index: usize) -> Instant {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.first + Duration::from_secs_f64(self.window.as_secs_f64() * f64::from(index) / f64::from(self.clients))
    }
}

/// What those are told who come while the server is going away: slots of their own, behind the others.
#[derive(Debug)]
pub(super) struct Latecomers {
    slots: Slots,
    next: usize,
    deadline: Instant,
}

impl Latecomers {
    /// What the next one is told.
    pub(super) fn next(&mut self, now: Instant) -> GoingAway {
        let slot = self.slots.at(self.next);
        self.next += 1;
        notice(slot, self.deadline, Box::default(), now)
    }
}

fn notice(slot: Instant, deadline: Instant, positions: Box<[u8]>, now: Instant) -> GoingAway {
    let until = |then: Instant| millis(then.saturating_duration_since(now));
    GoingAway { reconnect: until(slot), closes: until(deadline), positions }
}

/// Milliseconds, rounded up: nobody is early.
fn millis(duration: Duration) -> u64 {
    micros(duration).div_ceil(1000)
}

/// Slots have nothing to do with rooms or the order of coming, so that no room comes back in one go.
fn shuffle<T>(list: &mut [T]) {
    let mut seed = random();
    for index in (1..list.len()).rev() {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let other = (seed >> 33) % (index as u64 + 1);
        list.swap(index, usize::try_from(other).unwrap_or(index));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slots_are_even_over_the_window_and_latecomers_come_behind() {
        let first = Instant::now() + Duration::from_secs(3);
        let slots = Slots::new(first, 5000, 1000);
        let mut seconds = [0_u32; 5];
        for index in 0..5000 {
            let second = (slots.at(index) - first).as_secs();
            seconds[usize::try_from(second).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|count| (999..=1001).contains(count)), "{seconds:?}");
        let mut late = Latecomers { slots, next: 5000, deadline: first };
        let now = first - Duration::from_secs(3);
        let told = [late.next(now), late.next(now)].map(|notice| (notice.reconnect, notice.closes));
        assert_eq!(told, [(8000, 3000), (8001, 3000)]);
        // A few are spread too, and nobody at all divides nothing.
        assert_eq!(Slots::new(first, 2, 1000).at(1), first + Duration::from_millis(500));
        assert_eq!(Slots::new(first, 0, 0).at(0), first);
    }

    #[test]
    fn a_shuffle_loses_nobody() {
        let mut list: Vec<u32> = (0..1000).collect();
        shuffle(&mut list);
        assert!(list.windows(2).filter(|pair| pair[0] < pair[1]).count() < 700, "{list:?}");
        list.sort_unstable();
        assert!(list.into_iter().eq(0..1000));
    }
}
