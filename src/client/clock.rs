//! The server's clock as a client sees it (PROTOCOL 9).
//!
//! ```text
//! client  t0 ─────────────────────────────── t3      round trip = (t3 - t0) - (sent - received)
//!            \                              /
//! server      received ──────────────── sent         offset = ((received - t0) + (sent - t3)) / 2
//! ```

use std::time::Duration;

use tokio::time::Instant;

/// What one question and its answer tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How long both ways took together.
    pub round_trip: Duration,
    /// What to add to this client's time for server time, in microseconds. It is wrong by at most
    /// half the difference of the two ways.
    pub offset: i64,
}

impl Sample {
    /// From four times in microseconds, or `None` where they cannot be true. All are below 2^53.
    pub(super) fn new(asked: u64, received: u64, sent: u64, heard: u64) -> Option<Self> {
        let took = heard.checked_sub(asked)?;
        let held = sent.checked_sub(received)?;
        let round_trip = Duration::from_micros(took.checked_sub(held)?);
        let [asked, received, sent, heard] = [asked, received, sent, heard].map(|time| i64::try_from(time).ok());
        Some(Self { round_trip, offset: ((received? - asked?) + (sent? - heard?)) / 2 })
    }
}

/// The server's clock: the best of the last samples, the first of which is hello itself.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Instant,
    id: u32,
    /// The newest last.
    samples: [Option<Sample>; Self::SAMPLES],
}

impl Clock {
    /// How many samples compete. 8: the best of them went through short queues both ways, and the
    /// oldest is not so old that clocks have drifted.
    const SAMPLES: usize = 8;

    pub(super) const fn new(start: Instant) -> Self {
        Self { start, id: 0, samples: [None; Self::SAMPLES] }
    }

    pub(super) fn handle_sample(&mut self, id: u32, sample: Sample) {
        // PROTOCOL 6.2: another number means another clock.
        if id != self.id {
            self.id = id;
            self.samples = [None; Self::SAMPLES];
        }
        self.samples.rotate_left(1);
        if let Some(last) = self.samples.last_mut() {
            *last = Some(sample);
        }
    }

    /// The sample with the shortest round trip among the last ones.
    #[must_use]
    pub fn best(&self) -> Option<Sample> {
        self.samples.iter().flatten().min_by_key(|sample| sample.round_trip).copied()
    }

    /// The shortest round trip among the last samples.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.best().map(|sample| sample.round_trip)
    }

    /// Server time at `moment`, in microseconds; `None` where it lies before the server's start.
    #[must_use]
    pub fn server_time(&self, moment: Instant) -> Option<u64> {
        let own = u64::try_from(moment.checked_duration_since(self.start)?.as_micros()).ok()?;
        own.checked_add_signed(self.best()?.offset)
    }

    /// This client's own time now, as it stands in its pings.
    pub(super) fn now(&self) -> u64 {
        micros_since(self.start)
    }
}

/// Microseconds from `start` until now.
pub(super) fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A question and its answer over simulated ways: how long each takes and how long the server held
    /// it, in microseconds.
    #[derive(Clone, Copy, Debug)]
    struct Exchange {
        asked: u64,
        there: u64,
        held: u64,
        back: u64,
    }

    impl Exchange {
        /// What a client makes of it whose clock is behind the server's by `offset`.
        fn sample(self, offset: i64) -> Sample {
            let received = (self.asked + self.there).checked_add_signed(offset).unwrap();
            let heard = self.asked + self.there + self.held + self.back;
            Sample::new(self.asked, received, received + self.held, heard).unwrap()
        }

        /// Half the difference of the two ways, and a microsecond for rounding.
        const fn bound(self) -> u64 {
            self.there.abs_diff(self.back) / 2 + 1
        }
    }

    fn exchange() -> impl Strategy<Value = Exchange> {
        // Up to 2 s each way, and half a minute in the server; asked within 30 years.
        let times = (1_u64 << 40..1 << 50, 0_u64..2_000_000, 0_u64..30_000_000, 0_u64..2_000_000);
        times.prop_map(|(asked, there, held, back)| Exchange { asked, there, held, back })
    }

    proptest! {
        #[test]
        fn an_offset_is_wrong_by_at_most_half_the_asymmetry(
            exchange in exchange(),
            offset in -(1_i64 << 40)..1 << 52,
        ) {
            let sample = exchange.sample(offset);
            prop_assert!(sample.offset.abs_diff(offset) <= exchange.bound());
            prop_assert_eq!(sample.round_trip, Duration::from_micros(exchange.there + exchange.back));
        }

        #[test]
        fn the_clock_is_as_right_as_its_best_sample(
            exchanges in proptest::collection::vec(exchange(), 1..20),
            offset in -(1_i64 << 40)..1 << 52,
        ) {
            let start = Instant::now();
            let mut clock = Clock::new(start);
            for exchange in &exchanges {
                clock.handle_sample(1, exchange.sample(offset));
            }
            let last = &exchanges[exchanges.len().saturating_sub(Clock::SAMPLES)..];
            let best = last.iter().min_by_key(|exchange| exchange.there + exchange.back).unwrap();
            let found = clock.best().unwrap();
            prop_assert_eq!(found.round_trip, Duration::from_micros(best.there + best.back));
            prop_assert!(found.offset.abs_diff(offset) <= best.bound());
            // Nothing can be more asymmetric than all of its round trip.
            prop_assert!(best.bound() <= (best.there + best.back) / 2 + 1);
            if let Some(now) = clock.server_time(start + Duration::from_secs(1)) {
                prop_assert!(now.abs_diff(1_000_000_u64.saturating_add_signed(offset)) <= best.bound());
            }
        }
    }

    #[test]
    fn a_sample_follows_the_formula_of_the_protocol() {
        // 16.4 of PROTOCOL.md, heard 400 us after it was asked.
        let sample = Sample::new(5000, 60_100_000, 60_100_012, 5400).unwrap();
        assert_eq!(sample.round_trip, Duration::from_micros(388));
        assert_eq!(sample.offset, 60_094_806);
    }

    #[test]
    fn impossible_times_are_no_sample() {
        assert_eq!(Sample::new(10, 0, 0, 9), None, "answered before it was asked");
        assert_eq!(Sample::new(0, 5, 4, 9), None, "sent before it was received");
        assert_eq!(Sample::new(0, 0, 10, 9), None, "held for longer than it took");
        let end = (1 << 53) - 1;
        assert!(Sample::new(0, end, end, end).is_some());
        assert!(Sample::new(end, 0, 0, end).is_some());
    }

    #[test]
    fn the_shortest_round_trip_wins_until_it_is_old() {
        let mut clock = Clock::new(Instant::now());
        let sample = |micros| Sample { round_trip: Duration::from_micros(micros), offset: 0 };
        clock.handle_sample(1, sample(5));
        for _ in 1..Clock::SAMPLES {
            clock.handle_sample(1, sample(9));
        }
        assert_eq!(clock.best(), Some(sample(5)));
        clock.handle_sample(1, sample(8));
        assert_eq!(clock.best(), Some(sample(8)));
        clock.handle_sample(2, sample(20));
        assert_eq!(clock.best(), Some(sample(20)), "another clock");
    }
}
