//! Whether it is worth to compress this room's batches: packed numbers mostly do not shrink, and a
//! try costs several microseconds.
//!
//! ```text
//! try ──smaller──> try the next one too
//!  └──not──> after some in a row: leave out MISSED, then try again
//! ```

/// What the last tries gave.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deflation {
    /// Tries in a row that gave nothing.
    misses: u8,
    /// Batches to leave out.
    wait: u8,
}

impl Deflation {
    /// Tries in a row without use before some are left out. 8: half a second of the default period.
    const MISSES: u8 = 8;
    /// Batches left out then. 64: so a try costs little, and a room that changes is seen in seconds.
    const MISSED: u8 = 64;

    /// Whether to try with this batch.
    pub(super) const fn is_due(&mut self) -> bool {
        if self.wait == 0 {
            return true;
        }
        self.wait -= 1;
        false
    }

    /// A batch of `plain` bytes has become `deflated` bytes. It was of use from a tenth on.
    pub(super) const fn handle(&mut self, plain: usize, deflated: usize) {
        if deflated <= plain - plain / 10 {
            self.misses = 0;
        } else if self.misses < Self::MISSES {
            self.misses += 1;
        } else {
            self.wait = Self::MISSED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_shrink_is_tried_seldom() {
        let mut deflation = Deflation::default();
        let mut tries = |shrinks: bool| {
            let tried = deflation.is_due();
            if tried {
                deflation.handle(1000, if shrinks { 500 } else { 950 });
            }
            u32::from(tried)
        };
        let tried: u32 = (0..1000).map(|_| tries(false)).sum();
        assert_eq!(tried, 9 + 15);
        let tried: u32 = (0..1000).map(|_| tries(true)).sum();
        assert!(tried > 900);
    }
}
