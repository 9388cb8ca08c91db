//! What compressing a room's frames gains in bytes and costs in time: a table of sizes first, then
//! the times. A frame is compressed once for all its receivers, so the cost of a delivery falls with
//! their number.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tickwire::deflate::{Deflater, Inflater, MAX_RECORDS};
use tickwire::wire::{Head, Key, Kind, MemberNumber, Position, Record, RoomId, ServerData};

/// Successive ticks of one room, so that no measure is of one lucky frame.
const TICKS: u16 = 32;

const MESSAGES: [u64; 3] = [1, 10, 50];

const PAYLOADS: [Payload; 4] = [Payload::Chat, Payload::Json, Payload::Floats, Payload::Shorts];

/// Bytes on the wire of all ticks together, and the part that compression leaves.
fn sizes(_: &mut Criterion) {
    println!("{:<20} {:>8} {:>12} {:>12} {:>6}", "bytes of a frame", "messages", "plain", "compressed", "ratio");
    for payload in PAYLOADS {
        for messages in MESSAGES {
            let frames = frames(payload, messages);
            let mut always = Deflater::new(0);
            let plain: usize = frames.iter().map(Bytes::len).sum();
            let sent = |frame: &Bytes| always.deflate_frame(frame).map_or(frame.len(), |frame| frame.len());
            let compressed: usize = frames.iter().map(sent).sum();
            let ticks = f64::from(TICKS);
            let ratio = compressed as f64 / plain as f64;
            let below = frames.iter().all(|frame| Deflater::default().deflate_frame(frame).is_none());
            let note = if below { "  (sent plain: below the threshold, or nothing gained)" } else { "" };
            let (plain, compressed) = (plain as f64 / ticks, compressed as f64 / ticks);
            println!("{:<20} {messages:>8} {plain:>12.1} {compressed:>12.1} {ratio:>6.2}{note}", payload.name());
        }
    }
    println!();
}

/// One segment each way. The threshold is off: what it spares is to be seen.
fn segments(c: &mut Criterion) {
    let mut group = c.benchmark_group("compress one segment");
    for (id, frames) in cases() {
        let (mut deflater, mut ticks) = (Deflater::new(0), frames.iter().cycle());
        group.bench_function(id, |b| b.iter(|| deflater.deflate_frame(ticks.next().unwrap())));
    }
    group.finish();
    let mut group = c.benchmark_group("inflate one segment");
    for (id, frames) in cases() {
        let mut deflater = Deflater::new(0);
        let frames: Vec<_> = frames.iter().filter_map(|frame| deflater.deflate_frame(frame)).collect();
        if frames.is_empty() {
            continue;
        }
        let (mut inflater, mut records, mut ticks) = (Inflater::new(), Vec::new(), frames.iter().cycle());
        group.bench_function(id, |b| {
            b.iter(|| {
                let frame = ticks.next().unwrap();
                let data = ServerData::decode(frame[3], &frame[4..]).unwrap().unwrap();
                inflater.inflate(data.records, MAX_RECORDS, &mut records).unwrap();
                black_box(&records);
            });
        });
    }
    group.finish();
}

/// A segment for every receiver's queue: the reference alone, and with the compression before it.
fn deliveries(c: &mut Criterion) {
    for receivers in [50, 1000] {
        let mut group = c.benchmark_group(format!("deliver one segment to {receivers} receivers"));
        group.throughput(Throughput::Elements(receivers));
        let mut queue = Vec::with_capacity(receivers as usize);
        let mut deliver = |frame: &Bytes| {
            queue.clear();
            (0..receivers).for_each(|_| queue.push(frame.clone()));
            black_box(&queue);
        };
        // A reference costs the same whatever it refers to.
        let plain = frames(Payload::Json, 10);
        let mut ticks = plain.iter().cycle();
        group.bench_function("plain", |b| b.iter(|| deliver(ticks.next().unwrap())));
        for (id, frames) in cases() {
            let (mut deflater, mut ticks) = (Deflater::default(), frames.iter().cycle());
            group.bench_function(BenchmarkId::new("compressed", id), |b| {
                b.iter(|| {
                    let frame = ticks.next().unwrap();
                    deliver(deflater.deflate_frame(frame).as_ref().unwrap_or(frame));
                });
            });
        }
        group.finish();
    }
}

fn cases() -> impl Iterator<Item = (String, Vec<Bytes>)> {
    let cases = PAYLOADS.into_iter().flat_map(|payload| MESSAGES.map(|messages| (payload, messages)));
    cases.map(|(payload, messages)| (format!("{} x{messages}", payload.name()), frames(payload, messages)))
}

/// One frame a tick, as the room encodes them: one message of each member.
fn frames(payload: Payload, messages: u64) -> Vec<Bytes> {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut players: Vec<_> = (1..=messages).map(|number| Player::new(number, &mut noise)).collect();
    let (mut message, mut records) = (Vec::new(), Vec::new());
    let frame = |tick| {
        records.clear();
        for player in &mut players {
            player.walk(&mut noise);
            message.clear();
            payload.write(player, &mut noise, &mut message);
            let key = payload.kind().has_key().then(|| Key::member(0).wire());
            Record { member: MemberNumber(player.number), key, payload: &message }.encode(&mut records);
        }
        let head = Head { room: RoomId(7), position: Position((1 << 21) + u64::from(tick)), tick };
        let mut frame = Vec::new();
        ServerData { kind: payload.kind(), options: 0, head, records: &records }.encode(&mut frame);
        Bytes::from(frame)
    };
    (0..TICKS).map(frame).collect()
}

#[derive(Clone, Copy)]
enum Payload {
    /// A line of chat as JSON, 60 to 95 bytes, an event.
    Chat,
    /// A position as JSON, about 80 bytes, a value.
    Json,
    /// A position as `u16` and three `f32`, 14 bytes, a value.
    Floats,
    /// A position as `u16` and three `i16`, 8 bytes, a value.
    Shorts,
}

impl Payload {
    const fn name(self) -> &'static str {
        match self {
            Self::Chat => "JSON chat",
            Self::Json => "JSON positions",
            Self::Floats => "f32 positions",
            Self::Shorts => "i16 positions",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Chat => Kind::Event,
            Self::Json | Self::Floats | Self::Shorts => Kind::Value,
        }
    }

    fn write(self, player: &Player, noise: &mut Noise, out: &mut Vec<u8>) {
        let (id, [x, y, z]) = (player.id, player.place);
        match self {
            Self::Chat => {
                let (time, mut text) = (1_795_226_400 + noise.below(1000), String::new());
                for word in 0..3 + noise.below(4) {
                    let gap = if word == 0 { "" } else { " " };
                    let word = WORDS[noise.below(WORDS.len() as u64) as usize];
                    write!(text, "{gap}{word}").unwrap();
                }
                let chat = format!(r#"{{"type":"chat","user":{id},"time":{time},"text":"{text}"}}"#);
                out.extend_from_slice(chat.as_bytes());
            }
            Self::Json => {
                let (heading, health) = (noise.below(360), player.health);
                let place = format!(r#""x":{x:.2},"y":{y:.2},"z":{z:.2}"#);
                let json = format!(r#"{{"type":"pos","id":{id},{place},"heading":{heading},"health":{health}}}"#);
                out.extend_from_slice(json.as_bytes());
            }
            Self::Floats => {
                out.extend_from_slice(&id.to_le_bytes());
                player.place.iter().for_each(|at| out.extend_from_slice(&at.to_le_bytes()));
            }
            Self::Shorts => {
                out.extend_from_slice(&id.to_le_bytes());
                // Sixteenths.
                player.place.iter().for_each(|at| out.extend_from_slice(&((at * 16.0) as i16).to_le_bytes()));
            }
        }
    }
}

/// Somebody who walks about near the others.
struct Player {
    number: u64,
    id: u16,
    place: [f32; 3],
    health: u64,
}

impl Player {
    fn new(number: u64, noise: &mut Noise) -> Self {
        let place = [400.0 + noise.within(60.0), 250.0 + noise.within(60.0), 12.0];
        Self { number, id: 1000 + number as u16, place, health: 100 - noise.below(40) }
    }

    /// A step of at most 30 cm; the ground is nearly flat.
    fn walk(&mut self, noise: &mut Noise) {
        let [x, y, z] = &mut self.place;
        *x += noise.within(0.3);
        *y += noise.within(0.3);
        *z += noise.within(0.02);
    }
}

/// The same numbers in every run (xorshift).
struct Noise(u64);

impl Noise {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    /// From `-reach` to `reach`.
    fn within(&mut self, reach: f32) -> f32 {
        (self.below(2001) as f32 / 1000.0 - 1.0) * reach
    }
}

const WORDS: [&str; 24] = [
    "left", "right", "behind", "you", "go", "wait", "enemy", "at", "the", "gate", "need", "ammo", "thanks", "nice",
    "shot", "who", "has", "flag", "me", "on", "my", "way", "cover", "north",
];

/// Short measures: there are fifty of them, and the differences that matter are large.
fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
        .sample_size(20)
        .nresamples(5_000)
}

criterion_group! {
    name = benches;
    config = quick();
    targets = sizes, segments, deliveries
}
criterion_main!(benches);
