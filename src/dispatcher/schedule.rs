//! When rooms flush: rooms of one period on one shard together, at edges taken from the clock.
//!
//! ```text
//! period p   |-------|-------|-------|        edges: offset + k * p
//! dirty rooms    r1 r2 ──────^ flush           a clean period sets no timer
//! ```

use super::{FEW, RoomIndex};
use crate::places::Places;
use crate::time::Time;

/// The rooms that have something to flush, by period.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    phases: Vec<Phase>,
}

#[derive(Debug)]
struct Phase {
    /// Microseconds; never zero.
    period: u64,
    /// Shards are offset against each other, so that they do not all write at once.
    offset: u64,
    due: Option<Time>,
    dirty: Vec<RoomIndex>,
}

impl Schedule {
    /// The edge at or before `now`: where a room of this period starts its ticks.
    pub(super) fn edge(&mut self, period: u64, shard: u32, shards: u32, now: Time) -> Time {
        let phase = self.phase(period, shard, shards);
        Time::from_micros(now.micros().saturating_sub(phase.offset) / period * period + phase.offset)
    }

    /// Puts a room down for the next edge after `now`. A room is put down once per flush.
    pub(super) fn push(&mut self, period: u64, shard: u32, shards: u32, room: RoomIndex, now: Time) {
        let phase = self.phase(period, shard, shards);
        phase.dirty.push(room);
        // After a stall the next edge is the next one from now: missed ticks do not pile up.
        let edge = now.micros().saturating_sub(phase.offset) / period * period + phase.offset;
        let next = Time::from_micros(if now.micros() < phase.offset { phase.offset } else { edge + period });
        phase.due.get_or_insert(next);
    }

    /// Lets go of a room that is no more before its tick.
    pub(super) fn remove(&mut self, room: RoomIndex) {
        for phase in &mut self.phases {
            phase.dirty.retain(|dirty| *dirty != room);
            if phase.dirty.is_empty() {
                phase.due = None;
            }
        }
    }

    /// The next edge at which something is to be flushed.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.phases.iter().filter_map(|phase| phase.due).min()
    }

    /// Moves the rooms that are due to `rooms`.
    pub(super) fn take_due(&mut self, now: Time, rooms: &mut Vec<RoomIndex>) {
        for phase in &mut self.phases {
            if phase.due.is_some_and(|due| now >= due) {
                phase.due = None;
                let used = phase.dirty.len();
                rooms.append(&mut phase.dirty);
                phase.dirty.give_back_after(used, FEW);
            }
        }
    }

    /// Nothing has happened for a while: gives places back.
    pub(super) fn rest(&mut self) {
        self.phases.iter_mut().for_each(|phase| phase.dirty.give_back(FEW));
    }

    /// Places of all lists of dirty rooms.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.phases.iter().map(|phase| phase.dirty.capacity()).sum()
    }

    /// Periods are the operator's, so they are few.
    fn phase(&mut self, period: u64, shard: u32, shards: u32) -> &mut Phase {
        let index = self.phases.iter().position(|phase| phase.period == period).unwrap_or_else(|| {
            let offset = period * u64::from(shard) / u64::from(shards.max(1));
            self.phases.push(Phase { period, offset, due: None, dirty: Vec::new() });
            self.phases.len() - 1
        });
        &mut self.phases[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_gives_one_flush_and_not_a_burst() {
        let mut schedule = Schedule::default();
        let at = |millis: u64| Time::from_micros(millis * 1000);
        schedule.push(50_000, 0, 1, RoomIndex(0), at(10));
        assert_eq!(schedule.deadline(), Some(at(50)));
        let mut rooms = Vec::new();
        schedule.take_due(at(49), &mut rooms);
        assert!(rooms.is_empty());
        schedule.take_due(at(5_020), &mut rooms);
        assert_eq!((rooms.len(), schedule.deadline()), (1, None));
        schedule.push(50_000, 0, 1, RoomIndex(0), at(5_020));
        assert_eq!(schedule.deadline(), Some(at(5_050)));
    }

    #[test]
    fn shards_are_offset() {
        let mut schedule = Schedule::default();
        let at = |millis: u64| Time::from_micros(millis * 1000);
        assert_eq!(schedule.edge(50_000, 1, 2, at(60)), at(25));
        schedule.push(50_000, 1, 2, RoomIndex(0), at(60));
        assert_eq!(schedule.deadline(), Some(at(75)));
        let mut early = Schedule::default();
        early.push(50_000, 1, 2, RoomIndex(0), at(3));
        assert_eq!(early.deadline(), Some(at(25)));
    }
}
