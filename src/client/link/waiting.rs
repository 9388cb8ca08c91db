//! Messages of one room that wait until they can leave (clients/SPEC.md 5).
//!
//! ```text
//! reliable  | 1 | 2 | 3 | ──first──┐
//! latest    | key 0 | key 7 | ─then┴─> the connection
//! ```

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::config::Policy;
use super::event::MessageId;
use super::log::Logged;
use crate::client::{Timing, Unconfirmed};
use crate::wire::Target;

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) id: MessageId,
    pub(super) target: Target,
    pub(super) timing: Timing,
    pub(super) policy: Policy,
    pub(super) payload: Bytes,
}

impl Waits {
    /// A message that was sent, and is to be sent again.
    pub(super) fn again(logged: &Logged, message: Unconfirmed) -> Self {
        let Unconfirmed { target, timing, payload, .. } = message;
        Self { id: logged.id, target, timing, policy: logged.policy, payload }
    }
}

/// How much waits, over all rooms of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loads {
    pub(super) reliable: Load,
    pub(super) latest: Load,
    /// The most of the reliable ones.
    pub(super) most: Load,
}

/// The most of those of which only the last counts: as many values as a room may have by default, and as
/// many bytes (PROTOCOL 13).
const MOST_LATEST: Load = Load { messages: 4096, bytes: 1024 * 1024 };

impl Load {
    const fn with(self, bytes: usize) -> Self {
        Self { messages: self.messages + 1, bytes: self.bytes.saturating_add(bytes) }
    }

    const fn without(self, bytes: usize) -> Self {
        Self { messages: self.messages.saturating_sub(1), bytes: self.bytes.saturating_sub(bytes) }
    }

    const fn fits(self, most: Self) -> bool {
        self.messages <= most.messages && self.bytes <= most.bytes
    }
}

impl Loads {
    pub(super) const fn new(messages: usize, bytes: usize) -> Self {
        let none = Load { messages: 0, bytes: 0 };
        Self { reliable: none, latest: none, most: Load { messages, bytes } }
    }

    /// Whether a reliable message of so many bytes has a place.
    pub(super) const fn has_place(&self, bytes: usize) -> bool {
        self.reliable.with(bytes).fits(self.most)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.reliable.messages == 0 && self.latest.messages == 0
    }

    pub(super) const fn messages(&self) -> usize {
        self.reliable.messages + self.latest.messages
    }
}

/// One room's.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    reliable: VecDeque<Waits>,
    latest: BTreeMap<Place, Waits>,
}

/// What only one message waits for: a key, a member, or the events.
type Place = (u8, u64);

const fn place(target: Target) -> Place {
    match target {
        Target::Event => (0, 0),
        Target::Value(key) => (1, key.wire()),
        Target::Direct(member) => (2, member.0),
    }
}

impl Waiting {
    /// Takes a message. False where there is no place: then nothing has changed.
    pub(super) fn push(&mut self, message: Waits, loads: &mut Loads) -> bool {
        let bytes = message.payload.len();
        if message.policy == Policy::Latest {
            let before = self.latest.get(&place(message.target)).map(|before| before.payload.len());
            let load = before.map_or(loads.latest, |bytes| loads.latest.without(bytes)).with(bytes);
            if !load.fits(MOST_LATEST) {
                return false;
            }
            loads.latest = load;
            self.latest.insert(place(message.target), message);
        } else {
            if !loads.has_place(bytes) {
                return false;
            }
            loads.reliable = loads.reliable.with(bytes);
            self.reliable.push_back(message);
        }
        true
    }

    /// Takes back what has not left after all, in its order and before everything that came since. It has
    /// a place whatever waits: it was counted before.
    pub(super) fn push_front(&mut self, message: Waits, loads: &mut Loads) {
        let bytes = message.payload.len();
        if message.policy == Policy::Latest {
            let before = self.latest.get(&place(message.target));
            // What came since is later; of several that come back, the last one stays.
            if before.is_none_or(|before| before.id < message.id) {
                let load = before.map_or(loads.latest, |before| loads.latest.without(before.payload.len()));
                loads.latest = load.with(bytes);
                self.latest.insert(place(message.target), message);
            }
        } else {
            loads.reliable = loads.reliable.with(bytes);
            let at = self.reliable.partition_point(|other| other.id < message.id);
            self.reliable.insert(at, message);
        }
    }

    /// The next to leave.
    pub(super) fn first(&self) -> Option<&Waits> {
        self.reliable.front().or_else(|| self.latest.values().next())
    }

    /// It has left.
    pub(super) fn pop(&mut self, loads: &mut Loads) -> Option<Waits> {
        if let Some(message) = self.reliable.pop_front() {
            loads.reliable = loads.reliable.without(message.payload.len());
            return Some(message);
        }
        let (_, message) = self.latest.pop_first()?;
        loads.latest = loads.latest.without(message.payload.len());
        Some(message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reliable.is_empty() && self.latest.is_empty()
    }

    /// Throws everything away: these messages.
    pub(super) fn clear(&mut self, loads: &mut Loads) -> Vec<MessageId> {
        let mut dropped: Vec<_> = std::iter::from_fn(|| self.pop(loads)).map(|message| message.id).collect();
        dropped.sort_unstable();
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Key;
    use proptest::prelude::*;

    fn message(id: u64, target: Target, policy: Policy, payload: &'static [u8]) -> Waits {
        let payload = Bytes::from_static(payload);
        Waits { id: MessageId(id), target, timing: Timing::Tick, policy, payload }
    }

    fn left(waiting: &mut Waiting, loads: &mut Loads) -> Vec<u64> {
        std::iter::from_fn(|| waiting.pop(loads)).map(|message| message.id.0).collect()
    }

    #[test]
    fn reliable_ones_leave_first_and_of_the_others_the_last() {
        let (mut waiting, mut loads) = (Waiting::default(), Loads::new(10, 100));
        let value = |key| Target::Value(Key::member(key));
        for message in [
            message(1, value(1), Policy::Latest, b"a"),
            message(2, Target::Event, Policy::Reliable, b"b"),
            message(3, value(1), Policy::Latest, b"cc"),
            message(4, value(2), Policy::Latest, b"d"),
            message(5, Target::Event, Policy::Drop, b"e"),
        ] {
            assert!(waiting.push(message, &mut loads));
        }
        assert_eq!(loads.latest, Load { messages: 2, bytes: 3 });
        assert_eq!(waiting.first().unwrap().id, MessageId(2));
        assert_eq!(left(&mut waiting, &mut loads), [2, 5, 3, 4]);
        assert!(loads.is_empty() && loads.reliable.bytes == 0 && loads.latest.bytes == 0);
    }

    #[test]
    fn the_bounds_hold_in_messages_and_in_bytes() {
        let (mut waiting, mut loads) = (Waiting::default(), Loads::new(2, 10));
        assert!(waiting.push(message(1, Target::Event, Policy::Reliable, b"12345678"), &mut loads));
        assert!(!waiting.push(message(2, Target::Event, Policy::Reliable, b"123"), &mut loads));
        assert!(waiting.push(message(3, Target::Event, Policy::Reliable, b"12"), &mut loads));
        assert!(!waiting.push(message(4, Target::Event, Policy::Reliable, b""), &mut loads));
        assert_eq!(left(&mut waiting, &mut loads), [1, 3]);
    }

    #[test]
    fn what_comes_back_stands_where_it_was() {
        let (mut waiting, mut loads) = (Waiting::default(), Loads::new(1, 10));
        assert!(waiting.push(message(3, Target::Event, Policy::Reliable, b"c"), &mut loads));
        waiting.push_front(message(1, Target::Event, Policy::Reliable, b"a"), &mut loads);
        waiting.push_front(message(2, Target::Event, Policy::Reliable, b"b"), &mut loads);
        let key = Target::Value(Key::room(0));
        assert!(waiting.push(message(5, key, Policy::Latest, b"new"), &mut loads));
        waiting.push_front(message(4, key, Policy::Latest, b"old"), &mut loads);
        assert_eq!(left(&mut waiting, &mut loads), [1, 2, 3, 5]);
    }

    #[test]
    fn of_several_values_that_come_back_the_last_stays() {
        let (mut waiting, mut loads) = (Waiting::default(), Loads::new(1, 10));
        let key = Target::Value(Key::room(0));
        for (id, payload) in [(1, &b"a"[..]), (3, b"ccc"), (2, b"bb")] {
            waiting.push_front(message(id, key, Policy::Latest, payload), &mut loads);
        }
        assert_eq!(loads.latest, Load { messages: 1, bytes: 3 });
        assert_eq!(left(&mut waiting, &mut loads), [3]);
        assert_eq!(loads.latest, Load::default());
    }

    proptest! {
        #[test]
        fn what_waits_is_what_is_counted(steps in proptest::collection::vec((0_u64..6, 0_usize..3, 0_usize..40), 0..200)) {
            let (mut waiting, mut loads) = (Waiting::default(), Loads::new(20, 300));
            for (id, (key, policy, len)) in (0_u64..).zip(steps) {
                let policy = [Policy::Reliable, Policy::Latest, Policy::Drop][policy];
                let payload = Bytes::from(vec![0; len]);
                let target = Target::Value(Key::member(key));
                let message = Waits { id: MessageId(id), target, timing: Timing::Tick, policy, payload };
                waiting.push(message, &mut loads);
                if key == 5 {
                    waiting.pop(&mut loads);
                }
                prop_assert_eq!(loads.reliable.messages, waiting.reliable.len());
                prop_assert_eq!(loads.latest.messages, waiting.latest.len());
                let bytes: usize = waiting.reliable.iter().map(|message| message.payload.len()).sum();
                prop_assert_eq!(loads.reliable.bytes, bytes);
                prop_assert!(loads.reliable.fits(loads.most));
            }
            waiting.clear(&mut loads);
            prop_assert!(loads.is_empty() && waiting.is_empty() && loads.latest.bytes == 0);
        }
    }
}
