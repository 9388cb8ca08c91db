//! What arrived, checked message by message.
//!
//! A delivery counts when its bytes are as they were sent, its sender is the member that the server
//! names, and its place in that sender's order is known. Nothing is assumed: what is lost is what
//! was sent and never came.

use std::time::Duration;

use hdrhistogram::Histogram;
use tickwire::wire::{Key, MemberNumber, Reason, Record, Target};

use super::stamp::Stamp;
use super::track::{Arrival, Track};
use super::workload::{Role, Workload};

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Tally {
    roles: Vec<Role>,
    members: Vec<MemberNumber>,
    payload: usize,
    senders_per_room: usize,
    messages: Messages,
    /// Orders that each pair of sender and receiver has: one, or one for each key.
    keys: u32,
    /// Each receiver's first track; none for those that do not receive.
    rows: Vec<Option<usize>>,
    tracks: Vec<Track>,
    sent: Vec<u32>,
    pub(super) counts: Counts,
    /// What is counted only while it is measured.
    pub(super) window: Window,
    pub(super) measuring: bool,
    /// Since the last line of progress.
    pub(super) recent: Recent,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Messages {
    Events,
    /// A message's key is its number modulo the number of keys.
    Values {
        keys: u32,
    },
}

/// Over the whole run.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Due, and not sent, because the connection did not take it.
    pub(super) unsent: u64,
    /// Different messages that arrived.
    pub(super) delivered: u64,
    pub(super) reordered: u64,
    pub(super) duplicated: u64,
    /// Messages that are not as they were sent, or not where they belong.
    pub(super) corrupt: u64,
    pub(super) refused: u64,
    pub(super) refused_because: Option<Reason>,
    /// Connections that ended before the run did.
    pub(super) closed: u64,
    pub(super) closed_because: Option<String>,
}

/// Over the measured time.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) delivered: u64,
    /// Bytes read off the sockets.
    pub(super) bytes: u64,
    /// From when a message had to be sent until it was read, in microseconds.
    pub(super) latency: Histogram<u64>,
    /// From when a batch's tick began until the batch was read, in microseconds.
    pub(super) lateness: Histogram<u64>,
}

/// For progress.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent {
    pub(super) delivered: u64,
    pub(super) slowest: Duration,
}

impl Tally {
    pub(super) fn new(workload: &Workload, members: Vec<MemberNumber>, messages: Messages) -> Self {
        let keys = messages.orders();
        let row_len = workload.senders_per_room * keys as usize;
        let mut receivers = 0;
        let rows = workload.peers.iter().map(|role| {
            role.receives.then(|| {
                receivers += 1;
                (receivers - 1) * row_len
            })
        });
        let rows = rows.collect();
        Self {
            roles: workload.peers.clone(),
            members,
            payload: workload.payload,
            senders_per_room: workload.senders_per_room,
            messages,
            keys,
            rows,
            tracks: vec![Track::default(); receivers * row_len],
            sent: vec![0; workload.peers.len()],
            counts: Counts::default(),
            window: Window::new(),
            measuring: false,
            recent: Recent::default(),
        }
    }

    /// From now on, what arrives counts for the figures.
    pub(super) fn start_measuring(&mut self) {
        self.measuring = true;
        self.recent = Recent::default();
    }

    /// A sender's next message was sent.
    pub(super) fn count_sent(&mut self, sender: usize) {
        self.sent[sender] += 1;
    }

    /// The number the sender's next message will have.
    pub(super) fn next_sequence(&self, sender: usize) -> u32 {
        self.sent[sender]
    }

    /// Where a message goes.
    pub(super) const fn target(&self, sequence: u32) -> Target {
        match self.messages {
            Messages::Events => Target::Event,
            Messages::Values { keys } => Target::Value(Key::member((sequence % keys) as u64)),
        }
    }

    pub(super) fn deliver(&mut self, receiver: usize, record: &Record<'_>, now: u64) {
        if self.check(receiver, record, now).is_none() {
            self.counts.corrupt += 1;
        }
    }

    fn check(&mut self, receiver: usize, record: &Record<'_>, now: u64) -> Option<()> {
        if record.payload.len() != self.payload {
            return None;
        }
        let stamp = Stamp::decode(record.payload)?;
        let sender = usize::try_from(stamp.sender).ok()?;
        let role = self.roles.get(sender)?;
        let place = role.sends?;
        let right_room = role.room == self.roles.get(receiver)?.room;
        let right_key = match self.target(stamp.sequence) {
            Target::Value(key) => record.key == Some(key.wire()),
            _ => record.key.is_none(),
        };
        let was_sent = stamp.sequence < self.sent[sender] && stamp.due <= now;
        if !right_room || !right_key || !was_sent || record.member != self.members[sender] {
            return None;
        }
        let key = (stamp.sequence % self.keys) as usize;
        let row = self.rows[receiver]?;
        let track = self.tracks.get_mut(row + place * self.keys as usize + key)?;
        match track.observe(stamp.sequence / self.keys) {
            Arrival::Fresh => {}
            Arrival::Late => self.counts.reordered += 1,
            Arrival::Again => {
                self.counts.duplicated += 1;
                return Some(());
            }
        }
        self.counts.delivered += 1;
        let latency = (now - stamp.due) / 1000;
        self.recent.delivered += 1;
        self.recent.slowest = self.recent.slowest.max(Duration::from_micros(latency));
        if self.measuring {
            self.window.delivered += 1;
            self.window.latency.saturating_record(latency);
        }
        Some(())
    }

    /// A batch was read so many microseconds after its tick began.
    pub(super) fn count_lateness(&mut self, micros: u64) {
        if self.measuring {
            self.window.lateness.saturating_record(micros);
        }
    }

    pub(super) const fn count_bytes(&mut self, bytes: usize) {
        if self.measuring {
            self.window.bytes += bytes as u64;
        }
    }

    pub(super) fn count_refusal(&mut self, reason: Reason) {
        self.counts.refused += 1;
        self.counts.refused_because.get_or_insert(reason);
    }

    pub(super) fn count_closed(&mut self, why: String) {
        self.counts.closed += 1;
        self.counts.closed_because.get_or_insert(why);
    }

    /// Messages that were sent and whose place nothing took: lost; and messages that were not
    /// delivered, but a later one of the same key was: conflated.
    pub(super) fn missing(&self) -> Missing {
        let expected: u64 = self.receivers_and_senders().map(|(_, sender)| u64::from(self.sent[sender])).sum();
        let missing = expected.saturating_sub(self.counts.delivered);
        if self.messages == Messages::Events {
            return Missing { lost: missing, conflated: 0 };
        }
        let mut lost = 0;
        for (row, sender) in self.receivers_and_senders() {
            let place = self.roles[sender].sends.unwrap_or(0) * self.keys as usize;
            for key in 0..self.keys {
                // How many of the sender's messages had this key.
                let sent = (self.sent[sender] + self.keys - 1 - key) / self.keys;
                let track = self.tracks[row + place + key as usize];
                lost += u64::from(sent.saturating_sub(track.next()));
            }
        }
        Missing { lost, conflated: missing.saturating_sub(lost) }
    }

    /// Every pair of a receiver's row and a sender of its room.
    fn receivers_and_senders(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut rooms: Vec<Vec<usize>> = Vec::new();
        for (index, role) in self.roles.iter().enumerate().filter(|(_, role)| role.sends.is_some()) {
            rooms.resize_with(rooms.len().max(role.room + 1), || Vec::with_capacity(self.senders_per_room));
            rooms[role.room].push(index);
        }
        let receivers = self.roles.iter().zip(&self.rows).filter_map(|(role, row)| Some((role.room, (*row)?)));
        receivers.flat_map(move |(room, row)| {
            let senders = rooms.get(room).cloned().unwrap_or_default();
            senders.into_iter().map(move |sender| (row, sender))
        })
    }
}

/// What did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) lost: u64,
    pub(super) conflated: u64,
}

impl Messages {
    /// Orders that each pair of sender and receiver has.
    pub(super) const fn orders(self) -> u32 {
        match self {
            Self::Events => 1,
            Self::Values { keys } => keys,
        }
    }
}

impl Window {
    fn new() -> Self {
        // Three digits, up to two minutes.
        let histogram = || Histogram::new_with_bounds(1, 120_000_000, 3).expect("the bounds are in order");
        Self { delivered: 0, bytes: 0, latency: histogram(), lateness: histogram() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::workload::{Changes, Scenario};

    /// Three members, numbered from 11, in a room; messages of 16 bytes.
    fn tally(messages: Messages) -> Tally {
        let changes = Changes { members: Some(3), payload: Some(16), ..Changes::default() };
        let workload = Workload::new(Scenario::Arena, changes);
        Tally::new(&workload, (11..14).map(MemberNumber).collect(), messages)
    }

    fn deliver(tally: &mut Tally, sender: u32, sequence: u32, change: impl FnOnce(&mut [u8], &mut MemberNumber)) {
        let mut payload = [0; 16];
        Stamp { due: 0, sender, sequence }.encode(&mut payload);
        let mut member = MemberNumber(11 + u64::from(sender));
        change(&mut payload, &mut member);
        let key = match tally.target(sequence) {
            Target::Value(key) => Some(key.wire()),
            _ => None,
        };
        for receiver in 0..3 {
            tally.deliver(receiver, &Record { member, key, payload: &payload }, 5_000);
        }
    }

    #[test]
    fn what_was_sent_and_did_not_come_is_lost() {
        let mut tally = tally(Messages::Events);
        for _ in 0..4 {
            tally.count_sent(0);
        }
        deliver(&mut tally, 0, 0, |_, _| {});
        deliver(&mut tally, 0, 2, |_, _| {});
        assert_eq!(tally.missing(), Missing { lost: 6, conflated: 0 });
        deliver(&mut tally, 0, 1, |_, _| {});
        deliver(&mut tally, 0, 2, |_, _| {});
        assert_eq!(tally.missing(), Missing { lost: 3, conflated: 0 });
        let counts = &tally.counts;
        assert_eq!((counts.delivered, counts.reordered, counts.duplicated, counts.corrupt), (9, 3, 3, 0));
    }

    #[test]
    fn a_skipped_value_is_conflated_where_a_later_one_came() {
        let mut tally = tally(Messages::Values { keys: 2 });
        // Keys 0, 1, 0, 1, 0.
        for _ in 0..5 {
            tally.count_sent(1);
        }
        deliver(&mut tally, 1, 1, |_, _| {});
        deliver(&mut tally, 1, 4, |_, _| {});
        assert_eq!(tally.missing(), Missing { lost: 3, conflated: 6 }, "3 is lost, 0 and 2 are not");
    }

    #[test]
    fn what_is_not_as_it_was_sent_is_corrupt() {
        let mut tally = tally(Messages::Events);
        tally.count_sent(2);
        deliver(&mut tally, 2, 1, |_, _| {});
        assert_eq!(tally.counts.corrupt, 3, "never sent");
        deliver(&mut tally, 2, 0, |_, member| member.0 += 1);
        assert_eq!(tally.counts.corrupt, 6, "another member");
        deliver(&mut tally, 2, 0, |payload, _| payload[8] = 9);
        assert_eq!(tally.counts.corrupt, 9, "a sender that is none");
        assert_eq!(tally.counts.delivered, 0);
    }
}
