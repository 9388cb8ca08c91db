//! How often the memory allocator is asked: never for a decoded frame or a delivered message, once for a
//! compressed frame, and twice for a segment that history keeps while it is not full. Asserts it, so that
//! `cargo bench` fails where that is lost.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]
#![expect(unsafe_code, reason = "counting needs an allocator, and an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tickwire::deflate::{Deflater, Inflater, MAX_RECORDS};
use tickwire::logic::{Context, Logics, RoomLogic, Tick};
use tickwire::name::Pattern;
use tickwire::wire::{ClientData, Decoder, Handle, Sender, Target, split_frame};

mod journey;
mod room;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    work();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

fn main() {
    decoding();
    compressing();
    for (members, messages) in [(10, 10), (100, 10), (100, 100), (1000, 10)] {
        // A hundred events a batch fill history in the warm-up already.
        if messages <= 10 {
            delivering(members, messages, Case::Filling);
        }
        delivering(members, messages, Case::Full);
        delivering(members, messages, Case::Uneven);
        delivering(members, messages, Case::Values);
    }
    ruling();
    for (members, messages) in [(10, 10), (100, 10), (100, 100)] {
        journeying(members, messages, false);
        journeying(members, messages, true);
    }
}

fn decoding() {
    const FRAMES: usize = 1000;
    let mut stream = Vec::new();
    for _ in 0..FRAMES {
        ClientData { handle: Handle(1), target: Target::Event, options: 0, payload: &[b'x'; 32] }.encode(&mut stream);
    }
    let borrowed = count(|| {
        let mut rest = &stream[..];
        while let Some((frame, next)) = split_frame(rest, 16_384, Sender::Client).unwrap() {
            black_box(ClientData::decode(frame.header.flags, frame.payload).unwrap());
            rest = next;
        }
    });
    let decoder = Decoder::new(Sender::Client, 16_384);
    let mut buffer = BytesMut::from(&stream[..]);
    // The first frame makes the buffer a shared one; that is one allocation a read, not a frame.
    let first = count(|| drop(decoder.decode(&mut buffer).unwrap().unwrap()));
    let owned = count(|| {
        while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
            let len = ClientData::decode(frame.header.flags, &frame.payload).unwrap().payload.len();
            black_box(frame.into_tail(len));
        }
    });
    println!("allocations for {FRAMES} decoded frames: {borrowed} borrowed, {owned} owned, {first} for the read");
    assert_eq!((borrowed, owned), (0, 0));
    assert!(first <= 1);
}

/// In steady state: the first frame makes the compressor, and the first stream the inflater.
fn compressing() {
    let (mut deflater, mut inflater, mut records) = (Deflater::default(), Inflater::new(), Vec::new());
    // Room 7, position 1, tick 1, and what is no records, which is all the same here.
    let mut plain = vec![1, 4, 4, 0, 7, 1, 0, 1];
    plain.extend([b'x'; 1024]);
    let mut round = || {
        let mut frame = None;
        let deflating = count(|| frame = deflater.deflate_frame(&plain));
        let inflating = count(|| inflater.inflate(&frame.unwrap()[8..], MAX_RECORDS, &mut records).unwrap());
        (deflating, inflating)
    };
    let (first, later) = (round(), round());
    println!("allocations for a compressed frame: {later:?} to deflate and to inflate, {first:?} for the first");
    assert_eq!(later, (1, 0));
}

/// What is delivered, and how much of the past the room has.
#[derive(Clone, Copy)]
enum Case {
    /// Events, while history keeps every batch: what is kept must come from somewhere.
    Filling,
    /// Events, where history lets go of a batch for each that it takes.
    Full,
    /// The same, in ticks of half to one and a half as many.
    Uneven,
    /// Values, which history does not keep.
    Values,
}

impl Case {
    const fn name(self) -> &'static str {
        match self {
            Self::Filling => "events, history not full",
            Self::Full => "events, history full",
            Self::Uneven => "events, uneven, full",
            Self::Values => "values",
        }
    }

    /// Rounds until every buffer has its size, and history is full where it is to be.
    const fn warm_up(self) -> u64 {
        match self {
            Self::Filling | Self::Values => 50,
            // The batches that a class keeps, and more than the budget's order of them grows by.
            Self::Full | Self::Uneven => 4096,
        }
    }

    /// The most for one segment; while history fills, its own growth is beside the two of a buffer.
    const fn most(self) -> f64 {
        match self {
            Self::Filling => 2.1,
            Self::Full | Self::Values => 0.0,
            // Now and then no buffer of the size is free.
            Self::Uneven => 0.05,
        }
    }
}

fn delivering(members: u64, messages: u64, case: Case) {
    for (queued, state) in [(false, "were read"), (true, "are queued")] {
        let per_segment = per_segment(members, messages, case, queued);
        let name = case.name();
        println!(
            "{messages:>4} {name:<24} to {members:>4} members whose last ones {state:<10} \
             {per_segment:>6.2} allocations a segment"
        );
        assert!(per_segment <= case.most());
    }
}

/// Allocations for one segment. Receivers have read the last batch before the next is gathered, or
/// still hold it in their queues.
fn per_segment(members: u64, messages: u64, case: Case, queued: bool) -> f64 {
    const ROUNDS: u64 = 200;
    let payload = Bytes::from_static(&[b'x'; 32]);
    let (mut room, mut last) = (room::Room::new(members), Vec::new());
    let mut noise = 1_u64;
    let mut rounds = |rounds| {
        for _ in 0..rounds {
            if queued {
                std::mem::swap(&mut room.sink.frames, &mut last);
            }
            room.sink.frames.clear();
            noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let uneven = matches!(case, Case::Uneven);
            let messages = if uneven { messages / 2 + (noise >> 33) % messages } else { messages };
            room.round(messages, &payload, matches!(case, Case::Values));
        }
    };
    rounds(case.warm_up());
    count(|| rounds(ROUNDS)) as f64 / ROUNDS as f64
}

/// A game whose rules set 200 values in each tick: neither setting them nor the segment costs any.
fn ruling() {
    const ROUNDS: u64 = 200;
    struct Game;
    impl RoomLogic for Game {
        fn flush(&mut self, tick: Tick, room: &mut Context<'_>) {
            for key in 0..200 {
                room.set(key, &tick.number.to_be_bytes()).unwrap();
            }
        }
    }
    let logics = Logics::none().with(Pattern::new("arena").unwrap(), |_| Game);
    let mut room = room::Room::with(10, logics);
    let mut rounds = |rounds| {
        for _ in 0..rounds {
            room.sink.frames.clear();
            room.round(0, &Bytes::new(), true);
        }
    };
    rounds(50);
    let each = count(|| rounds(ROUNDS)) as f64 / ROUNDS as f64;
    println!("allocations for a tick whose rules set 200 values: {each:.2}");
    assert!(each == 0.0);
}

/// Everything but the sockets: what was read, decoder, session, dispatcher, and a queue a member.
fn journeying(members: usize, messages: usize, values: bool) {
    const ROUNDS: u64 = 200;
    let target = if values { journey::VALUE } else { Target::Event };
    let read: Vec<_> = (0..messages).map(|_| journey::message(target)).collect();
    for (queued, state) in [(false, "are written at once"), (true, "wait for a tick")] {
        let mut journey = journey::Journey::new(members);
        let mut delivered = 0;
        let mut rounds = |rounds| (0..rounds).for_each(|_| delivered += journey.round(&read, queued));
        rounds(4096);
        let allocated = count(|| rounds(ROUNDS));
        let kind = if values { "values" } else { "events" };
        println!(
            "{messages:>4} {kind} from socket to socket of {members:>4} members whose frames {state:<20} \
             {allocated} allocations in {ROUNDS} ticks, {} messages read and {} delivered",
            messages as u64 * ROUNDS,
            (messages * members) as u64 * ROUNDS,
        );
        assert_eq!(allocated, 0);
        assert!(delivered >= 4096 * members as u64, "every member got a frame in every tick");
    }
}
