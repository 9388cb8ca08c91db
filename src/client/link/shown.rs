//! Which part of a batch was shown before its connection broke, so that it is not shown again (clients/SPEC.md 4).
//!
//! ```text
//! first connection    | a | b | c | d |            a batch: a, b and c were shown
//! second connection   | a | b | c | d | e |        it comes whole: d and e are news
//! ```

use crate::wire::Position;

/// How much of the batch under way was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    position: Position,
    /// Records that were shown, of each kind, on any connection.
    shown: Counts,
    /// Records that came, on this connection.
    came: Counts,
}

/// Records of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    events: usize,
    presence: usize,
}

impl Counts {
    const fn of(&mut self, is_presence: bool) -> &mut usize {
        if is_presence { &mut self.presence } else { &mut self.events }
    }
}

impl Shown {
    /// A frame of events or presence came with so many records: how many of them were shown before. Behind the
    /// last frame of a batch, the next batch is another.
    pub(super) fn handle_frame(&mut self, position: Position, is_presence: bool, records: usize, more: bool) -> usize {
        if position != self.position {
            *self = Self { position, ..Self::default() };
        }
        let came = self.came.of(is_presence);
        let before = *came;
        *came += records;
        let (came, shown) = (*came, self.shown.of(is_presence));
        let again = shown.saturating_sub(before).min(records);
        *shown = came.max(*shown);
        if !more {
            *self = Self::default();
        }
        again
    }

    /// Another connection: what was shown comes again.
    pub(super) fn handle_joined(&mut self) {
        self.came = Counts::default();
    }

    /// Another life of the room.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_shown_in_part_goes_on_where_it_broke_off() {
        let (mut shown, at) = (Shown::default(), Position(5));
        assert_eq!(shown.handle_frame(Position(4), false, 9, false), 0);
        assert_eq!(shown.handle_frame(at, true, 1, true), 0);
        assert_eq!(shown.handle_frame(at, false, 3, true), 0);
        // Breaks twice, the second time before what had been shown.
        shown.handle_joined();
        assert_eq!(shown.handle_frame(at, true, 1, true), 1);
        assert_eq!(shown.handle_frame(at, false, 2, true), 2);
        shown.handle_joined();
        assert_eq!(shown.handle_frame(at, true, 1, true), 1);
        assert_eq!(shown.handle_frame(at, false, 4, true), 3);
        assert_eq!(shown.handle_frame(at, false, 1, true), 0);
        assert_eq!(shown.handle_frame(at, true, 2, false), 0, "those who left");
        assert_eq!(shown.handle_frame(Position(6), false, 2, false), 0);
        assert_eq!(shown, Shown::default());
    }

    #[test]
    fn another_batch_is_news() {
        let mut shown = Shown::default();
        assert_eq!(shown.handle_frame(Position(5), false, 3, true), 0);
        shown.handle_joined();
        assert_eq!(shown.handle_frame(Position(8), false, 3, false), 0, "behind a gap");
        assert_eq!(shown.handle_frame(Position(9), false, 3, true), 0);
        shown.forget();
        assert_eq!(shown.handle_frame(Position(9), false, 3, false), 0, "in another life");
    }
}
