//! Messages of a connection that wait for others, as [`ClientConfig::gather`] lets them.
//!
//! [`ClientConfig::gather`]: tickwire::client::ClientConfig::gather

use std::collections::VecDeque;
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
}

impl Gather {
    pub(super) fn new(time: Duration, max_frame: u64) -> Self {
        let most =
            usize::try_from(max_frame).map_or(MAX_WRITE, |largest| MAX_WRITE.min(largest.saturating_add(Header::LEN)));
        Self { time: super::nanos(time), most, waiting: VecDeque::new() }
    }

    /// A sender holds a message, which was due then, and held none before.
    pub(super) fn push(&mut self, sender: usize, due: u64) {
        self.waiting.push_back((due.saturating_add(self.time), sender));
    }

    /// When the first has waited long enough.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// Who has waited long enough. What it holds may have left already.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<usize> {
        self.next_due().filter(|due| *due <= now)?;
        self.waiting.pop_front().map(|(_, sender)| sender)
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
}
