//! A token bucket: so many at once, so many a second later.

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
        let elapsed = now.micros().saturating_sub(self.filled.micros());
        // One token a second is one millionth of a token a microsecond.
        let gained = elapsed.saturating_mul(per_sec.into());
        self.tokens = self.tokens.saturating_add(gained).min(u64::from(burst) * TOKEN);
        self.filled = now;
        let enough = self.tokens >= TOKEN;
        if enough {
            self.tokens -= TOKEN;
        }
        enough
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
}
