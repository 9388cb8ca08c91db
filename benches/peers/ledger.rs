//! What was sent, what must therefore arrive, and what did.
//!
//! ```text
//! payload: | sent at: u64 | sender: u32 | sequence: u32 | pattern, from byte 16 |      little-endian
//! ```
//!
//! For each receiver and sender the sequence must have no gap, repeat or reordering. Where values of one key replace
//! each other within a tick, a number that nobody got was **conflated**, and one that some of the room got and others
//! did not was **lost**; the last number of each sender may not be conflated.

use super::clock::now;
use super::dialect::Sink;
use super::histogram::Histogram;
use super::workload::Workload;

/// Counts since the run began.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    pub(crate) bytes: u64,
    pub(crate) reads: u64,
    /// Numbers that were skipped.
    pub(crate) gaps: u64,
    /// Numbers that came again, or after a higher one.
    pub(crate) repeats: u64,
    /// Deliveries of a wrong size, sender, room or content.
    pub(crate) junk: u64,
    /// Errors of the connection or the protocol.
    pub(crate) bad: u64,
    pub(crate) first_bad: Option<String>,
    /// Messages that were due and not sent, since the connection took no more.
    pub(crate) skipped: u64,
}

impl Counts {
    pub(crate) fn add_bad(&mut self, what: impl Into<String>) {
        self.bad += 1;
        self.first_bad.get_or_insert_with(|| what.into());
    }
}

/// The books of one run.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) counts: Counts,
    pub(crate) latencies: Histogram,
    /// The next sequence number, by receiver and sender of its room.
    expected: Vec<u32>,
    room_senders: u32,
    stride: u32,
    payload: usize,
    receivers: u64,
    echoes: bool,
    /// Whether every byte is looked at.
    thorough: bool,
    /// Which numbers of each sender anybody has got, one bit for each; empty where nothing is conflated.
    seen: Vec<Vec<u64>>,
    next: Vec<u32>,
    /// Whether only the latencies of urgent messages count.
    urgent: bool,
}

/// Who receives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiver {
    /// Its row in the table; none for one that must not receive.
    pub(crate) row: Option<u32>,
    pub(crate) room: u32,
    pub(crate) index: u32,
}

/// What never arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortfall {
    pub(crate) conflated: u64,
    pub(crate) missing: i64,
}

impl Ledger {
    /// Refuses tables of more than half a gigabyte.
    pub(crate) fn new(work: &Workload, echoes: bool, thorough: bool, conflates: bool) -> Result<Self, &'static str> {
        let rows = work.members.iter().filter(|who| who.receives).count();
        let cells = rows.checked_mul(work.room_senders as usize).filter(|cells| *cells <= MAX_CELLS);
        Ok(Self {
            counts: Counts::default(),
            latencies: Histogram::default(),
            expected: vec![0; cells.ok_or("too many receivers times senders of a room to check them all")?],
            room_senders: work.room_senders,
            stride: work.stride,
            payload: work.payload,
            receivers: work.receivers(echoes),
            echoes,
            thorough,
            seen: if conflates { vec![Vec::new(); work.members.len()] } else { Vec::new() },
            next: vec![0; work.members.len()],
            urgent: false,
        })
    }

    /// Of latencies, those of urgent messages alone are kept.
    pub(crate) fn of_urgent(self) -> Self {
        Self { urgent: true, ..self }
    }

    /// Fills the payload of a sender's next message.
    pub(crate) fn write(&mut self, sender: u32, payload: &mut Vec<u8>) {
        let next = &mut self.next[sender as usize];
        payload.clear();
        payload.extend_from_slice(&now().to_le_bytes());
        payload.extend_from_slice(&sender.to_le_bytes());
        payload.extend_from_slice(&next.to_le_bytes());
        payload.extend((HEAD..self.payload).map(|at| pattern(*next, at)));
        *next += 1;
        self.counts.sent += 1;
    }

    /// Starts to count latencies anew.
    pub(crate) fn clear_latencies(&mut self) {
        self.latencies = Histogram::default();
    }

    /// Deliveries that are still to come, if nothing is lost. What is conflated counts as still to come.
    pub(crate) fn outstanding(&self) -> bool {
        self.counts.delivered + self.counts.gaps < self.counts.sent * self.receivers
    }

    /// What has not arrived.
    pub(crate) fn shortfall(&self) -> Shortfall {
        let owed = self.counts.sent * self.receivers;
        let mut conflated = 0;
        for (seen, next) in self.seen.iter().zip(&self.next) {
            let got: u64 = seen.iter().map(|word| u64::from(word.count_ones())).sum();
            let last = next.checked_sub(1).is_some_and(|last| !has(seen, last));
            conflated += (u64::from(*next) - got - u64::from(last)) * self.receivers;
        }
        Shortfall { conflated, missing: (owed - conflated).cast_signed() - self.counts.delivered.cast_signed() }
    }

    /// Whether everything that had to arrive did, once, in order, and nothing else.
    pub(crate) fn is_exact(&self) -> bool {
        let counts = &self.counts;
        let wrong = counts.gaps + counts.repeats + counts.junk + counts.bad + counts.skipped;
        wrong == 0 && self.shortfall().missing == 0
    }

    /// One delivery to `receiver`, read at `time`.
    fn deliver(&mut self, receiver: Receiver, time: u64, payload: &[u8]) -> Option<()> {
        let row = receiver.row.filter(|_| payload.len() == self.payload)?;
        let sent_at = u64::from_le_bytes(*payload.first_chunk()?);
        let sender = u32::from_le_bytes(*payload.get(8..)?.first_chunk()?);
        let sequence = u32::from_le_bytes(*payload.get(12..)?.first_chunk()?);
        let local = sender.wrapping_sub(receiver.room * self.stride);
        let own = sender == receiver.index && !self.echoes;
        if local >= self.room_senders || own || sent_at > time {
            return None;
        }
        let whole = || (HEAD..).zip(&payload[HEAD..]).all(|(at, byte)| *byte == pattern(sequence, at));
        if self.thorough && (!whole() || sequence >= self.next[sender as usize]) {
            return None;
        }
        let expected = self.expected.get_mut((row as usize) * self.room_senders as usize + local as usize)?;
        if sequence < *expected {
            self.counts.repeats += 1;
        } else {
            if let Some(seen) = self.seen.get_mut(sender as usize) {
                mark(seen, sequence);
            } else {
                self.counts.gaps += u64::from(sequence - *expected);
            }
            *expected = sequence + 1;
            self.counts.delivered += 1;
        }
        if !self.urgent || is_urgent(payload) {
            self.latencies.add(time - sent_at);
        }
        Some(())
    }
}

/// A read of one receiver.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) replies: &'a mut Vec<u8>,
    pub(crate) receiver: Receiver,
    pub(crate) time: u64,
}

impl Sink for Reading<'_> {
    fn delivery(&mut self, payload: &[u8]) {
        if self.ledger.deliver(self.receiver, self.time, payload).is_none() {
            self.ledger.counts.junk += 1;
        }
    }

    fn reply(&mut self, bytes: &[u8]) {
        self.replies.extend_from_slice(bytes);
    }

    fn bad(&mut self, what: &'static str) {
        self.ledger.counts.add_bad(what);
    }
}

/// Whether a message is sent as urgent, where some are: one in a hundred of each sender, at different times.
pub(crate) fn is_urgent(payload: &[u8]) -> bool {
    let number =
        |at: usize| payload.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |it| u32::from_le_bytes(*it));
    number(8).wrapping_add(number(12)).is_multiple_of(100)
}

/// The byte at a place of a message: differs from its neighbours and from the next message's.
const fn pattern(sequence: u32, at: usize) -> u8 {
    (sequence as usize).wrapping_add(at).wrapping_mul(7) as u8
}

fn mark(seen: &mut Vec<u64>, number: u32) {
    let word = (number / 64) as usize;
    // A thorough run has checked the number; a damaged one elsewhere must not take all memory.
    if word < MAX_WORDS {
        seen.resize(seen.len().max(word + 1), 0);
        seen[word] |= 1 << (number % 64);
    }
}

fn has(seen: &[u64], number: u32) -> bool {
    seen.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1)
}

const HEAD: usize = 16;
const MAX_CELLS: usize = 128 << 20;
/// Four million messages of one sender.
const MAX_WORDS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    struct Room {
        ledger: Ledger,
        messages: Vec<Vec<u8>>,
    }

    impl Room {
        /// Three members, of whom the first has sent `count` messages.
        fn new(count: usize, conflates: bool) -> Self {
            let work = Workload::rooms(1, 3, 1.0, 40);
            let mut ledger = Ledger::new(&work, false, true, conflates).unwrap();
            let mut message = |_| {
                let mut payload = Vec::new();
                ledger.write(0, &mut payload);
                payload
            };
            let messages = (0..count).map(&mut message).collect();
            Self { ledger, messages }
        }

        fn read(&mut self, index: u32, numbers: &[usize]) {
            for number in numbers {
                let payload = self.messages[*number].clone();
                self.read_payload(index, &payload);
            }
        }

        fn read_payload(&mut self, index: u32, payload: &[u8]) {
            let receiver = Receiver { row: Some(index), room: 0, index };
            let mut replies = Vec::new();
            Reading { ledger: &mut self.ledger, replies: &mut replies, receiver, time: now() }.delivery(payload);
        }
    }

    #[test]
    fn all_in_order_is_exact() {
        let mut room = Room::new(3, false);
        room.read(1, &[0, 1, 2]);
        assert!(room.ledger.outstanding() && !room.ledger.is_exact());
        room.read(2, &[0, 1, 2]);
        assert!(!room.ledger.outstanding() && room.ledger.is_exact());
    }

    #[test]
    fn gaps_repeats_and_echoes_are_counted() {
        let mut room = Room::new(3, false);
        room.read(1, &[0, 2, 1]);
        room.read(2, &[0, 0]);
        room.read(0, &[0]);
        let counts = &room.ledger.counts;
        assert_eq!((counts.gaps, counts.repeats, counts.junk, counts.delivered), (1, 2, 1, 3));
        assert_eq!(room.ledger.shortfall(), Shortfall { conflated: 0, missing: 3 });
    }

    #[test]
    fn every_byte_counts() {
        let whole = Room::new(1, false).messages.remove(0);
        for at in 0..whole.len() {
            let mut room = Room::new(1, false);
            let mut damaged = room.messages[0].clone();
            damaged[at] ^= 0x80;
            room.read_payload(1, &damaged);
            // The lower bytes of the time cannot be told from another time.
            assert!(at < 7 || room.ledger.counts.junk == 1, "byte {at}");
        }
        let mut room = Room::new(1, false);
        room.read_payload(1, &whole[..39]);
        assert_eq!(room.ledger.counts.junk, 1);
    }

    #[test]
    fn what_nobody_got_was_conflated_and_what_one_missed_was_lost() {
        let mut room = Room::new(10, true);
        room.read(1, &[1, 4, 9]);
        room.read(2, &[1, 4, 9]);
        assert_eq!(room.ledger.shortfall(), Shortfall { conflated: 14, missing: 0 });
        assert!(room.ledger.is_exact());
        let mut room = Room::new(10, true);
        room.read(1, &[1, 4, 9]);
        room.read(2, &[1, 9]);
        assert_eq!(room.ledger.shortfall(), Shortfall { conflated: 14, missing: 1 });
        assert!(!room.ledger.is_exact());
    }

    #[test]
    fn the_last_may_not_be_conflated() {
        let mut room = Room::new(10, true);
        room.read(1, &[1, 8]);
        room.read(2, &[1, 8]);
        assert_eq!(room.ledger.shortfall(), Shortfall { conflated: 14, missing: 2 });
    }
}
