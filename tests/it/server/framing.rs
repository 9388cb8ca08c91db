//! Tickwire frames that are cut, stalled, empty or wrong, and what stands around them.

use tickwire::wire::control::{Command, Mode};
use tickwire::wire::{Kind, Reason};
use tokio::io::AsyncWriteExt;

use super::hear::command;
use super::peer::Peer;
use super::say;
use super::support::{BOTH, Transport, check_ended, limits, survives};

#[tokio::test]
async fn a_good_frame_before_a_bad_one_is_obeyed() {
    let bad: [(&[u8], Reason); 4] = [
        (&[0xff, 0, 0, 0], Reason::UNKNOWN_TYPE),
        (&[1, 0xff, 0xff, 0], Reason::FRAME_TOO_LARGE),
        (&[1, 0, 1, 0x80, 1], Reason::RESERVED_FLAG),
        (&[1, 0, 2, 0, 0x81, 0], Reason::MALFORMED),
    ];
    survives(limits(|_| {}), async |server| {
        let (mut watcher, _) = Peer::joined(server, Transport::Tcp, "target").await;
        for transport in BOTH {
            for (frame, reason) in bad {
                let (mut peer, membership) = Peer::joined(server, transport, "target").await;
                peer.send(&[&say::event(1, b"good")[..], frame].concat()).await;
                let said = watcher.event(b"good").await;
                assert_eq!(said.member, membership.member);
                check_ended(&mut peer, reason).await;
                assert_eq!(watcher.left(membership.member).await, reason);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_of_a_frame_and_a_half_is_obeyed_as_far_as_it_is_whole() {
    survives(limits(|_| {}), async |server| {
        let (mut watcher, _) = Peer::joined(server, Transport::Tcp, "target").await;
        let (mut peer, _) = Peer::joined(server, Transport::WebSocket, "target").await;
        let half = say::event(1, b"half");
        peer.send(&[&say::event(1, b"whole"), &half[..half.len() - 1]].concat()).await;
        watcher.event(b"whole").await;
        check_ended(&mut peer, Reason::PARTIAL_FRAME).await;
        // Nothing of the half frame came before this.
        watcher.send(&say::event(1, b"barrier")).await;
        assert_eq!(watcher.said_as(Kind::Event).await.payload, b"barrier"[..]);
    })
    .await;
}

#[tokio::test]
async fn every_unknown_frame_type_is_closed_with_202() {
    survives(limits(|_| {}), async |server| {
        for transport in BOTH {
            for frame_type in (0..=255).filter(|byte| !(1..=3).contains(byte)) {
                let mut peer = Peer::hello(server, transport).await;
                // A length beyond every limit: the type is looked at first.
                peer.send(&[frame_type, 0xff, 0xff, 0xff]).await;
                check_ended(&mut peer, Reason::UNKNOWN_TYPE).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_reason_is_read_behind_a_megabyte_that_nobody_wants() {
    let flood = vec![0x55; 1 << 20];
    survives(limits(|_| {}), async |server| {
        for transport in BOTH {
            let mut peer = Peer::hello(server, transport).await;
            peer.send(&[0xff, 0, 0, 0]).await;
            peer.try_send_raw(&flood).await;
            let ended = peer.ended().await;
            // The server reads 64 KiB of it, so the end may be a reset. The reason is there first.
            assert_eq!(ended.reason, Reason::UNKNOWN_TYPE);
            assert_eq!(ended.close_code, (transport == Transport::WebSocket).then_some(4202));
        }
    })
    .await;
}

#[tokio::test]
async fn a_little_behind_the_bad_frame_is_discarded_without_a_reset() {
    survives(limits(|_| {}), async |server| {
        for transport in BOTH {
            let mut peer = Peer::hello(server, transport).await;
            peer.send(&[0xff, 0, 0, 0]).await;
            peer.send_raw(&[0x55; 32 * 1024]).await;
            check_ended(&mut peer, Reason::UNKNOWN_TYPE).await;
        }
    })
    .await;
}

#[tokio::test]
async fn frames_that_are_announced_and_never_come_hold_up_nobody() {
    survives(limits(|_| {}), async |server| {
        let mut stalled = Vec::new();
        for transport in BOTH {
            for announced in [&[1, 0x40, 0, 0][..], &[2, 0x40, 0, 0, 3], &[3, 0, 9, 1], &[1, 0], &[1]] {
                let mut peer = Peer::hello(server, transport).await;
                match transport {
                    Transport::Tcp => peer.send_raw(announced).await,
                    // The message is announced too, and whole: its frame is not.
                    Transport::WebSocket => peer.send_raw(&say::binary(&[0; 300])[..4 + announced.len()]).await,
                }
                stalled.push(peer);
            }
        }
        let (mut other, _) = Peer::joined(server, Transport::Tcp, "target").await;
        other.send(&say::event(1, b"not held up")).await;
        other.event(b"not held up").await;
    })
    .await;
}

#[tokio::test]
async fn a_frame_that_the_end_cuts_off_is_not_dispatched() {
    survives(limits(|_| {}), async |server| {
        let (mut watcher, _) = Peer::joined(server, Transport::Tcp, "target").await;
        for transport in BOTH {
            let (mut peer, membership) = Peer::joined(server, transport, "target").await;
            let whole = [say::event(1, b"whole"), say::event(1, b"cut off")].concat();
            let bytes = if transport == Transport::Tcp { whole } else { say::binary(&whole) };
            peer.send_raw(&bytes[..bytes.len() - 1]).await;
            peer.io.shutdown().await.unwrap();
            watcher.left(membership.member).await;
            watcher.send(&say::event(1, b"barrier")).await;
            let first = watcher.said_as(Kind::Event).await;
            assert_eq!(first.payload, b"barrier"[..]);
        }
    })
    .await;
}

#[tokio::test]
async fn thousands_of_empty_frames_in_one_write_are_frames_like_others() {
    const COUNT: usize = 4096;
    survives(limits(|_| {}), async |server| {
        for transport in BOTH {
            let send = async |peer: &mut Peer, frame: &[u8]| match transport {
                Transport::Tcp => peer.try_send_raw(&frame.repeat(COUNT)).await,
                Transport::WebSocket => {
                    // As many messages as it takes: each is at most 16 KiB.
                    let message = say::binary(&frame.repeat(COUNT / 4));
                    peer.try_send_raw(&message.repeat(4)).await;
                }
            };
            let mut early = Peer::preamble(server, transport).await;
            send(&mut early, &[1, 0, 0, 0]).await;
            assert_eq!(early.ended().await.reason, Reason::HELLO_EXPECTED);
            let (mut without_handle, _) = Peer::joined(server, transport, "target").await;
            send(&mut without_handle, &[1, 0, 0, 0]).await;
            assert_eq!(without_handle.ended().await.reason, Reason::MALFORMED);
            let (mut empty_events, membership) = Peer::joined(server, transport, "target").await;
            send(&mut empty_events, &say::event(1, b"")).await;
            for _ in 0..COUNT {
                let said = empty_events.said_as(Kind::Event).await;
                assert_eq!((said.member, said.payload.len()), (membership.member, 0));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn hello_join_and_data_come_in_one_chunk() {
    survives(limits(|_| {}), async |server| {
        for transport in BOTH {
            let mut peer = Peer::socket(server, transport).await;
            let frames = [say::hello(), say::join(2, 1, Mode::BOTH, "target")];
            let frames = [frames.concat(), say::event(1, b"at once")].concat();
            match transport {
                Transport::Tcp => peer.send_raw(&[say::preamble(), frames].concat()).await,
                Transport::WebSocket => {
                    // In the same segment as the HTTP request.
                    let request = say::request("/ws", "");
                    peer.send_raw(&[request.as_bytes(), &say::binary(&frames)].concat()).await;
                    assert!(peer.http_head().await.starts_with("HTTP/1.1 101 "));
                }
            }
            assert!(matches!(command(&peer.control().await), Command::Welcome(_)));
            peer.joining().await;
            peer.event(b"at once").await;
        }
    })
    .await;
}
