//! A room full of members, without sockets.

use bytes::Bytes;
use tickwire::class::RoomClasses;
use tickwire::command::{Command, Hold, JoinCommand, Publish, SessionId};
use tickwire::dispatcher::{Direct, Dispatcher, DispatcherConfig, FrameClass, Outlet, Refusal};
use tickwire::limits::Limits;
use tickwire::logic::Logics;
use tickwire::name::RoomName;
use tickwire::time::Time;
use tickwire::wire::control::Mode;
use tickwire::wire::{Handle, Key, Reason, RequestId, Target};

/// Takes a reference of every frame, as an outbox does.
#[derive(Default)]
pub(crate) struct Sink {
    pub(crate) frames: Vec<Bytes>,
    /// Takes none: where the room alone is measured.
    pub(crate) drops: bool,
}

impl Outlet<u64> for Sink {
    fn frame(&mut self, _to: &u64, _class: FrameClass, frame: &Bytes) {
        if !self.drops {
            self.frames.push(frame.clone());
        }
    }

    fn direct(&mut self, _to: &u64, _direct: &Direct) {}

    fn refuse(&mut self, _to: &u64, refusal: &Refusal) {
        panic!("nothing here is refused, but {refusal:?}");
    }

    fn released(&mut self, _to: &u64, hold: Hold, _left: &Bytes) {
        panic!("nobody here is removed, but {hold:?}");
    }

    fn close(&mut self, _to: &u64, reason: Reason) {
        panic!("nobody here is closed, but {reason:?}");
    }
}

/// A room, its members, and a clock that goes on by one tick a round.
pub(crate) struct Room {
    dispatcher: Dispatcher<u64>,
    pub(crate) sink: Sink,
    members: u64,
    now: u64,
}

impl Room {
    /// A room of `members` sessions that publish and receive.
    pub(crate) fn new(members: u64) -> Self {
        Self::with(members, Logics::none())
    }

    /// A room whose name is "arena", with rules.
    pub(crate) fn with(members: u64, logics: Logics) -> Self {
        let mut config = DispatcherConfig::new(Limits::default(), RoomClasses::default(), 1);
        config.logics = logics;
        let dispatcher = Dispatcher::new(config);
        let mut room = Self { dispatcher, sink: Sink::default(), members, now: 1_000_000 };
        for session in 1..=members {
            let name = RoomName::new(b"arena").unwrap();
            let join = JoinCommand::new(RequestId(1), Handle(1), name, Mode::BOTH);
            room.ask(session, Command::Join(Box::new(join)));
        }
        room.tick();
        room
    }

    /// `messages` of 32 bytes in one tick, from one member after another, and the flush.
    pub(crate) fn round(&mut self, messages: u64, payload: &Bytes, values: bool) {
        self.publish(messages, payload, values);
        self.tick();
    }

    /// `messages` from one member after another.
    pub(crate) fn publish(&mut self, messages: u64, payload: &Bytes, values: bool) {
        for message in 0..messages {
            let target = if values { Target::Value(Key::member(0)) } else { Target::Event };
            let publish = Publish {
                handle: Handle(1),
                number: 1,
                target,
                urgent: false,
                acknowledge: false,
                compressed: false,
                payload: payload.clone(),
            };
            self.ask(message % self.members + 1, Command::Publish(publish));
        }
    }

    fn ask(&mut self, session: u64, command: Command) {
        let now = Time::from_micros(self.now);
        self.dispatcher.handle_command(SessionId(session), &session, command, now, &mut self.sink);
    }

    /// The next tick: the flush of what was published.
    pub(crate) fn tick(&mut self) {
        self.now += 50_000;
        self.dispatcher.handle_timeout(Time::from_micros(self.now), &mut self.sink);
    }
}
