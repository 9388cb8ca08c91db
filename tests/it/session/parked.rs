//! A session that waits for its client: what happens meanwhile is told when it goes on (PROTOCOL 12.2).

use std::sync::Arc;

use bytes::Bytes;
use tickwire::dispatcher::Refusal;
use tickwire::session::{Facts, Session, Token};
use tickwire::time::Time;
use tickwire::wire::{Capabilities, Reason, RequestId, extension, put_extension, put_string, put_varint};

use super::{Peer, facts};
use crate::support::{hello_with, join};

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
