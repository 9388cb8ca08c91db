//! When something of a recording is due.

use std::time::Duration;

use tokio::time::Instant;

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Speed {
    /// So many times as fast as it was recorded.
    Times(f64),
    /// As fast as the server takes.
    Max,
}

/// Reads a speed.
pub(super) fn speed(text: &str) -> Result<Speed, String> {
    match (text, text.parse()) {
        ("max", _) => Ok(Speed::Max),
        (_, Ok(0.0)) => Ok(Speed::Max),
        (_, Ok(times)) if (0.001..=1000.0).contains(&times) => Ok(Speed::Times(times)),
        _ => Err("write a factor from 0.001 to 1000, or max".into()),
    }
}

/// The times of a recording, laid onto the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    speed: Speed,
    /// The first time, in microseconds, and its moment.
    first: u64,
    start: Instant,
}

impl Pace {
    pub(super) const fn new(speed: Speed, first: u64, start: Instant) -> Self {
        Self { speed, first, start }
    }

    /// The moment of a time; `None` where it has none, or one beyond what the clock can show.
    pub(super) fn due(&self, time: u64) -> Option<Instant> {
        let Speed::Times(times) = self.speed else { return None };
        // From the first and not from the last one, so that errors do not add up. Times that go back
        // are due at once.
        let micros = time.saturating_sub(self.first) as f64 / times;
        // Above what fits, it saturates; that is longer than anybody waits.
        self.start.checked_add(Duration::from_micros(micros as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_factors_or_max() {
        assert_eq!(speed("1"), Ok(Speed::Times(1.0)));
        assert_eq!(speed("0.5"), Ok(Speed::Times(0.5)));
        assert_eq!(speed("0"), Ok(Speed::Max));
        assert_eq!(speed("max"), Ok(Speed::Max));
        for wrong in ["", "-1", "NaN", "inf", "fast", "0.0001", "1001"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_due_follows_from_the_first_time_and_the_speed() {
        let start = Instant::now();
        let check = |speed, time, expected: Option<u64>| {
            let due = Pace::new(speed, 1_000_000, start).due(time);
            assert_eq!(due, expected.map(|micros| start + Duration::from_micros(micros)), "{speed:?} {time}");
        };
        check(Speed::Times(1.0), 1_000_000, Some(0));
        check(Speed::Times(1.0), 1_250_000, Some(250_000));
        check(Speed::Times(2.0), 1_250_000, Some(125_000));
        check(Speed::Times(0.5), 1_250_000, Some(500_000));
        check(Speed::Times(1.0), 0, Some(0));
        check(Speed::Max, 5_000_000, None);
    }
}
