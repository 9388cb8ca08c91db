//! A line between a client and the server: it delays, it tears frames apart, and it is cut.
//!
//! ```text
//! client ──duplex── up ───── delay, at most so many bytes ────> duplex ── server
//!        <───────── down <── delay, at most so many bytes ─────
//! ```
//!
//! Where either way has carried its bytes, the line is cut: what was on it is lost. The server may
//! learn of that later than the client.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::time::{Instant, sleep_until};

use super::chance::Chance;
use super::world::World;

/// What becomes of a line.
#[derive(Clone, Debug)]
pub struct Fate {
    /// Bytes that go up, and down, before it is cut.
    pub budgets: Option<[u64; 2]>,
    /// Milliseconds that a piece takes at most.
    pub slowest: u64,
    /// How long the server does not notice.
    pub unnoticed: Duration,
    /// Bytes of a piece at most.
    pub piece: u64,
}

impl Fate {
    /// A line that holds.
    pub const GOOD: Self = Self { budgets: None, slowest: 5, unnoticed: Duration::ZERO, piece: 1024 };

    /// A line that is cut somewhere: a third of them between hello and the answers to joins.
    pub fn bad(chance: &mut Chance) -> Self {
        let most = match chance.below(6) {
            0 => [60, 200],
            1 => [250, 400],
            2 => [1_000, 3_000],
            _ => [1_500, 12_000],
        };
        let unnoticed = if chance.percent(30) { chance.millis(1_500) } else { Duration::ZERO };
        let budgets = Some(most.map(|most| 1 + chance.below(most)));
        // Small pieces, or slow ones: a line that is both carries less than is said.
        let (slowest, piece) = if chance.percent(80) { (chance.below(20), 1_024) } else { (1, 60) };
        Self { budgets, slowest, unnoticed, piece: 1 + chance.below(piece) }
    }
}

/// How a direction came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// One of the two had nothing more to say.
    Said,
    Cut,
}

/// Both ends of a new line: the client's, and the server's.
pub fn line(fate: Fate, chance: &mut Chance, world: &Rc<World>) -> (DuplexStream, DuplexStream) {
    let [near, far] = [chance.next(), chance.next()].map(|width| 16 + usize::try_from(width % 8_192).unwrap());
    let ((client, client_side), (server_side, server)) = (duplex(near), duplex(far));
    let chances = [chance.next(), chance.next()].map(|seed| Chance::new(seed, 0));
    tokio::task::spawn_local(carry(client_side, server_side, fate, chances, Rc::clone(world)));
    (client, server)
}

async fn carry(client: DuplexStream, server: DuplexStream, fate: Fate, chances: [Chance; 2], world: Rc<World>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (split(client), split(server));
    let [up, down] = fate.budgets.map_or([None; 2], |budgets| budgets.map(Some));
    let [above, below] = chances;
    let end = tokio::select! {
        biased;
        end = pump(&mut from_client, &mut to_server, up, &fate, above, &world) => end,
        end = pump(&mut from_server, &mut to_client, down, &fate, below, &world) => end,
    };
    drop((from_client, to_client));
    if end == End::Cut {
        world.cut();
        sleep_until(Instant::now() + fate.unnoticed).await;
    }
}

async fn pump(
    from: &mut ReadHalf<DuplexStream>,
    to: &mut WriteHalf<DuplexStream>,
    mut budget: Option<u64>,
    fate: &Fate,
    mut chance: Chance,
    world: &World,
) -> End {
    let mut piece = vec![0; 1024];
    loop {
        let most = usize::try_from(1 + chance.below(fate.piece)).unwrap();
        let Ok(len @ 1..) = from.read(&mut piece[..most]).await else { return End::Said };
        let slowest = if world.is_settling() { 0 } else { fate.slowest };
        sleep_until(Instant::now() + chance.millis(slowest)).await;
        let left = budget.filter(|_| !world.is_settling()).unwrap_or(u64::MAX);
        let carried = len.min(usize::try_from(left).unwrap());
        if to.write_all(&piece[..carried]).await.is_err() {
            return End::Said;
        }
        budget = budget.map(|budget| budget.saturating_sub(carried as u64));
        if budget == Some(0) && !world.is_settling() {
            return End::Cut;
        }
    }
}
