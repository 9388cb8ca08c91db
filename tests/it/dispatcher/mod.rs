//! What the rooms promise (PROTOCOL 8 and 11), as scripts and what each session reads.

mod away;
mod budget;
mod compress;
mod frames;
mod going_away;
mod history;
mod limits;
mod lives;
mod order;
mod pages;
mod presence;
mod receive;
mod rights;
mod slow;
mod snapshots;
mod ticks;
mod values;

use std::collections::BTreeMap;

use bytes::Bytes;
use tickwire::class::{HistoryBounds, RoomClass, RoomClasses};
use tickwire::command::{Command, JoinCommand, Publish, SessionId, What};
use tickwire::dispatcher::{Dispatcher, DispatcherConfig};
use tickwire::limits::Limits;
use tickwire::name::RoomName;
use tickwire::rights::Authorise;
use tickwire::time::Time;
use tickwire::wire::control::Mode;
use tickwire::wire::{Epoch, Handle, Key, MemberNumber, Position, Reason, RequestId, Target};

use crate::model::{Recorder, Seen, see};

/// Milliseconds of the default period, which scripts tick with.
const PERIOD: u64 = 50;

/// A dispatcher, what it sent, and a clock that scripts move.
pub struct Desk {
    pub dispatcher: Dispatcher<u64>,
    pub recorder: Recorder,
    /// Milliseconds.
    pub now: u64,
    data_frames: BTreeMap<u64, u64>,
}

impl Desk {
    pub fn new() -> Self {
        Self::with(|_, _| {})
    }

    /// With other limits, or another class for all rooms.
    pub fn with(change: impl FnOnce(&mut Limits, &mut RoomClass)) -> Self {
        Self::with_rights(change, Authorise::default())
    }

    /// Where not everybody may be told everything.
    pub fn with_rights(change: impl FnOnce(&mut Limits, &mut RoomClass), authorise: Authorise) -> Self {
        let (mut limits, mut class) = (Limits::default(), RoomClass::default());
        // What is kept keeps numbers from being used again; scripts about that turn it on.
        class.history = HistoryBounds::NONE;
        change(&mut limits, &mut class);
        let mut classes = RoomClasses::default();
        classes.default = class;
        let mut recorder = Recorder::default();
        recorder.limits = limits.clone();
        let mut config = DispatcherConfig::new(limits, classes, 1);
        config.authorise = authorise;
        Self { dispatcher: Dispatcher::new(config), recorder, now: 1000, data_frames: BTreeMap::new() }
    }

    /// Runs a script: steps with commas between them.
    ///
    /// ```text
    /// 1 join [ROOM] [p|r|pr|prm]    1 leave    1 end    1 show DATA      1 is a session, and its handle is 1
    /// 1 say TEXT   1 set KEY TEXT   1 del KEY   1 tell MEMBER TEXT       keys: k0 of the member, r0 of the room
    /// 1 say! TEXT  1 set! ..                                             urgent
    /// 1 away     1 back [ROOM] [MODE]                                    its connection breaks, and is resumed
    /// 1 receive 0   1 page AFTER                                         more or less of the room; its members
    /// 1 stall [BYTES]   1 drain [BYTES]                                  it owes what it is sent; and so much less
    /// tick   at MILLIS   drained   tend                                  tend: stragglers are looked after
    /// written MILLIS   caught up                                         a tick is written then; what came is handled
    /// ```
    pub fn run(&mut self, script: &str) {
        for step in script.split(',') {
            let words: Vec<&str> = step.split_whitespace().collect();
            match words[..] {
                ["tick"] => self.at(self.now / PERIOD * PERIOD + PERIOD),
                ["at", millis] => self.at(millis.parse().unwrap()),
                ["written", millis] => {
                    self.now = millis.parse().unwrap();
                    self.dispatcher.handle_written(Time::from_micros(self.now * 1000));
                }
                ["caught", "up"] => {
                    self.dispatcher.catch_up();
                    self.at(self.now);
                }
                ["tend"] => self.at(self.now + 10),
                ["drained"] => self.dispatcher.handle_drained(Time::from_micros(self.now * 1000), &mut self.recorder),
                [session, verb, ref arguments @ ..] => self.step(session.parse().unwrap(), verb, arguments),
                _ => panic!("no step: {step:?}"),
            }
        }
    }

    /// Moves the clock, and lets what is due happen.
    pub fn at(&mut self, millis: u64) {
        self.now = millis;
        self.dispatcher.handle_timeout(Time::from_micros(millis * 1000), &mut self.recorder);
    }

    pub fn ask(&mut self, session: u64, command: Command) {
        let now = Time::from_micros(self.now * 1000);
        self.dispatcher.handle_command(SessionId(session), &session, command, now, &mut self.recorder);
    }

    pub fn publish(&mut self, session: u64, target: Target, urgent: bool, payload: &[u8]) {
        let number = self.data_frames.entry(session).or_default();
        *number += 1;
        let (number, payload) = (*number, Bytes::copy_from_slice(payload));
        let publish =
            Publish { handle: Handle(1), number, target, urgent, acknowledge: false, compressed: false, payload };
        self.ask(session, Command::Publish(publish));
    }

    pub fn join(&mut self, session: u64, handle: u64, room: &str, mode: u8, since: Option<(Epoch, Position)>) {
        self.join_as(session, handle, room, mode, |join| join.since = since);
    }

    pub fn join_as(&mut self, session: u64, handle: u64, room: &str, mode: u8, change: impl FnOnce(&mut JoinCommand)) {
        let name = RoomName::new(room.as_bytes()).unwrap();
        let mut join = JoinCommand::new(RequestId(2), Handle(handle), name, Mode(mode));
        change(&mut join);
        self.ask(session, Command::Join(Box::new(join)));
    }

    fn step(&mut self, session: u64, verb: &str, arguments: &[&str]) {
        let (verb, urgent) = verb.strip_suffix('!').map_or((verb, false), |verb| (verb, true));
        let key = |key: &str| Key::from_wire(key[1..].parse::<u64>().unwrap() * 2 + u64::from(key.starts_with('r')));
        let mode = |mode: &str| mode.bytes().map(|letter| 1 << "prm".find(letter as char).unwrap()).sum();
        let (request, handle) = (RequestId(3), Handle(1));
        match (verb, arguments) {
            ("join", []) => self.join(session, 1, "room", 3, None),
            ("join", [room]) => self.join(session, 1, room, 3, None),
            ("join", [room, letters]) => self.join(session, 1, room, mode(letters), None),
            ("away", []) => {
                self.dispatcher.handle_away(SessionId(session), Time::from_micros(self.now * 1000));
            }
            ("back", rest) => {
                let room = rest.first().copied().unwrap_or("room");
                let mode = rest.get(1).map_or(3, |letters| mode(letters));
                self.join_as(session, 1, room, mode, |join| join.returning = true);
            }
            ("receive", [what]) => {
                let what = What::from_wire(what.parse().unwrap()).unwrap();
                self.ask(session, Command::Receive { request, handle, what });
            }
            ("page", [after]) => {
                let after = MemberNumber(after.parse().unwrap());
                self.ask(session, Command::Members { request, handle, after });
            }
            ("stall", rest) => {
                self.recorder.stall(session, rest.first().map_or(0, |bytes| bytes.parse().unwrap()));
            }
            ("drain", rest) => self.recorder.drain(session, rest.first().map(|bytes| bytes.parse().unwrap())),
            ("leave", []) => self.ask(session, Command::Leave { request, handle }),
            ("end", []) => {
                let now = Time::from_micros(self.now * 1000);
                self.dispatcher.handle_ended(SessionId(session), Reason::PONG_TIMEOUT, now);
            }
            ("show", [data]) => {
                let data = Bytes::copy_from_slice(data.as_bytes());
                self.ask(session, Command::SetPresence { request, handle, data });
            }
            ("say", [text]) => self.publish(session, Target::Event, urgent, text.as_bytes()),
            ("set", [name, text]) => self.publish(session, Target::Value(key(name)), urgent, text.as_bytes()),
            ("del", [name]) => self.publish(session, Target::Value(key(name)), urgent, b""),
            ("tell", [to, text]) => {
                let to = Target::Direct(MemberNumber(to.parse().unwrap()));
                self.publish(session, to, urgent, text.as_bytes());
            }
            _ => panic!("no verb: {verb} {arguments:?}"),
        }
    }

    /// What `session` has read since the last time.
    pub fn seen(&mut self, session: u64) -> Vec<Seen> {
        self.recorder.take(session).iter().flat_map(|frame| see(frame)).collect()
    }

    /// Forgets what was sent so far.
    pub fn skip(&mut self) {
        self.recorder.take_all();
    }

    /// What `session` has read since the last time, as lines.
    pub fn lines(&mut self, session: u64) -> Vec<String> {
        self.seen(session).iter().map(ToString::to_string).collect()
    }

    /// What `session` has read since the last time must be these lines.
    #[track_caller]
    pub fn check(&mut self, session: u64, expected: &[&str]) {
        assert_eq!(self.lines(session), expected, "session {session}");
    }
}
