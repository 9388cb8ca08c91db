//! Sessions under TLS: many bytes, keys that change, ends.

use rustls::version::{TLS12, TLS13};
use tickwire::class::RoomClasses;
use tickwire::limits::Limits;
use tickwire::server::Server;
use tickwire::wire::control::Mode;
use tickwire::wire::{Kind, Reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::super::peer::Peer;
use super::super::say;
use super::super::support::{BOTH, TestServer, Transport, limits, soon};
use super::{Pem, VERSIONS, connect, greeted, shake, start};

/// An event whose every byte follows from its number.
fn payload(number: u32) -> Vec<u8> {
    let len = 1000 + usize::try_from(number).unwrap() * 977 % 13_000;
    (number..).map(|at| u8::try_from(at.wrapping_mul(31) >> 3 & 0xff).unwrap()).take(len).collect()
}

#[tokio::test]
async fn large_batches_reach_many_receivers_exact_to_the_byte() {
    const EVENTS: u32 = 60;
    const TOGETHER: u32 = 6;
    let pem = Pem::new();
    // Little at a time, so that records are left half written.
    let limits = limits(|limits| {
        limits.socket_send_buffer = 16 * 1024;
        // Peers here never say what they have consumed.
        limits.outbox_bytes = 4 * 1024 * 1024;
        limits.low_water = 2 * 1024 * 1024;
    });
    let server = TestServer::build(Server::builder().limits(limits).classes(ticking()).tls(pem.tls())).await;
    let mut receivers = Vec::new();
    for version in VERSIONS {
        for transport in BOTH {
            for _ in 0..4 {
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_recv_buffer_size(4096).unwrap();
                let stream = socket.connect(server.addr(transport)).await.unwrap();
                let stream = shake(stream, pem.client_over(version, transport)).await.unwrap();
                let mut peer = greeted(stream, transport).await;
                peer.join(1, Mode::RECEIVE, "large").await;
                receivers.push(peer);
            }
        }
    }
    let stream = connect(&server, Transport::Tcp, pem.client_over(&TLS13, Transport::Tcp)).await.unwrap();
    let mut sender = greeted(stream, Transport::Tcp).await;
    sender.join(1, Mode::BOTH, "large").await;
    let receiving = receivers.into_iter().map(|mut peer| {
        tokio::spawn(async move {
            for number in 0..EVENTS {
                let said = peer.said_as(Kind::Event).await;
                assert!(said.payload == payload(number), "event {number}");
            }
            peer
        })
    });
    let receiving: Vec<_> = receiving.collect();
    for first in (0..EVENTS).step_by(TOGETHER as usize) {
        let numbers = first..first + TOGETHER;
        sender.send(&numbers.clone().flat_map(|number| say::event(1, &payload(number))).collect::<Vec<_>>()).await;
        for number in numbers {
            assert!(sender.said_as(Kind::Event).await.payload == payload(number));
        }
    }
    for receiver in receiving {
        drop(soon(receiver, "a receiver").await.unwrap());
    }
    drop(sender);
    server.finish().await;
}

/// Rooms with a tick, so that several events leave together.
fn ticking() -> RoomClasses {
    let mut classes = RoomClasses::default();
    classes.default.period = std::time::Duration::from_millis(5);
    classes.default.compress = false;
    classes
}

#[tokio::test]
async fn keys_may_change_but_not_all_the_time() {
    let (server, pem) = start(Limits::default()).await;
    let mut stream = connect(&server, Transport::Tcp, pem.client_over(&TLS13, Transport::Tcp)).await.unwrap();
    let join = say::join(2, 1, Mode::BOTH, "keys");
    stream.write_all(&[say::preamble(), say::hello(), join].concat()).await.unwrap();
    for byte in 0..20 {
        stream.get_mut().1.refresh_traffic_keys().unwrap();
        stream.write_all(&say::event(1, &[0xe0, byte, 0xe1])).await.unwrap();
    }
    let mut heard = Vec::new();
    let last = |heard: &[u8]| heard.windows(3).any(|bytes| bytes == [0xe0, 19, 0xe1]);
    while !last(&heard) {
        assert!(soon(stream.read_buf(&mut heard), "the last event").await.unwrap() > 0);
    }
    assert!((0..20).all(|byte| heard.windows(3).any(|bytes| bytes == [0xe0, byte, 0xe1])));
    // Nobody needs so many keys: the server ends this, and others are not held up.
    for _ in 0..200 {
        stream.get_mut().1.refresh_traffic_keys().unwrap();
    }
    let _flushed = stream.flush().await;
    while let Ok(1..) = soon(stream.read_buf(&mut heard), "the end").await {}
    let stream = connect(&server, Transport::Tcp, pem.client_over(&TLS12, Transport::Tcp)).await.unwrap();
    drop(greeted(stream, Transport::Tcp).await);
    server.finish().await;
}

#[tokio::test]
async fn who_leaves_with_close_notify_gets_one() {
    let (server, pem) = start(Limits::default()).await;
    for version in VERSIONS {
        for transport in BOTH {
            let stream = connect(&server, transport, pem.client_over(version, transport)).await.unwrap();
            let mut peer = greeted(stream, transport).await;
            peer.io.shutdown().await.unwrap();
            let mut rest = Vec::new();
            // Without it this is an error.
            soon(peer.io.read_to_end(&mut rest), "the end").await.unwrap();
        }
    }
    server.finish().await;
}

#[tokio::test]
async fn half_a_frame_before_a_cut_is_not_acted_upon() {
    let (server, pem) = start(Limits::default()).await;
    let watcher = connect(&server, Transport::WebSocket, pem.client_over(&TLS13, Transport::WebSocket)).await.unwrap();
    let mut watcher = greeted(watcher, Transport::WebSocket).await;
    watcher.join(1, Mode::BOTH, "cut").await;
    for version in VERSIONS {
        let stream = connect(&server, Transport::Tcp, pem.client_over(version, Transport::Tcp)).await.unwrap();
        let mut peer: Peer = greeted(stream, Transport::Tcp).await;
        let member = peer.join(1, Mode::BOTH, "cut").await.member;
        let event = say::event(1, b"half of this");
        peer.send(&[&say::event(1, b"whole")[..], &event[..event.len() - 1]].concat()).await;
        watcher.event(b"whole").await;
        // The end of TCP, without close_notify.
        drop(peer);
        // No event comes before it.
        loop {
            let said = watcher.said().await;
            assert_ne!(said.kind, Kind::Event, "{said:?}");
            if said.kind == Kind::Presence && said.member == member {
                break;
            }
        }
    }
    drop(watcher);
    server.finish().await;
}

#[tokio::test]
async fn a_full_server_says_so_under_tls_too() {
    let (server, pem) = start(limits(|limits| limits.max_connections = 1)).await;
    let stream = connect(&server, Transport::Tcp, pem.client_over(&TLS13, Transport::Tcp)).await.unwrap();
    let first = greeted(stream, Transport::Tcp).await;
    let stream = connect(&server, Transport::Tcp, pem.client_over(&TLS13, Transport::Tcp)).await.unwrap();
    let ended = Peer::new(stream, Transport::Tcp).ended().await;
    assert_eq!((ended.reason, ended.reset), (Reason::SERVER_FULL, false));
    drop(first);
    server.finish().await;
}
