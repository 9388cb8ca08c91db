//! What the room is, told by an observer who sees everything and never lags.
//!
//! ```text
//! flush ──frames──> observer ──> batches, by position     what everybody must have been told, or missed
//!                        └─────> states, one a flush      what snapshots and values must describe
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;

use crate::deflate::{Inflater, MAX_RECORDS};
use crate::wire::header::flags;
use crate::wire::{Control, FrameType, Kind, Presence, Record, Sender, ServerData, split_frame};

/// Owner (0 for the room) and key.
pub(super) type Keys = BTreeMap<(u64, u64), (u64, Vec<u8>)>;

/// By number: presence data, and whether the member is away.
pub(super) type People = BTreeMap<u64, (Vec<u8>, bool)>;

/// A record, read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) kind: Kind,
    pub(super) member: u64,
    pub(super) key: u64,
    pub(super) payload: Vec<u8>,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, member, key, payload } = self;
        write!(f, "{kind:?} {member} {key} {:?}..{}", payload.get(..payload.len().min(4)), payload.len())
    }
}

/// A data frame, read.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    pub(super) more: bool,
    pub(super) position: u64,
    pub(super) records: Vec<Told>,
}

/// A frame, read; commands are read again where they are needed.
#[derive(Debug)]
pub(super) enum Read<'a> {
    Data(Piece),
    Control(Control<'a>),
}

/// Reads one whole frame.
pub(super) fn read(frame: &Bytes) -> Read<'_> {
    let (whole, rest) = split_frame(frame, 65_535, Sender::Server).unwrap().unwrap();
    assert!(rest.is_empty(), "an outbox queues whole frames");
    if whole.header.frame_type == FrameType::Control {
        return Read::Control(Control::decode(whole.payload).unwrap());
    }
    let data = ServerData::decode(whole.header.flags, whole.payload).unwrap().unwrap();
    let mut inflated = Vec::new();
    let mut records = data.records;
    if data.options & flags::COMPRESSED != 0 {
        Inflater::default().inflate(records, MAX_RECORDS, &mut inflated).unwrap();
        records = &inflated;
    }
    let told = |record: Record<'_>| Told {
        kind: data.kind,
        member: record.member.0,
        key: record.key.unwrap_or_default(),
        payload: record.payload.to_vec(),
    };
    let records = ServerData { records, ..data }.records().map(|record| told(record.unwrap())).collect();
    Read::Data(Piece {
        kind: data.kind,
        more: data.options & flags::MORE != 0,
        position: data.head.position.0,
        records,
    })
}

/// Owner and key of a value's record.
pub(super) fn owner(told: &Told) -> (u64, u64) {
    (if told.key % 2 == 1 { 0 } else { told.member }, told.key)
}

/// Writes or deletes.
pub(super) fn put(values: &mut Keys, told: &Told) {
    if told.payload.is_empty() {
        values.remove(&owner(told));
    } else {
        values.insert(owner(told), (told.member, told.payload.clone()));
    }
}

/// Applies a record of presence, or of a list of members.
pub(super) fn meet(people: &mut People, told: &Told) {
    match Presence::decode(&told.payload).unwrap() {
        Presence::Here { data, .. } => drop(people.insert(told.member, (data.to_vec(), false))),
        Presence::Away => people.get_mut(&told.member).unwrap().1 = true,
        Presence::Left(_) => assert!(people.remove(&told.member).is_some(), "who left was there: {told:?}"),
        other => panic!("full presence tells no {other:?}"),
    }
}

/// The room as of one flush.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) position: u64,
    pub(super) values: Rc<Keys>,
    pub(super) people: Rc<People>,
}

/// Everything the room ever said.
#[derive(Debug)]
pub(super) struct Truth {
    /// The records of presence and events, by position; position 0 has none.
    pub(super) batches: Vec<Vec<Told>>,
    /// One for each flush that said something, the empty room first.
    pub(super) states: Vec<State>,
}

impl Truth {
    pub(super) fn new() -> Self {
        Self { batches: vec![Vec::new()], states: vec![State::default()] }
    }

    pub(super) fn last(&self) -> &State {
        self.states.last().unwrap()
    }

    /// The frames of at most one flush, as the observer got them.
    pub(super) fn handle(&mut self, frames: &[Bytes]) {
        let mut state = self.last().clone();
        let mut flushed = false;
        for frame in frames {
            let Read::Data(data) = read(frame) else { continue };
            if !matches!(data.kind, Kind::Presence | Kind::Event | Kind::Value) {
                continue;
            }
            let batches = self.batches.len() as u64;
            if data.kind != Kind::Value && data.position == batches {
                self.batches.push(Vec::new());
            }
            // Who left comes behind the values, which name its position already.
            assert!(data.position <= batches, "positions have no holes");
            state.position = data.position;
            flushed = true;
            for told in data.records {
                match told.kind {
                    Kind::Value => put(Rc::make_mut(&mut state.values), &told),
                    Kind::Presence => meet(Rc::make_mut(&mut state.people), &told),
                    _ => {}
                }
                if told.kind != Kind::Value {
                    self.batches.last_mut().unwrap().push(told);
                }
            }
        }
        if flushed {
            self.states.push(state);
        }
    }

    /// The first flush, not before `from`, that `is` describes. There must be one.
    pub(super) fn find(&self, from: usize, position: u64, what: &str, is: impl Fn(&State) -> bool) -> usize {
        // Positions ascend.
        let first = self.states.partition_point(|state| state.position < position).max(from);
        let states = self.states.get(first..).unwrap_or_default();
        let mut at = (first..).zip(states).take_while(|(_, state)| state.position == position);
        let found = at.find(|(_, state)| is(state)).map(|(index, _)| index);
        found.unwrap_or_else(|| panic!("{what}: as of no flush behind position {position}, from {from} on"))
    }

    /// The members behind a position.
    pub(super) fn people(&self, position: u64) -> &People {
        &self.states[self.states.partition_point(|state| state.position < position)].people
    }
}
