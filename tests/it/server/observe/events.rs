//! Rooms as server-sent events.

use tickwire::class::{HistoryBounds, RoomClasses};
use tickwire::rights::{Asking, Authorise, Rights};
use tickwire::server::Server;
use tickwire::wire::{Key, Reason};

use super::stream::Stream;
use super::{ask, eventually, get, metrics, observed};
use crate::server::peer::Peer;
use crate::server::say;
use crate::server::support::{TestServer, Transport, limits, soon};

async fn start() -> TestServer {
    observed(Server::builder().limits(limits(|_| {}))).await
}

#[tokio::test]
async fn a_room_is_watched() {
    let server = start().await;
    let (mut peer, mine) = Peer::joined(&server, Transport::Tcp, "game/1").await;
    peer.send(&say::value(1, Key::room(7), b"before")).await;
    peer.said_after(&[], tickwire::wire::Kind::Value).await;
    let mut stream = Stream::open(server.admin.unwrap(), "game/1", None).await;
    let joined = stream.expect("joined").await;
    assert_eq!((joined["outcome"].as_str(), joined["period_us"].as_u64()), (Some("fresh"), Some(50_000)));
    assert!(stream.retry > 0 && stream.last_id.contains('-'), "{}", stream.last_id);
    let snapshot = stream.expect("snapshot").await;
    let value = &snapshot["values"][0];
    assert_eq!((value["key"].as_u64(), value["text"].as_str()), (Some(7), Some("before")));
    assert_eq!((value["room"].as_bool(), snapshot["last"].as_bool()), (Some(true), Some(true)));
    let here = stream.find("presence").await;
    assert_eq!((&here["state"], &here["member"]), (&"here".into(), &joined["member"]));

    let before = stream.last_id.clone();
    peer.send(&say::event(1, "line\n\u{1b}[2J ü".as_bytes())).await;
    let event = stream.find("event").await;
    assert_eq!((event["text"].as_str(), event["member"].as_u64()), (Some("line\n\u{1b}[2J ü"), Some(mine.member)));
    assert_ne!(stream.last_id, before, "its position is whole");
    peer.send(&say::event(1, b"\xff\x00\x01")).await;
    assert_eq!(stream.expect("event").await["base64"], "/wAB");
    peer.send(&say::value(1, Key::member(3), b"mine")).await;
    let value = stream.expect("value").await;
    assert_eq!((value["room"].as_bool(), value["text"].as_str()), (Some(false), Some("mine")));
    peer.send(&say::value(1, Key::member(3), b"")).await;
    assert_eq!(stream.expect("value").await["deleted"], true);
    let watcher = joined["member"].as_u64().unwrap();
    peer.send(&say::direct(1, watcher, b"psst")).await;
    assert_eq!(stream.expect("direct").await["text"], "psst");
    assert_eq!(metrics(&server.handle).await.of("tickwire_event_streams"), 1.0);

    peer.send(&say::leave(9, 1)).await;
    let left = stream.find("presence").await;
    assert_eq!((left["state"].as_str(), left["reason"].as_u64()), (Some("left"), Some(Reason::FINISHED.0)));
    drop(stream);
    let none = |page: &super::Metrics| page.of("tickwire_event_streams") == 0.0;
    eventually(&server.handle, "the watcher to leave", none).await;
    drop(peer);
    server.finish().await;
}

/// A watcher that hears two events, goes, misses two, and comes back.
async fn come_back(server: &TestServer) -> Stream {
    let admin = server.admin.unwrap();
    let (mut peer, _) = Peer::joined(server, Transport::Tcp, "target").await;
    let mut stream = Stream::open(admin, "target", None).await;
    for payload in ["one", "two"] {
        peer.send(&say::event(1, payload.as_bytes())).await;
        assert_eq!(stream.find("event").await["text"], payload);
        peer.event(payload.as_bytes()).await;
    }
    let id = stream.last_id.clone();
    drop(stream);
    for payload in ["three", "four"] {
        peer.send(&say::event(1, payload.as_bytes())).await;
        peer.event(payload.as_bytes()).await;
    }
    drop(peer);
    Stream::open(admin, "target", Some(&id)).await
}

#[tokio::test]
async fn who_comes_back_gets_what_was_missed() {
    let server = start().await;
    let mut stream = come_back(&server).await;
    assert_eq!(stream.expect("joined").await["outcome"], "recovered");
    for payload in ["three", "four"] {
        assert_eq!(stream.find("event").await["text"], payload);
    }
    stream.find("snapshot").await;
    drop(stream);
    server.finish().await;
}

#[tokio::test]
async fn who_comes_back_too_late_is_told_the_gap() {
    let mut classes = RoomClasses::default();
    classes.default.history = HistoryBounds::NONE;
    let server = observed(Server::builder().limits(limits(|_| {})).classes(classes)).await;
    let mut stream = come_back(&server).await;
    assert_eq!(stream.expect("joined").await["outcome"], "gap");
    let gap = stream.expect("gap").await;
    assert!(gap["from"].as_u64() <= gap["to"].as_u64() && gap["reset"].is_null(), "{gap}");
    stream.expect("snapshot").await;
    // Another life of the room.
    drop(stream);
    let mut stream = Stream::open(server.admin.unwrap(), "target", Some("0000000000000001-5")).await;
    assert_eq!(stream.expect("joined").await["outcome"], "gap");
    assert_eq!(stream.expect("gap").await["reset"], true);
    drop(stream);
    server.finish().await;
}

#[tokio::test]
async fn a_stream_ends_when_the_server_goes_away_and_says_when_to_come_back() {
    let mut server = start().await;
    let mut stream = Stream::open(server.admin.unwrap(), "target", None).await;
    stream.expect("joined").await;
    server.stop();
    let away = stream.find("going_away").await;
    assert!(away["reconnect_ms"].as_u64() == Some(stream.retry) && stream.retry > 0, "{away}");
    assert!(soon(stream.next(), "the end").await.is_none());
    // It does not wait for the minute that clients have.
    server.stopped().await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_told_why() {
    let decide = |asking: &Asking<'_>| match asking.room.as_str() {
        "secret" => Err(Reason::NOT_ALLOWED),
        "full" => Err(Reason::ROOM_FULL),
        "members" => Err(Reason::TOKEN),
        _ => Ok(Rights::ALL),
    };
    let builder = Server::builder().limits(limits(|_| {})).authorise(Authorise::new(decide));
    let server = observed(builder).await;
    let admin = server.admin.unwrap();
    for (path, status, words) in [
        ("/v1/rooms/a%20b/events", 400, "room name"),
        ("/v1/rooms//events", 400, "room name"),
        ("/v1/rooms/%ff/events", 400, "room name"),
        ("/v1/rooms/secret/events", 403, "240"),
        ("/v1/rooms/full/events", 503, "104"),
        ("/v1/rooms/members/events", 401, "241"),
        ("/v2/rooms/target", 404, ""),
    ] {
        let answer = get(admin, path).await;
        assert!(answer.status == status && answer.body.contains(words), "{path}: {} {}", answer.status, answer.body);
    }
    let path = "/v1/rooms/target/events";
    let id = ask(admin, "GET", path, "Last-Event-ID: 7\r\n").await;
    assert!(id.status == 400 && id.body.contains("Last-Event-ID"), "{}", id.body);
    let put = ask(admin, "PUT", path, "Content-Length: 0\r\n").await;
    assert!(put.status == 405 && put.head.contains("allow: get, head"));
    let head = ask(admin, "HEAD", path, "").await;
    assert!(head.status == 200 && head.head.contains("text/event-stream") && head.body.is_empty(), "{}", head.head);
    let page = metrics(&server.handle).await;
    assert_eq!((page.of("tickwire_joins_total"), page.of("tickwire_event_streams")), (0.0, 0.0));
    assert_eq!(page.of("tickwire_auth_failures_total{reason=\"not_allowed\"}"), 1.0);
    assert_eq!(page.of("tickwire_auth_failures_total{reason=\"token\"}"), 1.0);
    // Names with slashes, as they are and encoded.
    for room in ["a/b", "a%2Fb"] {
        Stream::open(admin, room, None).await.expect("joined").await;
    }
    eventually(&server.handle, "one room", |page| page.sum("tickwire_rooms") == 1.0).await;
    server.finish().await;
}
