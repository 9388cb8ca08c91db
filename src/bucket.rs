//! A token bucket: so many at once, so many a second later.

use core::time::Duration;

use crate::time::Time;

/// Sixteen bytes a bucket; the clock is the caller's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Millionths of a token.
    tokens: u64,
    filled: Time,
}

const TOKEN: u64 = 1_000_000;

impl Bucket {
    pub(crate) fn full(burst: u32, now: Time) -> Self {
        Self { tokens: u64::from(burst) * TOKEN, filled: now }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, burst: u32, per_sec: u32, now: Time) -> bool {
        self.take_many(1, burst.into(), per_sec.into(), now).is_ok()
    }

    /// Takes so many tokens, if they are there.
    ///
    /// # Errors
    /// What is missing; the bucket keeps what it has.
    pub(crate) fn take_many(&mut self, count: u64, burst: u64, per_sec: u64, now: Time) -> Result<(), Missing> {
        self.fill(burst, per_sec, now);
        let wanted = count.saturating_mul(TOKEN);
        match self.tokens.checked_sub(wanted) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => {
                // What others have been given in advance comes in first.
                let ahead = self.filled.micros().saturating_sub(now.micros()).saturating_mul(per_sec);
                Err(Missing { tokens: (wanted - self.tokens).saturating_add(ahead), per_sec })
            }
        }
    }

    /// Gives what is missing in advance: nothing comes in until that is paid off.
    pub(crate) fn owe(&mut self, missing: Missing, now: Time) {
        self.tokens = 0;
        self.filled = now.after(missing.wait());
    }

    /// Takes all that there is: the caller waits for what is missing.
    pub(crate) const fn empty(&mut self) {
        self.tokens = 0;
    }

    /// Whole tokens that are there.
    #[cfg(any(feature = "server", test))]
    pub(crate) fn left(&mut self, burst: u64, per_sec: u64, now: Time) -> u64 {
        self.fill(burst, per_sec, now);
        self.tokens / TOKEN
    }

    fn fill(&mut self, burst: u64, per_sec: u64, now: Time) {
        let elapsed = now.micros().saturating_sub(self.filled.micros());
        // One token a second is one millionth of a token a microsecond.
        let gained = elapsed.saturating_mul(per_sec);
        self.tokens = self.tokens.saturating_add(gained).min(burst.saturating_mul(TOKEN));
        self.filled = self.filled.max(now);
    }
}

/// Tokens that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Millionths.
    tokens: u64,
    per_sec: u64,
}

impl Missing {
    /// When they will be there. An hour, where there are never more.
    pub(crate) fn wait(self) -> Duration {
        const LONGEST: Duration = Duration::from_secs(3600);
        match self.tokens.checked_div(self.per_sec) {
            // Rounded up: a moment too early, they are not there.
            Some(micros) => Duration::from_micros(micros.saturating_add(1)).min(LONGEST),
            None => LONGEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::full(2, Time::ZERO);
        let mut take = |millis: u64| bucket.take(2, 4, Time::from_micros(millis * 1000));
        assert_eq!([take(0), take(0), take(0)], [true, true, false]);
        assert_eq!([take(249), take(250), take(251)], [false, true, false]);
        assert_eq!([take(60_000), take(60_000), take(60_000)], [true, true, false]);
    }

    #[test]
    fn what_is_given_in_advance_is_paid_off_by_those_who_come_later() {
        let mut bucket = Bucket::full(1, Time::ZERO);
        let at = |millis: u64| Time::from_micros(millis * 1000);
        let mut wait = |millis| match bucket.take_many(1, 1, 10, at(millis)) {
            Ok(()) => 0,
            Err(missing) => {
                bucket.owe(missing, at(millis));
                missing.wait().as_millis()
            }
        };
        // A tenth of a second each, whoever comes.
        assert_eq!([wait(0), wait(0), wait(0), wait(50)], [0, 100, 200, 250]);
        assert_eq!([wait(500), wait(500)], [0, 100]);
    }

    #[test]
    fn what_is_missing_comes_in_time() {
        let mut bucket = Bucket::full(1000, Time::ZERO);
        let at = Time::from_micros;
        assert_eq!(bucket.take_many(1000, 1000, 500, at(0)), Ok(()));
        let missing = bucket.take_many(250, 1000, 500, at(0)).unwrap_err();
        assert_eq!(missing.wait(), Duration::from_micros(500_001));
        assert!(bucket.take_many(250, 1000, 500, at(499_999)).is_err());
        assert_eq!(bucket.take_many(250, 1000, 500, at(500_001)), Ok(()));
        assert_eq!(bucket.left(1000, 500, at(10_000_000)), 1000);
        // More than the bucket holds never comes; nothing overflows.
        assert!(bucket.take_many(u64::MAX, 1000, 0, at(10_000_000)).unwrap_err().wait() == Duration::from_secs(3600));
        bucket.empty();
        assert_eq!(bucket.left(1000, 0, at(20_000_000)), 0);
    }
}
