//! Snapshots for receivers that take their time (PROTOCOL 8.4, 12.5).

use std::collections::BTreeMap;

use bytes::Bytes;
use tickwire::class::{RoomClass, RoomClasses};
use tickwire::command::{Command, Hold, JoinCommand, Publish, SessionId};
use tickwire::dispatcher::{Batch, Direct, Dispatcher, DispatcherConfig, FrameClass, Lag, Outlet, Refusal, Taken};
use tickwire::limits::Limits;
use tickwire::name::RoomName;
use tickwire::time::Time;
use tickwire::wire::control::{Command as Tell, Mode};
use tickwire::wire::header::flags;
use tickwire::wire::{Control, FrameType, Handle, Key, Kind, Reason, RequestId, Sender, Target, split_frame};

/// Queues of sessions, which tests take from at their pace.
#[derive(Default)]
struct Queues {
    limits: Limits,
    queues: BTreeMap<u64, Vec<Bytes>>,
}

impl Queues {
    fn bytes(&self, to: u64) -> usize {
        self.queues.get(&to).map_or(0, |queue| queue.iter().map(Bytes::len).sum())
    }

    /// Takes a frame, and tells the kind of a last frame of values, or that it is a gap.
    fn take(&mut self, from: u64) -> Option<Taking> {
        let queue = self.queues.entry(from).or_default();
        let bytes = if queue.is_empty() { return None } else { queue.remove(0) };
        let (frame, _) = split_frame(&bytes, 65_535, Sender::Server).unwrap().unwrap();
        let last = frame.header.flags & flags::MORE == 0;
        Some(match frame.header.frame_type {
            FrameType::Control => match Control::decode(frame.payload).unwrap().command {
                Tell::Gap(_) => Taking::Gap,
                _ => Taking::Other,
            },
            FrameType::Data if last && Kind::from_flags(frame.header.flags) == Ok(Kind::Snapshot) => Taking::Snapshot,
            _ => Taking::Other,
        })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Taking {
    Gap,
    Snapshot,
    Other,
}

impl Outlet<u64> for Queues {
    fn frame(&mut self, to: &u64, _: FrameClass, frame: &Bytes) {
        self.queues.entry(*to).or_default().push(frame.clone());
    }

    fn batch(&mut self, to: &u64, batch: &Batch<'_>) -> Taken {
        let lag = self.lag(to);
        let taken = batch.admit(lag, &self.limits);
        for (index, frame) in batch.frames.iter().enumerate().filter(|_| taken != Taken::Nothing) {
            if taken == Taken::All && batch.wants_values || !batch.values.contains(&index) {
                self.queues.entry(*to).or_default().push(frame.clone());
            }
        }
        taken
    }

    fn lag(&mut self, to: &u64) -> Lag {
        Lag { bytes: self.bytes(*to), frames: self.queues.get(to).map_or(0, Vec::len) }
    }

    fn direct(&mut self, _: &u64, _: &Direct) {}

    fn refuse(&mut self, to: &u64, refusal: &Refusal) {
        panic!("{to} is refused: {:?}", refusal.reason);
    }

    fn released(&mut self, to: &u64, hold: Hold, _left: &Bytes) {
        panic!("{to} has left nothing, but {hold:?}");
    }

    fn close(&mut self, to: &u64, reason: Reason) {
        panic!("{to} is closed: {reason:?}");
    }
}

/// A room of 200 values of 1,000 bytes, a quarter of which changes every tick.
struct Scene {
    dispatcher: Dispatcher<u64>,
    out: Queues,
    millis: u64,
    round: u64,
}

const PUBLISHER: u64 = 1000;

impl Scene {
    fn new() -> Self {
        let (mut classes, limits) = (RoomClasses::default(), Limits::default());
        classes.default = RoomClass::default();
        let dispatcher = Dispatcher::new(DispatcherConfig::new(limits, classes, 1));
        let mut scene = Self { dispatcher, out: Queues::default(), millis: 1000, round: 0 };
        scene.join(PUBLISHER, Mode::PUBLISH);
        for _ in 0..4 {
            scene.tick();
        }
        scene
    }

    fn ask(&mut self, session: u64, command: Command) {
        let now = Time::from_micros(self.millis * 1000);
        self.dispatcher.handle_command(SessionId(session), &session, command, now, &mut self.out);
    }

    fn join(&mut self, session: u64, mode: Mode) {
        let name = RoomName::new(b"room").unwrap();
        self.ask(session, Command::Join(Box::new(JoinCommand::new(RequestId(1), Handle(1), name, mode))));
    }

    /// Writes a quarter of the values, and lets a tick pass.
    fn tick(&mut self) {
        for key in 0..50 {
            let payload = Bytes::from(vec![1; 1000]);
            let target = Target::Value(Key::room(self.round % 4 * 50 + key));
            let number = self.round * 50 + key + 1;
            let publish = Publish {
                handle: Handle(1),
                number,
                target,
                urgent: false,
                acknowledge: false,
                compressed: false,
                payload,
            };
            self.ask(PUBLISHER, Command::Publish(publish));
        }
        self.round += 1;
        self.millis = self.millis / 50 * 50;
        for _ in 0..5 {
            self.millis += 10;
            self.dispatcher.handle_timeout(Time::from_micros(self.millis * 1000), &mut self.out);
        }
    }
}

#[test]
fn slow_ones_who_begin_apart_all_get_whole_snapshots() {
    let mut scene = Scene::new();
    let mut snapshots = BTreeMap::new();
    for round in 0..2400_u64 {
        // Forty, more than snapshots may be on their way.
        if round % 5 == 0 && round < 200 {
            scene.join(round / 5, Mode::RECEIVE);
        }
        scene.tick();
        // Each takes a frame every third tick: a tenth of what the room sends.
        for session in (0..40).filter(|session| (session + round) % 3 == 0) {
            match scene.out.take(session) {
                Some(Taking::Snapshot) => *snapshots.entry(session).or_insert(0) += 1,
                Some(Taking::Gap) => panic!("{session} has to begin anew"),
                _ => {}
            }
        }
    }
    assert_eq!(snapshots.len(), 40);
    // 800 frames, 13 of them a snapshot, and some time to wait for one.
    assert!(snapshots.values().all(|count| *count >= 20), "{snapshots:?}");
}

#[test]
fn who_reads_nothing_does_not_stop_the_others() {
    let mut scene = Scene::new();
    for session in 0..16 {
        scene.join(session, Mode::RECEIVE);
        scene.tick();
    }
    // All that may be on their way are held by those who read nothing: the next one waits.
    scene.join(100, Mode::RECEIVE);
    let mut waited = 0;
    let mut taken = Vec::new();
    while !taken.contains(&Taking::Snapshot) {
        scene.tick();
        waited += 1;
        assert!(waited < 400, "nobody gave way");
        while let Some(frame) = scene.out.take(100) {
            taken.push(frame);
        }
    }
    // A snapshot is on its way for ten seconds at most, where others wait.
    assert!((150..=210).contains(&waited), "{waited} ticks");
    // Who gave way reads on: what it has is void, and it gets a whole snapshot.
    let mut begun = Vec::new();
    for _ in 0..400 {
        scene.tick();
        while let Some(frame) = scene.out.take(0) {
            begun.push(frame);
        }
    }
    let gap = begun.iter().position(|frame| *frame == Taking::Gap).expect("it is told");
    assert!(begun[gap..].contains(&Taking::Snapshot));
}
