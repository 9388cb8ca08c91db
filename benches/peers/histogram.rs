//! Latencies in buckets three per cent wide, with the exact maximum.
//!
//! ```text
//! value  1 x x x x x . . . .      the highest bit chooses the octave, the five below it the bucket
//! ```

/// Counts of nanoseconds.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; 64 * PER_OCTAVE], count: 0, max: 0 }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, value: u64) {
        self.buckets[bucket(value)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// The value that this share of all are not above, to 1.6 per cent; 1 is the exact maximum, 0 of nothing is 0.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        if share >= 1.0 || self.count == 0 {
            return self.max;
        }
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            below += count;
            if below >= wanted {
                return middle(index).min(self.max);
            }
        }
        self.max
    }
}

const PER_OCTAVE: usize = 32;

/// Where a value is counted. Below 32 ns is one bucket: no clock here is that good.
fn bucket(value: u64) -> usize {
    let value = value.max(32);
    let octave = value.ilog2();
    octave as usize * PER_OCTAVE + ((value >> (octave - 5)) & 31) as usize
}

fn middle(index: usize) -> u64 {
    let (octave, step) = (index / PER_OCTAVE, (index % PER_OCTAVE) as u64);
    let start = u128::from(32 + step) << octave >> 5;
    u64::try_from(start + (1 << octave >> 6)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_near_the_middle_of_its_bucket() {
        for value in (32..1_000_000).step_by(7).chain([u64::MAX / 3, u64::MAX]) {
            let off = middle(bucket(value)).abs_diff(value);
            assert!(off as f64 <= value as f64 * 0.016 + 1.0, "{value} is off by {off}");
        }
    }

    #[test]
    fn quantiles_split_as_they_say() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        (1..=1000).for_each(|n| histogram.add(n * 1000));
        let near = |share, value: f64| (histogram.quantile(share) as f64 / value - 1.0).abs() < 0.02;
        assert!(near(0.5, 500_000.0) && near(0.99, 990_000.0) && near(0.001, 1000.0));
        assert_eq!(histogram.quantile(1.0), 1_000_000);
        assert!(histogram.quantile(0.9999) <= 1_000_000);
    }
}
