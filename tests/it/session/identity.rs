//! Who a peer is, as the session hears it from whoever verifies tokens (PROTOCOL 6.14, 15.1).

use std::sync::Arc;

use bytes::Bytes;
use tickwire::command::Command;
use tickwire::identity::Identity;
use tickwire::session::{Proof, Session, Token};
use tickwire::time::Time;
use tickwire::wire::control::{Command as Ask, Token as Renewal};
use tickwire::wire::{Capabilities, Extensions, Reason, put_extension};

use super::{Peer, facts_with};
use crate::support::{control, event, hello_with, join, join_with, presence};

const OFFERED: u64 = Capabilities::TOKEN.0 | Capabilities::RESUME.0;

fn greeting(credential: Option<&'static str>) -> Peer {
    let facts = facts_with(Capabilities(OFFERED), |_| {});
    let session = Session::over_websocket(facts, None, Time::ZERO).with_token(Token::new(7, [1; 16]));
    Peer::of(session.with_credential(credential.map(Bytes::from)))
}

/// HELLO with a token.
fn hello(token: Option<&[u8]>) -> Vec<u8> {
    let mut extensions = Vec::new();
    token.into_iter().for_each(|token| put_extension(1, token, &mut extensions));
    hello_with(OFFERED, 0, 0, &extensions)
}

fn renewal(request: u64, token: &[u8]) -> Vec<u8> {
    control(request, Ask::Token(Renewal { token, extensions: Extensions::NONE }))
}

fn proof(subject: &'static str, expires: Option<u64>) -> Proof {
    let identity = Identity { subject: subject.into(), ..Identity::default() };
    Proof { identity: identity.into(), expires: expires.map(|millis| Time::from_micros(millis * 1000)) }
}

impl Peer {
    fn prove(&mut self, proof: Result<Proof, Reason>) -> Result<(), (u64, u64)> {
        let now = self.time();
        let proved = self.session.handle_proof(proof, now, &mut self.output);
        proved.map_err(|ending| (ending.request.0, ending.reason.0))
    }
}

/// "ann", open, until so many milliseconds.
fn open(expires: Option<u64>) -> Peer {
    let mut peer = greeting(None);
    peer.ok(&hello(Some(b"t")));
    peer.prove(Ok(proof("ann", expires))).unwrap();
    peer.said();
    peer
}

#[test]
fn a_token_is_verified_before_anything_else_and_the_hellos_own_counts_first() {
    for (brought, credential, expected) in
        [(Some(&b"a"[..]), Some("b"), "a"), (None, Some("b"), "b"), (None, None, ""), (Some(b""), Some("b"), "")]
    {
        let mut peer = greeting(credential);
        peer.ok(&hello(brought));
        assert_eq!(peer.session.unproven().unwrap(), expected);
        assert!(peer.session.is_waiting() && !peer.session.is_open() && peer.said().is_empty());
        peer.prove(Ok(proof("ann", None))).unwrap();
        assert!(peer.session.is_open() && !peer.session.is_waiting() && peer.session.unproven().is_none());
        assert!(peer.said()[0].starts_with("welcome"));
        assert_eq!(peer.session.subject(), "ann");
    }
}

#[test]
fn a_token_that_does_not_count_closes_with_its_reason_and_the_request() {
    for reason in [Reason::TOKEN, Reason::TOKEN_EXPIRED, Reason::NOT_ALLOWED] {
        let mut peer = greeting(None);
        peer.ok(&hello(Some(b"a")));
        assert_eq!(peer.prove(Err(reason)), Err((1, reason.0)));
        assert!(!peer.session.is_open() && peer.said().is_empty());
    }
    let mut peer = greeting(Some("x"));
    assert_eq!(peer.ends(&hello(Some(&[b'x'; 4001]))), 241);
    let long: &'static str = Box::leak("x".repeat(4001).into_boxed_str());
    assert_eq!(greeting(Some(long)).ends(&hello(None)), 241, "in the request too");
}

#[test]
fn memberships_carry_who_the_server_says_it_is() {
    let mut peer = open(None);
    peer.ok(&join(2, 1, "room"));
    let asked = peer.asked();
    let Command::Join(joining) = &asked[0].1 else { panic!("{asked:?}") };
    assert_eq!(
        (&joining.subject[..], joining.identity.as_deref()),
        (&b"ann"[..], peer.session.identity().map(|i| &**i))
    );
}

#[test]
fn what_the_token_shows_cannot_be_changed() {
    let mut peer = greeting(None);
    peer.ok(&hello(Some(b"t")));
    let identity = Identity { subject: "ann".into(), info: "Ann".into(), ..Identity::default() };
    peer.prove(Ok(Proof { identity: Arc::new(identity), expires: None })).unwrap();
    peer.said();
    peer.ok(&join(2, 1, "room"));
    let Command::Join(joining) = &peer.asked()[0].1 else { panic!("no join") };
    assert_eq!(&joining.presence[..], b"Ann");
    let mut showing = Vec::new();
    put_extension(6, b"Bob", &mut showing);
    peer.ok(&join_with(3, 2, 3, b"other", &showing));
    peer.ok(&presence(4, 1, b"Bob"));
    assert_eq!(peer.said(), ["refused r3 240", "refused r4 240"]);
    peer.ok(&presence(5, 1, b"Ann"));
    assert!(peer.said().is_empty() && peer.asked().len() == 1);
}

#[test]
fn an_expired_token_ends_the_session_after_the_grace_and_starts_nothing_before() {
    let mut peer = open(Some(20_000));
    peer.ok(&join(2, 1, "room"));
    assert_eq!(peer.at(19_999), Ok(()));
    peer.ok(&join(3, 2, "other"));
    peer.now = 20_000;
    peer.said();
    peer.ok(&join(4, 3, "third"));
    assert_eq!(peer.said(), ["refused r4 242"]);
    peer.asked();
    peer.ok(&event(1, b"still"));
    assert_eq!(peer.asked().len(), 1, "what has begun goes on");
    assert_eq!(peer.at(29_999), Ok(()));
    assert_eq!(peer.at(30_000), Err(242));
}

#[test]
fn the_deadline_is_known_before_it_comes() {
    let peer = open(Some(2_000));
    assert_eq!(peer.deadline(), 12_000);
    assert_eq!(open(None).deadline(), 15_000, "the next ping");
}

#[test]
fn a_newer_token_extends_the_session_and_looks_at_every_membership() {
    let mut peer = open(Some(20_000));
    peer.ok(&[join(2, 1, "room"), join(3, 2, "other")].concat());
    peer.asked();
    peer.at(25_000).unwrap();
    peer.said();
    peer.ok(&renewal(4, b"newer"));
    assert_eq!(peer.session.unproven().unwrap(), "newer");
    assert!(peer.session.is_waiting() && peer.session.is_open() && peer.said().is_empty());
    peer.prove(Ok(proof("ann", Some(60_000)))).unwrap();
    assert_eq!(peer.said(), ["done r4"]);
    let asked = peer.asked();
    let handles = asked.iter().map(|(_, command)| match command {
        Command::Renew { handle, identity } => (handle.0, identity.subject.clone()),
        other => panic!("{other:?}"),
    });
    assert_eq!(handles.collect::<Vec<_>>(), [(1, "ann".into()), (2, "ann".into())]);
    assert_eq!(peer.at(30_000), Ok(()));
    peer.ok(&join(5, 3, "third"));
    assert_eq!(peer.asked().len(), 1);
}

#[test]
fn a_newer_token_is_for_the_same_subject() {
    let mut peer = open(Some(20_000));
    let refused = |peer: &mut Peer, proof: Result<Proof, Reason>| {
        peer.ok(&renewal(4, b"newer"));
        peer.prove(proof).unwrap();
        assert!(!peer.session.is_waiting() && peer.asked().is_empty());
        assert_eq!(peer.session.subject(), "ann");
        peer.said().concat()
    };
    assert_eq!(refused(&mut peer, Ok(proof("bob", None))), "refused r4 240");
    assert_eq!(refused(&mut peer, Ok(proof("", None))), "refused r4 240");
    assert_eq!(refused(&mut peer, Err(Reason::TOKEN)), "refused r4 241");
    assert_eq!(refused(&mut peer, Err(Reason::TOKEN_EXPIRED)), "refused r4 242");
    assert_eq!(peer.at(30_000), Err(242), "the old one goes on counting");
}

#[test]
fn newer_tokens_are_bounded_in_size_and_rate() {
    let mut peer = open(None);
    peer.ok(&[renewal(4, &[b'x'; 4001]), renewal(5, b"")].concat());
    assert_eq!(peer.said(), ["refused r4 241", "refused r5 241"]);
    for _ in 0..254 {
        peer.ok(&renewal(6, b"newer"));
        peer.prove(Ok(proof("ann", None))).unwrap();
    }
    peer.said();
    peer.ok(&renewal(7, b"newer"));
    assert_eq!(peer.said(), ["refused r7 102"]);
    assert!(!peer.session.is_waiting());
}

#[test]
fn a_server_that_verifies_no_tokens_takes_none() {
    let facts = facts_with(Capabilities::RESUME, |_| {});
    let session = Session::over_websocket(facts, None, Time::ZERO).with_credential(Some("x".into()));
    let mut peer = Peer::of(session);
    peer.ok(&hello(Some(b"t")));
    assert!(peer.session.is_open() && peer.session.identity().is_none() && peer.session.subject().is_empty());
    peer.said();
    peer.ok(&renewal(2, b"x"));
    assert_eq!(peer.said(), ["refused r2 223"]);
}
