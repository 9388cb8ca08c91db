//! How fast frames come off a stream.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tickwire::wire::{ClientData, Decoder, Handle, Kind, Records, Sender, Target, split_frame};

const FRAMES: usize = 1000;

/// A thousand events of 32 bytes, as one read brings them.
fn stream() -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..FRAMES {
        let data = ClientData { handle: Handle(1), target: Target::Event, options: 0, payload: &[b'x'; 32] };
        data.encode(&mut stream);
    }
    stream
}

fn decode(c: &mut Criterion) {
    let stream = stream();
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(FRAMES as u64));
    group.bench_function("a 32-byte data frame, borrowed", |b| {
        b.iter(|| {
            let mut rest = &stream[..];
            while let Some((frame, next)) = split_frame(rest, 16_384, Sender::Client).unwrap() {
                black_box(ClientData::decode(frame.header.flags, frame.payload).unwrap());
                rest = next;
            }
        });
    });
    group.bench_function("a 32-byte data frame, to owned bytes", |b| {
        let decoder = Decoder::new(Sender::Client, 16_384);
        let fill = || BytesMut::from(&stream[..]);
        b.iter_batched_ref(
            fill,
            |buffer| {
                while let Some(frame) = decoder.decode(buffer).unwrap() {
                    let len = ClientData::decode(frame.header.flags, &frame.payload).unwrap().payload.len();
                    black_box(frame.into_tail(len));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("a 32-byte record of a batch, borrowed", |b| {
        let record = [&[32, 1][..], &[b'x'; 32]].concat();
        let records = record.repeat(FRAMES);
        b.iter(|| {
            Records::new(Kind::Event, black_box(&records)).map(|record| record.unwrap().payload.len()).sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
