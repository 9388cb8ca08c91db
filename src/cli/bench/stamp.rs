//! What stands in a message: enough to check and to time its delivery.
//!
//! ```text
//! | due: u64, ns | sender: u32 | sequence: u32 | pattern ... |      little-endian
//! ```

/// A message's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// When it had to be sent, in nanoseconds since the start of the run. Not when it was: a
    /// sender that is held up must not hide it.
    pub(super) due: u64,
    /// The sender's index.
    pub(super) sender: u32,
    /// The sender's messages, counted from 0.
    pub(super) sequence: u32,
}

impl Stamp {
    /// Bytes of the header: the least a message has.
    pub(super) const LEN: usize = 16;

    /// Fills a whole message.
    pub(super) fn encode(&self, message: &mut [u8]) {
        let (header, pattern) = message.split_at_mut(Self::LEN);
        header[..8].copy_from_slice(&self.due.to_le_bytes());
        header[8..12].copy_from_slice(&self.sender.to_le_bytes());
        header[12..].copy_from_slice(&self.sequence.to_le_bytes());
        for (index, byte) in pattern.iter_mut().enumerate() {
            *byte = fill(self.sequence, index);
        }
    }

    /// Reads a message, if all of it is as it was sent.
    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        let (due, rest) = message.split_first_chunk()?;
        let (sender, rest) = rest.split_first_chunk()?;
        let (sequence, pattern) = rest.split_first_chunk()?;
        let sequence = u32::from_le_bytes(*sequence);
        let whole = pattern.iter().enumerate().all(|(index, byte)| *byte == fill(sequence, index));
        whole.then_some(Self { due: u64::from_le_bytes(*due), sender: u32::from_le_bytes(*sender), sequence })
    }
}

/// A byte of the pattern: another one at the next place, and in the next message.
const fn fill(sequence: u32, index: usize) -> u8 {
    (sequence as usize).wrapping_add(index).wrapping_mul(7) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_as_it_was_written_and_finds_changes() {
        let stamp = Stamp { due: 1 << 40, sender: 7, sequence: 300 };
        let mut message = [0; 32];
        stamp.encode(&mut message);
        assert_eq!(Stamp::decode(&message), Some(stamp));
        message[20] ^= 1;
        assert_eq!(Stamp::decode(&message), None);
        assert_eq!(Stamp::decode(&message[..15]), None);
        assert_eq!(Stamp::decode(&message[..16]), Some(stamp));
    }
}
