//! Between two samples (clients/SPEC.md 7): what is drawn now is what was a little ago.
//!
//! ```text
//! samples   x ───── x ───── x
//! drawn         ^ now - delay         beyond the last one it holds
//! ```

use std::collections::VecDeque;

/// What can be between two of its kind.
pub trait Interpolate: Clone {
    /// What lies at `part` of the way, from 0 to 1.
    #[must_use]
    fn between(&self, other: &Self, part: f64) -> Self;
}

impl Interpolate for f64 {
    fn between(&self, other: &Self, part: f64) -> Self {
        self + (other - self) * part
    }
}

impl<const N: usize> Interpolate for [f64; N] {
    fn between(&self, other: &Self, part: f64) -> Self {
        let mut between = *self;
        for (value, other) in between.iter_mut().zip(other) {
            *value = value.between(other, part);
        }
        between
    }
}

/// Samples of one thing, by ticks or any other time.
///
/// ```
/// use tickwire::client::link::Interpolation;
///
/// let mut x = Interpolation::new(2.0);
/// x.push(10.0, 100.0);
/// x.push(11.0, 110.0);
/// assert_eq!(x.at(12.5), Some(105.0)); // as of 10.5
/// assert_eq!(x.at(99.0), Some(110.0)); // holds
/// ```
#[derive(Clone, Debug)]
pub struct Interpolation<T> {
    delay: f64,
    /// By ascending time.
    samples: VecDeque<(f64, T)>,
}

/// Samples kept. 64: three seconds of a room at 20 ticks a second.
const MOST: usize = 64;

impl<T: Interpolate> Interpolation<T> {
    /// Shows what was this long ago; two periods of the room hide one batch that is late.
    #[must_use]
    pub const fn new(delay: f64) -> Self {
        Self { delay, samples: VecDeque::new() }
    }

    /// Takes a sample. One that is not newer than the last, or whose time is no number, is skipped.
    pub fn push(&mut self, time: f64, value: T) {
        if !time.is_finite() || self.samples.back().is_some_and(|(last, _)| *last >= time) {
            return;
        }
        if self.samples.len() >= MOST {
            self.samples.pop_front();
        }
        self.samples.push_back((time, value));
    }

    /// What to show now. None before the first sample.
    #[must_use]
    pub fn at(&self, now: f64) -> Option<T> {
        let time = now - self.delay;
        let next = self.samples.partition_point(|(sampled, _)| *sampled <= time);
        let (_, after) = self.samples.get(next).or_else(|| self.samples.back())?;
        let Some((before_time, before)) = next.checked_sub(1).and_then(|before| self.samples.get(before)) else {
            return Some(after.clone());
        };
        let Some((after_time, after)) = self.samples.get(next) else { return Some(before.clone()) };
        Some(before.between(after, (time - before_time) / (after_time - before_time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_lies_between_its_samples() {
        let mut samples = Interpolation::new(1.0);
        assert_eq!(samples.at(0.0), None);
        samples.push(2.0, [10.0, 0.0]);
        assert_eq!(samples.at(0.0), Some([10.0, 0.0]), "before the first");
        samples.push(4.0, [20.0, -4.0]);
        samples.push(3.0, [99.0, 99.0]);
        samples.push(f64::NAN, [99.0, 99.0]);
        for (now, expected) in [(3.0, [10.0, 0.0]), (4.0, [15.0, -2.0]), (4.5, [17.5, -3.0]), (9.0, [20.0, -4.0])] {
            assert_eq!(samples.at(now), Some(expected), "{now}");
        }
    }

    #[test]
    fn samples_are_bounded() {
        let mut samples = Interpolation::new(0.0);
        for time in 0..1000 {
            samples.push(f64::from(time), f64::from(time));
        }
        assert_eq!((samples.samples.len(), samples.at(0.0)), (MOST, Some(936.0)));
    }
}
