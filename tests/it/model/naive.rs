//! Rooms as a reader of PROTOCOL 11 would write them down, without a thought for speed.

use std::collections::{BTreeMap, BTreeSet};

use tickwire::class::RoomClasses;
use tickwire::limits::Limits;
use tickwire::name::RoomName;
use tickwire::wire::{Reason, Target};

use super::room::{Gone, Member, Room, micros};
use super::seen::Since;
use super::{Heard, Seen, Snapshot};

/// What a session asks.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Join { name: &'static str, handle: u64, mode: u8, since: Option<([u8; 8], u64)>, data: Vec<u8> },
    Leave { handle: u64 },
    Presence { handle: u64, data: Vec<u8> },
    Publish { handle: u64, message: Message },
}

/// What is published.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) target: Target,
    pub(super) urgent: bool,
    pub(super) payload: Vec<u8>,
}

/// Session, room (0 where none is named), and what it is told.
pub(super) type Out = Vec<(u64, u64, Heard)>;

pub(super) const PUBLISH: u8 = 1;
pub(super) const RECEIVE: u8 = 2;
const MEMBERS: u8 = 4;

pub(super) struct Naive {
    limits: Limits,
    classes: RoomClasses,
    rooms: BTreeMap<&'static str, Room>,
    /// By session and handle: the room and the member's number.
    seats: BTreeMap<(u64, u64), (&'static str, u64)>,
    epochs: BTreeSet<[u8; 8]>,
    /// By period: the edge of a flush that is not written yet; an edge that has passed meanwhile.
    flushed: BTreeMap<u64, u64>,
    missed: BTreeMap<u64, u64>,
}
pub(super) fn refused(session: u64, request: u64, number: u64, reason: Reason) -> Out {
    vec![(session, 0, Heard::Answer(Seen::Refused { request, number, reason: reason.0 }))]
}

impl Naive {
    pub(super) fn new(limits: Limits, classes: RoomClasses) -> Self {
        Self {
            limits,
            classes,
            rooms: BTreeMap::new(),
            seats: BTreeMap::new(),
            epochs: BTreeSet::new(),
            flushed: BTreeMap::new(),
            missed: BTreeMap::new(),
        }
    }

    pub(super) fn room_count(&self) -> usize {
        self.rooms.len()
    }

    /// What a newcomer could say it knows: nothing, everything, all but the last batch, or too much.
    pub(super) fn since(&self, name: &str, choice: u8) -> Option<([u8; 8], u64)> {
        let (epoch, position) = self.rooms.get(name).map_or(([0; 8], 0), |room| (room.epoch, room.position));
        let known = [position, position.saturating_sub(1), position + 7];
        choice.checked_sub(1).map(|choice| (epoch, known[usize::from(choice)]))
    }

    pub(super) fn command(&mut self, session: u64, wish: &Wish, joined: Option<&Seen>, now: u64) -> Out {
        match wish {
            Wish::Join { name, handle, mode, since, data } => {
                if let Some(reason) = self.join_refusal(session, name, *handle, now) {
                    return refused(session, 1, 0, reason);
                }
                let Some(joined) = joined else { panic!("JOINED should have come") };
                self.join(session, (name, *handle, *mode, data), *since, joined, now)
            }
            Wish::Leave { handle } => match self.seats.remove(&(session, *handle)) {
                None => refused(session, 2, 0, Reason::NOT_JOINED),
                Some(seat) => {
                    self.leave(seat, Reason::FINISHED.0, now);
                    let left = Seen::Left { request: 2, handle: *handle, reason: Reason::FINISHED.0 };
                    vec![(session, 0, Heard::Answer(left))]
                }
            },
            Wish::Presence { handle, data } => {
                let Some((name, number)) = self.seats.get(&(session, *handle)) else {
                    return refused(session, 3, 0, Reason::NOT_JOINED);
                };
                let room = self.rooms.get_mut(name).expect("a seat has a room");
                let member = room.members.get_mut(number).expect("a seat has a member");
                (member.data, member.changed) = (data.clone(), true);
                room.touch(now);
                vec![(session, 0, Heard::Answer(Seen::Done { request: 3 }))]
            }
            Wish::Publish { handle, message } => {
                let published = match self.seats.get(&(session, *handle)) {
                    None => Err(Reason::NOT_JOINED),
                    Some((name, from)) => {
                        let room = self.rooms.get_mut(name).expect("a seat has a room");
                        room.publish(*from, message, now, &self.limits)
                    }
                };
                published.unwrap_or_else(|reason| refused(session, 0, message.number, reason))
            }
        }
    }

    pub(super) fn end(&mut self, session: u64, reason: u64, now: u64) {
        let (ended, others) = std::mem::take(&mut self.seats).into_iter().partition(|((of, _), _)| *of == session);
        self.seats = others;
        let ended: BTreeMap<_, _> = ended;
        ended.into_values().for_each(|seat| self.leave(seat, reason, now));
    }

    pub(super) fn timeout(&mut self, now: u64) -> Out {
        let periodic = |room: &Room| !room.class.period.is_zero() && room.due.is_some_and(|due| due <= now);
        for period in self.rooms.values().filter(|room| periodic(room)).map(|room| micros(room.class.period)) {
            self.flushed.insert(period, now / period * period);
            self.missed.remove(&period);
        }
        let out = self.flush_where(periodic, now);
        self.rooms.retain(|_, room| room.lingers.is_none_or(|until| now < until));
        out
    }

    pub(super) fn written(&mut self, now: u64) {
        for (period, edge) in std::mem::take(&mut self.flushed) {
            if edge + period <= now {
                self.missed.insert(period, edge + period);
            }
        }
    }

    /// An edge that was missed is due where anybody waits, late as it is.
    pub(super) fn caught_up(&mut self, now: u64) -> Out {
        let missed = std::mem::take(&mut self.missed);
        for room in self.rooms.values_mut().filter(|room| room.due.is_some()) {
            room.due = missed.get(&micros(room.class.period)).copied().or(room.due);
        }
        self.timeout(now)
    }

    pub(super) fn drained(&mut self, now: u64) -> Out {
        self.flush_where(|room| room.class.period.is_zero() && room.due.is_some(), now)
    }

    fn flush_where(&mut self, due: impl Fn(&Room) -> bool, now: u64) -> Out {
        let mut out = Vec::new();
        for room in self.rooms.values_mut().filter(|room| due(room)) {
            room.due = None;
            out.extend(room.flush(false, now));
            if room.members.is_empty() && room.lingers.is_none() {
                room.lingers = Some(now + micros(room.class.linger));
            }
        }
        out
    }

    fn join_refusal(&self, session: u64, name: &str, handle: u64, now: u64) -> Option<Reason> {
        let seats = || self.seats.iter().filter(|((of, _), _)| *of == session);
        match self.rooms.get(name) {
            _ if seats().any(|(_, (room, _))| *room == name) => Some(Reason::ALREADY_JOINED),
            _ if self.seats.contains_key(&(session, handle)) => Some(Reason::HANDLE_IN_USE),
            _ if seats().count() >= self.limits.max_rooms => Some(Reason::TOO_MANY_JOINS),
            None if self.rooms.len() >= self.limits.max_shard_rooms => Some(Reason::TOO_MANY_ROOMS),
            Some(room) if room.members.len() >= self.limits.max_members => Some(Reason::ROOM_FULL),
            Some(room) if !room.has_number(now, &self.limits) => Some(Reason::ROOM_FULL),
            _ => None,
        }
    }

    /// The numbers are the dispatcher's to choose; here they are checked, and taken over.
    fn join(
        &mut self,
        session: u64,
        (name, handle, mode, data): (&'static str, u64, u8, &[u8]),
        since: Option<([u8; 8], u64)>,
        joined: &Seen,
        now: u64,
    ) -> Out {
        let &Seen::Joined { room: id, member, epoch, .. } = joined else {
            unreachable!("the caller looked for JOINED")
        };
        if !self.rooms.contains_key(name) {
            assert!(self.epochs.insert(epoch), "every life of a room has an epoch of its own");
            assert!(self.rooms.values().all(|room| room.id != id), "two rooms have the number {id}");
            let class = self.classes.of(&RoomName::new(name.as_bytes()).expect("a name")).clone();
            self.rooms.insert(name, Room::new(class, id, epoch, now));
        }
        let room = self.rooms.get_mut(name).expect("it was just made");
        room.check_number(member, now, &self.limits);
        let answer = Seen::Joined {
            request: 1,
            handle,
            room: room.id,
            member,
            mode,
            epoch: room.epoch,
            position: room.position,
            since: match since {
                None => Since::Fresh,
                Some((epoch, last)) if epoch == room.epoch && last == room.position => Since::Recovered,
                Some((epoch, last)) if epoch == room.epoch && last < room.position => {
                    Since::Gap(Some((last + 1, room.position)))
                }
                Some(_) => Since::Gap(None),
            },
        };
        let mut out = vec![(session, room.id, Heard::Answer(answer))];
        if mode & MEMBERS != 0 {
            out.push((session, room.id, Heard::Members(room.told())));
        }
        if mode & RECEIVE != 0 {
            let values = Snapshot { position: room.position, tick: room.flushed, entries: room.latest.clone() };
            out.push((session, room.id, Heard::Values(values)));
        }
        room.members.insert(member, Member { session, mode, data: data.to_vec(), told: None, changed: false });
        room.lingers = None;
        room.touch(now);
        self.seats.insert((session, handle), (name, member));
        out
    }

    fn leave(&mut self, (name, number): (&'static str, u64), reason: u64, now: u64) {
        let room = self.rooms.get_mut(name).expect("a seat has a room");
        let Member { data, told, .. } = room.members.remove(&number).expect("a seat has a member");
        room.gone.push(Gone { number, reason, data, told });
        let owned = room.keys().filter(|(owner, _)| *owner == number).collect::<Vec<_>>();
        owned.into_iter().for_each(|key| drop(room.writes.insert(key, (number, Vec::new()))));
        room.touch(now);
    }
}
