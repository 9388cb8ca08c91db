//! Messages of a connection that wait for others, as [`ClientConfig::gather`] lets them.
//!
//! [`ClientConfig::gather`]: tickwire::client::ClientConfig::gather

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tickwire::wire::Header;

/// Bytes that leave together. 16 KiB, as the client has it.
const MAX_WRITE: usize = 16 * 1024;

/// Who holds messages, and until when. The times are nanoseconds since the start.
#[derive(Debug)]
pub(super) struct Gather {
    time: u64,
    /// Bytes of a message to the server (PROTOCOL 4.2).
    pub(super) most: usize,
    /// All wait equally long, so that who began first leaves first.
    waiting: VecDeque<(u64, usize)>,
    /// Until when each sender holds what it holds now. What it held before has left early, with something
    /// that could not wait: that time counts for nobody any more.
    until: HashMap<usize, u64>,
}

impl Gather {
    pub(super) fn new(time: Duration, max_frame: u64) -> Self {
        let most =
            usize::try_from(max_frame).map_or(MAX_WRITE, |largest| MAX_WRITE.min(largest.saturating_add(Header::LEN)));
        Self { time: super::nanos(time), most, waiting: VecDeque::new(), until: HashMap::new() }
    }

    /// A sender holds a message, which was due then, and held none before.
    pub(super) fn push(&mut self, sender: usize, due: u64) {
        let until = due.saturating_add(self.time);
        self.waiting.push_back((until, sender));
        self.until.insert(sender, until);
    }

    /// When the first has waited long enough.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// Who has waited long enough. What it holds may have left already.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<usize> {
        while self.next_due().is_some_and(|due| due <= now) {
            let (until, sender) = self.waiting.pop_front()?;
            if self.until.get(&sender) == Some(&until) {
                return Some(sender);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_began_first_leaves_first() {
        let mut gather = Gather::new(Duration::from_micros(5), 1000);
        assert_eq!((gather.most, gather.next_due(), gather.pop_due(u64::MAX)), (1004, None, None));
        gather.push(7, 1000);
        gather.push(3, 1200);
        assert_eq!((gather.next_due(), gather.pop_due(5999)), (Some(6000), None));
        assert_eq!((gather.pop_due(6000), gather.pop_due(6000)), (Some(7), None));
        assert_eq!((gather.pop_due(6200), gather.next_due()), (Some(3), None));
        assert_eq!(Gather::new(Duration::ZERO, u64::MAX).most, 16_384);
    }

    #[test]
    fn what_left_early_does_not_hurry_what_comes_after_it() {
        let mut gather = Gather::new(Duration::from_micros(5), 1000);
        gather.push(7, 1000);
        // It left with an answer that could not wait; then there was another message to hold.
        gather.push(7, 3000);
        assert_eq!((gather.pop_due(6000), gather.pop_due(7999)), (None, None));
        assert_eq!((gather.pop_due(8000), gather.next_due()), (Some(7), None));
    }
}
