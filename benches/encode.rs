//! How fast frames are written.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tickwire::wire::control::{Command, Joined, Refused};
use tickwire::wire::{
    Control, Epoch, Extensions, Head, Kind, MemberNumber, Position, Reason, Record, RequestId, RoomId,
    encode_server_header,
};

const RECORDS: usize = 50;

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("a 32-byte record into a segment of fifty", |b| {
        let mut segment = BytesMut::with_capacity(4096);
        let head = Head { room: RoomId(7), position: Position(1 << 21), tick: 9 };
        b.iter(|| {
            segment.clear();
            encode_server_header(Kind::Event, 0, &head, RECORDS * 34, &mut segment);
            for member in 1..=RECORDS as u64 {
                Record { member: MemberNumber(member), key: None, payload: &[b'x'; 32] }.encode(&mut segment);
            }
            black_box(&segment);
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("a refusal", |b| {
        let mut out = Vec::with_capacity(64);
        let refused = Refused { number: 300, reason: Reason::NOT_JOINED, extensions: Extensions::NONE };
        b.iter(|| {
            out.clear();
            Control::new(RequestId(0), Command::Refused(black_box(refused))).encode(&mut out);
        });
    });
    group.bench_function("a joined", |b| {
        let mut out = Vec::with_capacity(64);
        let joined = Joined { epoch: Epoch([9; 8]), period: 50_000, tick_time: 1 << 40, ..Joined::default() };
        b.iter(|| {
            out.clear();
            Control::new(RequestId(7), Command::Joined(black_box(joined))).encode(&mut out);
        });
    });
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
