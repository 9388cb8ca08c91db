//! A receiver, written from PROTOCOL.md: it checks what it is told while it reads.
//!
//! What must hold at every frame:
//!
//! - A numbered frame has the position behind the last one that is complete, GAP begins there, and
//!   JOINED says where it goes on. A batch has exactly the records that the room's had, but for what
//!   this client may not see.
//! - A whole snapshot is the room as of one flush: the one behind its position, and not before the
//!   flush of any value that was read earlier.
//! - The records of a value frame are the room's as of one flush, not before any read earlier. So each
//!   value a client has was the room's at some flush between its last snapshot and its last frame.
//! - No value comes between JOINED or GAP and the end of the snapshot that follows, inside a snapshot,
//!   or while the client asked for none. Nothing comes inside a list of members.

use bytes::Bytes;

use super::truth::{Keys, People, Read, Told, Truth, meet, owner, put, read};
use crate::command::What;
use crate::rights::Rights;
use crate::wire::control::Command as Tell;
use crate::wire::{Epoch, Kind, RequestId};

/// What RECEIVE is asked with.
pub(super) const RECEIVE: RequestId = RequestId(5);

/// What a client knows of the room.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) rights: Rights,
    /// Whether it asked for the members.
    pub(super) lists: bool,
    pub(super) joined: bool,
    pub(super) epoch: Option<Epoch>,
    pub(super) number: u64,
    /// The last position that is complete.
    pub(super) last: u64,
    /// The last direct.
    pub(super) directs: u64,
    /// What was asked with RECEIVE and not answered yet, oldest first; the last one is wanted.
    pub(super) asked: std::collections::VecDeque<What>,
    pub(super) what: What,
    /// Where the last join said it was; `None` where it said nothing.
    pub(super) since: Option<u64>,
    /// Where the member came back, its number.
    pub(super) returns: Option<u64>,
    pub(super) values: Keys,
    pub(super) people: Option<People>,
    /// A snapshot must come before values.
    awaits: bool,
    batch: Vec<Told>,
    snapshot: Option<Vec<Told>>,
    list: Option<Vec<Told>>,
    /// The flush before which nothing more comes.
    floor: usize,
    /// Kinds of frames met, for a look at what the test reaches.
    pub(super) met: std::collections::BTreeSet<&'static str>,
}

impl Client {
    /// Forgets what belongs to one membership, or one connection.
    pub(super) fn reset(&mut self) {
        self.joined = false;
        self.asked.clear();
        self.what = What::All;
        (self.people, self.snapshot, self.list) = (None, None, None);
        self.batch.clear();
    }

    /// Whether it has everything that was begun.
    pub(super) fn is_settled(&self) -> bool {
        !self.awaits && self.batch.is_empty() && self.snapshot.is_none() && self.list.is_none()
    }

    pub(super) fn read(&mut self, frame: &Bytes, truth: &Truth) {
        match read(frame) {
            Read::Control(control) => self.control(control.request, &control.command, truth),
            Read::Data(data) if data.kind == Kind::Direct => {
                assert!(self.list.is_none());
                self.directs += 1;
                assert_eq!(data.position, self.directs, "directs are numbered through");
            }
            Read::Data(data) => {
                assert!(self.joined && self.what != What::Paused, "it asked for nothing: {data:?}");
                assert!(self.list.is_none() || data.kind == Kind::Members, "inside a list of members");
                match data.kind {
                    Kind::Value => self.handle_values(&data.records, data.position, truth),
                    Kind::Snapshot => self.handle_snapshot(data.records, data.position, data.more, truth),
                    Kind::Members => self.handle_list(data.records, data.position, data.more, truth),
                    _ => self.handle_numbered(data.records, data.position, data.more, truth),
                }
            }
        }
    }

    fn control(&mut self, request: RequestId, command: &Tell<'_>, truth: &Truth) {
        assert!(self.list.is_none(), "inside a list of members: {command:?}");
        match command {
            Tell::Joined(told) => {
                assert!(!self.joined);
                if let Some(number) = self.returns.take() {
                    assert_eq!(told.member.0, number, "who comes back keeps its number");
                }
                self.check_since(told, truth);
                self.reset();
                (self.joined, self.awaits) = (true, true);
                (self.number, self.last, self.epoch) = (told.member.0, told.position.0, Some(told.epoch));
            }
            Tell::Gap(told) => {
                assert!(self.joined && self.what != What::Paused, "it asked for nothing");
                assert!(self.batch.is_empty(), "a gap comes between batches");
                let (from, to) = (told.from.0, told.to.0);
                assert_eq!(from, self.last + 1, "a gap begins where the last batch ended");
                assert!(to + 1 >= from && to <= truth.last().position);
                (self.last, self.awaits, self.snapshot) = (to, true, None);
                // What was missed is missing in the list; another one follows where it was asked for.
                self.people = None;
                self.met.insert(if to < from { "gap of nothing" } else { "gap" });
            }
            Tell::Done(_) => {
                if request == RECEIVE {
                    self.what = self.asked.pop_front().unwrap();
                }
            }
            Tell::Left(_) => self.reset(),
            Tell::Refused(_) => {}
            other => panic!("nobody asked for {other:?}"),
        }
    }

    fn check_since(&mut self, told: &crate::wire::control::Joined<'_>, truth: &Truth) {
        let (position, now) = (told.position.0, truth.last().position);
        assert!(position <= now);
        match (self.since.take(), told.outcome.0) {
            (None, outcome) => assert_eq!(outcome, 0),
            (Some(since), 1) => {
                assert_eq!(position, since, "recovered: everything behind it follows");
                self.met.insert("recovered");
            }
            (Some(since), _) => {
                let lost = told.extensions.get(crate::wire::extension::kind::LOST).unwrap();
                let mut reader = crate::wire::Reader::new(lost);
                let lost = (reader.varint().unwrap(), reader.varint().unwrap());
                assert_eq!(lost, (since + 1, position), "what is lost ends where it goes on");
                self.met.insert(if position < now { "gap with replay" } else { "joined with a gap" });
            }
        }
    }

    fn handle_numbered(&mut self, records: Vec<Told>, position: u64, more: bool, truth: &Truth) {
        assert_eq!(position, self.last + 1, "positions are consecutive, or a gap is told");
        self.batch.extend(records);
        if more {
            return;
        }
        let whole = &truth.batches[usize::try_from(position).unwrap()];
        let rights = self.rights;
        let seen = |told: &&Told| if told.kind == Kind::Event { rights.events } else { rights.presence };
        let expected: Vec<&Told> = whole.iter().filter(seen).collect();
        assert_eq!(self.batch.iter().collect::<Vec<_>>(), expected, "batch {position}");
        self.last = position;
        for told in self.batch.drain(..).filter(|told| told.kind == Kind::Presence) {
            if let Some(people) = &mut self.people {
                meet(people, &told);
            }
        }
    }

    fn handle_values(&mut self, records: &[Told], position: u64, truth: &Truth) {
        assert!(self.rights.values && self.what == What::All, "it may not see values, or does not want them");
        assert!(!self.awaits, "values before the snapshot");
        assert!(self.snapshot.is_none(), "values inside a snapshot");
        let is = |told: &Told, values: &Keys| match values.get(&owner(told)) {
            Some((member, payload)) => (*member, payload) == (told.member, &told.payload),
            None => told.payload.is_empty(),
        };
        let describes = |values: &Keys| records.iter().all(|told| is(told, values));
        self.floor = truth.find(self.floor, position, "values", |state| describes(&state.values));
        records.iter().for_each(|told| put(&mut self.values, told));
        self.met.insert("values");
    }

    fn handle_snapshot(&mut self, records: Vec<Told>, position: u64, more: bool, truth: &Truth) {
        let pieces = self.snapshot.is_some() || more;
        let snapshot = self.snapshot.get_or_insert_default();
        snapshot.extend(records);
        if more {
            return;
        }
        let records = self.snapshot.take().unwrap_or_default();
        let mut values = Keys::new();
        records.iter().for_each(|told| put(&mut values, told));
        assert_eq!(values.len(), records.len(), "a snapshot has a key once, and no deletions");
        if self.rights.values {
            self.floor = truth.find(self.floor, position, "a snapshot", |state| *state.values == values);
        } else {
            assert!(values.is_empty(), "it may not see values");
        }
        self.values = values;
        self.met.insert(match (self.awaits, pieces) {
            (true, true) => "snapshot in pieces",
            (true, false) => "snapshot",
            (false, true) => "snapshot in pieces for who was behind",
            (false, false) => "snapshot for who was behind",
        });
        self.awaits = false;
    }

    fn handle_list(&mut self, records: Vec<Told>, position: u64, more: bool, truth: &Truth) {
        assert!(self.lists && self.rights.presence, "it asked for no list, or may not see it");
        self.list.get_or_insert_default().extend(records);
        if more {
            return;
        }
        let mut people = People::new();
        self.list.take().unwrap_or_default().iter().for_each(|told| meet(&mut people, told));
        assert_eq!(&people, truth.people(position), "a list is the room as of its position");
        assert_eq!(position, self.last, "a list comes between batches");
        self.people = Some(people);
        self.met.insert("list");
    }
}
