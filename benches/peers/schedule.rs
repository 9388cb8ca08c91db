//! When the next of evenly spread acts is due: an open loop, which does not wait for the server.

use super::clock::SECOND;

/// Acts at a fixed rate from a start.
#[derive(Debug)]
pub(crate) struct Schedule {
    start: u64,
    /// Nanoseconds between acts.
    gap: f64,
    made: u64,
}

impl Schedule {
    /// `rate` acts a second from `start` on; none where the rate is 0.
    pub(crate) fn new(start: u64, rate: f64) -> Self {
        Self { start, gap: if rate > 0.0 { SECOND as f64 / rate } else { f64::INFINITY }, made: 0 }
    }

    /// Takes the next act if it is due at `now`, and says how late it is.
    pub(crate) fn take(&mut self, now: u64) -> Option<u64> {
        // From the start and not from the last act: rounding must not add up.
        let due = self.made as f64 * self.gap;
        if !due.is_finite() {
            return None;
        }
        let lag = now.checked_sub(self.start + due as u64)?;
        self.made += 1;
        Some(lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_keep_their_places_whenever_they_are_asked_for() {
        let mut schedule = Schedule::new(1000, 3.0);
        assert_eq!(schedule.take(999), None);
        assert_eq!(schedule.take(1000), Some(0));
        assert_eq!(schedule.take(1000), None);
        // Late by two acts: both are made, and each knows its lag.
        assert_eq!(schedule.take(SECOND), Some(SECOND - 1000 - SECOND / 3));
        assert_eq!(schedule.take(SECOND), Some(SECOND - 1000 - SECOND / 3 * 2));
        assert_eq!(schedule.take(SECOND), None);
    }

    #[test]
    fn a_second_holds_exactly_the_rate() {
        for rate in [0.5, 7.0, 2000.0, 99_999.0] {
            let mut schedule = Schedule::new(5, rate);
            let made = std::iter::from_fn(|| schedule.take(5 + 10 * SECOND - 1)).count();
            assert_eq!(made, (rate * 10.0) as usize);
        }
    }

    #[test]
    fn a_rate_of_0_is_never_due() {
        let mut schedule = Schedule::new(0, 0.0);
        assert_eq!(schedule.take(u64::MAX), None);
    }
}
