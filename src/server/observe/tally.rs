//! What connections did, counted in plain numbers of whoever runs them.
//!
//! ```text
//! connection ──a turn──> tally of its worker, or of a row where it is a task ──asked──> scrape
//! ```

use std::ops::{AddAssign, Sub};

use crate::wire::Reason;

/// What the connections of one owner did so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct Tally {
    pub(in crate::server) flow: Flow,
    /// Connections that came, by transport.
    pub(in crate::server) came: ByTransport,
    /// Hellos that were accepted.
    pub(in crate::server) greeted: ByTransport,
    /// Connections that ended with a reason.
    pub(in crate::server) ended: ByReason,
    /// Connections that ended without one.
    pub(in crate::server) gone: u64,
    /// What sessions refused by themselves.
    pub(in crate::server) refused: ByReason,
}

/// What went through connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct Flow {
    pub(in crate::server) bytes_in: u64,
    pub(in crate::server) frames_in: u64,
    pub(in crate::server) bytes_out: u64,
    pub(in crate::server) frames_out: u64,
}

/// A count for each transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct ByTransport {
    pub(in crate::server) tcp: u64,
    pub(in crate::server) websocket: u64,
}

/// A count for each reason of the protocol, one for an application's, and one for the rest: whatever
/// peers and applications do, there are no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct ByReason([u64; Self::LEN]);

impl ByReason {
    const KNOWN: usize = Reason::ALL.len();
    const LEN: usize = Self::KNOWN + 2;

    pub(in crate::server) fn add(&mut self, reason: Reason) {
        let known = Reason::ALL.iter().position(|known| *known == reason);
        let rest = if matches!(reason.0, 900..=999) { Self::KNOWN } else { Self::KNOWN + 1 };
        self.0[known.unwrap_or(rest)] += 1;
    }

    /// Reasons and their counts. One stands for all of the application's, and one for the rest.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Reason, u64)> {
        let others = [Reason(900), Reason(u64::MAX)];
        Reason::ALL.iter().copied().chain(others).zip(self.0.iter().copied())
    }
}

impl Default for ByReason {
    fn default() -> Self {
        Self([0; Self::LEN])
    }
}

impl AddAssign<&Self> for ByReason {
    fn add_assign(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }
}

impl AddAssign for ByTransport {
    fn add_assign(&mut self, other: Self) {
        self.tcp += other.tcp;
        self.websocket += other.websocket;
    }
}

impl AddAssign for Flow {
    fn add_assign(&mut self, other: Self) {
        self.bytes_in += other.bytes_in;
        self.frames_in += other.frames_in;
        self.bytes_out += other.bytes_out;
        self.frames_out += other.frames_out;
    }
}

impl Sub for Flow {
    type Output = Self;

    /// What came since `before`.
    fn sub(self, before: Self) -> Self {
        Self {
            bytes_in: self.bytes_in - before.bytes_in,
            frames_in: self.frames_in - before.frames_in,
            bytes_out: self.bytes_out - before.bytes_out,
            frames_out: self.frames_out - before.frames_out,
        }
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        self.flow += other.flow;
        self.came += other.came;
        self.greeted += other.greeted;
        self.ended += &other.ended;
        self.gone += other.gone;
        self.refused += &other.refused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_count_and_strangers_share_one() {
        let mut counts = ByReason::default();
        for reason in Reason::ALL {
            counts.add(*reason);
        }
        for reason in [900, 950, 999, 0, 300, 1000, u64::MAX] {
            counts.add(Reason(reason));
        }
        let of = |reason| counts.iter().find(|(found, _)| *found == Reason(reason)).map(|(_, count)| count);
        assert!(Reason::ALL.iter().all(|reason| of(reason.0) == Some(1)));
        assert_eq!((of(900), of(u64::MAX), counts.iter().count()), (Some(3), Some(4), ByReason::LEN));
    }
}
