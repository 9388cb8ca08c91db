//! Who has come to the relay since the reset, when, and until when.
//!
//! ```text
//! connection 0   came ──────── ended
//! connection 1                   └─ wait 0 ─> came ──── ended
//!                     told of its slot ───────┘ early, or late
//! ```

use std::time::Duration;

use tokio::time::Instant;

use super::line::Notice;

/// Connections, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Visits {
    all: Vec<Visit>,
    /// Those beyond what is remembered.
    more: usize,
    /// When a client was told of its slot, and that.
    slot: Option<(Instant, Instant)>,
}

/// A connection.
#[derive(Clone, Copy, Debug)]
struct Visit {
    came: Instant,
    ended: Option<Instant>,
}

/// Connections that are remembered. 10,000: a client that does nothing but connect makes some hundred a second.
const MOST: usize = 10_000;

impl Visits {
    /// One has come. Its number.
    pub(super) fn come(&mut self, now: Instant) -> usize {
        let number = self.count();
        if self.all.len() < MOST {
            self.all.push(Visit { came: now, ended: None });
        } else {
            self.more += 1;
        }
        number
    }

    /// What a line tells.
    pub(super) fn handle(&mut self, notice: Notice) {
        match notice {
            Notice::Ended(number, now) => {
                if let Some(visit) = self.all.get_mut(number) {
                    // The first of both sides counts.
                    visit.ended.get_or_insert(now);
                }
            }
            Notice::Slot { told, slot } => self.slot = Some((told, slot)),
        }
    }

    /// All that are there end now.
    pub(super) fn all_end(&mut self, now: Instant) {
        for visit in &mut self.all {
            visit.ended.get_or_insert(now);
        }
    }

    /// How many have come.
    pub(super) const fn count(&self) -> usize {
        self.all.len() + self.more
    }

    /// The time between the end of one and the coming of the next. `None` where that has not come; 0 where it came
    /// before the end.
    pub(super) fn wait(&self, of: usize) -> Option<Duration> {
        let next = self.all.get(of + 1)?;
        let ended = self.all.get(of)?.ended;
        Some(ended.map_or(Duration::ZERO, |ended| next.came.saturating_duration_since(ended)))
    }

    /// How early, and how late, the last connection came for the slot that was told. `None` where none was told, or
    /// nobody has come since.
    pub(super) fn slot(&self) -> Option<(Duration, Duration)> {
        let ((told, slot), last) = (self.slot?, self.all.last()?.came);
        (last > told).then(|| (slot.saturating_duration_since(last), last.saturating_duration_since(slot)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_between_an_end_and_the_next_coming() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut visits = Visits::default();
        assert_eq!((visits.come(at(0)), visits.wait(0)), (0, None));
        visits.handle(Notice::Ended(0, at(100)));
        visits.handle(Notice::Ended(0, at(120)));
        assert_eq!((visits.wait(0), visits.count()), (None, 1));
        assert_eq!(visits.come(at(700)), 1);
        assert_eq!(visits.wait(0), Some(Duration::from_millis(600)), "the first of both ends counts");
        assert_eq!(visits.come(at(800)), 2);
        assert_eq!(visits.wait(1), Some(Duration::ZERO), "it has not ended");
        visits.all_end(at(900));
        assert_eq!((visits.come(at(950)), visits.wait(2)), (3, Some(Duration::from_millis(50))));
    }

    #[test]
    fn a_slot_is_kept_by_who_comes_after_it_was_told() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut visits = Visits::default();
        visits.come(at(0));
        assert_eq!(visits.slot(), None, "nobody was told");
        visits.handle(Notice::Slot { told: at(100), slot: at(1100) });
        assert_eq!(visits.slot(), None, "nobody has come since");
        visits.come(at(1090));
        assert_eq!(visits.slot(), Some((Duration::from_millis(10), Duration::ZERO)));
        visits.come(at(1150));
        assert_eq!(visits.slot(), Some((Duration::ZERO, Duration::from_millis(50))));
    }
}
