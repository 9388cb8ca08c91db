//! Newer tokens, expiry and revocation: what acts on sessions that are there.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tickwire::server::Revoke;
use tickwire::wire::control::Token;
use tickwire::wire::{Kind, Presence, Reason};

use super::hear::Said;
use super::support::{check_ended, ending};
use super::*;

fn renew(request: u64, token: &str) -> Vec<u8> {
    control(request, Command::Token(Token { token: token.as_bytes(), extensions: Extensions::NONE }))
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_newer_token_ends_what_it_does_not_allow_and_extends_the_rest() {
    let server = start().await;
    for transport in BOTH {
        let (mut peer, _) = come(&server, transport, &token("ann", everything())).await;
        peer.send(&join("a", Mode::BOTH, None)).await;
        peer.joining().await;
        let mut second = Vec::new();
        let other = Join { handle: Handle(2), mode: Mode::BOTH, name: b"b", extensions: Extensions::NONE };
        Control::new(RequestId(3), Command::Join(other)).encode(&mut second);
        peer.send(&second).await;
        peer.joining().await;
        // Behind the token in the same chunk: it acts under the new one.
        let less = token("ann", json!({ "a": ["join", "publish", "receive"] }));
        let behind = [renew(4, &less), say::join(5, 3, Mode::BOTH, "c"), say::event(1, b"still")].concat();
        peer.send(&behind).await;
        let (mut done, mut left, mut refused, mut gap) = (false, false, false, false);
        while !(done && left && refused && gap) {
            let frame = peer.control().await;
            match command(&frame) {
                Command::Done(_) => done = true,
                Command::Left(gone) => {
                    assert!(done && gone.handle == Handle(2) && gone.reason == Reason::NOT_ALLOWED, "{gone:?}");
                    left = true;
                }
                Command::Refused(what) => {
                    assert_eq!(what.reason, Reason::NOT_ALLOWED);
                    refused = true;
                }
                // It sees less now, so it is told anew.
                Command::Gap(_) => gap = true,
                other => panic!("{other:?}"),
            }
        }
        peer.event(b"still").await;
        peer.send(&renew(6, &token("bob", everything()))).await;
        assert_eq!(peer.refused().await, (6, 0, Reason::NOT_ALLOWED));
        peer.send(&renew(7, "a.b.c")).await;
        assert_eq!(peer.refused().await, (7, 0, Reason::TOKEN));
        peer.send(&say::event(1, b"all the same")).await;
        peer.event(b"all the same").await;
    }
}

#[tokio::test]
async fn what_is_seen_changes_with_the_token() {
    let server = start().await;
    let (mut witness, _) = come(&server, Transport::Tcp, &token("witness", everything())).await;
    witness.send(&join("room", Mode::BOTH, None)).await;
    witness.joining().await;
    witness.said_after(&say::value(1, tickwire::wire::Key::member(0), b"v"), Kind::Value).await;
    let some = token("ann", json!({ "room": ["join", "receive"] }));
    let (mut peer, _) = come(&server, Transport::WebSocket, &some).await;
    peer.send(&join("room", Mode::RECEIVE, None)).await;
    peer.joining().await;
    peer.send(&renew(3, &token("ann", json!({ "room": ["join", "values"] })))).await;
    // GAP, and the snapshot that it may see now; the event it may not see any more.
    let mut value = None;
    while value.is_none() {
        let (_, said) = peer.next_with_records().await;
        value = said.into_iter().find(|said| said.kind == Kind::Snapshot);
    }
    assert_eq!(value.unwrap().payload, b"v"[..]);
    witness.send(&say::event(1, b"hidden")).await;
    witness.send(&say::value(1, tickwire::wire::Key::member(0), b"w")).await;
    loop {
        let (_, said) = peer.next_with_records().await;
        assert!(said.iter().all(|said| said.kind != Kind::Event), "{said:?}");
        if said.iter().any(|said| said.kind == Kind::Value && said.payload == b"w"[..]) {
            break;
        }
    }
}

#[tokio::test]
async fn an_expired_token_closes_a_live_connection() {
    let server = TestServer::build(builder(|limits| limits.token_grace = Duration::ZERO)).await;
    for transport in BOTH {
        let claims = json!({ "sub": "ann", "exp": now() + 2, "rooms": everything() });
        let (mut peer, _) = come(&server, transport, &token_with(claims)).await;
        peer.send(&join("room", Mode::BOTH, None)).await;
        peer.joining().await;
        check_ended(&mut peer, Reason::TOKEN_EXPIRED).await;
    }
}

#[tokio::test]
async fn a_revoked_subject_is_out_everywhere_and_stays_out() {
    let server = start().await;
    let (mut witness, _) = come(&server, Transport::Tcp, &token("witness", everything())).await;
    witness.send(&join("room", Mode::BOTH, None)).await;
    witness.joining().await;
    let ann = token("ann", everything());
    let mut peers = Vec::new();
    for transport in BOTH {
        let (mut peer, _) = come(&server, transport, &ann).await;
        peer.send(&join("room", Mode::BOTH, None)).await;
        let me = peer.joining().await.member;
        peers.push((peer, me));
    }
    // A third, whose connection is gone.
    let (mut parked, welcome) = come(&server, Transport::Tcp, &ann).await;
    parked.send(&join("room", Mode::BOTH, None)).await;
    let away = parked.joining().await.member;
    drop(parked);
    presence(&mut witness, away, &Presence::Away).await;

    assert_eq!(server.handle.revoke(Revoke::Subject(b"ann"), HOUR), Ok(3));
    for (peer, _) in &mut peers {
        assert_eq!(peer.ended().await, ending(peer.transport, Reason::REMOVED));
    }
    let mut left = [peers[0].1, peers[1].1, away].to_vec();
    while !left.is_empty() {
        let Said { member, payload, .. } = witness.said_as(Kind::Presence).await;
        if Presence::decode(&payload).unwrap() == Presence::Left(Reason::REMOVED) {
            left.retain(|other| *other != member);
        }
    }
    for transport in BOTH {
        let mut peer = Peer::preamble(&server, transport).await;
        peer.send(&hello(Some(&ann), Some(&welcome.resume))).await;
        assert_eq!(peer.ended().await, hear::Ended { request: 1, ..ending(transport, Reason::TOKEN) });
    }
    // Made later than it was revoked, by the clock's seconds.
    let later = token_with(json!({ "sub": "ann", "exp": now() + 60, "iat": now() + 1 }));
    come(&server, Transport::Tcp, &later).await;
    come(&server, Transport::Tcp, &token("bob", everything())).await;
    witness.send(&say::event(1, b"here")).await;
    witness.event(b"here").await;
}

#[tokio::test]
async fn a_clock_that_is_ahead_brings_nobody_back_who_was_revoked() {
    let mut issuer = Issuer::default();
    issuer.keys = vec![Key::new(None, Algorithm::Hs256, SECRET).unwrap()];
    let verifier = Verifier::new(vec![issuer], Verifier::LEEWAY).unwrap();
    let server = TestServer::build(builder(|_| {}).identify(verifier)).await;
    let leeway = Verifier::LEEWAY.as_secs();
    // Made by a clock that is as far ahead as it may be.
    let made = |iat: u64| token_with(json!({ "sub": "ann", "exp": now() + 60, "iat": iat }));
    let old = made(now() + leeway);
    drop(come(&server, Transport::Tcp, &old).await);
    server.handle.revoke(Revoke::Subject(b"ann"), HOUR).unwrap();
    for transport in BOTH {
        let mut peer = Peer::preamble(&server, transport).await;
        peer.send(&hello(Some(&old), None)).await;
        assert_eq!(peer.ended().await.reason, Reason::TOKEN);
    }
    // What no clock that is taken can have made before: the bound of PROTOCOL 15.1.
    come(&server, Transport::Tcp, &made(now() + leeway + 1)).await;
}

#[tokio::test]
async fn a_revoked_token_leaves_the_subjects_others() {
    let server = start().await;
    let named = |jti: &str| token_with(json!({ "sub": "ann", "exp": now() + 60, "jti": jti, "rooms": everything() }));
    let (mut first, _) = come(&server, Transport::Tcp, &named("1")).await;
    let (mut second, _) = come(&server, Transport::WebSocket, &named("2")).await;
    assert_eq!(server.handle.revoke(Revoke::Token(b"1"), HOUR), Ok(1));
    check_ended(&mut first, Reason::REMOVED).await;
    second.send(&join("room", Mode::BOTH, None)).await;
    second.joining().await;
    // Nor may it come in by renewal.
    second.send(&renew(3, &named("1"))).await;
    assert_eq!(second.refused().await, (3, 0, Reason::TOKEN));
    second.send(&renew(4, &named("3"))).await;
    while !matches!(command(&second.control().await), Command::Done(_)) {}
    assert_eq!(server.handle.revoke(Revoke::Token(b"2"), HOUR), Ok(0), "it was replaced");
    assert_eq!(server.handle.revoke(Revoke::Token(b"3"), HOUR), Ok(1));
    check_ended(&mut second, Reason::REMOVED).await;
}

#[tokio::test]
async fn a_session_is_resumed_by_its_subject_only_and_with_what_its_new_token_allows() {
    let server = start().await;
    for transport in BOTH {
        let (mut peer, welcome) = come(&server, transport, &token("ann", everything())).await;
        peer.send(&join("room", Mode::BOTH, None)).await;
        peer.joining().await;
        drop(peer);
        let (mut thief, thiefs) = {
            let mut thief = Peer::preamble(&server, transport).await;
            thief.send(&hello(Some(&token("bob", everything())), Some(&welcome.resume))).await;
            let welcome = welcomed(&mut thief).await;
            (thief, welcome)
        };
        assert!(!thiefs.resumed && thiefs.subject == "bob");
        thief.send(&say::close(9)).await;
        let mut again = Peer::preamble(&server, transport).await;
        let less = token("ann", json!({ "elsewhere": ["join", "receive"] }));
        again.send(&hello(Some(&less), Some(&welcome.resume))).await;
        assert!(welcomed(&mut again).await.resumed);
        again.send(&join("room", Mode::BOTH, None)).await;
        // That it has left the room, and that it may not come again: whichever is first.
        let (mut left, mut refused) = (None, None);
        while left.is_none() || refused.is_none() {
            match command(&again.control().await) {
                Command::Left(said) => left = Some(said.reason),
                Command::Refused(said) => refused = Some((said.number, said.reason)),
                _ => {}
            }
        }
        assert_eq!((left, refused), (Some(Reason::NOT_ALLOWED), Some((0, Reason::NOT_ALLOWED))));
        again.send(&join("elsewhere", Mode::BOTH, None)).await;
        again.joining().await;
    }
}

/// Waits until this is said of a member.
async fn presence(peer: &mut Peer, member: u64, wanted: &Presence<'_>) {
    loop {
        let said: (u64, Bytes) = {
            let said = peer.said_as(Kind::Presence).await;
            (said.member, said.payload)
        };
        if said.0 == member && Presence::decode(&said.1).unwrap() == *wanted {
            return;
        }
    }
}
