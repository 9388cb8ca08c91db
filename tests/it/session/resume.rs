//! A session that goes on with another connection (PROTOCOL 12.2), with simulated time.

use std::sync::Arc;

use bytes::Bytes;
use tickwire::dispatcher::Refusal;
use tickwire::session::{Facts, Session, Token};
use tickwire::time::Time;
use tickwire::wire::{Capabilities, Reason, RequestId, extension, put_extension, put_string, put_varint};

use super::{Peer, facts};
use crate::support::{hello_with, join, ping_with};

fn resuming() -> Arc<Facts> {
    let facts = facts(|limits| limits.refusals_burst = 1);
    Arc::new(Facts { capabilities: Capabilities::RESUME, ..Facts::clone(&facts) })
}

fn token(session: u64) -> Token {
    Token::new(session, [5; 16])
}

/// A session in a room, at time 0.
fn session() -> Peer {
    let session = Session::over_websocket(resuming(), None, Time::ZERO).with_token(token(1));
    let mut peer = Peer { session, ..Peer::greeting() };
    peer.ok(&hello_with(Capabilities::RESUME.0, 0, 0, &[]));
    peer.ok(&join(2, 1, "room"));
    peer.said();
    peer.asked();
    peer
}

/// It goes on with another connection, whose hello comes now.
fn goes_on(peer: &mut Peer) {
    let mut connection = Peer {
        session: Session::over_websocket(resuming(), None, peer.time()).with_token(token(2)),
        ..Peer::greeting()
    };
    connection.now = peer.now;
    let (mut resume, mut content) = (Vec::new(), Vec::new());
    put_string(&token(1).0, &mut resume);
    put_varint(0, &mut resume);
    put_extension(extension::kind::RESUME, &resume, &mut content);
    connection.ok(&hello_with(Capabilities::RESUME.0, 0, 0, &content));
    let greeting = connection.session.waiting().unwrap();
    assert!(peer.session.accepts(token(1), &Bytes::new()));
    peer.session.handle_returned(&greeting, token(3), None, peer.time(), &mut peer.output);
}

#[test]
fn a_question_to_the_old_connection_needs_no_answer_on_the_new_one() {
    let mut peer = session();
    assert_eq!(peer.at(15_000), Ok(()));
    // Closed with reason 3, it waits for its client, who comes back.
    assert_eq!(peer.at(60_000), Err(Reason::PONG_TIMEOUT.0));
    peer.now = 70_000;
    goes_on(&mut peer);
    assert_eq!((peer.at(70_001), peer.deadline()), (Ok(()), 85_000));
    // An answer to what the old one was asked proves nothing; the new one has its own time.
    assert_eq!(peer.at(85_000), Ok(()));
    peer.ok(&ping_with(15_000_000, true, 0, &[]));
    assert_eq!((peer.at(129_999), peer.at(130_000)), (Ok(()), Err(Reason::PONG_TIMEOUT.0)));
}

#[test]
fn whether_the_old_connection_was_read_means_nothing_to_the_new_one() {
    let mut peer = session();
    peer.session.handle_paused(peer.time());
    peer.now = 10_000;
    goes_on(&mut peer);
    assert_eq!(peer.deadline(), 25_000);
    assert_eq!((peer.at(25_000), peer.at(70_000)), (Ok(()), Err(Reason::PONG_TIMEOUT.0)));
}

#[test]
fn what_is_refused_while_nobody_is_there_is_told_however_much_it_is() {
    let mut peer = session();
    for number in 1..=5 {
        let (request, reason) = (RequestId(0), Reason::NOT_PUBLISHING);
        let refusal = Refusal { request, number, reason, joining: None, avoidable: true };
        peer.session.handle_refusal_uncounted(&refusal, peer.time(), &mut peer.output);
    }
    peer.said();
    goes_on(&mut peer);
    assert_eq!(peer.said().len(), 6, "WELCOME, and what was refused");
}
