//! What a session keeps: its numbers and values, directs, refusals, and what was accepted.

use super::*;

#[tokio::test]
async fn a_session_goes_on_where_it_was_cut() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (mut peer, welcome, mut since) = member(&server, transport).await;
        assert_eq!(presence(&mut watcher, since.member).await, Seen::Here);
        peer.send(&[say::value(1, Key::member(3), b"kept"), say::event(1, b"one")].concat()).await;
        since.position = peer.event(b"one").await.position;
        drop(peer);
        assert_eq!(presence(&mut watcher, since.member).await, Seen::Away);
        watcher.send(&say::event(1, b"missed")).await;
        watcher.event(b"missed").await;
        // Data and a join right behind HELLO: nothing waits for the answer.
        let behind = [say::event(1, b"early"), join_since(since)].concat();
        let (mut peer, again) = greeted(&server, transport, Some((&welcome.token, 0)), &behind).await;
        assert_eq!((again.resumed, again.accepted, again.lost), (true, 2, None));
        assert_ne!(again.token, welcome.token);
        let (back, outcome) = rejoined(&mut peer).await;
        assert_eq!((back, outcome), (since, Outcome::RECOVERED));
        // What was missed, the values, and what comes now.
        assert_eq!(peer.said_as(Kind::Event).await.payload, b"missed"[..]);
        let said = peer.said_as(Kind::Snapshot).await;
        assert_eq!((said.member, said.key, &said.payload[..]), (since.member, Some(6), &b"kept"[..]));
        assert_eq!(peer.said_as(Kind::Event).await.payload, b"early"[..]);
        // Both were in one chunk, so they are in one batch: who came, then events.
        assert_eq!(presence(&mut watcher, since.member).await, Seen::Here);
        assert_eq!(watcher.event(b"early").await.member, since.member);
        // Data frames are counted on: value, two events, and this one.
        peer.send(&say::event(9, b"nowhere")).await;
        assert_eq!(peer.refused().await, (0, 4, Reason::NOT_JOINED));
        peer.send(&say::close(5)).await;
        assert_eq!(presence(&mut watcher, since.member).await, Seen::Left(Reason::FINISHED));
        drop((watcher, peer));
        server.finish().await;
    }
}

#[tokio::test]
async fn directs_wait_until_they_are_confirmed() {
    for transport in BOTH {
        let server = start(|limits| limits.max_unconfirmed = 2).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (mut peer, welcome, since) = member(&server, transport).await;
        watcher.send(&say::direct(1, since.member, b"1")).await;
        assert_eq!(direct(&mut peer).await, (1, Bytes::from_static(b"1")));
        peer.send(&confirming(1)).await;
        // The answer says that the ping was read.
        peer.next().await;
        drop(peer);
        presence_is(&mut watcher, since.member, Seen::Away).await;
        watcher.send(&say::direct(1, since.member, b"2")).await;
        watcher.send(&say::direct(1, since.member, b"3")).await;
        echo(&mut watcher).await;
        let (mut peer, again) = greeted(&server, transport, Some((&welcome.token, 1)), &[]).await;
        assert_eq!((again.resumed, again.lost), (true, None));
        assert_eq!(direct(&mut peer).await, (2, Bytes::from_static(b"2")));
        assert_eq!(direct(&mut peer).await, (3, Bytes::from_static(b"3")));
        drop(peer);
        // Two are kept: what is older is told as lost.
        for payload in [b"4", b"5", b"6"] {
            watcher.send(&say::direct(1, since.member, payload)).await;
        }
        echo(&mut watcher).await;
        let (mut peer, last) = greeted(&server, transport, Some((&again.token, 2)), &[]).await;
        assert_eq!((last.resumed, last.lost), (true, Some((3, 4))));
        assert_eq!(direct(&mut peer).await, (5, Bytes::from_static(b"5")));
        assert_eq!(direct(&mut peer).await, (6, Bytes::from_static(b"6")));
    }
}

#[tokio::test]
async fn refusals_are_told_again() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (mut peer, welcome, _) = member(&server, transport).await;
        // One that the session refuses, and one that the room does.
        peer.send(&[say::event(9, b"nowhere"), say::direct(1, 99, b"nobody"), say::event(1, b"fine")].concat()).await;
        for number in [1, 2] {
            assert_eq!(peer.refused().await.1, number);
        }
        peer.event(b"fine").await;
        drop(peer);
        let (mut peer, again) = greeted(&server, transport, Some((&welcome.token, 0)), &[]).await;
        assert_eq!((again.resumed, again.accepted), (true, 3));
        assert_eq!(peer.refused().await, (0, 1, Reason::NOT_JOINED));
        assert_eq!(peer.refused().await, (0, 2, Reason::NO_SUCH_MEMBER));
    }
}

#[tokio::test]
async fn a_session_that_comes_and_goes_quickly_fills_no_mailbox() {
    const TIMES: u64 = 300;
    for transport in BOTH {
        let server = start(|limits| {
            limits.max_connections = 4;
            limits.connection_chunks = 1;
            limits.joins_burst = 10_000;
        })
        .await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (mut peer, mut welcome, since) = member(&server, transport).await;
        for _ in 0..TIMES {
            let more = [join_since(since), say::event(1, b"again")].concat();
            // Half of the time the old connection is still there.
            let old = (welcome.accepted % 2 == 0).then_some(peer);
            let (new, again) = greeted(&server, transport, Some((&welcome.token, 0)), &more).await;
            assert!(again.resumed && again.accepted >= welcome.accepted);
            drop(old);
            (peer, welcome) = (new, again);
        }
        drop(peer);
        let (mut peer, last) = greeted(&server, transport, Some((&welcome.token, 0)), &join_since(since)).await;
        assert!(last.resumed);
        peer.send(&say::event(1, b"last")).await;
        // What was accepted was heard, and nothing else.
        let mut heard = 0;
        loop {
            let said = watcher.said_as(Kind::Event).await;
            if said.payload == b"last"[..] {
                break;
            }
            assert_eq!(said.member, since.member);
            heard += 1;
        }
        assert_eq!(heard, last.accepted);
        drop((peer, watcher));
    }
}

#[tokio::test]
async fn accepted_is_told_at_once_to_those_who_ask() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (mut peer, _, _) = member(&server, transport).await;
        peer.send(&[say::event(1, b"one"), asking(b"two")].concat()).await;
        assert_eq!(accepted(&mut peer).await, 2);
        peer.send(&say::event(1, b"three")).await;
        peer.send(&asking(b"four")).await;
        assert_eq!(accepted(&mut peer).await, 4);
        // Without the capability it is refused.
        let mut plain = Peer::joined(&server, transport, "target").await.0;
        plain.send(&asking(b"one")).await;
        assert_eq!(plain.refused().await, (0, 1, Reason::CAPABILITY));
    }
}

#[tokio::test]
async fn a_join_on_a_resumed_session_is_one_of_the_same_member_number() {
    let server = start(|_| {}).await;
    let (peer, welcome, since) = member(&server, Transport::Tcp).await;
    drop(peer);
    let (mut peer, _) = greeted(&server, Transport::Tcp, Some((&welcome.token, 0)), &[]).await;
    // On another room the handle is taken; directs to itself go through before any join.
    peer.send(&say::join(8, 1, Mode::BOTH, "another")).await;
    assert_eq!(peer.refused().await, (8, 0, Reason::HANDLE_IN_USE));
    peer.send(&say::direct(1, since.member, b"me")).await;
    assert_eq!(direct(&mut peer).await, (1, Bytes::from_static(b"me")));
    peer.send(&join_since(since)).await;
    assert_eq!(peer.joining().await.member, since.member);
}
