//! Going away: the notice, what still works after it, and the end.

use std::time::Duration;

use tickwire::class::RoomClasses;
use tickwire::client::{Client, ClientConfig, Comeback, Event, JoinOptions};
use tickwire::server::Server;
use tickwire::wire::control::{Command, Mode, Outcome};
use tickwire::wire::extension::kind;
use tickwire::wire::{Control, FrameType, Kind, Reader, Reason};
use tokio::net::TcpStream;

use super::hear::records;
use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, Transport, limits, soon};

/// Reads up to the notice: milliseconds after which to reconnect, and until the end.
async fn notice(peer: &mut Peer) -> (u64, u64) {
    let (reconnect, closes, _) = notice_with_positions(peer).await;
    (reconnect, closes)
}

/// As `notice`, with the rooms and their positions.
async fn notice_with_positions(peer: &mut Peer) -> (u64, u64, Vec<(u64, u64)>) {
    loop {
        let frame = peer.control().await;
        let control = Control::decode(&frame.payload).unwrap();
        match control.command {
            Command::GoingAway(away) => {
                assert_eq!(control.request.0, 0);
                let mut reader = Reader::new(away.extensions.get(kind::POSITIONS).unwrap_or_default());
                let mut positions = Vec::new();
                while !reader.rest().is_empty() {
                    positions.push((reader.varint().unwrap(), reader.varint().unwrap()));
                }
                return (away.reconnect, away.closes, positions);
            }
            Command::Close(close) => panic!("closed without notice: {}", close.reason),
            _ => {}
        }
    }
}

#[tokio::test]
async fn everybody_is_told_when_to_come_back_and_closed_at_the_deadline() {
    const DRAIN: Duration = Duration::from_secs(2);
    let mut server = TestServer::start(limits(|limits| limits.drain_timeout = DRAIN)).await;
    let mut peers = Vec::new();
    for transport in BOTH {
        peers.push(Peer::joined(&server, transport, "target").await.0);
        peers.push(Peer::hello(&server, transport).await);
    }
    let mut strangers =
        [Peer::preamble(&server, Transport::Tcp).await, Peer::preamble(&server, Transport::WebSocket).await];
    server.stop();
    for peer in &mut peers {
        let (reconnect, closes) = notice(peer).await;
        // Slots are behind the deadline and the restart, over a second for so few.
        assert!((2_990..4_100).contains(&reconnect), "{reconnect}");
        assert!((1_900..=2_000).contains(&closes), "{closes}");
    }
    for transport in BOTH {
        if let Ok(stream) = TcpStream::connect(server.addr(transport)).await {
            assert!(Peer::new(stream, transport).rest().await.is_empty(), "nobody new is served");
        }
    }
    // Nothing more is taken, and who said it learns so.
    let [first, roomless, ..] = &mut peers[..] else { unreachable!() };
    roomless.send(&say::join(7, 1, Mode::BOTH, "target")).await;
    assert_eq!(roomless.refused().await, (7, 0, Reason::GOING_AWAY));
    first.send(&say::event(1, b"last words")).await;
    assert_eq!(first.refused().await, (0, 1, Reason::GOING_AWAY));
    for peer in peers.iter_mut().chain(&mut strangers) {
        let ended = peer.ended().await;
        let code = (peer.transport == Transport::WebSocket).then_some(4100);
        assert_eq!((ended.reason, ended.close_code, ended.reset), (Reason::GOING_AWAY, code, false));
        assert!(ended.reconnect.is_some_and(|reconnect| reconnect > 0));
    }
    drop((peers, strangers));
    server.stopped().await;
}

#[tokio::test]
async fn a_server_whose_clients_leave_does_not_wait_for_the_deadline() {
    // The deadline is a minute: the test would give up before.
    let mut server = TestServer::start(limits(|_| {})).await;
    let mut peers =
        [Peer::joined(&server, Transport::Tcp, "target").await.0, Peer::hello(&server, Transport::WebSocket).await];
    server.stop();
    for peer in &mut peers {
        notice(peer).await;
        peer.send(&say::close(5)).await;
        let ended = peer.ended().await;
        assert_eq!((ended.reason, ended.request), (Reason::FINISHED, 5));
    }
    drop(peers);
    server.stopped().await;
}

#[tokio::test]
async fn a_handle_begins_the_drain_and_the_server_is_not_ready_from_then_on() {
    let server = TestServer::start(limits(|_| {})).await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "target").await;
    assert!(server.handle.is_ready());
    server.handle.drain();
    assert!(!server.handle.is_ready(), "at once, and not when the server has noticed");
    server.handle.drain();
    notice(&mut peer).await;
    drop(peer);
    server.stopped().await;
}

#[tokio::test]
async fn a_server_without_clients_stops_at_once() {
    TestServer::start(limits(|_| {})).await.finish().await;
}

#[tokio::test]
async fn whoever_says_hello_after_the_notice_is_told_too() {
    let mut server = TestServer::start(limits(|_| {})).await;
    let mut member = Peer::hello(&server, Transport::Tcp).await;
    let mut late = [Peer::preamble(&server, Transport::Tcp).await, Peer::preamble(&server, Transport::WebSocket).await];
    let mut path = Peer::socket(&server, Transport::WebSocket).await;
    path.open("/ws/target").await;
    server.stop();
    notice(&mut member).await;
    for peer in &mut late {
        peer.greet().await;
        notice(peer).await;
        peer.send(&say::join(7, 1, Mode::BOTH, "target")).await;
        assert_eq!(peer.refused().await, (7, 0, Reason::GOING_AWAY));
    }
    path.greet().await;
    assert_eq!(path.refused().await, (0, 0, Reason::GOING_AWAY));
    drop((member, late, path));
    server.stopped().await;
}

#[tokio::test]
async fn a_peer_that_reads_nothing_does_not_hold_the_server_up() {
    let mut server = TestServer::start(limits(|limits| {
        limits.drain_timeout = Duration::from_millis(200);
        limits.discard_timeout = Duration::from_millis(200);
    }))
    .await;
    let (mut member, _) = Peer::joined(&server, Transport::Tcp, "target").await;
    let mut deaf = Vec::new();
    for transport in BOTH {
        deaf.push(Peer::joined(&server, transport, "target").await.0);
    }
    // More than their kernels take, in batches of at most what a tick gathers.
    for number in 0..40_u8 {
        let payload = [&[number][..], &[7; 15_000]].concat();
        member.send(&say::event(1, &payload)).await;
        member.event(&payload).await;
    }
    server.stop();
    notice(&mut member).await;
    server.stopped().await;
    drop(deaf);
}

#[tokio::test]
async fn everything_accepted_comes_before_the_notice_which_names_the_last_position() {
    let mut classes = RoomClasses::default();
    // No tick comes: what is sent is sent because the server goes.
    classes.default.period = Duration::from_secs(60);
    let builder = Server::builder().limits(limits(|_| {})).classes(classes).shards(2);
    let mut server = TestServer::build(builder).await;
    let (mut teller, _) = Peer::joined(&server, Transport::Tcp, "one").await;
    let (mut hearer, one) = Peer::joined(&server, Transport::WebSocket, "one").await;
    let two = hearer.join(2, Mode::BOTH, "two").await;
    for number in 0..200_u8 {
        teller.send(&say::event(1, &[number])).await;
    }
    // What precedes the answer has been taken.
    teller.send(&say::set_presence(9, 1, b"done")).await;
    loop {
        let frame = teller.control().await;
        if matches!(Control::decode(&frame.payload).unwrap().command, Command::Done(_)) {
            break;
        }
    }
    server.stop();
    let mut heard = Vec::new();
    let positions = loop {
        let frame = hearer.next().await.unwrap();
        match Control::decode(&frame.payload).map(|control| control.command) {
            Ok(Command::GoingAway(away)) if frame.header.frame_type == FrameType::Control => {
                break away.extensions.get(kind::POSITIONS).unwrap().to_vec();
            }
            _ if frame.header.frame_type == FrameType::Data => {
                heard.extend(records(&frame).into_iter().filter(|said| said.kind == Kind::Event));
            }
            _ => {}
        }
    };
    assert!(heard.iter().map(|said| said.payload[0]).eq(0..200), "{} events", heard.len());
    let mut reader = Reader::new(&positions);
    let mut named = Vec::new();
    while !reader.rest().is_empty() {
        named.push((reader.varint().unwrap(), reader.varint().unwrap()));
    }
    named.sort_unstable();
    // Of each room one batch: who came, and what was said.
    let mut expected = [(one.room, 1), (two.room, 1)];
    expected.sort_unstable();
    assert_eq!(named, expected);
    drop((teller, hearer));
    server.stopped().await;
}

#[tokio::test]
async fn slots_differ_and_a_client_that_keeps_to_its_own_meets_the_server_that_comes() {
    let brief = limits(|limits| {
        limits.drain_timeout = Duration::from_millis(300);
        limits.drain_restart = Duration::from_millis(200);
    });
    let mut server = TestServer::start(brief.clone()).await;
    let addr = server.addr(Transport::Tcp);
    let config = ClientConfig::new(format!("tcp://{addr}").parse().unwrap());
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = soon(Client::connect(&config), "a connection").await.unwrap();
        let membership = soon(client.join("room", Mode::BOTH), "a room").await.unwrap();
        clients.push((client, membership));
    }
    let handle = clients[0].1.handle;
    clients[0].0.event(handle, b"last").await.unwrap();
    clients[0].0.ping().await.unwrap();
    server.stop();
    let (mut slots, mut returning) = (Vec::new(), Vec::new());
    for (mut client, membership) in clients {
        let mut comeback = Comeback::default();
        loop {
            let event = soon(client.next(), "the notice").await.unwrap();
            if let Event::GoingAway { reconnect, positions, .. } = &event {
                slots.push(*reconnect);
                let (_, known) = client.position(membership.handle).unwrap();
                assert_eq!(*positions, [(membership.handle, known)], "nothing is missing");
            }
            if comeback.handle_event(&event) {
                break;
            }
        }
        let (epoch, last) = client.position(membership.handle).unwrap();
        returning.push((comeback, epoch, last));
    }
    server.stopped().await;
    slots.sort_unstable();
    let apart = slots.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(apart <= Duration::from_millis(60), "a second over twenty: {slots:?}");
    let next = Server::builder().limits(brief).websocket(None).tcp(Some(addr)).bind().await.unwrap();
    let handle = next.handle();
    let running = tokio::spawn(next.run(std::future::pending()));
    for (mut comeback, epoch, last) in returning {
        assert!(comeback.wait().await);
        // The door is open: nobody tries twice.
        let mut client = soon(Client::connect(&config), "a connection").await.unwrap();
        let again = client.join_with("room", JoinOptions::new(Mode::BOTH).since(epoch, last));
        let again = soon(again, "a room").await.unwrap();
        assert_eq!(again.outcome, Outcome::GAP);
        assert_ne!(again.epoch, epoch, "another life");
        let snapshot = async { while !matches!(client.next().await.unwrap(), Event::Snapshot(_)) {} };
        soon(snapshot, "a snapshot").await;
    }
    handle.drain();
    soon(running, "the end").await.unwrap().unwrap();
}
