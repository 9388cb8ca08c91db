//! What the core holds in memory: for a session, a membership and a room that do nothing, and what of
//! that is left when all have gone. Asserts it, so that `cargo bench` fails where that is lost.
//!
//! ```text
//! heap      bytes that were asked for
//! chunks    the same as a usual allocator cuts it: 8 bytes more each, in steps of 16, at least 32
//! ```
//!
//! `docs/memory.md` says where each byte sits.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]
#![expect(unsafe_code, reason = "counting needs an allocator, and an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tickwire::class::{HistoryBounds, RoomClasses};
use tickwire::command::{Command, Hold, JoinCommand, Publish, SessionId};
use tickwire::dispatcher::{Direct, Dispatcher, DispatcherConfig, FrameClass, Outlet, Refusal};
use tickwire::limits::Limits;
use tickwire::name::RoomName;
use tickwire::session::{Facts, Output, Session, Token};
use tickwire::time::Time;
use tickwire::wire::control::{Command as Ask, Hello, Join, Mode};
use tickwire::wire::{
    Capabilities, Control, Decoder, Extensions, Handle, MAGIC, Reason, RequestId, Sender, Target, VERSION,
};

struct Counting;

/// Bytes that were asked for, and bytes of the chunks that hold them.
static HEAP: AtomicU64 = AtomicU64::new(0);
static CHUNKS: AtomicU64 = AtomicU64::new(0);

/// What glibc takes for an allocation: a word more, in steps of 16, at least 32.
const fn chunk(size: usize) -> u64 {
    let rounded = (size as u64 + 8).next_multiple_of(16);
    if rounded < 32 { 32 } else { rounded }
}

fn add(size: usize) {
    HEAP.fetch_add(size as u64, Ordering::Relaxed);
    CHUNKS.fetch_add(chunk(size), Ordering::Relaxed);
}

fn remove(size: usize) {
    HEAP.fetch_sub(size as u64, Ordering::Relaxed);
    CHUNKS.fetch_sub(chunk(size), Ordering::Relaxed);
}

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        remove(layout.size());
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        remove(layout.size());
        add(size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a shard keeps for the next time, whatever it has seen: buffers of a flush, and a few places of
/// each list.
const POOLED: f64 = 65_536.0;

/// A moment's memory.
#[derive(Clone, Copy)]
struct Held {
    heap: u64,
    chunks: u64,
}

impl Held {
    fn now() -> Self {
        Self { heap: HEAP.load(Ordering::Relaxed), chunks: CHUNKS.load(Ordering::Relaxed) }
    }

    /// Prints what came since, for each of `count`, and says how many bytes of chunks that is.
    fn line(self, what: &str, count: u64) -> f64 {
        let now = Self::now();
        let each = |now: u64, before: u64| (now as f64 - before as f64) / count as f64;
        let (heap, chunks) = (each(now.heap, self.heap), each(now.chunks, self.chunks));
        println!("{what:<62} {count:>9} {heap:>9.1} {chunks:>9.1}");
        chunks
    }
}

fn main() {
    println!("{:<62} {:>9} {:>9} {:>9}", "bytes each of", "count", "heap", "chunks");
    println!("{:<62} {:>9} {:>9}", "a session's struct", 1, size_of::<Session>());
    connections();
    for rooms in [100_000, 1_000_000] {
        empty_rooms(rooms, HistoryBounds::NONE, "without history");
    }
    empty_rooms(100_000, HistoryBounds::default(), "with its history");
    inhabited_rooms(1_000_000, 1);
    inhabited_rooms(100_000, 10);
    inhabited_rooms(10, 10_000);
    silenced_rooms(500);
}

/// 5,000 sessions that have said hello, have joined rooms of ten, and leave.
fn connections() {
    const SESSIONS: u64 = 5_000;
    const ROOMS: u64 = SESSIONS / 10;
    let mut desk = Desk::new(HistoryBounds::default());
    // What is made at the first use, and kept.
    desk.visit(u64::MAX, "first");
    desk.pass(Duration::from_secs(120));
    let empty = Held::now();
    let mut sessions = Vec::with_capacity(SESSIONS as usize);
    for session in 1..=SESSIONS {
        sessions.push(desk.greet(session));
    }
    let greeted = empty.line("session before its first join, its struct included", SESSIONS);
    let before = Held::now();
    for (session, peer) in (1..).zip(&mut sessions) {
        desk.join(session, peer, session % ROOMS);
        // They come one after another, so that a room's members are told of each other.
        if session % ROOMS == 0 {
            desk.pass(Duration::from_millis(50));
        }
    }
    desk.pass(Duration::from_millis(100));
    before.line("membership just joined, a tenth of its room included", SESSIONS);
    desk.pass(Duration::from_secs(8));
    let joined = before.line("membership idle for 8 s, a tenth of its room included", SESSIONS);
    desk.pass(Duration::from_secs(120));
    before.line("membership idle for 2 min, a tenth of its room included", SESSIONS);
    for (session, peer) in (1..).zip(sessions) {
        drop(peer);
        desk.dispatcher.handle_ended(SessionId(session), Reason::FINISHED, desk.now);
    }
    desk.pass(Duration::from_secs(10));
    let lingering = empty.line("left 10 s after all have gone, per room that lingers", ROOMS);
    desk.pass(Duration::from_secs(120));
    let left = empty.line("left when their rooms are gone too", 1);
    assert!(greeted + joined < 1_000.0, "an idle connection's part of the core");
    assert!(lingering < 1_536.0, "of 5,000 clients, less than 1 MiB is left while their rooms linger");
    assert!(left < POOLED, "what is pooled has a bound");
}

/// Rooms that one session after another has been in, and that linger.
fn empty_rooms(rooms: u64, history: HistoryBounds, what: &str) {
    let mut desk = Desk::new(history);
    desk.visit(u64::MAX, "first");
    desk.pass(Duration::from_secs(120));
    let empty = Held::now();
    for room in 0..rooms {
        desk.visit(room, &name(room));
        if room % 100 == 0 {
            desk.pass(Duration::from_micros(100));
        }
    }
    desk.pass(Duration::from_secs(10));
    let each = empty.line(&format!("empty room that lingers, {what}"), rooms);
    desk.pass(Duration::from_secs(240));
    assert_eq!(desk.dispatcher.room_count(), 0);
    let left = empty.line("left when it is forgotten", rooms);
    assert!(each < 1_280.0 && left < 1.0, "a room's bookkeeping");
}

/// Rooms with members who do nothing.
fn inhabited_rooms(rooms: u64, members: u64) {
    let mut desk = Desk::new(HistoryBounds::NONE);
    desk.visit(u64::MAX, "first");
    desk.pass(Duration::from_secs(120));
    let empty = Held::now();
    for room in 0..rooms {
        let name = name(room);
        for member in 0..members {
            let session = room * members + member;
            desk.enter(session, &name);
            // What a tick tells of newcomers has a bound.
            if session.is_multiple_of(1000) {
                desk.pass(Duration::from_millis(50));
            }
        }
    }
    desk.pass(Duration::from_secs(10));
    empty.line(&format!("idle room of {members}, its members' seats included"), rooms);
    empty.line(&format!("member in a room of {members}, all included"), rooms * members);
    for session in 0..rooms * members {
        desk.dispatcher.handle_ended(SessionId(session), Reason::FINISHED, desk.now);
    }
    desk.pass(Duration::from_secs(10));
    empty.line("left of the room when all have gone", rooms);
    desk.pass(Duration::from_secs(120));
    let left = empty.line("left when it is forgotten", rooms);
    assert!(left < 1.0 + POOLED / rooms as f64, "what is pooled has a bound");
}

/// Rooms of ten that had a burst of events, and are silent then.
fn silenced_rooms(rooms: u64) {
    let mut desk = Desk::new(HistoryBounds::NONE);
    for member in 0..rooms * 10 {
        desk.enter(member, &name(member / 10));
    }
    desk.pass(Duration::from_secs(10));
    let idle = Held::now();
    for message in 0..rooms * 200 {
        let publish = Publish {
            handle: Handle(0),
            number: 1,
            target: Target::Event,
            urgent: false,
            acknowledge: false,
            compressed: false,
            payload: Bytes::from_static(&[b'x'; 64]),
        };
        let session = message % (rooms * 10);
        let command = Command::Publish(publish);
        desk.dispatcher.handle_command(SessionId(session), &session, command, desk.now, &mut Nowhere);
    }
    desk.pass(Duration::from_millis(100));
    idle.line("kept by a room of 10 for its next burst of 200 events", rooms);
    desk.pass(Duration::from_secs(10));
    let kept = idle.line("kept when it has been silent for 10 s", rooms);
    assert!(kept < 64.0, "buffers are given back");
}

/// 16 bytes.
fn name(room: u64) -> String {
    format!("rooms/{room:010}")
}

/// A dispatcher, what sessions share, and a clock.
struct Desk {
    dispatcher: Dispatcher<u64>,
    facts: Arc<Facts>,
    now: Time,
}

impl Desk {
    fn new(history: HistoryBounds) -> Self {
        let (mut limits, mut classes) = (Limits::default(), RoomClasses::default());
        // They are all made within a few seconds.
        limits.rooms_burst = u32::MAX;
        limits.max_shard_rooms = usize::MAX;
        classes.default.history = history;
        let facts = Facts {
            limits: limits.clone(),
            capabilities: Capabilities::IMPLEMENTED,
            clock: 1,
            wall: 1,
            hasher: foldhash::fast::RandomState::default(),
            rejections: Arc::default(),
        };
        let dispatcher = Dispatcher::new(DispatcherConfig::new(limits, classes, 1));
        Self { dispatcher, facts: Arc::new(facts), now: Time::from_micros(1_000_000) }
    }

    /// Time passes, and everything that falls due meanwhile is done when it does.
    fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        let next = |of: &Dispatcher<u64>| of.deadline().into_iter().chain(of.rests_at()).min();
        while let Some(next) = next(&self.dispatcher).filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.dispatcher.handle_timeout(self.now, &mut Nowhere);
        }
        self.now = end;
    }

    /// A session over TCP that can be resumed, and whose client can do everything.
    fn greet(&self, session: u64) -> Session {
        let token = Token::new(session, [7; 16]);
        let mut peer = Session::over_tcp(Arc::clone(&self.facts), self.now).with_token(token);
        let hello =
            Hello { capabilities: self.facts.capabilities, max_record: 0, max_frame: 0, extensions: Extensions::NONE };
        let mut preamble = BytesMut::from(&MAGIC[..]);
        preamble.extend_from_slice(&[VERSION]);
        assert!(peer.handle_preamble(&mut preamble).unwrap());
        let commands = self.say(&mut peer, Ask::Hello(hello));
        assert!(peer.is_open() && commands.is_empty());
        peer
    }

    fn join(&mut self, session: u64, peer: &mut Session, room: u64) {
        let name = name(room);
        let join = Join { mode: Mode::BOTH, name: name.as_bytes(), ..Join::default() };
        for command in self.say(peer, Ask::Join(join)) {
            self.dispatcher.handle_command(SessionId(session), &session, command, self.now, &mut Nowhere);
        }
    }

    fn say(&self, peer: &mut Session, ask: Ask<'_>) -> Vec<Command> {
        let (mut bytes, mut output) = (Vec::new(), Output::default());
        Control::new(RequestId(1), ask).encode(&mut bytes);
        let decoder = Decoder::new(Sender::Client, 16_384);
        let frame = decoder.decode(&mut BytesMut::from(&bytes[..])).unwrap().unwrap();
        peer.handle_frame(frame, self.now, &mut output).unwrap();
        output.commands.into_iter().map(|(_, command)| command).collect()
    }

    /// Joins without a session's state, which is not what is measured then.
    fn enter(&mut self, session: u64, name: &str) {
        let name = RoomName::new(name.as_bytes()).unwrap();
        let join = Command::Join(Box::new(JoinCommand::new(RequestId(1), Handle(0), name, Mode::BOTH)));
        self.dispatcher.handle_command(SessionId(session), &session, join, self.now, &mut Nowhere);
    }

    fn visit(&mut self, session: u64, name: &str) {
        self.enter(session, name);
        self.dispatcher.handle_ended(SessionId(session), Reason::FINISHED, self.now);
    }
}

/// Lets go of everything at once, as receivers do who read.
struct Nowhere;

impl Outlet<u64> for Nowhere {
    fn frame(&mut self, _to: &u64, _class: FrameClass, _frame: &Bytes) {}

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
