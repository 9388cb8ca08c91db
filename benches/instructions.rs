//! How many instructions the hot paths take, counted by Callgrind: the same on a busy machine and an idle
//! one. `.ci/instructions` compares them with `benches/instructions.baseline`.
//!
//! Each function does one thing a number of times in a steady state that its setup has made, and hands
//! everything back, so that neither setup nor dropping counts.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]
#![allow(unused_qualifications, reason = "the macros write paths out")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gungraun::{library_benchmark, library_benchmark_group, main};
use tickwire::dispatcher::Batch;
use tickwire::limits::Limits;
use tickwire::server::measured::Queue;
use tickwire::session::Facts;
use tickwire::wire::{Capabilities, ClientData, Decoder, Handle, MemberNumber, Record, Sender, Target, split_frame};

mod room;

/// Of what is counted, so that what stands around it does not matter.
const TIMES: usize = 1000;

const PAYLOAD: [u8; 32] = [b'x'; 32];

/// A thousand events of 32 bytes, as one read brings them.
fn stream() -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..TIMES {
        ClientData { handle: Handle(1), target: Target::Event, options: 0, payload: &PAYLOAD }.encode(&mut stream);
    }
    stream
}

#[library_benchmark]
#[bench::a_thousand_frames(setup = stream)]
fn decode_borrowed(stream: Vec<u8>) -> Vec<u8> {
    let mut rest = &stream[..];
    while let Some((frame, next)) = split_frame(rest, 16_384, Sender::Client).unwrap() {
        black_box(ClientData::decode(frame.header.flags, frame.payload).unwrap());
        rest = next;
    }
    stream
}

/// A read buffer as it is after its first frame: shared.
fn buffer() -> (Decoder, BytesMut) {
    let (decoder, mut buffer) = (Decoder::new(Sender::Client, 16_384), BytesMut::from(&stream()[..]));
    let before = buffer.len();
    drop(decoder.decode(&mut buffer).unwrap());
    assert!(buffer.len() < before);
    (decoder, buffer)
}

#[library_benchmark]
#[bench::a_thousand_frames(setup = buffer)]
fn decode_owned((decoder, mut buffer): (Decoder, BytesMut)) -> BytesMut {
    while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
        let len = ClientData::decode(frame.header.flags, &frame.payload).unwrap().payload.len();
        black_box(frame.into_tail(len));
    }
    buffer
}

fn segment() -> Vec<u8> {
    Vec::with_capacity(64 * TIMES)
}

#[library_benchmark]
#[bench::a_thousand_records(setup = segment)]
fn encode(mut segment: Vec<u8>) -> Vec<u8> {
    for member in 1..=TIMES as u64 {
        Record { member: MemberNumber(black_box(member)), key: None, payload: black_box(&PAYLOAD) }
            .encode(&mut segment);
    }
    segment
}

/// A room, and what is published in it.
struct Steady {
    room: room::Room,
    messages: u64,
    values: bool,
}

impl Steady {
    fn publish(&mut self) {
        self.room.publish(self.messages, &Bytes::from_static(&PAYLOAD), self.values);
    }
}

/// A room of a hundred members in its steady state: history is full, every buffer has its size.
fn steady(messages: u64, values: bool) -> Steady {
    let mut room = room::Room::new(100);
    room.sink.frames.clear();
    room.sink.drops = true;
    // The batches that a class keeps, and some.
    for _ in 0..1100 {
        room.round(messages, &Bytes::from_static(&PAYLOAD), values);
    }
    Steady { room, messages, values }
}

#[library_benchmark]
#[bench::a_hundred_events(args = (100, false), setup = steady)]
#[bench::a_hundred_values(args = (100, true), setup = steady)]
fn publish(mut steady: Steady) -> Steady {
    steady.publish();
    steady
}

/// The same, and this tick's messages are there.
fn gathered(messages: u64, values: bool) -> Steady {
    let mut steady = steady(messages, values);
    steady.publish();
    steady
}

#[library_benchmark]
#[bench::ten_events_to_a_hundred(args = (10, false), setup = gathered)]
#[bench::a_hundred_events_to_a_hundred(args = (100, false), setup = gathered)]
#[bench::a_hundred_values_to_a_hundred(args = (100, true), setup = gathered)]
fn flush(mut steady: Steady) -> Steady {
    steady.room.tick();
    steady
}

/// A queue whose places are there, and a frame.
fn queue() -> (Queue, Bytes) {
    let hasher = foldhash::fast::RandomState::default();
    let (limits, capabilities) = (Limits::default(), Capabilities::default());
    let facts = Arc::new(Facts { limits, capabilities, clock: 1, wall: 0, hasher, rejections: Arc::default() });
    let (mut queue, frame) = (Queue::new(&facts), Bytes::from(vec![b'x'; 400]));
    for _ in 0..2 {
        fill(&queue, &frame);
        assert_eq!(queue.take(), QUEUED);
    }
    (queue, frame)
}

/// Batches that a connection finds in its queue: below the places that an empty one keeps.
const QUEUED: usize = 50;

fn fill(queue: &Queue, frame: &Bytes) {
    let frames = std::slice::from_ref(frame);
    let batch = Batch { frames, values: 1..1, wants_values: true, numbered_bytes: frame.len(), value_bytes: 0 };
    for _ in 0..QUEUED {
        black_box(queue.push_batch(black_box(&batch)));
    }
}

#[library_benchmark]
#[bench::fifty_batches(setup = queue)]
fn outbox_push((queue, frame): (Queue, Bytes)) -> (Queue, Bytes) {
    fill(&queue, &frame);
    (queue, frame)
}

fn filled() -> (Queue, Bytes) {
    let (queue, frame) = queue();
    fill(&queue, &frame);
    (queue, frame)
}

#[library_benchmark]
#[bench::fifty_batches(setup = filled)]
fn outbox_take((mut queue, frame): (Queue, Bytes)) -> (Queue, Bytes) {
    black_box(queue.take());
    (queue, frame)
}

library_benchmark_group!(name = wire, benchmarks = [decode_borrowed, decode_owned, encode]);
library_benchmark_group!(name = rooms, benchmarks = [publish, flush]);
library_benchmark_group!(name = outbox, benchmarks = [outbox_push, outbox_take]);

main!(library_benchmark_groups = [wire, rooms, outbox]);
