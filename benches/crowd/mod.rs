//! A big room whose members come and go, without sockets.

use std::collections::VecDeque;

use bytes::Bytes;
use tickwire::class::{PresenceMode, RoomClasses};
use tickwire::command::{Command, Hold, JoinCommand, SessionId};
use tickwire::dispatcher::{Batch, Direct, Dispatcher, DispatcherConfig, FrameClass, Outlet, Refusal, Taken};
use tickwire::limits::Limits;
use tickwire::name::RoomName;
use tickwire::time::Time;
use tickwire::wire::control::Mode;
use tickwire::wire::{Handle, Reason, RequestId};

/// Counts what an outbox would take.
#[derive(Default)]
struct Count {
    bytes: usize,
}

impl Outlet<u64> for Count {
    fn frame(&mut self, _to: &u64, _class: FrameClass, frame: &Bytes) {
        self.bytes += frame.len();
    }

    fn batch(&mut self, _to: &u64, batch: &Batch<'_>) -> Taken {
        self.bytes += batch.numbered_bytes + batch.value_bytes;
        Taken::All
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

/// A room, who is in it, and a clock that goes on by one tick a round.
pub(crate) struct Crowd {
    dispatcher: Dispatcher<u64>,
    count: Count,
    here: VecDeque<u64>,
    last: u64,
    now: u64,
}

impl Crowd {
    pub(crate) fn new(members: u64, presence: PresenceMode) -> Self {
        let mut classes = RoomClasses::default();
        classes.default.presence = presence;
        let dispatcher = Dispatcher::new(DispatcherConfig::new(Limits::default(), classes, 1));
        let here = VecDeque::new();
        let mut crowd = Self { dispatcher, count: Count::default(), here, last: 0, now: 1_000_000 };
        while crowd.here.len() < members as usize {
            // A batch holds so many newcomers; more are refused.
            (0..500).for_each(|_| crowd.join());
            crowd.pass();
        }
        crowd
    }

    /// `changes` members leave, as many come, and the room tells of it.
    pub(crate) fn tick(&mut self, changes: u64) -> usize {
        for _ in 0..changes {
            if let Some(session) = self.here.pop_front() {
                self.dispatcher.handle_ended(SessionId(session), Reason::FINISHED, Time::from_micros(self.now));
            }
            self.join();
        }
        self.pass();
        std::mem::take(&mut self.count.bytes)
    }

    fn join(&mut self) {
        self.last += 1;
        self.here.push_back(self.last);
        let name = RoomName::new(b"stadium").expect("a name");
        let mut join = JoinCommand::new(RequestId(1), Handle(1), name, Mode::BOTH);
        join.presence = Bytes::from_static(b"a name and a colour");
        let (session, now) = (SessionId(self.last), Time::from_micros(self.now));
        self.dispatcher.handle_command(session, &self.last, Command::Join(Box::new(join)), now, &mut self.count);
    }

    fn pass(&mut self) {
        self.now += 50_000;
        self.dispatcher.handle_timeout(Time::from_micros(self.now), &mut self.count);
    }
}
