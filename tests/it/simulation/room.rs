//! A room as a client sees it (PROTOCOL 8, 11, 12.1): whole positions, values, members, and what it was
//! told to be lost.
//!
//! Whatever the protocol forbids is a panic here: a hole in the positions that nobody told of, a
//! batch twice, a value inside a snapshot.

use std::collections::BTreeMap;

use bytes::Bytes;
use tickwire::wire::control::{Joined, Outcome};
use tickwire::wire::header::flags;
use tickwire::wire::{Epoch, Kind, Presence, Reader, ServerData, extension};

/// A record, owned.
pub type Record = (u64, Option<u64>, Bytes);

#[derive(Clone, Debug, Default)]
pub struct Room {
    pub name: String,
    /// The server's number and our own, as JOINED told.
    pub id: u64,
    pub me: u64,
    /// JOINED came on this connection.
    pub joined: bool,
    /// The life, and its last complete position.
    pub since: Option<(Epoch, u64)>,
    /// Events of complete positions, of this life.
    pub heard: BTreeMap<u64, Vec<(u64, Bytes)>>,
    /// Positions that were told to be lost.
    pub lost: Vec<(u64, u64)>,
    /// The last position before the first one that was to come.
    pub start: u64,
    pub values: BTreeMap<(u64, u64), Bytes>,
    /// Who is in it: what it shows, and whether it is away.
    pub members: BTreeMap<u64, (Bytes, bool)>,
    /// Records of a position that is not complete.
    partial: Vec<(Kind, Record)>,
    snapshot: Option<Vec<Record>>,
    list: Option<Vec<Record>>,
    pub gaps: usize,
}

impl Room {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The connection is gone: what was begun is void. True where there was something.
    pub fn cut(&mut self) -> bool {
        self.joined = false;
        let inside = !self.partial.is_empty();
        self.partial.clear();
        (self.snapshot, self.list) = (None, None);
        inside
    }

    pub fn handle_joined(&mut self, joined: &Joined<'_>) {
        assert!(!self.joined, "joined twice");
        let position = joined.position.0;
        let lost = joined.extensions.get(extension::kind::LOST).map(|content| {
            let mut reader = Reader::new(content);
            (reader.varint().unwrap(), reader.varint().unwrap())
        });
        match (self.since, joined.outcome) {
            (None, Outcome::FRESH) => self.start = position,
            (Some((epoch, last)), Outcome::RECOVERED) => assert_eq!((epoch, last), (joined.epoch, position)),
            (Some((epoch, last)), Outcome::GAP) if epoch == joined.epoch => {
                assert_eq!(lost, Some((last + 1, position)), "what is lost is told");
                self.lose(last + 1, position);
            }
            (since, outcome) => panic!("outcome {} after {since:?} in {:?}", outcome.0, joined.epoch),
        }
        self.since = Some((joined.epoch, position));
        (self.id, self.me, self.joined) = (joined.room.0, joined.member.0, true);
    }

    pub fn handle_gap(&mut self, epoch: Epoch, from: u64, to: u64) {
        let (life, last) = self.since.unwrap();
        assert_eq!((life, last + 1), (epoch, from), "a gap begins behind what came");
        assert!(self.partial.is_empty(), "a gap inside a position");
        (self.snapshot, self.list) = (None, None);
        self.gaps += 1;
        if from <= to {
            self.lose(from, to);
        }
    }

    fn lose(&mut self, from: u64, to: u64) {
        assert!(from <= to, "{from}..{to} is nothing");
        self.lost.push((from, to));
        if let Some((_, last)) = &mut self.since {
            *last = to;
        }
    }

    pub fn handle_data(&mut self, data: &ServerData<'_>, payload: &Bytes) {
        assert!(self.joined, "a room is silent until it is joined again");
        let more = data.options & flags::MORE != 0;
        let records = data.records().map(|record| {
            let record = record.unwrap();
            (record.member.0, record.key, payload.slice_ref(record.payload))
        });
        let position = data.head.position.0;
        match data.kind {
            Kind::Event | Kind::Presence => {
                assert!(self.list.is_none(), "a batch inside a list of members");
                let (_, last) = self.since.unwrap();
                assert_eq!(position, last + 1, "no hole that nobody told of, and nothing twice");
                self.partial.extend(records.map(|record| (data.kind, record)));
                if !more {
                    self.complete(position);
                }
            }
            Kind::Value => {
                assert!(self.snapshot.is_none(), "values inside a snapshot");
                for (member, key, payload) in records {
                    self.put_value(member, key.unwrap(), payload);
                }
            }
            Kind::Snapshot => {
                self.snapshot.get_or_insert_default().extend(records);
                if !more {
                    self.values.clear();
                    for (member, key, payload) in self.snapshot.take().unwrap() {
                        self.put_value(member, key.unwrap(), payload);
                    }
                }
            }
            Kind::Members => {
                self.list.get_or_insert_default().extend(records);
                if !more {
                    self.members.clear();
                    for (member, _, payload) in self.list.take().unwrap() {
                        self.put_presence(member, &payload);
                    }
                }
            }
            Kind::Direct => unreachable!("directs belong to the session"),
        }
    }

    fn complete(&mut self, position: u64) {
        let mut events = Vec::new();
        for (kind, (member, _, payload)) in std::mem::take(&mut self.partial) {
            match kind {
                Kind::Event => events.push((member, payload)),
                _ => self.put_presence(member, &payload),
            }
        }
        assert!(self.heard.insert(position, events).is_none(), "{position} twice");
        if let Some((_, last)) = &mut self.since {
            *last = position;
        }
    }

    fn put_value(&mut self, member: u64, key: u64, payload: Bytes) {
        let owner = if key.is_multiple_of(2) { member } else { 0 };
        if payload.is_empty() {
            self.values.remove(&(owner, key));
        } else {
            self.values.insert((owner, key), payload);
        }
    }

    fn put_presence(&mut self, member: u64, payload: &Bytes) {
        match Presence::decode(payload).unwrap() {
            Presence::Here { data, .. } => {
                self.members.insert(member, (Bytes::copy_from_slice(data), false));
            }
            Presence::Away => {
                if let Some((_, away)) = self.members.get_mut(&member) {
                    *away = true;
                }
            }
            Presence::Left(_) => {
                self.members.remove(&member);
            }
            other => panic!("{other:?} is not for full presence"),
        }
    }
}
