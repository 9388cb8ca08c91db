//! What the figures say, and what they cost.

use std::time::Duration;

use bytes::Bytes;
use tickwire::server::Server;
use tickwire::server::console::{ABOUT, FEED, KEPT, NOW, POINTS, ROOMS};
use tickwire::wire::control::Mode;
use tickwire::wire::{Key, Kind};
use tokio::io::duplex;
use tokio::time::advance;

use super::{news, start, watcher};
use crate::server::peer::Peer;
use crate::server::say;
use crate::server::support::Transport;

#[tokio::test]
async fn figures_tell_what_the_server_does() {
    let server = start().await;
    let mut watcher = watcher(&server).await;
    let about = news(&mut watcher, ABOUT, |_| true).await;
    assert_eq!((about["feed"].as_u64(), about["kept"].as_u64()), (Some(1), Some(KEPT)));
    let first = news(&mut watcher, NOW, |_| true).await;
    assert_eq!((first["connections"]["now"].as_u64(), first["ready"].as_bool()), (Some(1), Some(true)));

    let (mut one, _) = Peer::joined(&server, Transport::Tcp, "game/1").await;
    let (mut other, _) = Peer::joined(&server, Transport::WebSocket, "game/1").await;
    for _ in 0..3 {
        one.send(&say::event(1, b"hello")).await;
        other.event(b"hello").await;
    }
    one.send(&say::event(9, b"to no room")).await;
    one.refused().await;
    let now = news(&mut watcher, NOW, |now| now["totals"]["events"].as_u64() >= Some(3)).await;
    let number = |path: &str| now.pointer(path).and_then(serde_json::Value::as_f64).unwrap_or(-1.0);
    assert_eq!((number("/connections/now"), number("/connections/tcp")), (3.0, 1.0), "{now}");
    assert_eq!((number("/totals/events"), number("/rejections/not_joined")), (3.0, 1.0), "{now}");
    assert!(number("/totals/deliveries") >= 6.0 && number("/totals/bytes_out") > 0.0, "{now}");
    assert!(number("/rates/messages") >= 0.0 && number("/interval_ms") > 0.0, "{now}");
    assert!(number("/tick/lag_us/p99") >= number("/tick/lag_us/p50"), "{now}");
    let rooms = news(&mut watcher, ROOMS, |rooms| rooms["rooms"][0]["messages"].as_u64() >= Some(3)).await;
    let room = &rooms["rooms"][0];
    assert_eq!((room["name"].as_str(), room["members"].as_u64()), (Some("game/1"), Some(2)), "{rooms}");
    assert_eq!(rooms["total"].as_u64(), Some(1), "{rooms}");
    assert_eq!(rooms["rooms"].as_array().map(Vec::len), Some(1), "the server's own rooms are not among them");
    assert_eq!(now["outbox"]["filled"].as_array().map(Vec::len), Some(5));
    assert!(now["shards"].as_array().is_some_and(|shards| !shards.is_empty()));
    drop((one, other, watcher));
    server.finish().await;
}

/// An operator's connection without sockets, in a server whose time stands still but for us.
async fn attached(server: &tickwire::server::Handle) -> Peer {
    let (near, far) = duplex(1 << 20);
    let server = server.clone();
    tokio::spawn(async move { server.attach_operator(far, Bytes::new(), "ops", &[]).await });
    let mut peer = Peer::new(near, Transport::WebSocket);
    peer.greet().await;
    peer
}

/// The number of the next point that comes.
async fn point(peer: &mut Peer) -> u64 {
    loop {
        let (_, records) = peer.next_with_records().await;
        let is_point =
            |key: Option<u64>| key.map(Key::from_wire).is_some_and(|key| key.is_room() && key.number() >= POINTS);
        let found =
            records.iter().find(|said| said.kind == Kind::Value && is_point(said.key) && !said.payload.is_empty());
        if let Some(said) = found {
            let value: serde_json::Value = serde_json::from_slice(&said.payload).unwrap();
            let n = value["n"].as_u64().unwrap();
            assert_eq!(Key::from_wire(said.key.unwrap()).number(), POINTS + n % KEPT);
            return n;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_nobody_watches_nothing_is_computed() {
    let server = Server::builder().shards(1).detached().unwrap();
    let handle = server.handle();
    tokio::spawn(server.run(std::future::pending()));
    let mut peer = attached(&handle).await;
    // In another room an operator costs nothing either.
    peer.join(1, Mode::RECEIVE, "lobby").await;
    advance(Duration::from_secs(40)).await;
    peer.join(2, Mode::RECEIVE, FEED).await;
    assert_eq!((point(&mut peer).await, point(&mut peer).await), (0, 1));
    peer.send(&say::leave(3, 2)).await;
    peer.control().await;
    for _ in 0..40 {
        advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    peer.join(4, Mode::RECEIVE, FEED).await;
    let next = point(&mut peer).await;
    assert!((2..=3).contains(&next), "forty seconds without anybody made {} points", next - 2);
}

#[tokio::test(start_paused = true)]
async fn the_past_is_a_ring_and_comes_at_once() {
    let server = Server::builder().shards(1).detached().unwrap();
    let handle = server.handle();
    tokio::spawn(server.run(std::future::pending()));
    let mut first = attached(&handle).await;
    first.join(1, Mode::RECEIVE, FEED).await;
    // The paused clock runs by itself while all wait.
    while point(&mut first).await < KEPT + 5 {}
    let mut second = attached(&handle).await;
    second.send(&say::join(1, 1, Mode::RECEIVE, FEED)).await;
    second.joining().await;
    let (mut points, mut keys) = (0, 0);
    loop {
        let (frame, records) = second.next_with_records().await;
        let snapshot = records.iter().filter(|said| said.kind == Kind::Snapshot);
        for said in snapshot {
            keys += 1;
            points += u64::from(Key::from_wire(said.key.unwrap()).number() >= POINTS);
        }
        let is_last = frame.header.flags & tickwire::wire::header::flags::MORE == 0;
        if points > 0 && is_last {
            break;
        }
    }
    assert_eq!(points, KEPT, "no more than the ring has");
    assert!(keys <= KEPT + POINTS);
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_is_not_shown_old_figures() {
    let server = Server::builder().shards(1).detached().unwrap();
    let handle = server.handle();
    tokio::spawn(server.run(std::future::pending()));
    let mut peer = attached(&handle).await;
    peer.join(1, Mode::RECEIVE, FEED).await;
    point(&mut peer).await;
    peer.send(&say::leave(2, 1)).await;
    peer.control().await;
    for _ in 0..10 {
        advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    peer.send(&say::join(3, 2, Mode::RECEIVE, FEED)).await;
    peer.joining().await;
    let (_, records) = peer.next_with_records().await;
    let keys: Vec<u64> = records.iter().map(|said| Key::from_wire(said.key.unwrap()).number()).collect();
    assert!(records.iter().all(|said| said.kind == Kind::Snapshot), "{records:?}");
    assert!(keys.contains(&ABOUT) && keys.contains(&POINTS), "what charts show stays: {keys:?}");
    assert!(!keys.contains(&NOW) && !keys.contains(&ROOMS), "what was is not what is: {keys:?}");
}
