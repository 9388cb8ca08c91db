//! How fast a room hands its batches to its members: no sockets, but everything before them.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

mod room;

fn fanout(c: &mut Criterion) {
    let payload = Bytes::from_static(&[b'x'; 32]);
    let mut group = c.benchmark_group("deliver 32-byte messages to every member of a room");
    for (members, messages) in [(10, 1), (10, 10), (100, 10), (100, 100), (1000, 1), (1000, 100)] {
        let mut room = room::Room::new(members);
        group.throughput(Throughput::Elements(members * messages));
        for (name, values) in [("events", false), ("values", true)] {
            let id = BenchmarkId::new(name, format!("{messages} to {members} members"));
            group.bench_function(id, |b| {
                b.iter(|| {
                    room.sink.frames.clear();
                    room.round(messages, &payload, values);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, fanout);
criterion_main!(benches);
