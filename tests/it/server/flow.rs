//! Receivers that are too slow and senders that are too fast.

use std::collections::BTreeSet;
use std::time::Duration;

use tickwire::class::{RoomClasses, SlowPolicy};
use tickwire::server::{Builder, Server};
use tickwire::wire::control::Mode;
use tickwire::wire::{Kind, Reason};
use tokio::net::TcpSocket;

use super::hear::{self, refusal};
use super::peer::Peer;
use super::say;
use super::support::{BOTH, Pair, TestServer, Transport, limits, soon};

/// Rooms that flush as soon as their shard has nothing else to do.
fn eager() -> RoomClasses {
    let mut classes = RoomClasses::default();
    classes.default.period = Duration::ZERO;
    classes.default.slow = SlowPolicy::Close;
    classes
}

/// A member whose kernel takes little, and who does not read until it is asked to.
async fn slow_member(server: &TestServer, transport: Transport, room: &str) -> (Peer, u64, u64) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.addr(transport)).await.unwrap();
    let mut peer = Peer::new(stream, transport);
    peer.open("/ws").await;
    peer.greet().await;
    let membership = peer.join(1, Mode::BOTH, room).await;
    (peer, membership.member, membership.position)
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_closed_with_5_and_nobody_else_notices() {
    const EVENTS: u32 = 400;
    let small = limits(|limits| {
        (limits.max_batch, limits.outbox_bytes) = (64 * 1024, 256 * 1024);
        limits.socket_send_buffer = 16 * 1024;
        // The slow one gets its reason when it reads at last.
        limits.discard_timeout = Duration::from_secs(60);
    });
    let server = TestServer::build(Server::builder().classes(eager()).limits(small)).await;
    for transport in BOTH {
        let room = format!("{transport:?}");
        let (mut healthy, _) = Peer::joined(&server, transport, &room).await;
        let (slow, slow_number, since) = slow_member(&server, transport, &room).await;
        let mut left = None;
        for number in 0..EVENTS {
            let payload = [&number.to_be_bytes()[..], &[7; 4096]].concat();
            healthy.send(&say::event(1, &payload)).await;
            loop {
                let said = healthy.said().await;
                match said.kind {
                    // Every event comes back, in order, before the next is sent.
                    Kind::Event => {
                        assert_eq!(said.payload, payload);
                        break;
                    }
                    Kind::Presence if said.member == slow_number && said.payload[0] == 3 => left = Some(said.payload),
                    _ => {}
                }
            }
        }
        // The state "left" and the reason, while the slow one has not even read why.
        assert_eq!(left.as_deref(), Some(&[3, 5][..]), "the slow member was closed");
        check_what_the_slow_one_reads(slow, since).await;
    }
    server.finish().await;
}

/// What had left before the server gave up, without a gap, and then the reason.
async fn check_what_the_slow_one_reads(mut slow: Peer, since: u64) {
    let (mut position, mut events) = (since, 0_u32);
    let ended = loop {
        let (frame, said) = slow.next_with_records().await;
        for said in said.into_iter().filter(|said| said.kind.is_numbered()) {
            assert!(said.position - position <= 1, "{} follows {position}", said.position);
            position = said.position;
            if said.kind == Kind::Event {
                assert_eq!(said.payload[..4], events.to_be_bytes());
                events += 1;
            }
        }
        if let Some(ended) = slow.closed_by(&frame).await {
            break ended;
        }
    };
    assert_eq!((ended.reason, ended.reset), (Reason::SLOW, false));
    assert!(events > 0);
}

#[tokio::test]
async fn a_reader_that_never_reads_again_is_gone_after_the_discarding() {
    let small = limits(|limits| {
        (limits.max_batch, limits.outbox_bytes) = (64 * 1024, 128 * 1024);
        limits.socket_send_buffer = 16 * 1024;
        limits.discard_timeout = Duration::from_millis(200);
    });
    let server = TestServer::build(Server::builder().classes(eager()).limits(small)).await;
    let mut dead = Vec::new();
    for transport in BOTH {
        let (mut healthy, _) = Peer::joined(&server, transport, "target").await;
        let (slow, number, _) = slow_member(&server, transport, "target").await;
        dead.push(slow);
        loop {
            healthy.send(&say::event(1, &[7; 8192])).await;
            let said = healthy.said().await;
            if (said.kind, said.member, said.payload[0]) == (Kind::Presence, number, 3) {
                break;
            }
        }
    }
    // Their sockets are still open on this side.
    server.finish().await;
    drop(dead);
}

/// Answers are bounded by what waits, not by what has ever been answered.
#[tokio::test]
async fn a_reader_that_is_always_a_little_behind_stays() {
    let server = TestServer::start(limits(|limits| limits.pings_burst = u32::MAX)).await;
    for transport in BOTH {
        // Pings ahead of their answers, more than the pipe and the reader's buffer hold.
        let (near, far) = tokio::io::duplex(1024);
        let handle = server.handle.clone();
        let serving = tokio::spawn(async move {
            match transport {
                Transport::Tcp => handle.attach_tcp(far).await,
                Transport::WebSocket => handle.attach(far, bytes::Bytes::new(), None).await,
            }
        });
        let mut peer = Peer::new(near, transport);
        if transport == Transport::Tcp {
            peer.send_raw(&say::preamble()).await;
        }
        peer.greet().await;
        for time in 0..10_000_u64 {
            peer.send(&say::ping(time)).await;
            if let Some(behind) = time.checked_sub(400) {
                let answer = peer.next().await.unwrap();
                assert_eq!(hear::answered(&answer), Some(behind), "CLOSE, or an answer out of order");
            }
        }
        drop(peer);
        assert_eq!(soon(serving, "attach to return").await.unwrap(), Ok(()));
    }
    server.finish().await;
}

fn wide(max_batch: usize, chunks: usize) -> Builder {
    let wide = limits(|limits| {
        (limits.max_batch, limits.max_message) = (max_batch, 4096);
        limits.outbox_bytes = 64 << 20;
        limits.outbox_frames = 1_000_000;
        // Full is full.
        limits.max_early_flushes = 0;
        // A batch that others may have filled is nobody's fault: such refusals do not count.
        (limits.refusals_burst, limits.connection_chunks) = (0, chunks);
    });
    Server::builder().shards(2).limits(wide)
}

/// Events that carry their data frame's number, so many to a chunk.
async fn flood(sender: &mut Peer, numbers: std::ops::RangeInclusive<u32>) {
    let numbers = numbers.collect::<Vec<_>>();
    for chunk in numbers.chunks(500) {
        let frames = chunk.iter().flat_map(|number| say::event(1, &number.to_be_bytes())).collect::<Vec<_>>();
        sender.send(&frames).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_is_too_fast_is_slowed_down_and_loses_nothing() {
    const EVENTS: u32 = 100_000;
    let server = TestServer::build(wide(8 << 20, 1)).await;
    let mut pair = Pair::meet(&server, "bystanders").await;
    for transport in BOTH {
        let room = format!("{transport:?}");
        let (mut reader, _) = Peer::joined(&server, transport, &room).await;
        let mut sender = Peer::hello(&server, transport).await;
        sender.join(1, Mode::PUBLISH, &room).await;
        let reading = async {
            for number in 1..=EVENTS {
                assert_eq!(reader.said_as(Kind::Event).await.payload, number.to_be_bytes()[..]);
            }
        };
        // Others are served meanwhile.
        tokio::join!(flood(&mut sender, 1..=EVENTS), reading, pair.talk());
        sender.send(&say::close(9)).await;
        let ended = sender.ended().await;
        assert_eq!((ended.reason, sender.refusals), (Reason::FINISHED, 0));
    }
    drop(pair);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_delivered_and_what_is_refused_is_what_was_sent() {
    const EVENTS: u32 = 20_000;
    let server = TestServer::build(wide(16 * 1024, 4)).await;
    for transport in BOTH {
        let room = format!("{transport:?}");
        let (mut reader, reading) = Peer::joined(&server, transport, &room).await;
        let mut sender = Peer::hello(&server, transport).await;
        let sending = sender.join(1, Mode::PUBLISH, &room).await;
        flood(&mut sender, 1..=EVENTS).await;
        // A direct to oneself comes behind every refusal before it; it may be refused itself.
        let mut refused = BTreeSet::new();
        let mut sent = u64::from(EVENTS);
        sender.send(&say::direct(1, sending.member, b"")).await;
        sent += 1;
        loop {
            let (frame, said) = sender.next_with_records().await;
            if said.iter().any(|said| said.kind == Kind::Direct) {
                break;
            }
            let Some((_, number, reason)) = refusal(&frame) else { continue };
            assert_eq!(reason, Reason::BATCH_FULL);
            assert!(refused.insert(number));
            if number == sent {
                sender.send(&say::direct(1, sending.member, b"")).await;
                sent += 1;
            }
        }
        sender.send(&say::direct(1, reading.member, b"end")).await;
        let mut delivered = Vec::new();
        loop {
            let said = reader.said().await;
            match said.kind {
                Kind::Event => delivered.push(u64::from(u32::from_be_bytes(said.payload[..].try_into().unwrap()))),
                Kind::Direct => break,
                _ => {}
            }
        }
        assert!(delivered.is_sorted() && !refused.is_empty());
        let all = delivered.into_iter().chain(refused).filter(|number| *number <= EVENTS.into());
        let mut all = all.collect::<Vec<_>>();
        all.sort_unstable();
        assert!(all.into_iter().eq(1..=u64::from(EVENTS)));
    }
    server.finish().await;
}
