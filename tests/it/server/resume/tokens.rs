//! Who may have a session, and what happens to the connection that has it.

use super::*;

#[tokio::test]
async fn a_living_connection_is_taken_over() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (mut old, welcome, since) = member(&server, transport).await;
        let (mut new, again) = greeted(&server, transport, Some((&welcome.token, 0)), &[]).await;
        assert!(again.resumed);
        assert_eq!(old.ended().await, ending(transport, Reason::TAKEN_OVER));
        // Silent and away, until it joins again.
        presence_is(&mut watcher, since.member, Seen::Away).await;
        new.send(&join_since(since)).await;
        assert_eq!(new.joining().await.member, since.member);
        assert_eq!(presence(&mut watcher, since.member).await, Seen::Here);
        new.send(&say::event(1, b"me")).await;
        assert_eq!(watcher.event(b"me").await.member, since.member);
        drop((old, new, watcher));
    }
}

#[tokio::test]
async fn a_welcome_that_is_lost_locks_nobody_out() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (peer, first, since) = member(&server, transport).await;
        drop(peer);
        let (peer, lost) = greeted(&server, transport, Some((&first.token, 0)), &[]).await;
        assert!(lost.resumed);
        drop(peer);
        // Its client has not heard it, and comes with the token it has.
        let (peer, second) = greeted(&server, transport, Some((&first.token, 0)), &[]).await;
        assert!(second.resumed);
        drop(peer);
        let (peer, third) = greeted(&server, transport, Some((&second.token, 0)), &[]).await;
        assert!(third.resumed);
        // Its successor was used: it is of no use any more, nor is the one that nobody heard.
        for dead in [&first.token, &lost.token] {
            assert!(!greeted(&server, transport, Some((dead, 0)), &[]).await.1.resumed);
        }
        drop(peer);
        let (mut peer, fourth) = greeted(&server, transport, Some((&third.token, 0)), &join_since(since)).await;
        assert!(fourth.resumed);
        assert_eq!(peer.joining().await.member, since.member);
    }
}

#[tokio::test]
async fn a_token_that_is_not_right_resumes_nothing_and_ends_nothing() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (_other, other) = greeted(&server, transport, None, &[]).await;
        let (mut peer, welcome, _) = member(&server, transport).await;
        let mixed = [&welcome.token[..8], &other.token[8..]].concat();
        let mut guessed = welcome.token.to_vec();
        *guessed.last_mut().unwrap() ^= 1;
        for token in [&mixed[..], &guessed, b"", b"short", &[0xff; 24], &[7; 64]] {
            let (_stranger, answer) = greeted(&server, transport, Some((token, 0)), &[]).await;
            assert_eq!((answer.resumed, answer.accepted), (false, 0), "{token:?}");
            assert!(!answer.token.is_empty());
        }
        peer.send(&say::event(1, b"still here")).await;
        peer.event(b"still here").await;
        drop(peer);
        assert!(greeted(&server, transport, Some((&welcome.token, 0)), &[]).await.1.resumed);
    }
}

#[tokio::test]
async fn a_session_that_goes_on_takes_no_strangers_place() {
    let server = start(|limits| limits.max_greeting = 1).await;
    let (peer, welcome, _) = member(&server, Transport::Tcp).await;
    drop(peer);
    // It says nothing more; another one must be let in.
    let (_silent, again) = greeted(&server, Transport::Tcp, Some((&welcome.token, 0)), &[]).await;
    assert!(again.resumed);
    let (_silent, fresh) = greeted(&server, Transport::Tcp, Some((&[1; 24], 0)), &[]).await;
    assert!(!fresh.resumed);
    Peer::hello(&server, Transport::Tcp).await;
}

#[tokio::test]
async fn a_stranger_who_guesses_does_not_disturb_whoever_comes_back() {
    // Of two who may, the later one has the session: the first has most likely been given up.
    let cases = [([false, true], [false, true]), ([true, false], [true, false]), ([true, true], [false, true])];
    for (knows, expected) in cases {
        let server = start(|_| {}).await;
        let (peer, welcome, _) = member(&server, Transport::Tcp).await;
        drop(peer);
        let mut guessed = welcome.token.to_vec();
        *guessed.last_mut().unwrap() ^= 1;
        // Attached, so that both are read before the waiting session has its turn.
        let mut both = Vec::new();
        let tokens = knows.map(|knows| if knows { &welcome.token[..] } else { &guessed[..] });
        for token in tokens {
            let (near, far) = duplex(4096);
            let mut peer = Peer::new(near, Transport::Tcp);
            peer.open("").await;
            peer.send(&hello(ALL, Some((token, 0)))).await;
            let handle = server.handle.clone();
            tokio::spawn(async move { handle.attach_tcp(far).await });
            both.push(peer);
        }
        let mut resumed = Vec::new();
        for peer in &mut both {
            resumed.push(welcomed(peer).await.resumed);
        }
        assert_eq!(resumed, expected);
    }
}
