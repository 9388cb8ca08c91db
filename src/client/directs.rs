//! The numbers of directs (PROTOCOL 8.6, 12.2): each comes once.
//!
//! ```text
//!      told in HELLO             lost, as WELCOME says
//! 1 ... 7 | 8 9 10 | ......... | 14 15 |
//! dropped   follow   never come   follow
//! ```

use super::Surprise;

/// Which directs of a session came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Directs {
    /// The highest that came.
    seen: u64,
    /// The highest that an earlier connection has taken: up to it, some may come again.
    told: u64,
    /// First and last that will not come.
    lost: Option<(u64, u64)>,
}

impl Directs {
    /// Those of a session that is resumed.
    pub(super) const fn resumed(told: u64, lost: Option<(u64, u64)>) -> Self {
        Self { seen: told, told, lost }
    }

    /// The highest that came.
    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    /// A frame has `count` directs, of which this is the number of the first: how many of them were
    /// here before and are to be dropped.
    pub(super) fn handle(&mut self, first: u64, count: u64) -> Result<u64, Surprise> {
        if first == 0 {
            return Err(Surprise::DirectNumber { expected: self.seen + 1, found: 0 });
        }
        // All numbers are below 2^53, so that no sum overflows.
        let again = self.told.saturating_add(1).saturating_sub(first).min(count);
        if again > 0 && again == count {
            return Ok(count);
        }
        let (expected, found) = (self.seen + 1, first + again);
        let is_next = found == expected;
        let skips_lost = self.lost.is_some_and(|(from, to)| found > expected && from <= expected && found - 1 <= to);
        if !is_next && !skips_lost {
            return Err(Surprise::DirectNumber { expected, found });
        }
        self.seen = found + (count - again) - 1;
        Ok(again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directs_come_once_and_in_order() {
        /// Frames as (first, count), and what is dropped of each.
        fn check(mut directs: Directs, frames: &[(u64, u64)], expected: &[Option<u64>]) {
            let found: Vec<_> = frames.iter().map(|(first, count)| directs.handle(*first, *count).ok()).collect();
            assert_eq!(found, expected, "{frames:?}");
        }
        let new = Directs::default();
        check(new, &[(1, 2), (3, 1), (4, 0), (4, 1)], &[Some(0); 4]);
        check(new, &[(1, 1), (1, 1), (3, 1), (2, 1)], &[Some(0), None, None, Some(0)]);
        check(new, &[(0, 1)], &[None]);
        let resumed = Directs::resumed(7, None);
        check(resumed, &[(8, 1), (3, 2), (10, 1)], &[Some(0), Some(2), None]);
        check(resumed, &[(6, 4), (10, 1)], &[Some(2), Some(0)]);
        check(resumed, &[(8, 3), (7, 3)], &[Some(0), None]);
        let lossy = Directs::resumed(7, Some((8, 13)));
        check(lossy, &[(14, 2), (16, 1), (18, 1)], &[Some(0), Some(0), None]);
        check(lossy, &[(15, 1)], &[None]);
        check(lossy, &[(10, 1), (14, 1)], &[Some(0), Some(0)]);
        check(Directs::resumed(7, Some((10, 13))), &[(14, 1), (8, 2), (14, 1)], &[None, Some(0), Some(0)]);
    }
}
