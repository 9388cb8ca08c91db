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
    /// The edge of a flush that is not written yet.
    flushed: Option<Time>,
    /// The first edge that has passed while a flush was written.
    missed: Option<Time>,
}

impl Schedule {
    /// The edge at or before `now`: where a room of this period starts its ticks.
    pub(super) fn edge(&mut self, period: u64, shard: u32, shards: u32, now: Time) -> Time {
        self.phase(period, shard, shards).edge(now)
    }

    /// Puts a room down for the next edge after `now`. A room is put down once per flush.
    pub(super) fn push(&mut self, period: u64, shard: u32, shards: u32, room: RoomIndex, now: Time) {
        let phase = self.phase(period, shard, shards);
        phase.dirty.push(room);
        // After a stall the next edge is the next one from now: missed ticks do not pile up.
        let edge = phase.edge(now);
        let next = if now < edge { edge } else { phase.after(edge) };
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
                phase.flushed = Some(phase.edge(now));
                phase.missed = None;
                let used = phase.dirty.len();
                rooms.append(&mut phase.dirty);
                phase.dirty.give_back_after(used, FEW);
            }
        }
    }

    /// What was flushed is written now.
    pub(super) fn handle_written(&mut self, now: Time) {
        for phase in &mut self.phases {
            let next = phase.flushed.take().map(|edge| phase.after(edge));
            phase.missed = next.filter(|next| *next <= now).or(phase.missed);
        }
    }

    /// Rooms that were put down since a flush that took longer than their period are due: waiting for the next edge, they
    /// would have as much to send again, and be late again, for as long as it goes on.
    pub(super) fn catch_up(&mut self) {
        for phase in &mut self.phases {
            let missed = phase.missed.take().filter(|_| !phase.dirty.is_empty());
            phase.due = missed.or(phase.due);
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
            self.phases.push(Phase { period, offset, due: None, dirty: Vec::new(), flushed: None, missed: None });
            self.phases.len() - 1
        });
        &mut self.phases[index]
    }
}

impl Phase {
    /// The edge at or before `now`, or the first one.
    fn edge(&self, now: Time) -> Time {
        Time::from_micros(now.micros().saturating_sub(self.offset) / self.period * self.period + self.offset)
    }

    /// The edge after another.
    fn after(&self, edge: Time) -> Time {
        Time::from_micros(edge.micros() + self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_gives_one_flush_and_not_a_burst() {
        let mut schedule = Schedule::default();
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
        assert_eq!(schedule.edge(50_000, 1, 2, at(60)), at(25));
        schedule.push(50_000, 1, 2, RoomIndex(0), at(60));
        assert_eq!(schedule.deadline(), Some(at(75)));
        let mut early = Schedule::default();
        early.push(50_000, 1, 2, RoomIndex(0), at(3));
        assert_eq!(early.deadline(), Some(at(25)));
    }

    const fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    /// A room was flushed at 50 ms, and that was written at `until`.
    fn written(until: u64) -> Schedule {
        let mut schedule = Schedule::default();
        schedule.push(50_000, 0, 1, RoomIndex(0), at(10));
        schedule.take_due(at(50), &mut Vec::new());
        schedule.handle_written(at(until));
        schedule
    }

    #[test]
    fn an_edge_that_passes_while_a_flush_is_written_is_made_up_for_once() {
        let mut schedule = written(102);
        schedule.push(50_000, 0, 1, RoomIndex(1), at(102));
        assert_eq!(schedule.deadline(), Some(at(150)), "not before what has come is read");
        schedule.catch_up();
        assert_eq!(schedule.deadline(), Some(at(100)), "as late as it is");
        let mut rooms = Vec::new();
        schedule.take_due(at(103), &mut rooms);
        assert_eq!(rooms, [RoomIndex(1)]);
        schedule.handle_written(at(105));
        schedule.push(50_000, 0, 1, RoomIndex(2), at(106));
        schedule.catch_up();
        assert_eq!(schedule.deadline(), Some(at(150)), "the schedule is kept");
    }

    #[test]
    fn a_flush_that_is_written_in_time_changes_nothing() {
        let mut schedule = written(99);
        schedule.push(50_000, 0, 1, RoomIndex(1), at(99));
        schedule.catch_up();
        assert_eq!(schedule.deadline(), Some(at(100)));
    }

    #[test]
    fn where_nothing_has_come_meanwhile_nothing_is_made_up_for() {
        let mut schedule = written(102);
        schedule.catch_up();
        schedule.push(50_000, 0, 1, RoomIndex(1), at(103));
        schedule.catch_up();
        assert_eq!(schedule.deadline(), Some(at(150)));
    }

    #[test]
    fn several_edges_that_were_missed_are_one() {
        let mut schedule = written(260);
        schedule.push(50_000, 0, 1, RoomIndex(1), at(260));
        schedule.catch_up();
        assert_eq!(schedule.deadline(), Some(at(100)));
        schedule.take_due(at(261), &mut Vec::new());
        schedule.push(50_000, 0, 1, RoomIndex(2), at(262));
        schedule.handle_written(at(263));
        schedule.catch_up();
        assert_eq!(schedule.deadline(), Some(at(300)));
    }
}
