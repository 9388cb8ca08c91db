//! A room is recorded and replayed into another one of the same server: who receives there gets
//! what the first room sent.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use tickwire::class::RoomClasses;
use tickwire::client::{Batch, Client, ClientConfig, Event, Membership};
use tickwire::limits::Limits;
use tickwire::server::Server;
use tickwire::wire::control::Mode;
use tickwire::wire::{Handle, MemberNumber, Reason};
use tokio::time::timeout;

use super::*;
use crate::cli::record::{Recorder, join};

/// How long a test waits for what must come; a test that passes never waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A file that is gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("tickwire-{}-{name}.twrec", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A server on a free port, with short ticks.
async fn serve(limits: Limits) -> Url {
    let mut classes = RoomClasses::default();
    classes.default.period = Duration::from_millis(2);
    let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let builder = Server::builder().websocket(None).tcp(any).shards(1).limits(limits).classes(classes);
    let server = builder.bind().await.unwrap();
    let url = format!("tcp://{}", server.tcp_addr().unwrap()).parse().unwrap();
    tokio::spawn(server.run(std::future::pending()));
    url
}

async fn client(url: &Url) -> Client {
    Client::connect(&ClientConfig::new(url.clone())).await.unwrap()
}

fn arguments(file: &Path, url: &Url, speed: Speed) -> ReplayArguments {
    let (file, url, room) = (file.to_owned(), url.clone(), Some("copy".to_owned()));
    ReplayArguments {
        file,
        speed,
        room,
        url,
        reach: ReachArguments::default(),
        loops: 1,
        members: 256,
        dry_run: false,
        json: false,
    }
}

/// What a receiver has seen of a room: each member's events in order, and the values.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    events: BTreeMap<MemberNumber, Vec<Vec<u8>>>,
    values: BTreeMap<(MemberNumber, Key), Vec<u8>>,
}

/// What one member did: its events, and its values.
type Member = (Vec<Vec<u8>>, Vec<(Key, Vec<u8>)>);

impl Seen {
    fn handle(&mut self, batch: &Batch) {
        for record in batch.records() {
            let Some(key) = record.key.map(Key::from_wire) else {
                self.events.entry(record.member).or_default().push(record.payload.to_vec());
                continue;
            };
            let owner = if key.is_room() { MemberNumber::ROOM } else { record.member };
            match record.payload {
                [] => self.values.remove(&(owner, key)),
                payload => self.values.insert((owner, key), payload.to_vec()),
            };
        }
    }

    /// Without member numbers, which another room gives anew: each member is its messages.
    fn members(&self) -> BTreeSet<Member> {
        let values = |member: MemberNumber| {
            let owned = self.values.iter().filter(move |((owner, _), _)| *owner == member);
            owned.map(|((_, key), payload)| (*key, payload.clone())).collect()
        };
        let owners = self.values.keys().map(|(owner, _)| *owner);
        let members: BTreeSet<MemberNumber> = self.events.keys().copied().chain(owners).collect();
        let events = |member| self.events.get(&member).cloned().unwrap_or_default();
        members.into_iter().map(|member| (events(member), values(member))).collect()
    }

    fn has(&self, event: &[u8]) -> bool {
        self.events.values().flatten().any(|payload| payload == event)
    }

    /// Reads until `done` says so.
    async fn read(mut client: Client, done: impl Fn(&Self) -> bool) -> Self {
        let mut seen = Self::default();
        let reading = async {
            while !done(&seen) {
                if let Event::Batch(batch) | Event::Snapshot(batch) = client.next().await.unwrap() {
                    seen.handle(&batch);
                }
            }
        };
        timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("waited in vain"));
        seen
    }
}

/// Events of each member, beside the last one.
const EVENTS: u64 = 40;

/// Members that publish.
const PUBLISHERS: u64 = 3;

/// Publishers with events, own values and a room value, some of them before the recorder comes;
/// what they did, recorded, and as a receiver saw it.
async fn record_a_room(url: &Url, file: &Path) -> Seen {
    let mut publishers = Vec::new();
    for number in 0..PUBLISHERS {
        let mut publisher = client(url).await;
        let Membership { handle, member, .. } = publisher.join("arena", Mode::PUBLISH).await.unwrap();
        publisher.value(handle, Key::member(0), format!("before {number}").as_bytes()).await.unwrap();
        settle(&mut publisher, handle, member).await;
        publishers.push((publisher, handle, member));
    }
    let mut recording = client(url).await;
    let (preface, membership) = join(&mut recording, "arena").await.unwrap();
    let mut recorder = Recorder::new(File::create(file).unwrap(), &preface, membership).unwrap();
    let mut receiver = client(url).await;
    receiver.join("arena", Mode::RECEIVE).await.unwrap();

    for (number, (publisher, handle, _)) in publishers.iter_mut().enumerate() {
        publisher.value(*handle, Key::room(number as u64), b"room").await.unwrap();
    }
    for step in 0..EVENTS {
        for (number, (publisher, handle, _)) in publishers.iter_mut().enumerate() {
            publisher.event(*handle, format!("{number}: {step}").as_bytes()).await.unwrap();
            publisher.value(*handle, Key::member(1), format!("{number} at {step}").as_bytes()).await.unwrap();
        }
    }
    for (publisher, handle, me) in &mut publishers {
        settle(publisher, *handle, *me).await;
    }
    let (first, handle, me) = &mut publishers[0];
    // A tick after it was set, so that a deletion is recorded.
    first.value(*handle, Key::room(0), b"").await.unwrap();
    settle(first, *handle, *me).await;
    first.event(*handle, b"end").await.unwrap();
    let seen = Seen::read(receiver, |seen| seen.has(b"end")).await;
    // The recorder is sent the same.
    let mut written = Seen::default();
    while !written.has(b"end") {
        let event = timeout(PATIENCE, recording.next()).await.unwrap().unwrap();
        if let Event::Batch(batch) | Event::Snapshot(batch) = &event {
            written.handle(batch);
        }
        recorder.handle(event).unwrap();
    }
    recorder.finish().unwrap();
    assert_eq!(seen, written);
    seen
}

/// Waits until the room has handled what this publisher sent.
async fn settle(publisher: &mut Client, handle: Handle, me: MemberNumber) {
    publisher.direct(handle, me, b"").await.unwrap();
    let back = async { while !matches!(publisher.next().await.unwrap(), Event::Direct(_)) {} };
    timeout(PATIENCE, back).await.unwrap();
}

/// What a receiver of the copy sees while a recording is replayed into it.
async fn replay_into_copy(arguments: &ReplayArguments) -> (Replay, Seen) {
    let mut receiver = client(&arguments.url).await;
    receiver.join("copy", Mode::RECEIVE).await.unwrap();
    let reading = tokio::task::spawn_local(Seen::read(receiver, |seen| seen.has(b"done")));
    let survey = Survey::read(&arguments.file).unwrap();
    let mut replay = Replay::connect(arguments, &survey).await.unwrap();
    replay.run(arguments).await.unwrap();
    // Behind everything that was replayed.
    let mut last = client(&arguments.url).await;
    let handle = last.join("copy", Mode::PUBLISH).await.unwrap().handle;
    last.event(handle, b"done").await.unwrap();
    let mut seen = reading.await.unwrap();
    seen.events.retain(|_, events| *events != [b"done"]);
    (replay, seen)
}

fn run_local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn a_replayed_room_gives_what_the_recorded_one_gave() {
    run_local(async {
        let (url, file) = (serve(Limits::default()).await, Scratch::new("same"));
        let original = record_a_room(&url, &file.0).await;
        assert_eq!(original.events.len() as u64, PUBLISHERS);
        for speed in [Speed::Times(10.0), Speed::Max] {
            let (replay, copy) = replay_into_copy(&arguments(&file.0, &url, speed)).await;
            assert_eq!(copy.members(), original.members(), "{speed:?}");
            assert_eq!(replay.events, PUBLISHERS * EVENTS + 1);
            assert_eq!((replay.crew.connections(), replay.crew.refused(), replay.too_large), (3, 0, 0));
            assert_eq!(replay.lateness_ms(1.0).is_some(), speed != Speed::Max);
            replay.crew.close().await;
        }
    });
}

#[test]
fn members_that_share_a_connection_collide_and_it_is_told() {
    run_local(async {
        let (url, file) = (serve(Limits::default()).await, Scratch::new("shared"));
        let original = record_a_room(&url, &file.0).await;
        let arguments = ReplayArguments { members: 1, loops: 2, ..arguments(&file.0, &url, Speed::Max) };
        let (replay, copy) = replay_into_copy(&arguments).await;
        // Three members wrote their keys 0 and 1, and here they are one.
        assert_eq!(copy.values.len(), original.values.len() - 2 * (PUBLISHERS as usize - 1));
        assert_eq!(copy.events.values().map(Vec::len).sum::<usize>() as u64, 2 * (PUBLISHERS * EVENTS + 1));
        assert!(replay.crew.collisions().is_some_and(|count| count >= 2 * (PUBLISHERS - 1)));
        let mut out = Vec::new();
        report::write_replay(&replay, &arguments, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("over 1 connections") && text.contains("raise --members"), "{text}");
        replay.crew.close().await;
    });
}

#[test]
fn refusals_are_counted_and_told() {
    run_local(async {
        let file = Scratch::new("refused");
        record_a_room(&serve(Limits::default()).await, &file.0).await;
        let mut limits = Limits::default();
        limits.max_room_values = 1;
        let url = serve(limits).await;
        let arguments = arguments(&file.0, &url, Speed::Max);
        let (replay, copy) = replay_into_copy(&arguments).await;
        assert_eq!(copy.values.len(), 1);
        let (reason, count) = replay.crew.refusals()[0];
        assert_eq!((reason, count), (Reason::VALUES_FULL, replay.crew.refused()));
        assert!(count >= PUBLISHERS - 1);
        let mut out = Vec::new();
        report::write_replay(&replay, &ReplayArguments { json: true, ..arguments }, &mut out).unwrap();
        let object: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(object["refused_by_reason"]["106"], count);
        replay.crew.close().await;
    });
}

#[test]
fn recording_ends_with_its_count_and_a_torn_file_is_surveyed() {
    run_local(async {
        let (url, file) = (serve(Limits::default()).await, Scratch::new("count"));
        let mut recording = client(&url).await;
        let (preface, membership) = join(&mut recording, "arena").await.unwrap();
        let mut recorder = Recorder::new(File::create(&file.0).unwrap(), &preface, membership).unwrap();
        let mut publisher = client(&url).await;
        let handle = publisher.join("arena", Mode::PUBLISH).await.unwrap().handle;
        for step in 0..5_u8 {
            publisher.event(handle, &[step]).await.unwrap();
        }
        recorder.run(&mut recording, Some(5), std::future::pending()).await.unwrap();
        recorder.finish().unwrap();

        let whole = Survey::read(&file.0).unwrap();
        assert_eq!((whole.contents.events, whole.contents.members.len(), whole.torn), (5, 1, None));
        let bytes = std::fs::read(&file.0).unwrap();
        assert_eq!(whole.bytes, bytes.len() as u64);
        std::fs::write(&file.0, &bytes[..bytes.len() - 1]).unwrap();
        let torn = Survey::read(&file.0).unwrap();
        assert!(torn.contents.events < 5);
        assert_eq!(torn.torn.map(|torn| torn.offset), Some(torn.bytes));
        let mut out = Vec::new();
        let arguments = arguments(&file.0, &url, Speed::Max);
        report::write_survey(&torn, &arguments, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("whole       no: the last entry"));

        let mut damaged = bytes;
        damaged[whole.bytes as usize / 2] ^= 1;
        damaged.extend_from_within(..);
        std::fs::write(&file.0, &damaged).unwrap();
        assert!(Survey::read(&file.0).unwrap().damage.is_some());
        assert!(run(&arguments).is_err_and(|failure| failure.to_string().contains("damaged at byte")));
    });
}
