//! How often something took how much, in buckets of powers of two.
//!
//! ```text
//! value     0 1 | 2 | 3 4 | 5 .. 8 | 9 .. 16 | ...
//! bucket     0    1    2      3        4
//! ```

use std::ops::AddAssign;

/// Counts by size. Plain numbers of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Histogram {
    counts: [u64; Self::BUCKETS],
    sum: u64,
}

impl Histogram {
    /// Buckets; the last one takes the rest. 33: microseconds up to an hour.
    const BUCKETS: usize = 33;

    pub(in crate::server) const fn new() -> Self {
        Self { counts: [0; Self::BUCKETS], sum: 0 }
    }

    /// Counts a value.
    pub(in crate::server) fn record(&mut self, value: u64) {
        // The smallest power of two that is no less.
        let power = u64::BITS - value.saturating_sub(1).leading_zeros();
        let bucket = (power as usize).min(Self::BUCKETS - 1);
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// Values so far.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All values together.
    pub(super) const fn sum(&self) -> u64 {
        self.sum
    }

    /// What came since `before`, an earlier state of the same counts.
    #[cfg(feature = "console")]
    pub(super) fn since(&self, before: &Self) -> Self {
        let mut since = *self;
        since.counts.iter_mut().zip(before.counts).for_each(|(count, less)| *count = count.saturating_sub(less));
        since.sum = since.sum.saturating_sub(before.sum);
        since
    }

    /// The value that so large a share of all is at most, about: values are taken to be spread evenly over
    /// their bucket. `None` where there are none.
    #[cfg(feature = "console")]
    pub(super) fn quantile(&self, share: f64) -> Option<u64> {
        let wanted = self.count() as f64 * share;
        let mut before = 0.0;
        for (power, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if before + count >= wanted {
                let (low, high) =
                    if power == 0 { (0.0, 1.0) } else { (2_f64.powi(power as i32 - 1), 2_f64.powi(power as i32)) };
                return Some((low + (high - low) * (wanted - before) / count) as u64);
            }
            before += count;
        }
        None
    }

    /// What the largest value was at most. `None` where there are none.
    #[cfg(feature = "console")]
    pub(super) fn most(&self) -> Option<u64> {
        self.counts.iter().rposition(|count| *count > 0).map(|power| 1 << power)
    }

    /// Values of at most `2^power`.
    pub(super) fn up_to(&self, power: usize) -> u64 {
        self.counts.iter().take(power + 1).sum()
    }
}

impl AddAssign<&Self> for Histogram {
    fn add_assign(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum = self.sum.saturating_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_at_most_its_power_of_two() {
        let mut histogram = Histogram::new();
        for value in [0, 1, 2, 3, 4, 5, 8, 9, u64::MAX] {
            histogram.record(value);
        }
        assert_eq!([0, 1, 2, 3, 4].map(|power| histogram.up_to(power)), [2, 3, 5, 7, 8]);
        assert_eq!((histogram.count(), histogram.up_to(40), histogram.sum()), (9, 9, u64::MAX));
        let mut twice = histogram;
        twice += &histogram;
        assert_eq!((twice.count(), twice.up_to(0)), (18, 4));
    }

    #[cfg(feature = "console")]
    #[test]
    fn quantiles_lie_within_their_bucket() {
        let mut histogram = Histogram::new();
        assert_eq!((histogram.quantile(0.5), histogram.most()), (None, None));
        for _ in 0..98 {
            histogram.record(10);
        }
        let before = histogram;
        histogram.record(1000);
        histogram.record(100_000);
        assert_eq!(
            (histogram.quantile(0.49), histogram.quantile(0.98), histogram.quantile(0.99)),
            (Some(12), Some(16), Some(1024))
        );
        assert_eq!(histogram.most(), Some(131_072));
        let since = histogram.since(&before);
        assert_eq!((since.count(), since.sum(), since.quantile(0.5)), (2, 101_000, Some(1024)));
    }
}
