//! Values: the last write of a tick, and what newcomers are given.

use std::time::Duration;

use tickwire::class::RoomClasses;
use tickwire::limits::Limits;
use tickwire::server::Server;
use tickwire::wire::control::Mode;
use tickwire::wire::{Key, Kind};

use super::hear::Said;
use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, Transport, limits};

/// A value as (sender, key on the wire, payload).
fn told(said: &Said) -> (u64, u64, &[u8]) {
    (said.member, said.key.unwrap(), &said.payload)
}

#[tokio::test]
async fn of_the_writes_of_a_tick_the_last_one_arrives() {
    let server = TestServer::start(limits(|_| {})).await;
    let (mut watcher, _) = Peer::joined(&server, Transport::Tcp, "map").await;
    for transport in BOTH {
        let (mut peer, membership) = Peer::joined(&server, transport, "map").await;
        // One chunk is one turn of the shard, and so one tick.
        let writes = [&b"1"[..], b"2", b"3"].map(|payload| say::value(1, Key::member(4), payload)).concat();
        let end = say::value(1, Key::member(5), b"end");
        peer.send(&[writes, end].concat()).await;
        for member in [&mut watcher, &mut peer] {
            let both = [member.said_as(Kind::Value).await, member.said_as(Kind::Value).await];
            assert_eq!(both.each_ref().map(told), [(membership.member, 8, &b"3"[..]), (membership.member, 10, b"end")]);
        }
        // An empty write deletes, and so does leaving.
        peer.send(&say::value(1, Key::member(5), b"")).await;
        assert_eq!(told(&watcher.said_as(Kind::Value).await), (membership.member, 10, &b""[..]));
        drop(peer);
        assert_eq!(told(&watcher.said_as(Kind::Value).await), (membership.member, 8, &b""[..]));
    }
    drop(watcher);
    server.finish().await;
}

#[tokio::test]
async fn a_newcomer_gets_the_latest_values_and_then_what_follows() {
    let server = TestServer::start(limits(|_| {})).await;
    let (mut owner, membership) = Peer::joined(&server, Transport::Tcp, "map").await;
    let writes = [say::value(1, Key::room(1), b"door open"), say::value(1, Key::member(1), b"here")];
    owner.send(&writes.concat()).await;
    let mut values = [owner.said_as(Kind::Value).await, owner.said_as(Kind::Value).await];
    values.sort_by_key(|said| said.key);
    let written = values.each_ref().map(|said| said.key);
    assert_eq!(written, [Some(2), Some(3)]);
    for transport in BOTH {
        let mut newcomer = Peer::hello(&server, transport).await;
        newcomer.join(1, Mode::BOTH, "map").await;
        let mut snapshot = [newcomer.said().await, newcomer.said().await];
        snapshot.sort_by_key(|said| said.key);
        assert!(snapshot.iter().all(|said| said.kind == Kind::Snapshot), "{snapshot:?}");
        assert_eq!(told(&snapshot[0]), (membership.member, 2, &b"here"[..]));
        assert_eq!((snapshot[1].key, &snapshot[1].payload[..]), (Some(3), &b"door open"[..]));
        owner.send(&say::value(1, Key::member(1), b"there")).await;
        assert_eq!(told(&newcomer.said_as(Kind::Value).await), (membership.member, 2, &b"there"[..]));
        owner.send(&say::value(1, Key::member(1), b"here")).await;
        assert_eq!(told(&newcomer.said_as(Kind::Value).await), (membership.member, 2, &b"here"[..]));
    }
    drop(owner);
    server.finish().await;
}

#[tokio::test]
async fn values_follow_the_events_of_their_batch() {
    let server = TestServer::start(limits(|_| {})).await;
    for transport in BOTH {
        let (mut peer, _) = Peer::joined(&server, transport, "order").await;
        peer.send(&[say::value(1, Key::room(0), b"later"), say::event(1, b"sooner")].concat()).await;
        let event = peer.said_as(Kind::Event).await;
        let value = peer.said().await;
        assert_eq!((value.kind, value.position), (Kind::Value, event.position));
    }
    server.finish().await;
}

#[tokio::test]
async fn a_newcomer_gets_a_snapshot_that_is_larger_than_what_may_be_queued() {
    const VALUES: u64 = 60;
    let mut classes = RoomClasses::default();
    classes.default.period = Duration::ZERO;
    let server = TestServer::build(Server::builder().classes(classes)).await;
    for transport in BOTH {
        let room = format!("{transport:?}");
        let (mut writer, _) = Peer::joined(&server, transport, &room).await;
        for key in 0..VALUES {
            writer.send(&say::value(1, Key::member(key), &[7; 15_000])).await;
            writer.said_as(Kind::Value).await;
        }
        assert!(VALUES * 15_000 > 3 * Limits::default().outbox_bytes as u64);
        let (mut newcomer, _) = Peer::joined(&server, transport, &room).await;
        let mut keys = Vec::new();
        for _ in 0..VALUES {
            keys.extend(newcomer.said_as(Kind::Snapshot).await.key);
        }
        keys.sort_unstable();
        assert!(keys.into_iter().eq((0..VALUES).map(|key| key * 2)));
    }
}
