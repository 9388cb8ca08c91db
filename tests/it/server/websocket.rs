//! RFC 6455: what violates it, what is unusual and right, and how it closes.

use tickwire::wire::control::Command;
use tickwire::wire::{Key, Kind, Reason};

use super::hear::command;
use super::peer::Peer;
use super::say;
use super::support::{TestServer, Transport, limits, survives};

const PROTOCOL_ERROR: u16 = 1002;
const BAD_UTF8: u16 = 1007;
const TOO_LARGE: u16 = 1009;

/// Says hello, sends these bytes, and expects CLOSE and a close frame.
async fn check(server: &TestServer, name: &str, bytes: &[u8], reason: Reason, code: u16) {
    let mut peer = Peer::hello(server, Transport::WebSocket).await;
    peer.try_send_raw(bytes).await;
    let ended = peer.ended().await;
    assert_eq!((ended.reason, ended.close_code, ended.reset), (reason, Some(code), false), "{name}");
}

#[tokio::test]
async fn violations_of_rfc_6455_are_closed_with_211_and_1002() {
    let event = say::event(1, b"x");
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| cases.push((name.into(), bytes));
    add("unmasked", vec![0x82, 2, 0x68, 0x69]);
    for (bit, name) in [(0x40, "RSV1"), (0x20, "RSV2"), (0x10, "RSV3"), (0x70, "all RSV")] {
        add(name, say::masked(0x82 | bit, &event));
        add(name, say::masked(0x89 | bit, b""));
    }
    for opcode in (0x83..=0x87).chain(0x8b..=0x8f) {
        add(&format!("opcode {opcode:x}"), say::masked(opcode, &event));
        add(&format!("empty opcode {opcode:x}"), say::masked(opcode, b""));
    }
    add("ping of 126 bytes", say::masked(0x89, &[0; 126]));
    add("pong of 126 bytes", say::masked(0x8a, &[0; 126]));
    add("close of 126 bytes", say::masked(0x88, &[3; 126]));
    add("fragmented ping", say::masked(0x09, b"x"));
    add("fragmented close", say::masked(0x08, &[3, 0xe8]));
    add("continuation of nothing", say::masked(0x80, &event));
    add("beginning of a continuation of nothing", say::masked(0x00, &event));
    add("a message inside a message", [say::masked(0x02, b""), say::masked(0x82, &event)].concat());
    add("a text inside a message", [say::masked(0x02, b""), say::masked(0x81, b"x")].concat());
    add("close of 1 byte", say::masked(0x88, &[3]));
    survives(limits(|_| {}), async |server| {
        for (name, bytes) in &cases {
            check(server, name, bytes, Reason::WEBSOCKET, PROTOCOL_ERROR).await;
        }
    })
    .await;
}

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
async fn messages_above_the_limit_are_closed_with_203_and_1009() {
    let mask = [0; 4];
    let length = |bytes: [u8; 8]| [&[0x82, 0xff][..], &bytes, &mask].concat();
    let begun = |first: u8, len: usize, count: usize| {
        [say::masked(first, &vec![0; len]), say::masked(0x00, &vec![0; len]).repeat(count)].concat()
    };
    let cases = [
        // CVE-2026-27889: read as a signed number, this length was negative.
        ("the top bit", length([0x80, 0, 0, 0, 0, 0, 0, 1])),
        ("all bits", length([0xff; 8])),
        ("4 GiB", length([0, 0, 0, 1, 0, 0, 0, 0])),
        ("64 KiB", length([0, 0, 0, 0, 0, 1, 0, 0])),
        ("one above", [&[0x82, 0xfe, 0x40, 0x05][..], &mask].concat()),
        ("a large ping", [&[0x89, 0xff, 0, 0, 0, 0, 0, 1, 0, 0], &mask[..]].concat()),
        ("endless continuations", begun(0x02, 1024, 20)),
        ("endless small continuations", begun(0x02, 1, 16_400)),
        ("endless text", begun(0x01, 1024, 20)),
    ];
    survives(limits(|_| {}), async |server| {
        for (name, bytes) in &cases {
            check(server, name, bytes, Reason::FRAME_TOO_LARGE, TOO_LARGE).await;
        }
        // The largest frame, as large as a message may be.
        let mut peer = Peer::hello(server, Transport::WebSocket).await;
        peer.send(&[&[1, 0x40, 0, 0][..], &[9; 0x4000]].concat()).await;
        assert_eq!(peer.refused().await.2, Reason::NOT_JOINED);
    })
    .await;
}

#[tokio::test]
async fn text_is_closed_with_205() {
    survives(limits(|_| {}), async |server| {
        let cases = [
            ("text", say::masked(0x81, b"hello")),
            ("empty text", say::masked(0x81, b"")),
            ("text in fragments", [say::masked(0x01, b"he"), say::masked(0x80, b"llo")].concat()),
        ];
        for (name, bytes) in &cases {
            check(server, name, bytes, Reason::TEXT_MESSAGE, 4205).await;
        }
    })
    .await;
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
async fn a_close_frame_that_must_not_be_sent_is_a_violation() {
    let cases: [(&[u8], u16); 8] = [
        (&[0x03, 0xed], PROTOCOL_ERROR),
        (&[0x03, 0xee], PROTOCOL_ERROR),
        (&[0x03, 0xe7], PROTOCOL_ERROR),
        (&[0x03, 0xf7], PROTOCOL_ERROR),
        (&[0x13, 0x88], PROTOCOL_ERROR),
        (&[0xff, 0xff], PROTOCOL_ERROR),
        (&[0, 0], PROTOCOL_ERROR),
        (&[0x03, 0xe8, 0xff, 0xfe], BAD_UTF8),
    ];
    survives(limits(|_| {}), async |server| {
        for (payload, code) in cases {
            check(server, &format!("{payload:x?}"), &say::masked(0x88, payload), Reason::WEBSOCKET, code).await;
        }
        check(server, "text", &say::masked(0x81, &[0xff]), Reason::WEBSOCKET, BAD_UTF8).await;
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
