//! Connections that have not said hello: how long they may stay, and how many there may be.

use std::time::Duration;

use tickwire::wire::Reason;
use tickwire::wire::control::Mode;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::hear::Ended;
use super::peer::Peer;
use super::say;
use super::support::{BOTH, PATIENCE, TestServer, Transport, check_ended, ending, limits, soon, survives};

#[tokio::test]
async fn whoever_says_nothing_is_closed_at_the_deadline() {
    let impatient = limits(|limits| limits.hello_timeout = Duration::from_millis(500));
    survives(impatient, async |server| {
        let [mut tcp, mut magic, mut websocket, mut http, mut half_a_request] = [
            Peer::socket(server, Transport::Tcp).await,
            Peer::preamble(server, Transport::Tcp).await,
            Peer::preamble(server, Transport::WebSocket).await,
            Peer::socket(server, Transport::WebSocket).await,
            Peer::socket(server, Transport::WebSocket).await,
        ];
        half_a_request.send_raw(b"GET /ws HTTP/1.1\r\nHo").await;
        for peer in [&mut tcp, &mut magic, &mut websocket] {
            check_ended(peer, Reason::HELLO_TIMEOUT).await;
        }
        for peer in [&mut http, &mut half_a_request] {
            let answer = peer.rest().await;
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408 "), "{answer:?}");
        }
    })
    .await;
}

/// Sends a byte and listens for a moment, again and again, until the server closes.
async fn drip(peer: &mut Peer, bytes: &[u8]) {
    let closed = async {
        for byte in bytes.iter().chain(std::iter::repeat(&b'x')) {
            peer.try_send_raw(&[*byte]).await;
            if timeout(Duration::from_millis(10), peer.io.read_u8()).await.is_ok() {
                return;
            }
        }
    };
    soon(closed, "the server to lose its patience").await;
}

#[tokio::test]
async fn a_drip_of_bytes_does_not_move_the_deadline() {
    let impatient = limits(|limits| limits.hello_timeout = Duration::from_millis(500));
    survives(impatient, async |server| {
        let announced = [say::preamble(), vec![2, 0x10, 0, 0, 1]].concat();
        drip(&mut Peer::socket(server, Transport::Tcp).await, &announced).await;
        drip(&mut Peer::socket(server, Transport::WebSocket).await, b"GET /ws HTTP/1.1\r\nHost: ").await;
        let message = [&[0x82, 0xfe, 0x10, 4, 0, 0, 0, 0][..], &[2, 0x10, 0, 0, 1]].concat();
        drip(&mut Peer::preamble(server, Transport::WebSocket).await, &message).await;
    })
    .await;
}

#[tokio::test]
async fn strangers_beyond_their_number_are_told_to_come_later_and_members_stay() {
    let few = limits(|limits| {
        limits.max_greeting = 2;
        limits.hello_timeout = PATIENCE * 6;
    });
    survives(few, async |server| {
        for transport in BOTH {
            let mut strangers = [Peer::preamble(server, transport).await, Peer::preamble(server, transport).await];
            for other in BOTH {
                check_told_later(server, other).await;
            }
            // Hello gives the place to another.
            strangers[0].greet().await;
            let third = Peer::preamble(server, transport).await;
            check_told_later(server, transport).await;
            // So does leaving, once the server has seen it.
            drop(strangers);
            drop(third);
            let recovered = async { while !is_welcome(server, transport).await {} };
            soon(recovered, "a place to be free again").await;
            let recovered = async { while !is_welcome(server, transport).await {} };
            soon(recovered, "the other place to be free again").await;
        }
    })
    .await;
}

async fn is_welcome(server: &TestServer, transport: Transport) -> bool {
    let mut peer = Peer::socket(server, transport).await;
    match transport {
        Transport::Tcp => peer.try_send_raw(&[say::preamble(), say::hello()].concat()).await,
        Transport::WebSocket => {
            let request = say::request("/ws", "");
            peer.try_send_raw(&[request.as_bytes(), &say::binary(&say::hello())].concat()).await;
        }
    }
    let (mut answer, expected): (Vec<u8>, _) = match transport {
        // A control frame, and WELCOME.
        Transport::Tcp => (vec![0; 5], &[2][..]),
        Transport::WebSocket => (b"HTTP/1.1 ???".to_vec(), &b" 101"[..]),
    };
    peer.io.read_exact(&mut answer).await.is_ok() && answer.ends_with(expected)
}

async fn check_told_later(server: &TestServer, transport: Transport) {
    let mut peer = Peer::socket(server, transport).await;
    match transport {
        Transport::Tcp => {
            let told = Ended { reconnect: Some(5000), ..ending(transport, Reason::SERVER_FULL) };
            assert_eq!(peer.ended().await, told);
        }
        Transport::WebSocket => {
            let head = peer.http_head().await.to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 503 ") && head.contains("retry-after: 5\r\n"), "{head}");
        }
    }
}

#[tokio::test]
async fn the_frames_before_hello_are_smaller() {
    survives(limits(|_| {}), async |server| {
        for transport in BOTH {
            let mut peer = Peer::preamble(server, transport).await;
            peer.send(&[&[2, 0x10, 1, 0][..], &[0; 4097]].concat()).await;
            assert_eq!(peer.ended().await, ending(transport, Reason::FRAME_TOO_LARGE));
            // Behind hello the whole limit counts, in the same chunk too.
            let mut peer = Peer::preamble(server, transport).await;
            let join = say::join(2, 1, Mode::BOTH, "target");
            let event = say::event(1, &[7; 15_360]);
            match transport {
                Transport::Tcp => peer.send(&[say::hello(), join, event].concat()).await,
                // A message has room for one frame of that size.
                Transport::WebSocket => {
                    let first = say::binary(&[say::hello(), join].concat());
                    peer.send_raw(&[first, say::binary(&event)].concat()).await;
                }
            }
            peer.control().await;
            peer.joining().await;
            peer.event(&[7; 15_360]).await;
        }
    })
    .await;
}
