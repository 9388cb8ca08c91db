//! What a receiver makes of a step's frames: answers, snapshots, batches, directs. On the way it
//! holds the frames to PROTOCOL 8.3 and 8.4: order inside a batch, and which frames say "more".

use std::collections::BTreeMap;

use tickwire::wire::{Kind, Presence};

use super::Seen;
use super::seen::Told;

/// One thing a receiver was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// JOINED, LEFT, REFUSED or DONE.
    Answer(Seen),
    Members(Snapshot),
    Values(Snapshot),
    Batch(Batch),
    Direct {
        from: u64,
        urgent: bool,
        payload: Vec<u8>,
    },
}

/// A whole snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub position: u64,
    pub tick: u16,
    /// By owner (0 for the room) and key; members by number and key 0.
    pub entries: BTreeMap<(u64, u64), (u64, Vec<u8>)>,
}

/// What one flush sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub position: u64,
    /// Whether it took a position of its own, or follows one.
    pub numbered: bool,
    pub tick: u16,
    pub urgent: bool,
    /// Who is here, with data; the room (0) tells a count.
    pub came: BTreeMap<u64, Vec<u8>>,
    pub events: Vec<(u64, Vec<u8>)>,
    pub values: BTreeMap<(u64, u64), (u64, Vec<u8>)>,
    pub left: BTreeMap<u64, u64>,
}

/// Groups the frames of one step by room; room 0 for what names none. `directs` is the number of
/// the last direct of this session.
///
/// # Panics
/// Where the frames break the protocol.
pub fn hear(seen: Vec<Seen>, directs: &mut u64) -> Vec<(u64, Heard)> {
    let mut heard = Vec::new();
    let mut frames = seen.into_iter().peekable();
    while let Some(frame) = frames.next() {
        let Seen::Data { kind, room, position, urgent, ref records, .. } = frame else {
            let room = if let Seen::Joined { room, .. } = frame { room } else { 0 };
            heard.push((room, Heard::Answer(frame)));
            continue;
        };
        if kind == Kind::Direct {
            for record in records {
                *directs += 1;
                assert_eq!(position, *directs, "directs are numbered through");
                heard.push((room, Heard::Direct { from: record.member, urgent, payload: record.payload.clone() }));
            }
            continue;
        }
        let mut run = vec![frame];
        let snapshot = matches!(kind, Kind::Snapshot | Kind::Members);
        while let Some(next) = frames.next_if(|next| follows(next, kind, room, snapshot)) {
            run.push(next);
        }
        heard.push((
            room,
            match kind {
                Kind::Snapshot => Heard::Values(hear_snapshot(&run)),
                Kind::Members => Heard::Members(hear_snapshot(&run)),
                _ => Heard::Batch(hear_batch(&run)),
            },
        ));
    }
    heard
}

fn follows(next: &Seen, first: Kind, of: u64, snapshot: bool) -> bool {
    let Seen::Data { kind, room, .. } = next else { return false };
    let same = if snapshot { *kind == first } else { matches!(kind, Kind::Event | Kind::Value | Kind::Presence) };
    *room == of && same
}

fn hear_snapshot(frames: &[Seen]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (index, frame) in frames.iter().enumerate() {
        let Seen::Data { more, position, tick, records, .. } = frame else { unreachable!("only data is grouped") };
        assert_eq!(*more, index + 1 < frames.len(), "all but the last frame of a snapshot say more");
        if index == 0 {
            (snapshot.position, snapshot.tick) = (*position, *tick);
        }
        assert_eq!((snapshot.position, snapshot.tick), (*position, *tick), "a snapshot has one head");
        for record in records {
            let replaced = snapshot.entries.insert(owner_and_key(record), (record.member, record.payload.clone()));
            assert!(replaced.is_none(), "a snapshot has a key once: {record:?}");
        }
    }
    snapshot
}

fn hear_batch(frames: &[Seen]) -> Batch {
    let mut batch = Batch::default();
    let (mut numbered, mut values, mut last_part) = (Vec::new(), Vec::new(), 0);
    for frame in frames {
        let Seen::Data { kind, more, urgent, position, tick, records, .. } = frame else {
            unreachable!("only data is grouped")
        };
        assert!(!records.is_empty(), "who sees everything gets no frames without records");
        let head = (*position, *tick, *urgent);
        if numbered.is_empty() && values.is_empty() {
            (batch.position, batch.tick, batch.urgent) = head;
        }
        assert_eq!(head, (batch.position, batch.tick, batch.urgent), "a batch has one head");
        if *kind == Kind::Value { &mut values } else { &mut numbered }.push(*more);
        let part = records.iter().map(|record| hear_record(&mut batch, *kind, record)).max().unwrap_or_default();
        assert!(last_part <= part, "who came, events, values, who left");
        last_part = part;
    }
    batch.numbered = !numbered.is_empty();
    for flags in [numbered, values] {
        let expected = (0..flags.len()).map(|index| index + 1 < flags.len());
        assert!(flags.iter().copied().eq(expected), "all but the last say more: {flags:?}");
    }
    batch
}

/// Keeps a record, and says to which part of the batch it belongs.
fn hear_record(batch: &mut Batch, kind: Kind, record: &Told) -> u8 {
    match kind {
        Kind::Event => {
            batch.events.push((record.member, record.payload.clone()));
            2
        }
        Kind::Value => {
            let replaced = batch.values.insert(owner_and_key(record), (record.member, record.payload.clone()));
            assert!(replaced.is_none(), "a batch has a key once: {record:?}");
            3
        }
        _ => match Presence::decode(&record.payload).expect("a presence record") {
            Presence::Left(reason) => {
                batch.left.insert(record.member, reason.0);
                4
            }
            _ => {
                let replaced = batch.came.insert(record.member, record.payload.clone());
                assert!(replaced.is_none(), "a batch tells of a member once: {record:?}");
                1
            }
        },
    }
}

fn owner_and_key(record: &Told) -> (u64, u64) {
    let key = record.key.unwrap_or_default();
    (if key % 2 == 1 { 0 } else { record.member }, key)
}
