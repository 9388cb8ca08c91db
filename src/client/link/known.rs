//! What is known of one room: its latest values, and its members (clients/SPEC.md 6).
//!
//! ```text
//! snapshot frames ──> under way ──last one──> values <── value frames
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;

use super::event::Value;
use crate::client::{Batch, Member};
use crate::wire::{Key, Kind, MemberNumber, Presence};

/// More came than may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// The most that values, or members, of a room may cost, in bytes. 16 MiB: clients/SPEC.md 8. Sixteen times as
/// much as a server takes by default.
const MOST: usize = 16 * 1024 * 1024;

/// What an entry costs beside its bytes: its place in a tree, and its allocations.
const OVERHEAD: usize = 128;

/// One room's.
#[derive(Debug, Default)]
pub(super) struct Known {
    values: Kept<(u64, MemberNumber), (MemberNumber, Bytes)>,
    /// A snapshot of values that has begun.
    values_under_way: Option<Kept<(u64, MemberNumber), (MemberNumber, Bytes)>>,
    /// None until a list has come.
    members: Option<Kept<MemberNumber, Member>>,
    members_under_way: Option<Kept<MemberNumber, Member>>,
    /// How many members there are, where the room tells only that.
    count: Option<u64>,
}

/// A map that knows what it costs.
#[derive(Debug)]
struct Kept<K, V> {
    entries: BTreeMap<K, V>,
    cost: usize,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), cost: 0 }
    }
}

trait Cost {
    fn cost(&self) -> usize;
}

impl Cost for (MemberNumber, Bytes) {
    fn cost(&self) -> usize {
        OVERHEAD + self.1.len()
    }
}

impl Cost for Member {
    fn cost(&self) -> usize {
        OVERHEAD + self.subject.len() + self.data.len()
    }
}

impl<K: Ord, V: Cost> Kept<K, V> {
    fn insert(&mut self, key: K, value: V) -> Result<(), TooMuch> {
        self.cost += value.cost();
        if let Some(before) = self.entries.insert(key, value) {
            self.cost -= before.cost();
        }
        if self.cost > MOST { Err(TooMuch) } else { Ok(()) }
    }

    fn remove(&mut self, key: &K) {
        if let Some(before) = self.entries.remove(key) {
            self.cost -= before.cost();
        }
    }
}

/// Where a value is kept: one of the room has no owner.
const fn place(key: Key, member: MemberNumber) -> (u64, MemberNumber) {
    (key.wire(), if key.is_room() { MemberNumber::ROOM } else { member })
}

impl Known {
    /// The value of a key: of the room, or of this member.
    pub(super) fn latest(&self, key: Key, member: MemberNumber) -> Option<Bytes> {
        self.values.entries.get(&place(key, member)).map(|(_, payload)| payload.clone())
    }

    pub(super) fn values(&self) -> Vec<Value> {
        let value = |((key, _), (member, payload)): (&(u64, _), &(MemberNumber, Bytes))| Value {
            member: *member,
            key: Key::from_wire(*key),
            payload: payload.clone(),
        };
        self.values.entries.iter().map(value).collect()
    }

    pub(super) fn members(&self) -> Option<Vec<Member>> {
        Some(self.members.as_ref()?.entries.values().cloned().collect())
    }

    pub(super) fn count(&self) -> Option<u64> {
        self.members.as_ref().map(|members| members.entries.len() as u64).or(self.count)
    }

    /// Values have changed.
    pub(super) fn handle_values(&mut self, batch: &Batch) -> Result<(), TooMuch> {
        for record in batch.records() {
            let place = place(Key::from_wire(record.key.unwrap_or_default()), record.member);
            if record.payload.is_empty() {
                self.values.remove(&place);
            } else {
                // A view would keep the whole frame.
                self.values.insert(place, (record.member, Bytes::copy_from_slice(record.payload)))?;
            }
        }
        Ok(())
    }

    /// A part of a snapshot came: whether it is whole now, and counts.
    pub(super) fn handle_snapshot(&mut self, batch: &Batch) -> Result<bool, TooMuch> {
        let under_way = self.values_under_way.get_or_insert_default();
        for record in batch.records() {
            let place = place(Key::from_wire(record.key.unwrap_or_default()), record.member);
            under_way.insert(place, (record.member, Bytes::copy_from_slice(record.payload)))?;
        }
        if batch.has_more() {
            return Ok(false);
        }
        self.values = self.values_under_way.take().unwrap_or_default();
        Ok(true)
    }

    /// A part of a list of members, or who came, changed and left.
    pub(super) fn handle_presence(&mut self, batch: &Batch) -> Result<(), TooMuch> {
        let is_list = batch.kind() == Kind::Members;
        for (number, presence) in batch.changes() {
            if let Presence::Count(count) = presence {
                self.count = Some(count);
            } else if is_list {
                handle_change(self.members_under_way.get_or_insert_default(), number, &presence)?;
            } else if let Some(members) = &mut self.members {
                handle_change(members, number, &presence)?;
            }
        }
        if is_list && !batch.has_more() {
            self.members = Some(self.members_under_way.take().unwrap_or_default());
        }
        Ok(())
    }

    /// PROTOCOL 6.10: what was collected is void.
    pub(super) fn forget_under_way(&mut self) {
        self.values_under_way = None;
        self.members_under_way = None;
    }
}

fn handle_change(
    members: &mut Kept<MemberNumber, Member>,
    number: MemberNumber,
    presence: &Presence<'_>,
) -> Result<(), TooMuch> {
    match presence {
        Presence::Here { subject, data } => {
            let (subject, data) = (subject.to_vec(), data.to_vec());
            members.insert(number, Member { number, subject, data, away: false })
        }
        Presence::Away => {
            if let Some(member) = members.entries.get_mut(&number) {
                member.away = true;
            }
            Ok(())
        }
        Presence::Left(_) => {
            members.remove(&number);
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header::flags;
    use crate::wire::{Handle, Position, Reason, Record};

    fn batch(kind: Kind, has_more: bool, records: &[(u64, Option<Key>, &[u8])]) -> Batch {
        let mut encoded = Vec::new();
        for (member, key, payload) in records {
            Record { member: MemberNumber(*member), key: key.map(Key::wire), payload }.encode(&mut encoded);
        }
        let options = if has_more { flags::MORE } else { 0 };
        Batch { handle: Handle(1), kind, options, position: Position(1), tick: 1, records: encoded.into() }
    }

    fn presence(presence: &Presence<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        presence.encode(&mut out);
        out
    }

    #[test]
    fn a_snapshot_counts_when_it_is_whole() {
        let (mine, rooms) = (Some(Key::member(1)), Some(Key::room(1)));
        let mut known = Known::default();
        known.handle_values(&batch(Kind::Value, false, &[(2, mine, b"a"), (3, rooms, b"b"), (4, mine, b"c")])).unwrap();
        known.handle_values(&batch(Kind::Value, false, &[(5, rooms, b"d"), (4, mine, b"")])).unwrap();
        let show = |known: &Known| {
            let latest = |key, member| known.latest(key, MemberNumber(member));
            [latest(Key::member(1), 2), latest(Key::room(1), 9), latest(Key::member(1), 4)]
                .map(|payload| payload.map(|payload| String::from_utf8(payload.to_vec()).unwrap()))
        };
        assert_eq!(show(&known), [Some("a".into()), Some("d".into()), None]);
        assert_eq!(known.values()[1].member, MemberNumber(5), "who wrote it last");
        assert_eq!(known.handle_snapshot(&batch(Kind::Snapshot, true, &[(4, mine, b"x")])), Ok(false));
        assert_eq!(show(&known), [Some("a".into()), Some("d".into()), None], "has only begun");
        known.forget_under_way();
        assert_eq!(known.handle_snapshot(&batch(Kind::Snapshot, true, &[(2, mine, b"y")])), Ok(false));
        assert_eq!(known.handle_snapshot(&batch(Kind::Snapshot, false, &[])), Ok(true));
        assert_eq!(show(&known), [Some("y".into()), None, None]);
    }

    #[test]
    fn members_are_those_of_the_list_and_of_all_since() {
        let here = |data| presence(&Presence::Here { subject: b"s", data });
        let (away, left) = (presence(&Presence::Away), presence(&Presence::Left(Reason::FINISHED)));
        let mut known = Known::default();
        known.handle_presence(&batch(Kind::Presence, false, &[(9, None, &here(b""))])).unwrap();
        assert_eq!((known.members(), known.count()), (None, None), "there is no list");
        let list: &[(u64, _, &[u8])] = &[(1, None, &here(b"one")), (2, None, &here(b"")), (2, None, &away)];
        known.handle_presence(&batch(Kind::Members, true, list)).unwrap();
        assert_eq!(known.members(), None);
        known.handle_presence(&batch(Kind::Members, false, &[(3, None, &here(b""))])).unwrap();
        let list: &[(u64, _, &[u8])] = &[(1, None, &left), (4, None, &here(b"four")), (3, None, &away)];
        known.handle_presence(&batch(Kind::Presence, false, list)).unwrap();
        let members = known.members().unwrap();
        let shown: Vec<_> = members.iter().map(|member| (member.number.0, &member.data[..], member.away)).collect();
        assert_eq!(shown, [(2, &b""[..], true), (3, b"", true), (4, b"four", false)]);
        let count = presence(&Presence::Count(300));
        let mut counted = Known::default();
        counted.handle_presence(&batch(Kind::Presence, false, &[(0, None, &count)])).unwrap();
        assert_eq!((counted.count(), known.count()), (Some(300), Some(3)));
    }

    #[test]
    fn what_a_server_makes_us_keep_is_bounded() {
        let payload = vec![0; 60_000];
        let full = |mut add: Box<dyn FnMut(u64) -> bool>| (0..).take_while(|key| add(*key)).count();
        let mut known = Known::default();
        let values = full(Box::new(move |key| {
            known.handle_values(&batch(Kind::Value, false, &[(1, Some(Key::member(key)), &vec![0; 60_000])])).is_ok()
        }));
        assert_eq!(values, MOST / (60_000 + OVERHEAD));
        let mut known = Known::default();
        let snapshot = full(Box::new(move |key| {
            known.handle_snapshot(&batch(Kind::Snapshot, true, &[(1, Some(Key::room(key)), &payload)])).is_ok()
        }));
        assert_eq!(snapshot, values);
        let mut known = Known::default();
        let members = full(Box::new(move |number| {
            let here = presence(&Presence::Here { subject: b"", data: &[0; 60_000] });
            known.handle_presence(&batch(Kind::Members, true, &[(number, None, &here)])).is_ok()
        }));
        assert_eq!(members, values);
    }
}
