//! What coming and going costs a big room: 500 joins and 500 leaves a second among 1,000 and among
//! 10,000 members, per tick of 50 ms. It should grow with changes + members, and not with their product.

mod crowd;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tickwire::class::PresenceMode;

use self::crowd::Crowd;

/// Sessions that leave, and as many that come, in a tick: 500 a second.
const CHANGES: u64 = 25;

fn presence(criterion: &mut Criterion) {
    let modes = [(PresenceMode::Off, "off"), (PresenceMode::Counts, "counts"), (PresenceMode::Full, "full")];
    for (mode, name) in modes {
        let mut group = criterion.benchmark_group(format!("presence/{name}"));
        for members in [1_000, 10_000] {
            group.throughput(Throughput::Elements(members + 2 * CHANGES));
            let mut crowd = Crowd::new(members, mode);
            group.bench_with_input(BenchmarkId::from_parameter(members), &members, |bencher, _| {
                bencher.iter(|| crowd.tick(CHANGES));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, presence);
criterion_main!(benches);
