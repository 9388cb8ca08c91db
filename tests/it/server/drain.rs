//! Going away: the notice, what still works after it, and the end.

use std::time::Duration;

use tickwire::wire::control::{Command, Mode};
use tickwire::wire::{Control, Reason};
use tokio::net::TcpStream;

use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, Transport, limits};

/// Reads up to the notice: milliseconds after which to reconnect, and until the end.
async fn notice(peer: &mut Peer) -> (u64, u64) {
    loop {
        let frame = peer.control().await;
        let control = Control::decode(&frame.payload).unwrap();
        match control.command {
            Command::GoingAway(away) => {
                assert_eq!(control.request.0, 0);
                return (away.reconnect, away.closes);
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
        assert!(reconnect > 0 && reconnect < 60_000, "{reconnect}");
        assert_eq!(u128::from(closes), DRAIN.as_millis());
    }
    for transport in BOTH {
        if let Ok(stream) = TcpStream::connect(server.addr(transport)).await {
            assert!(Peer::new(stream, transport).rest().await.is_empty(), "nobody new is served");
        }
    }
    // What was joined works as before; more is not joined.
    let [first, roomless, second, _] = &mut peers[..] else { unreachable!() };
    roomless.send(&say::join(7, 1, Mode::BOTH, "target")).await;
    assert_eq!(roomless.refused().await, (7, 0, Reason::GOING_AWAY));
    first.send(&say::event(1, b"last words")).await;
    second.event(b"last words").await;
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
