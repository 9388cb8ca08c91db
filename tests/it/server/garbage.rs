//! Other protocols, floods, and clients that break their own promises.

use tickwire::server::Server;
use tickwire::wire::control::{Command, Mode};
use tickwire::wire::{Control, FrameType, Kind, Reason};
use tokio::net::TcpStream;

use super::hear::command;
use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, Transport, check_ended, limits, survives};

#[tokio::test]
async fn other_protocols_on_the_tcp_port_are_told_206() {
    let hello_of_tls = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0x5a; 505]].concat();
    let others: [&[u8]; 8] = [
        &hello_of_tls,
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n",
        b"EHLO x\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
        &[0; 64],
        &[0xd7, 0x54, 0x58],
    ];
    survives(limits(|_| {}), async |server| {
        for bytes in others {
            let mut peer = Peer::socket(server, Transport::Tcp).await;
            peer.send_raw(bytes).await;
            check_ended(&mut peer, Reason::NOT_TICKWIRE).await;
        }
    })
    .await;
}

/// Sends `flood` without reading, and expects so many answers before `reason`.
async fn check_flood(server: &TestServer, transport: Transport, flood: &[u8], at_least: usize, reason: Reason) {
    let (mut peer, _) = Peer::joined(server, transport, "target").await;
    peer.try_send_raw(flood).await;
    let mut answers = 0;
    loop {
        let frame = peer.next().await.expect("CLOSE");
        match frame.header.frame_type {
            FrameType::Ping => answers += 1,
            FrameType::Control => match Control::decode(&frame.payload).unwrap().command {
                Command::Refused(_) => answers += 1,
                Command::Close(close) => {
                    assert_eq!(close.reason, reason);
                    break;
                }
                other => panic!("{other:?}"),
            },
            FrameType::Data => {}
        }
    }
    assert!(answers >= at_least, "{answers} answers before CLOSE");
}

#[tokio::test]
async fn floods_are_closed_once_their_rate_is_used_up() {
    let flood = |transport, frame: &[u8]| match transport {
        Transport::Tcp => frame.repeat(20_000),
        Transport::WebSocket => say::binary(&frame.repeat(100)).repeat(200),
    };
    survives(limits(|_| {}), async |server| {
        for transport in BOTH {
            let floods = [
                (say::ping(7), 32, Reason::RATE),
                (vec![2, 0, 2, 0, 0x70, 9], 64, Reason::TOO_MANY_REFUSALS),
                (say::event(9, b"nowhere"), 64, Reason::TOO_MANY_REFUSALS),
                // Refused by the room's shard: what it has queued is dropped with everything else.
                (say::direct(1, 77, b"nobody"), 0, Reason::TOO_MANY_REFUSALS),
                (say::join(9, 9, Mode::BOTH, "target"), 0, Reason::TOO_MANY_REFUSALS),
            ];
            for (frame, at_least, reason) in floods {
                check_flood(server, transport, &flood(transport, &frame), at_least, reason).await;
            }
        }
        let pings = say::masked(0x89, b"x").repeat(20_000);
        check_flood(server, Transport::WebSocket, &pings, 0, Reason::RATE).await;
    })
    .await;
}

#[tokio::test]
async fn join_and_leave_pairs_end_where_they_began() {
    survives(limits(|limits| limits.joins_burst = 500), async |server| {
        for transport in BOTH {
            let mut peer = Peer::hello(server, transport).await;
            for pair in 0..500_u64 {
                let name = format!("churn:{pair}");
                peer.send(&[say::join(2, 1, Mode::BOTH, &name), say::leave(3, 1)].concat()).await;
                peer.joining().await;
                let left = peer.control().await;
                assert!(matches!(command(&left), Command::Left(_)), "{left:?}");
            }
            peer.send(&say::close(4)).await;
            let ended = peer.ended().await;
            assert_eq!((ended.reason, ended.request), (Reason::FINISHED, 4));
        }
    })
    .await;
}

#[tokio::test]
async fn connections_that_are_reset_leave_nothing_behind() {
    survives(limits(|_| {}), async |server| {
        let (mut watcher, _) = Peer::joined(server, Transport::Tcp, "target").await;
        for transport in BOTH {
            for stage in 0..80 {
                let stream = TcpStream::connect(server.addr(transport)).await.unwrap();
                // Closing then resets.
                socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
                let mut peer = Peer::new(stream, transport);
                if stage % 4 > 0 {
                    peer.open("/ws/target").await;
                }
                if stage % 4 > 1 {
                    peer.greet().await;
                }
                if stage % 4 > 2 && transport == Transport::Tcp {
                    peer.join(1, Mode::BOTH, "target").await;
                }
                if stage % 4 > 2 {
                    peer.send(&say::event(u64::from(transport == Transport::Tcp), b"last words")).await;
                    let member = watcher.event(b"last words").await.member;
                    drop(peer);
                    watcher.left(member).await;
                }
            }
        }
    })
    .await;
}

/// A client that uses a handle again before it may makes its own session lose track of it.
#[tokio::test]
async fn a_handle_used_again_too_soon_leaves_no_member_behind() {
    const ROOMS: u64 = 16;
    let server = TestServer::build(Server::builder().shards(4).limits(limits(|_| {}))).await;
    for transport in BOTH {
        let rooms = (1..=ROOMS).map(|room| format!("{transport:?}:{room}")).collect::<Vec<_>>();
        let mut watcher = Peer::hello(&server, Transport::Tcp).await;
        for (room, handle) in rooms.iter().zip(1..) {
            watcher.join(handle, Mode::BOTH, room).await;
        }
        let mut peer = Peer::hello(&server, transport).await;
        peer.join(100, Mode::BOTH, "home").await;
        let mut members = Vec::new();
        for (room, handle) in rooms.iter().zip(1..) {
            // Refused by the shard, as "home" is joined already; and the handle is not free yet.
            let refused = [say::join(5, handle, Mode::BOTH, "home"), say::leave(6, handle)].concat();
            peer.send(&[refused, say::join(7, handle, Mode::BOTH, room)].concat()).await;
            let mut answered = 0;
            while answered < 3 {
                let frame = peer.control().await;
                answered += 1;
                if let Command::Joined(joined) = command(&frame) {
                    members.push((joined.room.0, joined.member.0));
                }
            }
        }
        assert_eq!(members.len() as u64, ROOMS);
        drop(peer);
        while !members.is_empty() {
            let said = watcher.said_as(Kind::Presence).await;
            if said.payload.first() == Some(&3) {
                members.retain(|member| *member != (said.room, said.member));
            }
        }
    }
    server.finish().await;
}
