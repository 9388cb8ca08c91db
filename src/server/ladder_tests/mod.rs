//! Slow receivers, as a property: what a receiver has been told always adds up to the room's truth
//! (PROTOCOL 12.1, 12.2, 12.5).
//!
//! ```text
//! ops ──> Dispatcher ──> Touched ──> Outbox ──pump──> Client, which checks what it reads
//!             └────────────────────> Outbox ────────> observer: the Truth
//! ```
//!
//! The outboxes, their outlet and the dispatcher are the real ones; connections and clients are
//! played. Clients stall, drain a little, consume slowly, pause, break and come back, while others
//! publish. At the end everything is drained and a few ticks pass: then every client that receives
//! has the room's values, position and members.

mod client;
mod steps;
mod truth;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use self::client::{Client, RECEIVE};
use self::truth::Truth;
use super::outbox::{Charge, Outbox};
use super::shard::Touched;
use crate::class::{HistoryBounds, RoomClasses};
use crate::command::{Command, JoinCommand, Publish, SessionId, What};
use crate::dispatcher::{Dispatcher, DispatcherConfig};
use crate::limits::Limits;
use crate::name::RoomName;
use crate::rights::{Asking, Authorise, Rights};
use crate::session::Facts;
use crate::time::Time;
use crate::wire::control::Mode;
use crate::wire::{Capabilities, Handle, Position, Reason, RequestId, Target};

/// Clients beside the observer.
const CLIENTS: usize = 5;
const HANDLE: Handle = Handle(1);

/// Four bytes say what happens.
type Op = [u8; 4];

/// One connection's half of the outbox, and the client behind it.
#[derive(Debug)]
struct Line {
    session: SessionId,
    outbox: Arc<Outbox>,
    link: Link,
    /// Taken and not yet written.
    queue: VecDeque<Bytes>,
    written: Charge,
    /// Whether its application takes only what `Consume` says.
    hoards: bool,
    unconsumed: usize,
    /// What the outbox knows of that.
    told: usize,
    /// Answers and directs that came at most since the queue was empty: bytes, and frames.
    answers: Charge,
    data_frames: u64,
    client: Client,
}

/// How a client is connected, as far as it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// It may join.
    Out,
    Joining,
    In,
    Leaving,
    /// The connection is gone; the session waits.
    Broken,
    /// The session goes on, the room waits for the join.
    Resumed,
}

struct World {
    limits: Limits,
    facts: Arc<Facts>,
    dispatcher: Dispatcher<Arc<Outbox>>,
    out: Touched,
    now: u64,
    sessions: u64,
    observer: Line,
    lines: Vec<Line>,
    truth: Truth,
    met: BTreeSet<&'static str>,
}

impl World {
    /// `setup` picks the bounds.
    fn new(setup: u8) -> Self {
        let mut limits = Limits::default();
        limits.max_frame = 1024;
        limits.max_hello_frame = 1024;
        limits.max_token = 512;
        limits.max_message = 800;
        limits.max_presence_data = 16;
        limits.max_batch = 2048;
        // A message that finds the batch full and is urgent would flush twice: the truth is told of one at a time.
        limits.max_early_flushes = 1;
        limits.outbox_bytes = 24_832;
        limits.low_water = [1024, 4096, limits.outbox_batches(), 1024][usize::from(setup & 3)];
        limits.outbox_frames = if setup & 4 == 0 { 4096 } else { 64 };
        limits.kept_bytes = if setup & 8 == 0 { limits.kept_bytes } else { 8000 };
        limits.number_quarantine = Duration::from_millis(100);
        assert_eq!(limits.check(), Ok(()));
        let mut classes = RoomClasses::default();
        classes.default.history = match (setup >> 4) & 3 {
            0 => HistoryBounds::NONE,
            1 => HistoryBounds { batches: 6, bytes: 100_000, age: Duration::from_secs(60) },
            2 => HistoryBounds { batches: 1000, bytes: 6000, age: Duration::from_secs(60) },
            _ => HistoryBounds { batches: 1000, bytes: 200_000, age: Duration::from_millis(600) },
        };
        let mut config = DispatcherConfig::new(limits.clone(), classes, 7);
        config.authorise = Authorise::new(|asking: &Asking<'_>| Ok(rights(asking.subject)));
        let capabilities = Capabilities::default();
        let hasher = foldhash::fast::RandomState::default();
        let facts = Arc::new(Facts {
            limits: limits.clone(),
            capabilities,
            clock: 1,
            wall: 2,
            hasher,
            rejections: Arc::default(),
        });
        let line = |session| Line::new(SessionId(session), &facts);
        let mut world = Self {
            observer: line(1),
            lines: (2..).take(CLIENTS).map(line).collect(),
            sessions: 1 + CLIENTS as u64,
            dispatcher: Dispatcher::new(config),
            facts,
            limits,
            out: Touched::default(),
            now: 1_000_000,
            truth: Truth::new(),
            met: BTreeSet::new(),
        };
        let join = JoinCommand::new(RequestId(1), HANDLE, room(), Mode::BOTH);
        world.ask(None, Command::Join(Box::new(join)));
        world.pass(50);
        world
    }

    fn ask(&mut self, line: Option<usize>, command: Command) {
        let line = line.map_or(&self.observer, |line| &self.lines[line]);
        let (session, outbox) = (line.session, Arc::clone(&line.outbox));
        let now = Time::from_micros(self.now);
        self.dispatcher.handle_command(session, &outbox, command, now, &mut self.out);
        self.observe();
    }

    /// So many milliseconds pass, and stragglers are looked after as often as they may be.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(10) {
            self.now += 10_000;
            self.dispatcher.handle_timeout(Time::from_micros(self.now), &mut self.out);
            self.observe();
        }
    }

    /// The observer reads what at most one flush has sent; and every bound is held.
    fn observe(&mut self) {
        self.out.wake(|outbox| outbox.wake());
        let Line { outbox, queue, written, .. } = &mut self.observer;
        let notices = outbox.take(std::mem::take(written), 0, queue).notices.unwrap_or_default();
        assert!(notices.ending.is_none(), "the observer is quick");
        queue.iter().for_each(|frame| more(written, frame.len()));
        self.truth.handle(queue.make_contiguous());
        queue.clear();
        // It has written that by now. Otherwise a tick right behind an early flush would find it behind.
        let nothing = outbox.take(std::mem::take(written), 0, queue);
        assert!(nothing.notices.is_none() && queue.is_empty());
        for line in &self.lines {
            let lag = line.outbox.lag();
            assert!(lag.bytes - line.told <= self.limits.outbox_bytes, "{lag:?}");
            assert!(lag.frames <= self.limits.outbox_frames, "{lag:?}");
        }
    }

    /// The connection takes what is queued and writes about so many bytes.
    fn pump(&mut self, index: usize, bytes: usize) {
        if !self.take(index) {
            return;
        }
        let line = &mut self.lines[index];
        let mut left = bytes;
        while left > 0
            && let Some(frame) = line.queue.pop_front()
        {
            left = left.saturating_sub(frame.len());
            more(&mut line.written, frame.len());
            line.unconsumed += if line.hoards { frame.len() } else { 0 };
            line.client.read(&frame, &self.truth);
            line.link = match line.link {
                Link::Joining if line.client.joined => Link::In,
                Link::Leaving if !line.client.joined => Link::Out,
                link => link,
            };
        }
        if line.queue.is_empty() && self.take(index) && self.lines[index].queue.is_empty() {
            self.lines[index].answers = Charge::default();
        }
    }

    /// The connection says what it has written and takes what is queued. False where it is no more.
    fn take(&mut self, index: usize) -> bool {
        let line = &mut self.lines[index];
        if line.link == Link::Broken {
            return false;
        }
        line.told = line.unconsumed;
        let taking = line.outbox.take(std::mem::take(&mut line.written), line.told, &mut line.queue);
        let notices = taking.notices.unwrap_or_default();
        if notices.refusals.iter().any(|refusal| refusal.joining.is_some()) {
            line.link = Link::Out;
        }
        if let Some(ending) = notices.ending {
            assert_eq!(ending.reason, Reason::SLOW);
            // PROTOCOL 12.5: only where answers and directs alone fill what is left. A list of members
            // may have taken half of that.
            let Charge { bytes, frames } = line.answers;
            let (least_bytes, least_frames) = (self.limits.outbox_bytes / 8 - 2048, self.limits.outbox_frames / 8);
            assert!(bytes > least_bytes || frames > least_frames, "closed, but {:?} are answers", line.answers);
            self.met.insert("closed");
            self.break_off(index);
            return false;
        }
        true
    }

    /// The connection is gone, with everything that was on its way.
    fn break_off(&mut self, index: usize) {
        let line = &mut self.lines[index];
        line.outbox.absorb();
        line.queue.clear();
        let was_in = matches!(line.link, Link::In | Link::Resumed);
        line.client.reset();
        line.link = Link::Broken;
        let now = Time::from_micros(self.now);
        if was_in {
            self.dispatcher.handle_away(line.session, now);
        } else {
            // Whether it is a member it does not know: it begins anew.
            self.end(index);
        }
    }

    fn end(&mut self, index: usize) {
        let line = &mut self.lines[index];
        self.sessions += 1;
        self.dispatcher.handle_ended(line.session, Reason::FINISHED, Time::from_micros(self.now));
        let client = std::mem::take(&mut line.client);
        *line = Line::new(SessionId(self.sessions), &self.facts);
        // It may still know where it was.
        (line.client.epoch, line.client.last, line.client.met) = (client.epoch, client.last, client.met);
    }

    /// Another connection goes on with the session.
    fn resume(&mut self, index: usize) {
        let line = &mut self.lines[index];
        let (successor, lost) = line.outbox.succeed(line.client.directs);
        if let Some((first, last)) = lost {
            assert_eq!(first, line.client.directs + 1);
            line.client.directs = last;
            self.met.insert("directs lost");
        }
        line.outbox = successor;
        (line.written, line.unconsumed, line.told, line.queue) = (Charge::default(), 0, 0, VecDeque::new());
        line.link = Link::Resumed;
    }

    fn join(&mut self, index: usize, b: u8, since: bool) {
        let line = &mut self.lines[index];
        let returning = line.link == Link::Resumed;
        let lists = if returning { line.client.lists } else { b & 1 == 1 };
        let mode = if lists { Mode(7) } else { Mode::BOTH };
        let mut join = JoinCommand::new(RequestId(2), HANDLE, room(), mode);
        // Of the subjects, half see everything.
        let subject = if returning { rights_name(line.client.rights) } else { (b >> 1) & 7 };
        join.subject = Bytes::copy_from_slice(&[subject]);
        join.capabilities = Capabilities(Capabilities::HISTORY.0 | (Capabilities::DEFLATE.0 * u64::from((b >> 4) & 1)));
        join.since = line.client.epoch.filter(|_| since).map(|epoch| (epoch, Position(line.client.last)));
        join.returning = returning;
        line.client.since = join.since.map(|(_, position)| position.0);
        line.client.returns = returning.then_some(line.client.number);
        (line.client.rights, line.client.lists) = (rights(&[subject]), lists);
        line.link = Link::Joining;
        self.answered(index, 80);
        self.ask(Some(index), Command::Join(Box::new(join)));
    }

    fn answered(&mut self, index: usize, bytes: usize) {
        more(&mut self.lines[index].answers, bytes);
    }

    fn publish(&mut self, index: usize, target: Target, urgent: bool, payload: Vec<u8>) {
        let line = &mut self.lines[index];
        line.data_frames += 1;
        let number = line.data_frames;
        self.ask(Some(index), message(number, target, urgent, payload));
    }

    fn receive(&mut self, index: usize, what: What) {
        self.lines[index].client.asked.push_back(what);
        self.answered(index, 20);
        self.ask(Some(index), Command::Receive { request: RECEIVE, handle: HANDLE, what });
    }

    /// Everything is drained, and a few ticks pass.
    fn settle(&mut self) {
        for index in 0..CLIENTS {
            if self.lines[index].link == Link::Resumed {
                self.join(index, 0, true);
            }
            self.lines[index].hoards = false;
        }
        for round in 0..40 {
            for index in 0..CLIENTS {
                self.lines[index].unconsumed = 0;
                self.pump(index, usize::MAX);
                if round == 3 && self.lines[index].link == Link::In {
                    self.receive(index, What::All);
                }
            }
            self.pass(10);
        }
        let last = self.truth.last();
        for Line { client, link, .. } in self.lines.iter().filter(|line| line.link != Link::Broken) {
            assert_ne!(*link, Link::Joining, "a join is answered");
            if !client.joined {
                continue;
            }
            assert!(client.is_settled(), "what was begun is brought to an end");
            assert_eq!(client.last, last.position, "it has, or knows that it lost, every batch");
            if client.rights.values {
                assert_eq!(client.values, *last.values);
            }
            if client.lists && client.rights.presence {
                assert_eq!(client.people.as_ref(), Some(&*last.people));
            }
        }
        self.lines.iter_mut().for_each(|line| self.met.append(&mut line.client.met));
        assert_eq!(self.dispatcher.deadline(), None, "nobody is left to be looked after");
        let counters = self.dispatcher.counters();
        let named = counters.entries().into_iter().filter(|(_, count)| *count > 0).map(|(name, _)| name);
        self.met.extend(named);
    }
}

impl Line {
    fn new(session: SessionId, facts: &Arc<Facts>) -> Self {
        let outbox = Outbox::new(facts);
        outbox.keep_directs();
        Self {
            session,
            outbox: Arc::new(outbox),
            link: Link::Out,
            queue: VecDeque::new(),
            written: Charge::default(),
            hoards: false,
            unconsumed: 0,
            told: 0,
            answers: Charge::default(),
            data_frames: 0,
            client: Client::default(),
        }
    }
}

fn message(number: u64, target: Target, urgent: bool, payload: Vec<u8>) -> Command {
    let (handle, payload) = (HANDLE, payload.into());
    Command::Publish(Publish { handle, number, target, urgent, acknowledge: false, compressed: false, payload })
}

/// One frame more.
const fn more(charge: &mut Charge, bytes: usize) {
    *charge = Charge { bytes: charge.bytes + bytes, frames: charge.frames + 1 };
}

fn room() -> RoomName {
    RoomName::new(b"room").unwrap()
}

/// What a subject may see: half of them everything.
fn rights(subject: &[u8]) -> Rights {
    let mut rights = Rights::ALL;
    match subject.first() {
        Some(4) => rights.presence = false,
        Some(5) => rights.events = false,
        Some(6) => rights.values = false,
        Some(7) => rights.history = false,
        _ => {}
    }
    rights
}

/// A subject that may see this.
fn rights_name(wanted: Rights) -> u8 {
    (0..8).find(|subject| rights(&[*subject]) == wanted).unwrap_or_default()
}

/// Runs a script of operations to its end; what it met.
fn run(setup: u8, ops: &[Op]) -> BTreeSet<&'static str> {
    let mut world = World::new(setup);
    ops.iter().for_each(|op| world.step(*op));
    world.settle();
    world.met
}

fn scripts() -> impl Strategy<Value = (u8, Vec<Op>)> {
    (any::<u8>(), vec(any::<Op>(), 0..120))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_receiver_has_been_told_always_adds_up_to_the_rooms_truth((setup, ops) in scripts()) {
        run(setup, &ops);
    }
}

/// A full batch leaves early, and its tick comes 10 ms later.
#[test]
fn an_early_flush_right_before_a_tick_is_told_to_all() {
    let joined = [[23, 0, 0, 0]; 5].into_iter().chain([[18, 0, 0, 161], [0, 75, 0, 0]]);
    let waits = [[2, 0, 0, 0]; 6].into_iter().chain([[20, 5, 0, 0], [19, 0, 0, 0], [2, 0, 0, 0]]);
    let ops: Vec<Op> = joined.chain(waits).chain([[5, 15, 216, 160]]).collect();
    run(3, &ops);
}

/// Otherwise the property would say little.
#[test]
fn random_stalls_reach_every_rung_and_every_way_back() {
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeSet::new();
    for _ in 0..150 {
        let (setup, ops) = scripts().new_tree(&mut runner).unwrap().current();
        met.append(&mut run(setup, &ops));
    }
    let expected = BTreeSet::from([
        "behind",
        "caught_up_by_changes",
        "caught_up_by_snapshot",
        "closed",
        "directs lost",
        "evicted",
        "gap",
        "gap of nothing",
        "gap with replay",
        "gaps",
        "joined with a gap",
        "list",
        "recovered",
        "replayed",
        "skipped",
        "snapshot",
        "snapshot for who was behind",
        "snapshot in pieces",
        "snapshot in pieces for who was behind",
        "values",
    ]);
    assert_eq!(met, expected);
}
