//! Other rules for a server that runs: who gets them, who keeps the old ones, and what waits.

use std::time::Duration;

use tickwire::class::RoomClasses;
use tickwire::limits::Limits;
use tickwire::server::{Error, Reload, Server};
use tickwire::wire::Reason;
use tickwire::wire::control::{Command, Mode};

use super::hear::command;
use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, Transport, limits, soon};

/// Changes limits, and waits until the shards have them too.
async fn reload(server: &TestServer, reload: Reload) -> Vec<&'static str> {
    let waiting = server.handle.reload(reload).await.unwrap();
    // One after the other: this one begins when all shards have taken that one.
    soon(server.handle.reload(Reload::new()), "the shards to take new rules").await.unwrap();
    waiting
}

fn with(change: impl FnOnce(&mut Limits)) -> Reload {
    Reload::new().limits(limits(change))
}

/// Joins a room as handle 1, and tells its period in microseconds.
async fn period(server: &TestServer, transport: Transport, room: &str) -> (Peer, u64) {
    let mut peer = Peer::hello(server, transport).await;
    peer.send(&say::join(2, 1, Mode::BOTH, room)).await;
    let frame = peer.control().await;
    let Command::Joined(joined) = command(&frame) else { panic!("{frame:?}") };
    let period = joined.period;
    (peer, period)
}

#[tokio::test]
async fn new_connections_get_new_limits_and_those_that_are_there_keep_theirs() {
    for transport in BOTH {
        let server = TestServer::start(limits(|_| {})).await;
        let (mut old, _) = Peer::joined(&server, transport, "a").await;
        assert_eq!(reload(&server, with(|limits| limits.max_rooms = 1)).await, [""; 0]);
        old.join(2, Mode::BOTH, "b").await;
        let (mut new, _) = Peer::joined(&server, transport, "a").await;
        new.send(&say::join(3, 2, Mode::BOTH, "b")).await;
        assert_eq!(new.refused().await, (3, 0, Reason::TOO_MANY_JOINS));
        new.send(&say::event(1, b"between them")).await;
        old.event(b"between them").await;
        drop((old, new));
        server.finish().await;
    }
}

#[tokio::test]
async fn rooms_that_are_there_keep_to_new_limits_at_once() {
    let server = TestServer::start(limits(|_| {})).await;
    for transport in BOTH {
        let (_one, _) = Peer::joined(&server, transport, "a").await;
        reload(&server, with(|limits| limits.max_members = 1)).await;
        let mut other = Peer::hello(&server, transport).await;
        other.send(&say::join(2, 1, Mode::BOTH, "a")).await;
        assert_eq!(other.refused().await, (2, 0, Reason::ROOM_FULL));
        reload(&server, with(|_| {})).await;
        other.join(1, Mode::BOTH, "a").await;
    }
}

#[tokio::test]
async fn rooms_that_are_made_later_are_of_the_new_classes() {
    let server = TestServer::start(limits(|_| {})).await;
    for (transport, room) in BOTH.into_iter().zip(["first", "second"]) {
        let (_stays, before) = period(&server, transport, room).await;
        let mut classes = RoomClasses::default();
        classes.default.period = Duration::from_millis(7);
        reload(&server, Reload::new().classes(classes)).await;
        let (_joins, same) = period(&server, transport, room).await;
        assert_eq!((before, same), (50_000, 50_000), "a room keeps its class");
        let (_makes, other) = period(&server, transport, &format!("{room}/other")).await;
        assert_eq!(other, 7000);
        reload(&server, Reload::new().classes(RoomClasses::default())).await;
    }
}

#[tokio::test]
async fn who_may_connect_changes_for_those_who_come() {
    let server = TestServer::start(limits(|_| {})).await;
    let (mut old, _) = Peer::joined(&server, Transport::WebSocket, "a").await;
    let page = say::request("/ws", "Origin: http://localhost:3000\r\n");
    let answer = async || {
        let mut peer = Peer::socket(&server, Transport::WebSocket).await;
        peer.send_raw(page.as_bytes()).await;
        peer.http_head().await
    };
    assert!(answer().await.starts_with("HTTP/1.1 101 "));
    let mut access = tickwire::server::access::AccessConfig::default();
    access.origins = vec!["https://example.org".parse().unwrap()];
    reload(&server, Reload::new().access(access)).await;
    assert!(answer().await.starts_with("HTTP/1.1 403 "));
    old.send(&say::event(1, b"still here")).await;
    old.event(b"still here").await;
}

#[tokio::test]
async fn what_cannot_change_is_named_and_what_contradicts_it_changes_nothing() {
    let server = TestServer::start(limits(|_| {})).await;
    let waiting = reload(
        &server,
        with(|limits| {
            (limits.max_frame, limits.max_connections) = (20_000, 7);
            limits.max_rooms = 1;
        }),
    );
    assert_eq!(waiting.await, ["max_frame", "max_connections"]);
    // It is named again as long as it waits, and not when it is as it was.
    assert_eq!(reload(&server, with(|limits| limits.max_connections = 7)).await, ["max_connections"]);
    assert_eq!(reload(&server, with(|limits| limits.max_rooms = 1)).await, [""; 0]);
    let fits_only_with_both = with(|limits| {
        (limits.max_frame, limits.max_hello_frame) = (40_000, 20_000);
        limits.max_rooms = 5;
    });
    assert!(matches!(server.handle.reload(fits_only_with_both).await, Err(Error::Limits(_))));
    assert!(matches!(server.handle.reload(with(|limits| limits.max_rooms = 0)).await, Err(Error::Limits(_))));
    let mut classes = RoomClasses::default();
    classes.default.period = Duration::from_secs(61);
    let with_wrong_class = with(|limits| limits.max_rooms = 5).classes(classes);
    assert!(matches!(server.handle.reload(with_wrong_class).await, Err(Error::Period)));
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "a").await;
    peer.send(&say::join(3, 2, Mode::BOTH, "b")).await;
    assert_eq!(peer.refused().await, (3, 0, Reason::TOO_MANY_JOINS), "max_rooms is still 1");
}

#[tokio::test]
async fn changes_are_made_one_after_the_other_before_a_server_runs_and_while_it_goes_away() {
    let any = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = Server::builder().websocket(any).tcp(any).shards(2).bind().await.unwrap();
    let handle = server.handle();
    handle.reload(with(|limits| limits.max_rooms = 2)).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let address = server.tcp_addr().unwrap();
    {
        // No shard has taken the first one.
        let second = handle.reload(with(|limits| limits.max_rooms = 1));
        tokio::pin!(second);
        tokio::select! {
            biased;
            _ = &mut second => panic!("it must wait"),
            () = std::future::ready(()) => {}
        }
        // Dropped while it waits, it has done nothing.
    }
    let running = tokio::spawn(server.run(async {
        let _stopped = stopped.await;
    }));
    soon(handle.reload(Reload::new()), "the shards to take the first").await.unwrap();
    let mut peer = Peer::new(tokio::net::TcpStream::connect(address).await.unwrap(), Transport::Tcp);
    peer.open("").await;
    peer.greet().await;
    peer.join(1, Mode::BOTH, "a").await;
    peer.join(2, Mode::BOTH, "b").await;
    peer.send(&say::join(4, 3, Mode::BOTH, "c")).await;
    assert_eq!(peer.refused().await, (4, 0, Reason::TOO_MANY_JOINS));
    stop.send(()).unwrap();
    // The notice of going away: its drain has begun, and shards still take rules.
    let notice = peer.control().await;
    assert!(matches!(command(&notice), Command::GoingAway(_)), "{notice:?}");
    for _ in 0..3 {
        soon(handle.reload(with(|_| {})), "the shards to take rules").await.unwrap();
    }
    drop(peer);
    soon(running, "the server to return").await.unwrap().unwrap();
    // Nobody is left to take it, and nobody waits.
    for _ in 0..3 {
        soon(handle.reload(with(|_| {})), "nobody").await.unwrap();
    }
}
