//! Messages of which it is not known yet that they were accepted (PROTOCOL 12.3).
//!
//! ```text
//! sent ──> | n+1 | n+2 asks | n+3 | ... |  ──accepted n+2──> gone
//! ```
//!
//! A message asks that it be accepted at once when a quarter of what may be kept was sent since the
//! last one that asked. So where no place is left, one that asks is always on its way.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::wire::header::flags;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) bytes: usize,
    pub(super) messages: usize,
}

impl Bounds {
    /// Bounds below which one message could leave no place for one that asks: four of the largest frames.
    pub(super) const LEAST: Self = Self { bytes: 256 * 1024, messages: 16 };

    pub(super) fn new(bytes: usize, messages: usize) -> Self {
        Self { bytes: bytes.max(Self::LEAST.bytes), messages: messages.max(Self::LEAST.messages) }
    }
}

/// The messages, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Unaccepted {
    /// None where accepted numbers were not negotiated: nothing is kept.
    keep: Option<Bounds>,
    accepted: u64,
    kept: VecDeque<Kept>,
    bytes: usize,
    /// Sent since the last that asked.
    since_bytes: usize,
    since_messages: usize,
}

#[derive(Clone, Debug)]
struct Kept {
    number: u64,
    /// The whole frame.
    frame: Bytes,
}

impl Unaccepted {
    /// What a kept message costs beside its bytes. 64: its place in the queue, and its allocation.
    const OVERHEAD: usize = 64;

    pub(super) const fn new(keep: Option<Bounds>) -> Self {
        Self { keep, accepted: 0, kept: VecDeque::new(), bytes: 0, since_bytes: 0, since_messages: 0 }
    }

    /// Whether messages are kept at all.
    pub(super) const fn keeps(&self) -> bool {
        self.keep.is_some()
    }

    /// From now on, so much is kept. What is kept already stays.
    pub(super) const fn set_bounds(&mut self, keep: Option<Bounds>) {
        self.keep = keep;
    }

    /// The highest accepted number.
    pub(super) const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Whether a frame of so many bytes has a place. Where there is none yet, anything has.
    pub(super) fn has_place(&self, len: usize) -> bool {
        let Some(keep) = self.keep else { return true };
        let bytes = self.bytes.saturating_add(len).saturating_add(Self::OVERHEAD);
        self.kept.is_empty() || (bytes <= keep.bytes && self.kept.len() < keep.messages)
    }

    /// Whether the next frame, of so many bytes, is to ask.
    pub(super) fn asks_after(&self, len: usize) -> bool {
        let Some(keep) = self.keep else { return false };
        let bytes = self.since_bytes.saturating_add(len).saturating_add(Self::OVERHEAD);
        bytes >= keep.bytes / 4 || self.since_messages + 1 >= keep.messages / 4
    }

    pub(super) fn push(&mut self, number: u64, frame: Bytes, asks: bool) {
        if self.keep.is_none() {
            return;
        }
        let cost = frame.len() + Self::OVERHEAD;
        self.bytes += cost;
        (self.since_bytes, self.since_messages) =
            if asks { (0, 0) } else { (self.since_bytes + cost, self.since_messages + 1) };
        self.kept.push_back(Kept { number, frame });
    }

    /// Everything up to `number` was accepted or refused: whether that is news.
    pub(super) fn handle_accepted(&mut self, number: u64) -> bool {
        if number <= self.accepted {
            return false;
        }
        self.accepted = number;
        while let Some(first) = self.kept.front().filter(|first| first.number <= number) {
            self.bytes -= first.frame.len() + Self::OVERHEAD;
            self.kept.pop_front();
        }
        true
    }

    /// Numbers and whole frames, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Bytes)> {
        self.kept.iter().map(|kept| (kept.number, &kept.frame))
    }

    /// The frames to send again. The last one asks, so that a full queue is never left waiting.
    pub(super) fn resend(&mut self) -> Vec<Bytes> {
        if let Some(last) = self.kept.back_mut() {
            let mut frame = BytesMut::from(&last.frame[..]);
            // A frame has four bytes of header, the last of which are its flags (PROTOCOL 5).
            if let Some(flags) = frame.get_mut(3) {
                *flags |= flags::ACKNOWLEDGE;
            }
            last.frame = frame.freeze();
        }
        (self.since_bytes, self.since_messages) = (0, 0);
        self.kept.iter().map(|kept| kept.frame.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(len: usize) -> Bytes {
        Bytes::from(vec![0; len])
    }

    #[test]
    fn accepted_messages_make_place() {
        let mut unaccepted = Unaccepted::new(Some(Bounds { bytes: 4000, messages: 3 }));
        for number in 1..=3 {
            assert!(unaccepted.has_place(100));
            unaccepted.push(number, frame(100), false);
        }
        assert!(!unaccepted.has_place(0), "three messages");
        assert!(unaccepted.handle_accepted(2));
        assert!(!unaccepted.handle_accepted(1) && !unaccepted.handle_accepted(2), "no news");
        assert_eq!(unaccepted.iter().map(|(number, _)| number).collect::<Vec<_>>(), [3]);
        assert!(unaccepted.has_place(3000) && !unaccepted.has_place(4000));
        assert!(unaccepted.handle_accepted(3) && unaccepted.has_place(1_000_000));
        assert_eq!(unaccepted.bytes, 0);
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_told() {
        let mut unaccepted = Unaccepted::new(None);
        unaccepted.push(1, frame(9), false);
        assert!(unaccepted.iter().next().is_none() && unaccepted.has_place(usize::MAX));
        assert!(!unaccepted.asks_after(usize::MAX));
    }

    proptest! {
        /// Whatever is sent and accepted: who finds no place has asked, and is not answered yet.
        #[test]
        fn who_waits_has_asked(steps in proptest::collection::vec((0_usize..65_540, 0_u64..4), 1..300)) {
            let mut unaccepted = Unaccepted::new(Some(Bounds::LEAST));
            let (mut sent, mut asked) = (0, 0);
            for (len, accept) in steps {
                if unaccepted.has_place(len) {
                    let asks = unaccepted.asks_after(len);
                    sent += 1;
                    unaccepted.push(sent, frame(len), asks);
                    asked = if asks { sent } else { asked };
                } else {
                    prop_assert!(asked > unaccepted.accepted(), "{unaccepted:?}");
                }
                unaccepted.handle_accepted((unaccepted.accepted() + accept).min(sent));
            }
        }
    }
}
