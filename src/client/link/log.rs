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

/// The last of them, oldest first.
#[derive(Debug, Default)]
pub(super) struct Log(VecDeque<Logged>);

/// Messages that are remembered. 8192: twice those that may be unaccepted, so that answers to messages
/// which were just accepted still find theirs.
const MOST: usize = 8192;

impl Log {
    pub(super) fn push(&mut self, logged: Logged) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(logged);
    }

    pub(super) fn find(&self, number: u64) -> Option<&Logged> {
        let at = self.0.binary_search_by_key(&number, |logged| logged.number).ok()?;
        self.0.get(at)
    }

    /// A message that was refused.
    pub(super) fn take(&mut self, number: u64) -> Option<Logged> {
        let at = self.0.binary_search_by_key(&number, |logged| logged.number).ok()?;
        self.0.remove(at)
    }

    /// Another session numbers anew.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_by_the_sessions_numbers() {
        let room = RoomName::new(b"r").unwrap();
        let mut log = Log::default();
        for number in 1..=MOST as u64 + 1 {
            let room = room.clone();
            log.push(Logged { number, id: MessageId(number * 2), room, policy: Policy::Reliable });
        }
        assert!(log.find(1).is_none(), "forgotten");
        assert_eq!(log.find(2).unwrap().id, MessageId(4));
        assert!(log.find(MOST as u64 + 2).is_none() && log.0.len() == MOST);
        assert_eq!(log.take(3).unwrap().id, MessageId(6));
        assert!(log.find(3).is_none() && log.find(4).is_some());
        log.clear();
        assert!(log.find(2).is_none());
    }
}
