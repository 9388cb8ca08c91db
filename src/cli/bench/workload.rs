//! What is sent, by whom and to whom.
//!
//! ```text
//! arena    one room, everyone sends and receives        ticker   one sends, everyone else receives
//! lobbies  many small arenas                            fan-in   everyone sends, one receives
//! idle     many connections in small rooms, silent
//! ```

use clap::ValueEnum;

/// The workloads, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// One room of 100 members; each sends 32 bytes 20 times a second
    Arena,
    /// One sender of 128 bytes 100 times a second, 1000 receivers
    Ticker,
    /// 100 rooms of 10 members; each sends 32 bytes 20 times a second
    Lobbies,
    /// 1000 senders of 16 bytes 10 times a second, one receiver
    FanIn,
    /// 5000 connections in rooms of 10, silent
    Idle,
}

/// What flags may change of a scenario.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changes {
    /// Messages per second of one sender.
    pub(super) rate: Option<f64>,
    /// Those who are many: members of a room, receivers, senders, or idle connections.
    pub(super) members: Option<usize>,
    /// Bytes of a message.
    pub(super) payload: Option<usize>,
}

/// A scenario with its numbers.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) peers: Vec<Role>,
    /// Who sends, in the order of sending; numbers are indices of `peers`.
    pub(super) senders: Vec<usize>,
    /// Messages per second of one sender.
    pub(super) rate: f64,
    pub(super) payload: usize,
    /// Senders of each room.
    pub(super) senders_per_room: usize,
    /// Receivers of each message, the sender included where it receives.
    pub(super) receivers: usize,
}

/// One connection's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) room: usize,
    /// Its place among the senders of its room.
    pub(super) sends: Option<usize>,
    pub(super) receives: bool,
}

impl Workload {
    pub(super) fn new(scenario: Scenario, changes: Changes) -> Self {
        let (members, rate, payload) = match scenario {
            Scenario::Arena => (100, 20.0, 32),
            Scenario::Ticker => (1000, 100.0, 128),
            Scenario::Lobbies => (10, 20.0, 32),
            Scenario::FanIn => (1000, 10.0, 16),
            Scenario::Idle => (5000, 0.0, 32),
        };
        let members = changes.members.unwrap_or(members);
        let rate = if scenario == Scenario::Idle { 0.0 } else { changes.rate.unwrap_or(rate) };
        let payload = changes.payload.unwrap_or(payload);
        match scenario {
            Scenario::Arena => Self::rooms(1, members, rate, payload),
            Scenario::Lobbies => Self::rooms(100, members, rate, payload),
            Scenario::Idle => Self::idle(members, payload),
            Scenario::Ticker => Self::split(1, members, rate, payload),
            Scenario::FanIn => Self::split(members, 1, rate, payload),
        }
    }

    /// Rooms whose members send and receive.
    fn rooms(rooms: usize, members: usize, rate: f64, payload: usize) -> Self {
        let count = rooms * members;
        let role = |index| Role { room: index / members, sends: Some(index % members), receives: true };
        // Consecutive messages go to different rooms and members: 37 shares no factor with most sizes.
        let step = if count.is_multiple_of(37) { 1 } else { 37 };
        Self {
            peers: (0..count).map(role).collect(),
            senders: (0..count).map(|index| index * step % count).collect(),
            rate,
            payload,
            senders_per_room: members,
            receivers: members,
        }
    }

    /// One room, in which nobody does both.
    fn split(senders: usize, receivers: usize, rate: f64, payload: usize) -> Self {
        let role = |index| Role { room: 0, sends: (index < senders).then_some(index), receives: index >= senders };
        Self {
            peers: (0..senders + receivers).map(role).collect(),
            senders: (0..senders).collect(),
            rate,
            payload,
            senders_per_room: senders,
            receivers,
        }
    }

    fn idle(connections: usize, payload: usize) -> Self {
        let role = |index| Role { room: index / 10, sends: None, receives: true };
        Self {
            peers: (0..connections).map(role).collect(),
            senders: Vec::new(),
            rate: 0.0,
            payload,
            senders_per_room: 0,
            receivers: 10,
        }
    }

    /// Messages per second of all senders.
    pub(super) fn messages_per_sec(&self) -> f64 {
        self.rate * self.senders.len() as f64
    }

    /// Deliveries per second that are asked for.
    pub(super) fn offered_per_sec(&self) -> f64 {
        self.messages_per_sec() * self.receivers as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_have_their_sizes() {
        let check = |scenario, peers: usize, offered: f64| {
            let workload = Workload::new(scenario, Changes::default());
            assert_eq!(workload.peers.len(), peers, "{scenario:?}");
            assert!((workload.offered_per_sec() - offered).abs() < 1e-6, "{scenario:?}");
        };
        check(Scenario::Arena, 100, 200_000.0);
        check(Scenario::Ticker, 1001, 100_000.0);
        check(Scenario::Lobbies, 1000, 200_000.0);
        check(Scenario::FanIn, 1001, 10_000.0);
        check(Scenario::Idle, 5000, 0.0);
    }

    #[test]
    fn every_sender_has_its_turn() {
        for members in [1, 2, 37, 74, 100] {
            let changes = Changes { members: Some(members), ..Changes::default() };
            let mut senders = Workload::new(Scenario::Arena, changes).senders;
            senders.sort_unstable();
            assert_eq!(senders, (0..members).collect::<Vec<_>>());
        }
    }
}
