//! Sockets that are cut at random, in simulated time: what is promised to those who come back
//! (PROTOCOL 12.1 to 12.3).
//!
//! ```text
//! world    the server, the clients, the recorder, and when they do what
//! line     what is between a client and the server: delays, torn frames, cuts
//! client   a client by the book, without socket and clock      room   its view of a room
//! judge    what must hold in the end
//! ```
//!
//! A run is decided by its seed, which is told when it fails. `TICKWIRE_SEEDS` runs so many more.

mod chance;
mod client;
mod judge;
mod line;
mod room;
mod world;

use std::time::Duration;

use tickwire::class::{HistoryBounds, RoomClasses};
use tickwire::limits::Limits;

use self::client::Phase;
use self::world::{Outcome, Plan, run};

/// Pauses are far below the grace and what history keeps.
fn inside(seed: u64, cuts: usize) -> Plan {
    let limits = limits(Duration::from_secs(30));
    let mut classes = RoomClasses::default();
    // So much that also a client that is cut a dozen times before it has caught up finds all of it.
    classes.default.history = HistoryBounds { batches: 8_192, bytes: 8 << 20, age: Duration::from_secs(300) };
    Plan { seed, cuts, limits, classes, longest_pause: 2_000, longest_silence: 1_000, slow_lines: false }
}

/// Pauses may be above the grace, and history is short.
fn outside(seed: u64, cuts: usize) -> Plan {
    let mut limits = limits(Duration::from_secs(2));
    limits.max_unconfirmed = 3;
    let mut classes = RoomClasses::default();
    classes.default.history = HistoryBounds { batches: 12, bytes: 4_096, age: Duration::from_secs(3) };
    Plan { seed, cuts, limits, classes, longest_pause: 6_000, longest_silence: 1_000, slow_lines: false }
}

/// Some lines are too slow for what they are sent.
fn slow(seed: u64, cuts: usize) -> Plan {
    let mut plan = outside(seed, cuts);
    let limits = &mut plan.limits;
    (limits.max_message, limits.max_presence_data, limits.max_frame, limits.max_hello_frame) =
        (1_024, 16, 2_048, 2_048);
    limits.max_token = 1_024;
    (limits.max_batch, limits.outbox_bytes, limits.low_water, limits.ping_bytes) = (4_096, 27_500, 2_048, 1_024);
    Plan { slow_lines: true, longest_silence: 250, ..plan }
}

fn limits(grace: Duration) -> Limits {
    let mut limits = Limits::default();
    limits.grace = grace;
    // A number is one client's for the whole run, so that a direct to who has left reaches nobody else.
    limits.number_quarantine = Duration::from_secs(1 << 20);
    // Those who come back a hundred times, and send what must be refused, would meet them.
    (limits.joins_burst, limits.refusals_burst) = (100_000, 100_000);
    limits
}

/// How many more seeds than usual.
fn more() -> u64 {
    std::env::var("TICKWIRE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(0)
}

#[test]
fn inside_the_window_nothing_is_lost_repeated_or_reordered() {
    let outcome = run(inside(1, 1_000));
    outcome.check_lossless();
    let events: usize = outcome.clients[0].rooms.iter().flat_map(|room| room.heard.values()).map(Vec::len).sum();
    let directs: usize = outcome.clients.iter().map(|client| client.directs.len()).sum();
    assert!(outcome.cuts.values().sum::<usize>() >= 1_000);
    for phase in [Phase::Greeting, Phase::Joining, Phase::Open, Phase::Frame, Phase::Batch] {
        assert!(outcome.cuts[&phase] >= 5, "few cuts in {phase:?}: {:?}", outcome.cuts);
    }
    assert!(events > 1_000 && directs > 300, "under load: {events}, {directs}");
}

#[test]
fn other_seeds_find_nothing_either() {
    for seed in 2..5 + more() {
        run(inside(seed, 200)).check_lossless();
    }
}

#[test]
fn outside_the_window_it_is_always_told() {
    let (mut fresh, mut gaps, mut directs) = (0, 0, 0);
    for seed in 1..4 + more() {
        let outcome = run(outside(seed, 250));
        outcome.check();
        let clients = &outcome.clients[1..];
        fresh += clients.iter().map(|client| client.welcomes[0] - 1).sum::<usize>();
        gaps += clients.iter().flat_map(|client| &client.rooms).map(|room| room.lost.len()).sum::<usize>();
        directs += clients.iter().map(|client| client.lost_directs).sum::<u64>();
    }
    assert!(fresh > 20 && gaps > 20 && directs > 0, "it is told: {fresh} {gaps} {directs}");
}

#[test]
fn those_on_slow_lines_are_told_what_they_lost() {
    let (mut gaps, mut skipped) = (0, 0);
    for seed in 1..4 + more() {
        let outcome = run(slow(seed, 100));
        outcome.check();
        gaps += outcome.counters.gaps;
        skipped += outcome.counters.skipped;
    }
    assert!(gaps > 5 && skipped > 5, "few gaps: {gaps}, {skipped}");
}

#[test]
fn a_seed_repeats_itself() {
    let trace = |outcome: &Outcome| {
        let rooms = outcome.clients.iter().flat_map(|client| client.rooms.clone().into_iter().map(|room| room.heard));
        (rooms.collect::<Vec<_>>(), outcome.cuts.clone(), outcome.took)
    };
    let (one, other) = (run(inside(77, 60)), run(inside(77, 60)));
    assert_eq!(trace(&one), trace(&other));
}
