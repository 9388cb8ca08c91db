//! What happens at the bounds of PROTOCOL 13, with bounds that are small.

use std::time::Duration;

use tickwire::limits::{Limits, Over};
use tickwire::rejections::Rejected;
use tickwire::server::Server;
use tickwire::wire::control::{Command, Mode};
use tickwire::wire::{Key, Kind, Reason};

use super::hear::{Ended, command};
use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, Transport, check_ended, ending, limits, soon};

#[tokio::test]
async fn a_full_server_says_so_and_takes_others_when_somebody_has_left() {
    let server = TestServer::start(limits(|limits| limits.max_connections = 2)).await;
    for transport in BOTH {
        let (mut first, _) = Peer::joined(&server, transport, "target").await;
        let (second, membership) = Peer::joined(&server, transport, "target").await;
        // What the newcomer has sent by then must not turn the answer into a reset.
        let mut tcp = Peer::socket(&server, Transport::Tcp).await;
        tcp.send_raw(&[say::preamble(), say::hello()].concat()).await;
        let told = Ended { reconnect: Some(5000), ..ending(Transport::Tcp, Reason::SERVER_FULL) };
        assert_eq!(tcp.ended().await, told);
        let mut websocket = Peer::socket(&server, Transport::WebSocket).await;
        websocket.send_raw(say::request("/ws", "").as_bytes()).await;
        let head = websocket.http_head().await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 503 ") && head.contains("retry-after: "), "{head}");
        drop(second);
        first.left(membership.member).await;
        let recovered = async {
            loop {
                let mut peer = Peer::socket(&server, Transport::Tcp).await;
                peer.try_send_raw(&[say::preamble(), say::hello()].concat()).await;
                let frame = peer.control().await;
                if matches!(command(&frame), Command::Welcome(_)) {
                    return;
                }
            }
        };
        soon(recovered, "the place to be free").await;
        // The places are given back before the other transport has its turn.
        drop(first);
        let emptied = async {
            while server.handle.connections() > 0 {
                tokio::task::yield_now().await
            }
        };
        soon(emptied, "everybody to have left").await;
    }
    server.finish().await;
}

/// Sends frames as a member of "target" (handle 1), and expects exactly these refusals, as
/// (request, number, reason), before an event that is accepted.
async fn check_refusals(change: impl Fn(&mut Limits), frames: &[Vec<u8>], refusals: &[(u64, u64, Reason)]) {
    for transport in BOTH {
        let server = TestServer::build(Server::builder().shards(1).limits(limits(&change))).await;
        let (mut peer, membership) = Peer::joined(&server, transport, "target").await;
        peer.send(&frames.concat()).await;
        for refusal in refusals {
            assert_eq!(peer.refused().await, *refusal, "over {transport:?}");
        }
        // A direct to oneself goes last: whatever else was refused would have come before.
        let own = membership.member;
        let direct = peer.said_after(&say::direct(1, own, b"end"), Kind::Direct).await;
        assert_eq!((direct.payload, peer.refusals), ((&b"end"[..]).into(), refusals.len()));
        drop(peer);
        server.finish().await;
    }
}

#[tokio::test]
async fn a_session_is_in_so_many_rooms_and_in_others_once_it_has_left() {
    let frames = [
        say::join(5, 5, Mode::BOTH, "second"),
        say::join(6, 6, Mode::BOTH, "third"),
        say::event(6, b"nowhere"),
        say::leave(7, 5),
        say::join(8, 6, Mode::BOTH, "third"),
    ];
    let refusals = [(6, 0, Reason::TOO_MANY_JOINS), (0, 1, Reason::NOT_JOINED)];
    check_refusals(|limits| limits.max_rooms = 2, &frames, &refusals).await;
}

#[tokio::test]
async fn a_shard_has_so_many_rooms() {
    let frames = [say::join(5, 5, Mode::BOTH, "second"), say::join(6, 6, Mode::BOTH, "third")];
    check_refusals(|limits| limits.max_shard_rooms = 2, &frames, &[(6, 0, Reason::TOO_MANY_ROOMS)]).await;
}

#[tokio::test]
async fn new_values_are_refused_at_the_bound_and_updates_are_not() {
    let frames = [
        say::value(1, Key::member(1), b"a"),
        say::value(1, Key::member(2), b"b"),
        say::value(1, Key::member(3), b"refused"),
        say::value(1, Key::member(1), b"updated"),
        say::value(1, Key::member(9), b""),
    ];
    let refusals = [(0, 3, Reason::VALUES_FULL)];
    check_refusals(|limits| limits.max_member_values = 2, &frames, &refusals).await;
    check_refusals(|limits| limits.max_room_values = 2, &frames, &refusals).await;
    check_refusals(|limits| limits.max_value_bytes = 2 * 64 + 10, &frames, &refusals).await;
}

#[tokio::test]
async fn a_tick_gathers_so_much_and_the_next_one_as_much_again() {
    let frames = [1, 2, 3].map(|number| say::event(1, &[number; 1200]));
    let frames = [&frames[..], &[say::event(1, b"small")]].concat();
    let small =
        |limits: &mut Limits| (limits.max_message, limits.max_batch, limits.max_early_flushes) = (1200, 2600, 0);
    check_refusals(small, &frames, &[(0, 3, Reason::BATCH_FULL)]).await;
}

#[tokio::test]
async fn joins_have_a_rate() {
    let server = TestServer::start(limits(|limits| (limits.joins_burst, limits.joins_per_sec) = (2, 0))).await;
    for transport in BOTH {
        let (mut peer, _) = Peer::joined(&server, transport, "one").await;
        peer.join(2, Mode::BOTH, "two").await;
        peer.send(&say::join(7, 3, Mode::BOTH, "three")).await;
        assert_eq!(peer.refused().await, (7, 0, Reason::RATE));
    }
    server.finish().await;
}

#[tokio::test]
async fn a_message_is_at_most_so_large() {
    let frames = [say::event(1, &[1; 1025]), say::event(1, &[2; 1024])];
    let small = |limits: &mut Limits| (limits.max_message, limits.max_join_data) = (1024, 1024);
    check_refusals(small, &frames, &[(0, 1, Reason::MESSAGE_TOO_LARGE)]).await;
}

#[tokio::test]
async fn a_full_room_refuses_and_takes_others_when_somebody_has_left() {
    let server = TestServer::start(limits(|limits| limits.max_members = 2)).await;
    for transport in BOTH {
        let room = format!("{transport:?}");
        let (mut first, _) = Peer::joined(&server, transport, &room).await;
        let (second, membership) = Peer::joined(&server, transport, &room).await;
        let mut third = Peer::hello(&server, transport).await;
        third.send(&say::join(5, 1, Mode::BOTH, &room)).await;
        assert_eq!(third.refused().await, (5, 0, Reason::ROOM_FULL));
        drop(second);
        first.left(membership.member).await;
        // The handle of the refused join is free.
        third.join(1, Mode::BOTH, &room).await;
    }
    server.finish().await;
}

#[tokio::test]
async fn whoever_does_not_answer_pings_is_closed_with_3_and_others_are_not() {
    let impatient = limits(|limits| {
        limits.ping_interval = Duration::from_millis(50);
        limits.pong_timeout = Duration::from_secs(1);
    });
    let server = TestServer::start(impatient).await;
    for transport in BOTH {
        let (mut answering, _) = Peer::joined(&server, transport, "target").await;
        let (mut mute, membership) = Peer::joined(&server, transport, "target").await;
        mute.answers = false;
        let (reason, ()) =
            tokio::join!(answering.left(membership.member), check_ended(&mut mute, Reason::PONG_TIMEOUT));
        assert_eq!(reason, Reason::PONG_TIMEOUT);
        answering.send(&say::event(1, b"still here")).await;
        answering.event(b"still here").await;
    }
    server.finish().await;
}

#[tokio::test]
async fn whoever_is_in_no_room_is_closed_with_4_and_members_are_not() {
    let server = TestServer::start(limits(|limits| limits.idle_timeout = Duration::from_millis(300))).await;
    for transport in BOTH {
        let (mut member, _) = Peer::joined(&server, transport, "target").await;
        let mut roomless = Peer::hello(&server, transport).await;
        check_ended(&mut roomless, Reason::IDLE).await;
        let (mut leaver, _) = Peer::joined(&server, transport, "target").await;
        leaver.send(&say::leave(5, 1)).await;
        check_ended(&mut leaver, Reason::IDLE).await;
        // A join that is refused is none.
        let mut refused = Peer::hello(&server, transport).await;
        refused.send(&say::join(5, 1, Mode::BOTH, "no room")).await;
        check_ended(&mut refused, Reason::IDLE).await;
        member.send(&say::event(1, b"still here")).await;
        member.event(b"still here").await;
    }
    server.finish().await;
}

/// A server, and a member of "target" (handle 1) over `transport` who has sent these frames in one chunk.
async fn sent(transport: Transport, frames: &[Vec<u8>], change: impl FnOnce(&mut Limits)) -> (TestServer, Peer) {
    let server = TestServer::build(Server::builder().shards(1).limits(limits(change))).await;
    let (mut peer, _) = Peer::joined(&server, transport, "target").await;
    peer.send(&frames.concat()).await;
    (server, peer)
}

#[tokio::test]
async fn messages_have_a_rate_and_what_is_beyond_is_refused_delayed_or_closed() {
    let events = [1, 2, 3, 4, 5].map(|number| say::event(1, &[number; 100]));
    let slow = |limits: &mut Limits| (limits.messages_burst, limits.messages_per_sec) = (2, 1);
    let slow_bytes = |limits: &mut Limits| {
        (limits.max_frame, limits.max_message, limits.max_hello_frame) = (1040, 1000, 1000);
        limits.max_token = 900;
        (limits.bytes_burst, limits.bytes_per_sec) = (1040, 1);
    };
    let large = [say::event(1, &[1; 900]), say::event(1, &[2; 900])];
    for transport in BOTH {
        let (server, mut peer) = sent(transport, &events[..3], slow).await;
        assert_eq!(peer.refused().await, (0, 3, Reason::RATE));
        assert_eq!(server.handle.rejections().get(Rejected::Messages), 1);
        drop(peer);
        server.finish().await;
        let (server, mut peer) = sent(transport, &large[..1], slow_bytes).await;
        peer.send(&large[1]).await;
        assert_eq!(peer.refused().await, (0, 2, Reason::RATE));
        assert_eq!(server.handle.rejections().get(Rejected::Bytes), 1);
        drop(peer);
        server.finish().await;
        let (server, mut peer) = sent(transport, &events, |limits| {
            slow(limits);
            limits.over_messages = Over::Close;
        })
        .await;
        check_ended(&mut peer, Reason::RATE).await;
        server.finish().await;
        let (server, mut peer) = sent(transport, &events, |limits| {
            (limits.messages_burst, limits.messages_per_sec) = (1, 50);
            limits.over_messages = Over::Delay;
        })
        .await;
        for number in 1..=5 {
            peer.event(&[number; 100]).await;
        }
        assert!(server.handle.rejections().get(Rejected::Messages) >= 1 && peer.refusals == 0);
        drop(peer);
        server.finish().await;
    }
}

#[tokio::test]
async fn what_a_sender_may_cause_has_a_rate_too() {
    let events = [1, 2, 3].map(|number| say::event(1, &[number; 1000]));
    let slow = |over| {
        move |limits: &mut Limits| {
            (limits.fanout_burst, limits.fanout_per_sec, limits.over_fanout) = (1500, 10, over);
        }
    };
    for transport in BOTH {
        let (server, mut peer) = sent(transport, &events[..2], slow(Over::Drop)).await;
        assert_eq!(peer.refused().await, (0, 2, Reason::RATE));
        // A direct has one receiver, and there are two of an event.
        let (second, _) = Peer::joined(&server, transport, "target").await;
        peer.send(&say::event(1, &[0; 230])).await;
        assert_eq!(peer.refused().await, (0, 3, Reason::RATE));
        assert_eq!(server.handle.counters().fanout_exceeded, 2);
        drop((peer, second));
        server.finish().await;
        let (server, mut peer) = sent(transport, &events, slow(Over::Close)).await;
        check_ended(&mut peer, Reason::RATE).await;
        server.finish().await;
        let (server, mut peer) = sent(transport, &events, |limits| {
            (limits.fanout_burst, limits.fanout_per_sec) = (1500, 20_000);
            limits.over_fanout = Over::Delay;
        })
        .await;
        peer.send(&say::event(1, b"last")).await;
        for number in 1..=3 {
            peer.event(&[number; 1000]).await;
        }
        peer.event(b"last").await;
        assert!(server.handle.counters().fanout_exceeded >= 1 && peer.refusals == 0);
        drop(peer);
        server.finish().await;
    }
}

#[tokio::test]
async fn joins_beyond_their_rate_are_delayed_or_closed() {
    let joins = [5, 6, 7].map(|number| say::join(number, number, Mode::BOTH, &format!("room{number}")));
    for transport in BOTH {
        let (server, mut peer) = sent(transport, &joins, |limits| {
            (limits.joins_burst, limits.joins_per_sec, limits.over_joins) = (2, 0, Over::Close);
        })
        .await;
        let ended = peer.ended().await;
        assert_eq!((ended.reason, ended.request), (Reason::RATE, 6));
        server.finish().await;
        let (server, mut peer) = sent(transport, &joins, |limits| {
            (limits.joins_burst, limits.joins_per_sec, limits.over_joins) = (1, 50, Over::Delay);
        })
        .await;
        for _ in &joins {
            peer.joining().await;
        }
        assert!(server.handle.rejections().get(Rejected::Joins) >= 1);
        drop(peer);
        server.finish().await;
    }
}

#[tokio::test]
async fn so_many_rooms_are_made() {
    let joins = [5, 6].map(|number| say::join(number, number, Mode::BOTH, &format!("room{number}")));
    let (server, mut peer) =
        sent(Transport::Tcp, &joins, |limits| (limits.rooms_burst, limits.rooms_per_sec) = (2, 0)).await;
    // The session's own answers go first.
    assert_eq!(peer.refused().await, (6, 0, Reason::TOO_MANY_ROOMS));
    peer.joining().await;
    assert_eq!(server.handle.counters().rooms_refused, 1);
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn rooms_beyond_their_rate_are_delayed_or_close() {
    let joins = [5, 6, 7].map(|number| say::join(number, number, Mode::BOTH, &format!("room{number}")));
    for transport in BOTH {
        let (server, mut peer) = sent(transport, &joins, |limits| {
            (limits.rooms_burst, limits.rooms_per_sec, limits.over_rooms) = (2, 0, Over::Close);
        })
        .await;
        check_ended(&mut peer, Reason::RATE).await;
        server.finish().await;
        let (server, mut peer) = sent(transport, &joins, |limits| {
            (limits.rooms_burst, limits.rooms_per_sec, limits.over_rooms) = (1, 50, Over::Delay);
        })
        .await;
        for _ in &joins {
            peer.joining().await;
        }
        assert!(server.handle.counters().rooms_refused >= 1 && peer.refusals == 0);
        // Where nothing ever comes in, the delay would have no end.
        drop(peer);
        server.finish().await;
        let (server, mut peer) = sent(transport, &joins[..1], |limits| {
            (limits.rooms_burst, limits.rooms_per_sec, limits.over_rooms) = (1, 0, Over::Delay);
            // Who is delayed is not read, and its end not seen before the delay's.
            limits.drain_timeout = Duration::from_millis(100);
        })
        .await;
        assert_eq!(peer.refused().await, (5, 0, Reason::TOO_MANY_ROOMS));
        drop(peer);
        server.finish().await;
    }
}
