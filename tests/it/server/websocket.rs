//! RFC 6455: what is unusual and right, and how it closes. What violates it are rows of `hostile::messages`.

use tickwire::wire::control::Command;
use tickwire::wire::{Key, Kind, Reason};

use super::hear::command;
use super::peer::Peer;
use super::say;
use super::support::{TestServer, Transport, limits, survives};

/// Nothing else is on its way, so nothing else would take the answer along.
#[tokio::test]
async fn a_ping_in_a_quiet_room_is_answered() {
    let server = TestServer::start(limits(|_| {})).await;
    let (mut peer, _) = Peer::joined(&server, Transport::WebSocket, "quiet").await;
    for number in 1..=3 {
        peer.send_raw(&say::masked(0x89, b"still there?")).await;
        peer.pongs(number).await;
    }
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn fragments_pings_and_empty_messages_are_understood() {
    survives(limits(|_| {}), async |server| {
        let mut peer = Peer::preamble(server, Transport::WebSocket).await;
        let hello = say::hello();
        let (first, last) = hello.split_at(3);
        let bytes = [
            say::masked(0x82, b""),
            say::masked(0x02, first),
            say::masked(0x89, b"between"),
            say::masked(0x00, b"").repeat(2000),
            say::masked(0x00, last),
            say::masked(0x8a, b"a pong nobody asked for"),
            // The frame after hello begins in this fragment and ends in the next.
            say::masked(0x00, &[2, 0, 2, 0]),
            say::masked(0x80, &[0x70, 5]),
            say::masked(0x82, b""),
        ];
        peer.send_raw(&bytes.concat()).await;
        assert!(matches!(command(&peer.control().await), Command::Welcome(_)));
        assert_eq!(peer.refused().await, (5, 0, Reason::UNKNOWN_COMMAND));
        peer.pongs(1).await;
        assert_eq!(peer.pongs, [&b"between"[..]]);
    })
    .await;
}

#[tokio::test]
async fn pings_are_answered_with_their_payload_while_data_flows() {
    const PINGS: u8 = 30;
    survives(limits(|_| {}), async |server| {
        let (mut peer, _) = Peer::joined(server, Transport::WebSocket, "target").await;
        let (mut other, _) = Peer::joined(server, Transport::Tcp, "target").await;
        for number in 0..PINGS {
            other.send(&say::value(1, Key::room(number.into()), &[number; 15_000])).await;
            peer.send_raw(&say::masked(0x89, &vec![number; usize::from(number) * 4])).await;
            if number % 5 == 4 {
                // Paced by what arrives, for a room takes only so much a tick.
                while peer.said_as(Kind::Value).await.payload[..] != [number; 15_000] {}
            }
        }
        peer.pongs(usize::from(PINGS)).await;
        let expected = (0..PINGS).map(|number| vec![number; usize::from(number) * 4]);
        assert!(peer.pongs.iter().map(|pong| pong.to_vec()).eq(expected));
    })
    .await;
}

#[tokio::test]
async fn a_close_frame_is_answered_with_its_own_code() {
    let cases: [(&[u8], u16); 5] = [
        (&[0x03, 0xe8], 1000),
        (&[0x03, 0xe9, b'b', b'y', b'e'], 1001),
        (&[0x0f, 0xa0], 4000),
        (&[0x0b, 0xb8], 3000),
        (&[], 1005),
    ];
    survives(limits(|_| {}), async |server| {
        let (mut watcher, _) = Peer::joined(server, Transport::Tcp, "target").await;
        for (payload, code) in cases {
            let (mut peer, membership) = Peer::joined(server, Transport::WebSocket, "target").await;
            // What comes behind it is not acted upon.
            let behind = say::binary(&say::event(1, b"too late"));
            peer.send_raw(&[say::masked(0x88, payload), behind].concat()).await;
            peer.gone().await;
            assert_eq!(peer.close_code, Some(code));
            assert_eq!(watcher.left(membership.member).await, Reason::FINISHED);
            watcher.send(&say::event(1, b"barrier")).await;
            assert_eq!(watcher.said_as(Kind::Event).await.payload, b"barrier"[..]);
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_asked_for_before_a_close_frame_is_answered_before_its_answer() {
    survives(limits(|_| {}), async |server| {
        let closing = say::masked(0x88, &1000_u16.to_be_bytes());
        // The peer checks that nothing comes behind the close frame.
        let mut peer = Peer::preamble(server, Transport::WebSocket).await;
        peer.send_raw(&[say::binary(&say::hello()), closing.clone()].concat()).await;
        assert!(matches!(command(&peer.control().await), Command::Welcome(_)));
        peer.gone().await;
        assert_eq!(peer.close_code, Some(1000));
        let mut peer = Peer::hello(server, Transport::WebSocket).await;
        peer.send_raw(&[say::masked(0x89, b"1"), say::binary(&say::ping(7)), closing].concat()).await;
        peer.pongs(1).await;
        peer.gone().await;
        assert_eq!(peer.close_code, Some(1000));
    })
    .await;
}

#[tokio::test]
async fn whoever_closes_and_keeps_the_socket_is_closed_by_the_server() {
    let brief = limits(|limits| limits.discard_timeout = std::time::Duration::from_millis(100));
    let server = TestServer::start(brief).await;
    let mut kept = Vec::new();
    for bytes in [say::masked(0x88, &[0x03, 0xe8]), say::binary(&say::close(3)), say::binary(&[9, 0, 0, 0])] {
        let mut peer = Peer::hello(&server, Transport::WebSocket).await;
        peer.send_raw(&bytes).await;
        kept.push(peer);
    }
    server.finish().await;
    drop(kept);
}
