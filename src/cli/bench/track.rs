//! The order in which one sender's messages reached one receiver.

/// What a sequence number says about its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is the next one, or a later one.
    Fresh,
    /// It was skipped before.
    Late,
    /// It was here before, or so long ago that nobody knows.
    Again,
}

/// Sequence numbers seen: all up to `next`, as far as the last 64 of them are concerned.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Track {
    next: u32,
    /// Bit `i` is the number `next - 1 - i`.
    seen: u64,
}

impl Track {
    /// The number after the highest that was seen.
    pub(super) const fn next(&self) -> u32 {
        self.next
    }

    pub(super) fn observe(&mut self, sequence: u32) -> Arrival {
        if let Some(skipped) = sequence.checked_sub(self.next) {
            self.seen = self.seen.checked_shl(skipped.saturating_add(1)).unwrap_or(0) | 1;
            self.next = sequence.saturating_add(1);
            return Arrival::Fresh;
        }
        let bit = 1_u64.checked_shl(self.next - 1 - sequence).unwrap_or(0);
        if bit == 0 || self.seen & bit != 0 {
            return Arrival::Again;
        }
        self.seen |= bit;
        Arrival::Late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arrival::{Again, Fresh, Late};

    #[test]
    fn losses_repeats_and_reordering_are_told_apart() {
        let check = |sequences: &[u32], expected: &[Arrival]| {
            let mut track = Track::default();
            let found: Vec<Arrival> = sequences.iter().map(|sequence| track.observe(*sequence)).collect();
            assert_eq!(found, expected, "{sequences:?}");
        };
        check(&[0, 1, 2], &[Fresh, Fresh, Fresh]);
        check(&[0, 0, 1, 0], &[Fresh, Again, Fresh, Again]);
        check(&[0, 2, 1, 1, 3], &[Fresh, Fresh, Late, Again, Fresh]);
        check(&[5, 0, 5, 4, 6], &[Fresh, Late, Again, Late, Fresh]);
        check(&[63, 0, 64, 0], &[Fresh, Late, Fresh, Again]);
        check(&[1000, 999, 1], &[Fresh, Late, Again]);
        check(&[u32::MAX], &[Fresh]);
    }
}
