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
}
