//! Runs operations through the dispatcher and the model, and compares what everyone is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tickwire::class::{HistoryBounds, PresenceMode, RoomClass, RoomClasses};
use tickwire::command::{Command, JoinCommand, Publish, SessionId};
use tickwire::dispatcher::{Dispatcher, DispatcherConfig};
use tickwire::limits::Limits;
use tickwire::name::{Pattern, RoomName};
use tickwire::time::Time;
use tickwire::wire::control::Mode;
use tickwire::wire::{Epoch, Handle, Key, MemberNumber, Position, RequestId, Target};

use super::naive::{Message, Naive, Wish};
use super::op::SESSIONS;
use super::{Heard, Op, Recorder, hear, see};

/// The rooms' names; each has a class of its own.
pub(super) const ROOMS: [&str; 4] = ["full", "counts", "off", "quiet"];

/// Runs `ops`, and says what was met on the way.
///
/// # Panics
/// At the first difference between the dispatcher and the model.
pub fn run(ops: &[Op]) -> BTreeSet<&'static str> {
    let mut run = Run::new();
    for op in ops {
        run.step(*op);
    }
    run.met
}

struct Run {
    dispatcher: Dispatcher<u64>,
    naive: Naive,
    recorder: Recorder,
    now: u64,
    /// The session in each place; an ended one is replaced by another.
    sessions: Vec<u64>,
    data_frames: BTreeMap<u64, u64>,
    directs: BTreeMap<u64, u64>,
    messages: u8,
    met: BTreeSet<&'static str>,
}

impl Run {
    fn new() -> Self {
        let (limits, classes) = (limits(), classes());
        Self {
            naive: Naive::new(limits.clone(), classes.clone()),
            dispatcher: Dispatcher::new(DispatcherConfig::new(limits, classes, 7)),
            recorder: Recorder::default(),
            now: 12_345_678,
            sessions: (1..=u64::from(SESSIONS)).collect(),
            data_frames: BTreeMap::new(),
            directs: BTreeMap::new(),
            messages: 0,
            met: BTreeSet::new(),
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Wait { millis } => {
                self.now += millis * 1000;
                self.dispatcher.handle_timeout(Time::from_micros(self.now), &mut self.recorder);
                let heard = self.hear();
                let expected = self.naive.timeout(self.now);
                compare(op, heard, expected);
            }
            Op::Written { millis } => {
                self.now += millis * 1000;
                self.dispatcher.handle_written(Time::from_micros(self.now));
                self.naive.written(self.now);
                compare(op, self.hear(), Vec::new());
            }
            Op::CaughtUp => {
                let tick = self.dispatcher.next_tick();
                self.dispatcher.catch_up();
                self.met.extend((self.dispatcher.next_tick() != tick).then_some("missed edge"));
                self.dispatcher.handle_timeout(Time::from_micros(self.now), &mut self.recorder);
                let heard = self.hear();
                let expected = self.naive.caught_up(self.now);
                compare(op, heard, expected);
            }
            Op::Drained => {
                self.dispatcher.handle_drained(Time::from_micros(self.now), &mut self.recorder);
                let heard = self.hear();
                let expected = self.naive.drained(self.now);
                compare(op, heard, expected);
            }
            Op::End { session } => self.end(op, session),
            _ => self.command(op),
        }
        assert_eq!(self.dispatcher.room_count(), self.naive.room_count());
    }

    fn end(&mut self, op: Op, place: u8) {
        let session = self.sessions[usize::from(place)];
        let reason = tickwire::wire::Reason::PONG_TIMEOUT;
        self.dispatcher.handle_ended(SessionId(session), reason, Time::from_micros(self.now));
        self.naive.end(session, reason.0, self.now);
        self.sessions[usize::from(place)] = self.sessions.iter().max().expect("there are sessions") + 1;
        compare(op, self.hear(), Vec::new());
    }

    fn command(&mut self, op: Op) {
        let (place, wish) = self.wish(op);
        let session = self.sessions[usize::from(place)];
        let now = Time::from_micros(self.now);
        self.dispatcher.handle_command(SessionId(session), &session, command(&wish), now, &mut self.recorder);
        let heard = self.hear();
        let joined = heard.values().flatten().find_map(|heard| match heard {
            Heard::Answer(joined @ super::Seen::Joined { .. }) => Some(joined.clone()),
            _ => None,
        });
        let expected = self.naive.command(session, &wish, joined.as_ref(), self.now);
        compare(op, heard, expected);
    }

    /// The operation with everything filled in that it leaves open.
    fn wish(&mut self, op: Op) -> (u8, Wish) {
        let payload = |messages: &mut u8, len: u8| {
            *messages = messages.wrapping_add(1);
            vec![*messages; len.into()]
        };
        let (session, handle, urgent, target, len) = match op {
            Op::Join { session, room, handle, mode, since, data } => {
                let name = ROOMS[usize::from(room)];
                let since = self.naive.since(name, since);
                let data = payload(&mut self.messages, data % 40);
                return (session, Wish::Join { name, handle: handle.into(), mode, since, data });
            }
            Op::Leave { session, handle } => return (session, Wish::Leave { handle: handle.into() }),
            Op::Presence { session, handle, data } => {
                let data = payload(&mut self.messages, data);
                return (session, Wish::Presence { handle: handle.into(), data });
            }
            Op::Event { session, handle, urgent, len } => (session, handle, urgent, Target::Event, len),
            Op::Value { session, handle, urgent, key, len } => {
                (session, handle, urgent, Target::Value(Key::from_wire(key.into())), len)
            }
            Op::Direct { session, handle, urgent, to, len } => {
                (session, handle, urgent, Target::Direct(MemberNumber(to.into())), len)
            }
            Op::End { .. } | Op::Wait { .. } | Op::Written { .. } | Op::CaughtUp | Op::Drained => {
                unreachable!("these ask nothing")
            }
        };
        let number = self.data_frames.entry(self.sessions[usize::from(session)]).or_default();
        *number += 1;
        let message = Message { number: *number, target, urgent, payload: payload(&mut self.messages, len) };
        (session, Wish::Publish { handle: handle.into(), message })
    }

    fn hear(&mut self) -> BTreeMap<(u64, u64), Vec<Heard>> {
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for (session, frames) in self.recorder.take_all() {
            let seen = frames.iter().flat_map(|frame| see(frame)).collect();
            for (room, heard) in hear(seen, self.directs.entry(session).or_default()) {
                self.met.extend(parts(&heard));
                all.entry((session, room)).or_default().push(heard);
            }
        }
        all
    }
}

/// What is in it, in words.
fn parts(heard: &Heard) -> Vec<&'static str> {
    use super::Seen::{Done, Joined, Left, Refused};
    let when = |is: bool, part| is.then_some(part);
    match heard {
        Heard::Answer(Refused { reason, .. }) => vec![tickwire::wire::Reason(*reason).sentence()],
        Heard::Answer(Joined { since, .. }) => match since {
            super::seen::Since::Fresh => vec!["fresh"],
            super::seen::Since::Recovered => vec!["recovered"],
            super::seen::Since::Gap(lost) => vec![if lost.is_some() { "gap" } else { "other life" }],
        },
        Heard::Answer(Left { .. }) => vec!["left"],
        Heard::Answer(Done { .. }) => vec!["done"],
        Heard::Answer(other) => panic!("a room does not say {other:?}"),
        Heard::Direct { urgent, .. } => vec![if *urgent { "urgent direct" } else { "direct" }],
        Heard::Members(snapshot) => vec![if snapshot.entries.is_empty() { "no members" } else { "members" }],
        Heard::Values(snapshot) => vec![if snapshot.entries.is_empty() { "no values" } else { "values" }],
        Heard::Batch(batch) => {
            let deleted = batch.values.values().any(|(_, payload)| payload.is_empty());
            let parts = [
                when(batch.urgent, "urgent batch"),
                when(!batch.numbered, "values alone"),
                when(!batch.came.is_empty(), "came"),
                when(batch.came.keys().any(|number| batch.left.contains_key(number)), "came and left"),
                when(!batch.events.is_empty(), "events"),
                when(deleted, "deleted"),
                when(!batch.left.is_empty(), "gone"),
            ];
            parts.into_iter().flatten().collect()
        }
    }
}

/// Rooms have no order between them, so everything is compared room by room.
fn compare(op: Op, mut heard: BTreeMap<(u64, u64), Vec<Heard>>, expected: Vec<(u64, u64, Heard)>) {
    let mut grouped = BTreeMap::<_, Vec<_>>::new();
    for (session, room, told) in expected {
        grouped.entry((session, room)).or_default().push(told);
    }
    for groups in [&mut heard, &mut grouped] {
        let roomless = groups.iter_mut().filter(|((_, room), _)| *room == 0);
        roomless.for_each(|(_, answers)| answers.sort_by_key(|answer| format!("{answer:?}")));
    }
    assert_eq!(heard, grouped, "dispatcher and model, after {op:?}");
}

fn command(wish: &Wish) -> Command {
    match wish {
        Wish::Join { name, handle, mode, since, data } => {
            let name = RoomName::new(name.as_bytes()).expect("a name");
            let mut join = JoinCommand::new(RequestId(1), Handle(*handle), name, Mode(*mode));
            join.presence = data.clone().into();
            join.since = since.map(|(epoch, position)| (Epoch(epoch), Position(position)));
            Command::Join(Box::new(join))
        }
        Wish::Leave { handle } => Command::Leave { request: RequestId(2), handle: Handle(*handle) },
        Wish::Presence { handle, data } => {
            Command::SetPresence { request: RequestId(3), handle: Handle(*handle), data: data.clone().into() }
        }
        Wish::Publish { handle, message } => Command::Publish(Publish {
            handle: Handle(*handle),
            number: message.number,
            target: message.target,
            urgent: message.urgent,
            acknowledge: false,
            compressed: false,
            payload: message.payload.clone().into(),
        }),
    }
}

/// Small enough that random operations meet them.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_frame = 150;
    limits.max_rooms = 2;
    limits.max_members = 3;
    limits.max_shard_rooms = 3;
    limits.max_room_values = 5;
    limits.max_member_values = 3;
    limits.max_value_bytes = 5 * 64 + 80;
    limits.max_early_flushes = 2;
    limits.number_quarantine = Duration::from_millis(100);
    limits
}

fn classes() -> RoomClasses {
    let class = |presence, period, linger, urgent| {
        let mut class = RoomClass::default();
        class.presence = presence;
        class.history = HistoryBounds::NONE;
        class.period = Duration::from_millis(period);
        class.linger = Duration::from_millis(linger);
        class.urgent = urgent;
        class
    };
    let named = |name: &str, class| (Pattern::new(name).expect("a pattern"), class);
    let by_pattern = vec![
        named("full", class(PresenceMode::Full, 50, 300, true)),
        named("counts", class(PresenceMode::Counts, 20, 40, true)),
        named("off", class(PresenceMode::Off, 0, 100, true)),
        named("quiet", class(PresenceMode::Full, 30, 60_000, false)),
    ];
    RoomClasses { default: RoomClass::default(), by_pattern }
}
