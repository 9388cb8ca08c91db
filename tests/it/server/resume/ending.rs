//! When a session is over: the grace, goodbyes, a server that stops, and what is left.

use super::*;

#[tokio::test]
async fn whoever_comes_after_the_grace_is_told() {
    for transport in BOTH {
        let server = start(|limits| limits.grace = Duration::from_millis(1)).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (peer, welcome, since) = member(&server, transport).await;
        drop(peer);
        presence_is(&mut watcher, since.member, Seen::Left(Reason::FINISHED)).await;
        let (mut peer, again) = greeted(&server, transport, Some((&welcome.token, 0)), &join_since(since)).await;
        assert_eq!((again.resumed, again.accepted, again.lost), (false, 0, None));
        // The room is the same, and so is what was missed; the member is another.
        let (back, outcome) = rejoined(&mut peer).await;
        assert_eq!((back.epoch, outcome), (since.epoch, Outcome::RECOVERED));
        assert_ne!(back.member, since.member);
    }
}

#[tokio::test]
async fn so_many_sessions_wait_and_no_more() {
    for transport in BOTH {
        let server = start(|limits| limits.max_away = 1).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (first, one, since) = member(&server, transport).await;
        let (second, other, later) = member(&server, transport).await;
        drop(first);
        presence_is(&mut watcher, since.member, Seen::Away).await;
        drop(second);
        presence_is(&mut watcher, later.member, Seen::Left(Reason::FINISHED)).await;
        // Kept: its own session would wait too, and maybe in the place that is free below.
        let (_fresh, welcome) = greeted(&server, transport, Some((&other.token, 0)), &[]).await;
        assert!(!welcome.resumed);
        let (first, again) = greeted(&server, transport, Some((&one.token, 0)), &join_since(since)).await;
        assert!(again.resumed);
        // The place is free again.
        let (third, welcome, _) = member(&server, transport).await;
        drop(third);
        assert!(greeted(&server, transport, Some((&welcome.token, 0)), &[]).await.1.resumed);
        drop(first);
    }
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_those_who_are_away() {
    for transport in BOTH {
        // Both the grace and the drain are longer than the test's patience.
        let mut server = start(|limits| limits.grace = Duration::from_secs(300)).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (peer, _, since) = member(&server, transport).await;
        drop(peer);
        presence_is(&mut watcher, since.member, Seen::Away).await;
        server.stop();
        let notice = watcher.control().await;
        assert!(matches!(command(&notice), Command::GoingAway(_)));
        // PROTOCOL 6.9: who leaves now is told nobody.
        drop(watcher);
        server.stopped().await;
    }
}

#[tokio::test]
async fn a_session_that_says_goodbye_is_over_at_once() {
    let goodbyes = [
        (Transport::Tcp, say::close(3)),
        (Transport::WebSocket, say::binary(&say::close(3))),
        (Transport::WebSocket, say::masked(0x88, &1000_u16.to_be_bytes())),
        // A violation ends it as well.
        (Transport::Tcp, vec![9, 0, 0, 0]),
    ];
    for (transport, goodbye) in goodbyes {
        let server = start(|_| {}).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (mut peer, welcome, since) = member(&server, transport).await;
        peer.send_raw(&goodbye).await;
        assert!(matches!(presence(&mut watcher, since.member).await, Seen::Here));
        assert!(matches!(presence(&mut watcher, since.member).await, Seen::Left(_)));
        assert!(!greeted(&server, transport, Some((&welcome.token, 0)), &[]).await.1.resumed);
        drop((peer, watcher));
        server.finish().await;
    }
}

#[tokio::test]
async fn without_the_capability_nothing_waits() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let mut peer = Peer::preamble(&server, transport).await;
        peer.send(&hello(ALL & !Capabilities::RESUME.0, None)).await;
        assert!(welcomed(&mut peer).await.token.is_empty());
        let membership = peer.join(1, Mode::BOTH, "target").await;
        assert_eq!(presence(&mut watcher, membership.member).await, Seen::Here);
        drop(peer);
        assert_eq!(presence(&mut watcher, membership.member).await, Seen::Left(Reason::FINISHED));
        drop(watcher);
        server.finish().await;
    }
}

#[tokio::test]
async fn whoever_was_closed_for_being_slow_may_come_back() {
    let server = start(|_| {}).await;
    let (mut watcher, _) = watcher(&server, Transport::WebSocket).await;
    let (near, far) = duplex(1024);
    let handle = server.handle.clone();
    tokio::spawn(async move { handle.attach_tcp(far).await });
    let mut peer = Peer::new(near, Transport::Tcp);
    peer.open("").await;
    peer.send(&hello(ALL, None)).await;
    let welcome = welcomed(&mut peer).await;
    let since = peer.join(1, Mode::BOTH, "target").await;
    // It reads nothing more. Its queue takes 256 KiB.
    let mut directs = 0;
    let is_away = |said: &Said| (said.kind, said.member, &said.payload[..]) == (Kind::Presence, since.member, &[2]);
    'full: loop {
        directs += 1;
        watcher.send(&[say::direct(1, since.member, &[7; 15_000]), say::event(1, b"next")].concat()).await;
        loop {
            let said = watcher.said().await;
            if is_away(&said) {
                break 'full;
            }
            if said.kind == Kind::Event {
                break;
            }
        }
    }
    assert_eq!(peer.ended().await, ending(Transport::Tcp, Reason::SLOW));
    let (mut peer, again) = greeted(&server, Transport::Tcp, Some((&welcome.token, 0)), &join_since(since)).await;
    // A quarter of the queue is kept: four of them.
    assert_eq!((again.resumed, again.lost), (true, Some((1, directs - 4))));
    assert_eq!(peer.joining().await.member, since.member);
}

#[tokio::test]
async fn when_all_sessions_are_over_nothing_is_left() {
    for transport in BOTH {
        let mut classes = quick();
        classes.default.linger = Duration::ZERO;
        let limits = limits(|limits| limits.grace = Duration::from_millis(1));
        let server = TestServer::build(Server::builder().limits(limits).classes(classes)).await;
        let mut lives = Vec::new();
        for _ in 0..3 {
            let (peer, _, since) = member(&server, transport).await;
            lives.push(since.epoch);
            drop(peer);
            let over = async {
                while server.handle.sessions() > 0 {
                    tokio::task::yield_now().await;
                }
            };
            soon(over, "the session's place").await;
        }
        // Each time the room was empty, and forgotten.
        lives.dedup();
        assert_eq!(lives.len(), 3);
        server.finish().await;
    }
}

#[tokio::test]
async fn whoever_waits_takes_no_connections_place() {
    for transport in BOTH {
        let server = start(|limits| limits.max_connections = 2).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (peer, welcome, since) = member(&server, transport).await;
        drop(peer);
        presence_is(&mut watcher, since.member, Seen::Away).await;
        let (back, again) = greeted(&server, transport, Some((&welcome.token, 0)), &join_since(since)).await;
        assert!(again.resumed);
        drop((back, watcher));
    }
}
