//! One room of the naive model.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tickwire::class::{PresenceMode, RoomClass};
use tickwire::limits::Limits;
use tickwire::wire::{Presence, Reason, Target};

use super::naive::{Message, Out, PUBLISH, RECEIVE, refused};
use super::{Batch, Heard, Snapshot};

pub(super) struct Room {
    pub(super) class: RoomClass,
    pub(super) id: u64,
    pub(super) epoch: [u8; 8],
    pub(super) start: u64,
    pub(super) position: u64,
    /// The tick of the last flush, as it travels.
    pub(super) flushed: u16,
    pub(super) members: BTreeMap<u64, Member>,
    /// Who left since the last flush.
    pub(super) gone: Vec<Gone>,
    /// Numbers that were given back, and when.
    pub(super) rested: BTreeMap<u64, u64>,
    pub(super) events: Vec<(u64, Vec<u8>)>,
    /// As of the last flush.
    pub(super) latest: BTreeMap<(u64, u64), (u64, Vec<u8>)>,
    /// Since the last flush; empty is a deletion.
    pub(super) writes: BTreeMap<(u64, u64), (u64, Vec<u8>)>,
    directs: Vec<Direct>,
    /// Whether members came, changed or left since the last flush.
    pub(super) touched: bool,
    pub(super) early: (u64, u32),
    /// When the next flush is due; a room of period 0 waits for its input to be drained.
    pub(super) due: Option<u64>,
    pub(super) lingers: Option<u64>,
}

pub(super) struct Member {
    pub(super) session: u64,
    pub(super) mode: u8,
    pub(super) data: Vec<u8>,
    /// What the last flush told of it.
    pub(super) told: Option<Vec<u8>>,
    /// Whether it set its data since, also to the same.
    pub(super) changed: bool,
}

pub(super) struct Gone {
    pub(super) number: u64,
    pub(super) reason: u64,
    pub(super) data: Vec<u8>,
    pub(super) told: Option<Vec<u8>>,
}

struct Direct {
    from: u64,
    to: u64,
    number: u64,
    urgent: bool,
    payload: Vec<u8>,
}

pub(super) fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

impl Room {
    pub(super) fn new(class: RoomClass, id: u64, epoch: [u8; 8], now: u64) -> Self {
        let start = now.checked_div(micros(class.period)).map_or(now, |ticks| ticks * micros(class.period));
        Self {
            class,
            id,
            epoch,
            start,
            position: 0,
            flushed: 0,
            members: BTreeMap::new(),
            gone: Vec::new(),
            rested: BTreeMap::new(),
            events: Vec::new(),
            latest: BTreeMap::new(),
            writes: BTreeMap::new(),
            directs: Vec::new(),
            touched: false,
            early: (0, 0),
            due: None,
            lingers: None,
        }
    }

    fn tick(&self, now: u64) -> u64 {
        (now - self.start) / micros(self.class.period).max(if self.class.period.is_zero() { 1000 } else { 1 })
    }

    pub(super) fn check_number(&self, number: u64, now: u64, limits: &Limits) {
        assert!(number > 0 && !self.members.contains_key(&number), "{number} is taken");
        assert!(self.gone.iter().all(|gone| gone.number != number), "{number} was not told to have left");
        let rested = self.rested.get(&number).is_none_or(|since| now >= since + micros(limits.number_quarantine));
        assert!(rested, "{number} has not rested");
    }

    /// Whether a newcomer can have a number: one that has rested, or a new one while there are less
    /// than four for each member that may be there.
    pub(super) fn has_number(&self, now: u64, limits: &Limits) -> bool {
        let gone = self.gone.iter().map(|gone| gone.number).collect::<BTreeSet<_>>();
        let free = |number: &u64| !self.members.contains_key(number) && !gone.contains(number);
        let rested = |since: u64| now >= since + micros(limits.number_quarantine);
        let known = self.members.keys().chain(&gone).chain(self.rested.keys()).collect::<BTreeSet<_>>();
        self.rested.iter().any(|(number, since)| free(number) && rested(*since)) || known.len() < 4 * limits.max_members
    }

    pub(super) fn touch(&mut self, now: u64) {
        self.touched = true;
        self.dirty(now);
    }

    fn dirty(&mut self, now: u64) {
        let next =
            now.checked_div(micros(self.class.period)).map_or(now, |ticks| (ticks + 1) * micros(self.class.period));
        self.due.get_or_insert(next);
    }

    /// All keys there are, those deleted since the last flush included.
    pub(super) fn keys(&self) -> impl Iterator<Item = (u64, u64)> {
        self.latest.keys().chain(self.writes.keys()).copied().collect::<BTreeSet<_>>().into_iter()
    }

    /// What a value counts: its payload and 64 bytes.
    fn value_bytes(&self, key: (u64, u64)) -> usize {
        let value = self.writes.get(&key).or_else(|| self.latest.get(&key));
        value.map_or(0, |(_, payload)| 64 + payload.len())
    }

    pub(super) fn publish(&mut self, from: u64, message: &Message, now: u64, limits: &Limits) -> Result<Out, Reason> {
        let Message { number, target, urgent, payload } = message;
        let (number, target, urgent) = (*number, *target, *urgent);
        if self.members[&from].mode & PUBLISH == 0 {
            return Err(Reason::NOT_PUBLISHING);
        }
        if urgent && !self.class.urgent {
            return Err(Reason::NOT_ALLOWED);
        }
        match target {
            Target::Event => self.events.push((from, payload.to_vec())),
            Target::Direct(to) if !self.members.contains_key(&to.0) => return Err(Reason::NO_SUCH_MEMBER),
            Target::Direct(to) => {
                self.directs.push(Direct { from, to: to.0, number, urgent, payload: payload.to_vec() });
            }
            Target::Value(key) => self.write(from, key.wire(), payload, limits)?,
        }
        self.dirty(now);
        let tick = self.tick(now);
        let flushed = if self.early.0 == tick { self.early.1 } else { 0 };
        if !urgent || flushed >= limits.max_early_flushes {
            return Ok(Vec::new());
        }
        self.early = (tick, flushed + 1);
        Ok(self.flush(true, now))
    }

    fn write(&mut self, from: u64, key: u64, payload: &[u8], limits: &Limits) -> Result<(), Reason> {
        let (owner, room_scope) = if key % 2 == 1 { (0, true) } else { (from, false) };
        let known = self.keys().any(|known| known == (owner, key));
        if !known && payload.is_empty() {
            return Ok(());
        }
        let owned = self.keys().filter(|(of, _)| *of == owner).count();
        let full = self.keys().count() >= limits.max_room_values || (!room_scope && owned >= limits.max_member_values);
        let (old, new) = (self.value_bytes((owner, key)), 64 + payload.len());
        let bytes: usize = self.keys().map(|key| self.value_bytes(key)).sum();
        if (!known && full) || (new > old && bytes - old + new > limits.max_value_bytes) {
            return Err(Reason::VALUES_FULL);
        }
        self.writes.insert((owner, key), (from, payload.to_vec()));
        Ok(())
    }

    pub(super) fn told(&self) -> Snapshot {
        let members = self.members.iter().map(|(number, member)| (*number, &member.told));
        let gone = self.gone.iter().map(|gone| (gone.number, &gone.told));
        let told = members.chain(gone).filter(|_| self.class.presence == PresenceMode::Full);
        let entries = told.filter_map(|(number, told)| Some(((number, 0), (number, here(told.as_ref()?)))));
        Snapshot { position: self.position, tick: self.flushed, entries: entries.collect() }
    }

    pub(super) fn flush(&mut self, urgent: bool, now: u64) -> Out {
        let tick = self.tick(now);
        if self.clean() {
            return Vec::new();
        }
        self.flushed = tick as u16;
        let mut batch = Batch { tick: tick as u16, urgent, ..Batch::default() };
        batch.events = std::mem::take(&mut self.events);
        self.flush_presence(&mut batch);
        for (key, (sender, payload)) in std::mem::take(&mut self.writes) {
            let existed = self.latest.remove(&key).is_some();
            if !payload.is_empty() {
                self.latest.insert(key, (sender, payload.clone()));
            }
            if existed || !payload.is_empty() {
                batch.values.insert(key, (sender, payload));
            }
        }
        batch.numbered = !(batch.came.is_empty() && batch.events.is_empty() && batch.left.is_empty());
        self.position += u64::from(batch.numbered);
        batch.position = self.position;
        self.rested.extend(self.gone.drain(..).map(|gone| (gone.number, now)));
        let mut out = Vec::new();
        if batch.numbered || !batch.values.is_empty() {
            let receivers = self.members.values().filter(|member| member.mode & RECEIVE != 0);
            out.extend(receivers.map(|member| (member.session, self.id, Heard::Batch(batch.clone()))));
        }
        for Direct { from, to, number, urgent: asked, payload } in std::mem::take(&mut self.directs) {
            match (self.members.get(&to), self.members.get(&from)) {
                (Some(to), _) => {
                    let urgent = asked && urgent;
                    out.push((to.session, self.id, Heard::Direct { from, urgent, payload }));
                }
                (None, Some(from)) => out.extend(refused(from.session, 0, number, Reason::NO_SUCH_MEMBER)),
                (None, None) => {}
            }
        }
        out
    }

    /// Whether nothing has come since the last flush: then there is none.
    fn clean(&self) -> bool {
        !self.touched && self.events.is_empty() && self.writes.is_empty() && self.directs.is_empty()
    }

    fn flush_presence(&mut self, batch: &mut Batch) {
        let touched = std::mem::take(&mut self.touched);
        match self.class.presence {
            PresenceMode::Off => {}
            PresenceMode::Counts => {
                if touched {
                    let mut payload = Vec::new();
                    Presence::Count(self.members.len() as u64).encode(&mut payload);
                    batch.came.insert(0, payload);
                }
            }
            PresenceMode::Full => {
                let news = self.gone.iter().filter(|gone| gone.told.is_none());
                batch.came.extend(news.map(|gone| (gone.number, here(&gone.data))));
                batch.left.extend(self.gone.iter().map(|gone| (gone.number, gone.reason)));
            }
        }
        for (number, member) in &mut self.members {
            let came = member.told.replace(member.data.clone()).is_none();
            let changed = std::mem::take(&mut member.changed);
            if (came || changed) && self.class.presence == PresenceMode::Full {
                batch.came.insert(*number, here(&member.data));
            }
        }
    }
}

fn here(data: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    Presence::Here { subject: b"", data }.encode(&mut payload);
    payload
}
