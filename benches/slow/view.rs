//! What a careful receiver knows of the room, and everything that must not happen to it.
//!
//! ```text
//! numbered frames ──> positions: each exactly once, in a batch or in a gap, in order
//! event records   ──> numbers of events: rising, without holes but at gaps
//! value frames    ──> rounds by key; whenever a segment is complete they are those of one flush
//! ```

use std::collections::{BTreeMap, HashMap};

use tickwire::wire::control::{Command, Gap};
use tickwire::wire::header::flags;
use tickwire::wire::{Control, FrameType, Kind, Position, RawFrame, ServerData};

use super::peer::{Seat, Since};
use super::plan::Plan;

/// What one receiver has seen.
#[derive(Debug)]
pub(crate) struct View {
    plan: Plan,
    seat: Seat,
    /// The last position that is complete, and where it began.
    position: u64,
    first: u64,
    /// Events of the position that is not complete yet.
    unfinished: Vec<u64>,
    last_event: u64,
    gap_before: bool,
    /// First and last event of each complete position that had some.
    pub(crate) batches: HashMap<u64, (u64, u64)>,
    pub(crate) batch_count: u64,
    pub(crate) gaps: Vec<(u64, u64)>,
    /// The round in which each key's value was written.
    rounds: Vec<u64>,
    collected: Vec<u64>,
    collecting: bool,
    within: Option<Kind>,
    /// After a gap nothing but the snapshot brings values.
    waits_for_snapshot: bool,
    /// The newest round of each flush whose values came.
    pub(crate) newest: BTreeMap<u64, u64>,
    pub(crate) refreshes: Vec<Refresh>,
    pub(crate) wrong: Wrong,
    /// Why the server ended the connection.
    pub(crate) closed: Option<u64>,
    pub(crate) closes: u64,
    /// Gaps in which nothing was lost: a snapshot began anew.
    pub(crate) restarts: u64,
}

/// A moment at which all values were those of one flush.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refresh {
    /// When the application had it, in microseconds since the first message.
    pub(crate) at: u64,
    /// Server time of its tick.
    pub(crate) flushed: u64,
    pub(crate) snapshot: bool,
}

/// What must not happen, by the first case of it.
#[derive(Debug, Default)]
pub(crate) struct Wrong {
    pub(crate) count: u64,
    pub(crate) first: Option<String>,
}

impl Wrong {
    pub(crate) fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.is_none() {
            self.first = Some(what());
        }
    }
}

impl View {
    pub(crate) fn new(plan: &Plan, seat: Seat) -> Self {
        let keys = usize::try_from(plan.keys).expect("a few hundred");
        Self {
            plan: plan.clone(),
            seat,
            position: seat.position.0,
            first: seat.position.0,
            unfinished: Vec::new(),
            last_event: 0,
            gap_before: true,
            batches: HashMap::new(),
            batch_count: 0,
            gaps: Vec::new(),
            rounds: vec![0; keys],
            collected: Vec::new(),
            collecting: false,
            within: None,
            waits_for_snapshot: true,
            newest: BTreeMap::new(),
            refreshes: Vec::new(),
            wrong: Wrong::default(),
            closed: None,
            closes: 0,
            restarts: 0,
        }
    }

    /// Where to come back to.
    pub(crate) const fn since(&self) -> Since {
        (self.seat.epoch, Position(self.position))
    }

    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn rounds(&self) -> &[u64] {
        &self.rounds
    }

    /// The receiver came back on another connection.
    pub(crate) fn handle_rejoined(&mut self, seat: Seat) {
        self.seat = seat;
        self.unfinished.clear();
        self.collecting = false;
        self.within = None;
        self.waits_for_snapshot = true;
        if let Some((from, to)) = seat.lost {
            self.handle_lost(from, to);
        }
        if seat.position.0 != self.position {
            let last = self.position;
            self.wrong.add(|| format!("came back after position {last}, and goes on after {}", seat.position.0));
            self.position = seat.position.0;
        }
    }

    /// A frame that the application takes at `now`, in microseconds since the first message.
    pub(crate) fn handle_frame(&mut self, frame: &RawFrame<'_>, now: u64) {
        match frame.header.frame_type {
            FrameType::Control => match Control::decode(frame.payload).map(|control| control.command) {
                Ok(Command::Gap(gap)) => self.handle_gap(&gap),
                Ok(Command::Close(close)) => self.closed = Some(close.reason.0),
                Ok(_) => {}
                Err(error) => self.wrong.add(|| format!("a command cannot be read: {error:?}")),
            },
            FrameType::Data => match ServerData::decode(frame.header.flags, frame.payload) {
                Ok(Some(data)) => self.handle_data(&data, now),
                other => self.wrong.add(|| format!("data cannot be read: {other:?}")),
            },
            FrameType::Ping => {}
        }
    }

    fn handle_gap(&mut self, gap: &Gap<'_>) {
        self.waits_for_snapshot = true;
        self.collecting = false;
        self.within = None;
        if gap.to >= gap.from {
            self.handle_lost(gap.from.0, gap.to.0);
        } else {
            self.restarts += 1;
        }
    }

    fn handle_lost(&mut self, from: u64, to: u64) {
        if from != self.position + 1 || !self.unfinished.is_empty() {
            let last = self.position;
            self.wrong.add(|| format!("a gap of {from} to {to} after position {last}"));
        }
        self.gaps.push((from, to));
        self.position = to;
        self.gap_before = true;
    }

    fn handle_data(&mut self, data: &ServerData<'_>, now: u64) {
        let more = data.options & flags::MORE != 0;
        match data.kind {
            Kind::Event | Kind::Presence => self.handle_numbered(data, more),
            Kind::Value => self.handle_values(data, more, now),
            Kind::Snapshot => self.handle_snapshot(data, more, now),
            Kind::Direct | Kind::Members => {}
        }
    }

    fn handle_numbered(&mut self, data: &ServerData<'_>, more: bool) {
        let position = data.head.position.0;
        if position != self.position + 1 {
            let last = self.position;
            self.wrong.add(|| format!("a batch of position {position} after {last}"));
        }
        for record in data.records().flatten().filter(|_| data.kind == Kind::Event) {
            let number = number_at(record.payload, 0);
            if record.payload.len() != self.plan.event_len {
                self.wrong.add(|| format!("an event of {} bytes", record.payload.len()));
            }
            self.unfinished.push(number);
        }
        if more {
            return;
        }
        for index in 0..self.unfinished.len() {
            let (number, last) = (self.unfinished[index], self.last_event);
            if number <= last || (!self.gap_before && number != last + 1) {
                self.wrong.add(|| format!("event {number} after {last} at position {position}"));
            }
            self.last_event = number;
            self.gap_before = false;
        }
        if let (Some(first), Some(last)) = (self.unfinished.first(), self.unfinished.last()) {
            self.batches.insert(position, (*first, *last));
        }
        self.unfinished.clear();
        self.position = position;
        self.batch_count += 1;
    }

    fn handle_values(&mut self, data: &ServerData<'_>, more: bool, now: u64) {
        if self.waits_for_snapshot || self.collecting {
            self.wrong.add(|| "values where a snapshot must come first".into());
        }
        let mut rounds = std::mem::take(&mut self.rounds);
        self.read_values(data, &mut rounds);
        self.rounds = rounds;
        if !more {
            self.refresh(data, now, false);
        }
    }

    fn handle_snapshot(&mut self, data: &ServerData<'_>, more: bool, now: u64) {
        if !self.collecting {
            self.collected = vec![0; self.rounds.len()];
        }
        let mut collected = std::mem::take(&mut self.collected);
        self.read_values(data, &mut collected);
        self.collected = collected;
        self.collecting = more;
        if !more {
            std::mem::swap(&mut self.rounds, &mut self.collected);
            self.waits_for_snapshot = false;
            self.refresh(data, now, true);
        }
    }

    fn read_values(&mut self, data: &ServerData<'_>, rounds: &mut [u64]) {
        for record in data.records() {
            let Ok(record) = record else {
                self.wrong.add(|| "a record cannot be read".into());
                return;
            };
            let key = record.key.unwrap_or_default() / 2;
            let place = usize::try_from(key).ok().and_then(|key| rounds.get_mut(key));
            let whole = record.payload.len() == self.plan.value_len
                && number_at(record.payload, 1) == key
                && record.payload.last() == Some(&fill(key));
            match place.filter(|_| whole) {
                Some(round) => *round = number_at(record.payload, 0),
                None => self.wrong.add(|| format!("the value of key {key} is not what was sent")),
            }
        }
    }

    /// A segment of values is complete: all of them are as of one flush.
    fn refresh(&mut self, data: &ServerData<'_>, now: u64, snapshot: bool) {
        let newest = self.rounds.iter().copied().max().unwrap_or_default();
        if newest == 0 {
            return;
        }
        let torn = (0..).zip(&self.rounds).find(|(key, round)| self.plan.last_write(*key, newest) != **round);
        if let Some((key, round)) = torn {
            let (round, position) = (*round, data.head.position.0);
            self.wrong.add(|| format!("key {key} is of round {round} beside {newest} at position {position}"));
        }
        // A snapshot may be of a tick from before the join.
        let ahead = data.head.tick.wrapping_sub(u16::try_from(self.seat.tick & 0xffff).unwrap_or_default());
        if ahead < 0x8000 {
            let tick = self.seat.whole_tick(data.head.tick);
            let flushed = self.seat.begins(tick);
            // Rounds of other joins count ticks alike, since they share the room.
            self.newest.insert(tick, newest);
            self.refreshes.push(Refresh { at: now, flushed, snapshot });
        }
    }

    /// Positions up to `last` that came neither in a batch nor in a gap; 0 where it adds up.
    pub(crate) fn missing(&self, last: u64) -> i64 {
        let in_gaps: u64 = self.gaps.iter().map(|(from, to)| to - from + 1).sum();
        (last - self.first).cast_signed() - (self.batch_count + in_gaps).cast_signed()
    }
}

/// A payload begins with big-endian numbers.
pub(crate) fn number_at(payload: &[u8], index: usize) -> u64 {
    let number = payload.get(index * 8..).and_then(|rest| rest.first_chunk());
    number.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The byte that fills a key's values.
pub(crate) const fn fill(key: u64) -> u8 {
    (key % 251) as u8
}
