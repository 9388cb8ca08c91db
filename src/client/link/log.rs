//! Which messages of a session were sent: the link's numbers for those of the session.
//!
//! ```text
//! session   1     2     3        of this session, known by counting (PROTOCOL 12.3)
//! link     17    18    20        of all connections
//! ```

use std::collections::VecDeque;

use super::config::Policy;
use super::event::MessageId;
use crate::name::RoomName;

/// A message that was sent.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    /// By the session.
    pub(super) number: u64,
    pub(super) id: MessageId,
    pub(super) room: RoomName,
    pub(super) policy: Policy,
}

/// The last of them.
#[derive(Debug)]
pub(super) struct Log {
    /// Oldest first.
    messages: VecDeque<Logged>,
    most: usize,
}

/// Messages that are remembered at least. 8192: twice those that may be unaccepted by default, so that answers to
/// messages which were just accepted still find theirs.
const MOST: usize = 8192;

impl Log {
    /// Remembers twice as many as may be unaccepted: those must all be found when their session is lost.
    pub(super) fn new(unaccepted: usize) -> Self {
        Self { messages: VecDeque::new(), most: unaccepted.saturating_mul(2).max(MOST) }
    }

    pub(super) fn push(&mut self, logged: Logged) {
        if self.messages.len() >= self.most {
            self.messages.pop_front();
        }
        self.messages.push_back(logged);
    }

    pub(super) fn find(&self, number: u64) -> Option<&Logged> {
        let at = self.messages.binary_search_by_key(&number, |logged| logged.number).ok()?;
        self.messages.get(at)
    }

    /// A message that was refused.
    pub(super) fn take(&mut self, number: u64) -> Option<Logged> {
        let at = self.messages.binary_search_by_key(&number, |logged| logged.number).ok()?;
        self.messages.remove(at)
    }

    /// Another session numbers anew.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_by_the_sessions_numbers() {
        let room = RoomName::new(b"r").unwrap();
        let mut log = Log::new(9);
        for number in 1..=MOST as u64 + 1 {
            let room = room.clone();
            log.push(Logged { number, id: MessageId(number * 2), room, policy: Policy::Reliable });
        }
        assert!(log.find(1).is_none(), "forgotten");
        assert_eq!(log.find(2).unwrap().id, MessageId(4));
        assert!(log.find(MOST as u64 + 2).is_none() && log.messages.len() == MOST);
        assert_eq!(log.take(3).unwrap().id, MessageId(6));
        assert!(log.find(3).is_none() && log.find(4).is_some());
        log.clear();
        assert!(log.find(2).is_none());
    }

    #[test]
    fn all_that_may_be_unaccepted_are_remembered() {
        let mut log = Log::new(3 * MOST);
        for number in 1..=3 * MOST as u64 {
            let room = RoomName::new(b"r").unwrap();
            log.push(Logged { number, id: MessageId(number), room, policy: Policy::Reliable });
        }
        assert!(log.find(1).is_some());
    }
}
