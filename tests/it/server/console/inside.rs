//! An operator in a room of others.

use tickwire::client::{Error, Event};
use tickwire::wire::control::Mode;
use tickwire::wire::{Key, Kind, MemberNumber, Presence, Reason};

use super::{operator, start};
use crate::server::peer::Peer;
use crate::server::say;
use crate::server::support::{Transport, soon};

#[tokio::test]
async fn an_operator_sees_what_is_in_a_room() {
    let server = start().await;
    let (mut peer, mine) = Peer::joined(&server, Transport::Tcp, "game/1").await;
    peer.send(&say::value(1, Key::room(7), b"42")).await;
    peer.said_after(&[], Kind::Value).await;
    let mut operator = operator(&server).await;
    let membership = soon(operator.join("game/1", Mode(6)), "a join").await.unwrap();
    assert_eq!(membership.mode, Mode(6));
    // Others see him come.
    let came = loop {
        let said = peer.said_as(Kind::Presence).await;
        if said.member == membership.member.0 {
            break said;
        }
    };
    let Ok(Presence::Here { subject, .. }) = Presence::decode(&came.payload) else { panic!("{came:?}") };
    assert!(subject.starts_with(b"operator:"));
    peer.send(&say::event(1, b"hello")).await;
    let (mut members, mut values, mut events) = (Vec::new(), Vec::new(), Vec::new());
    while events.is_empty() {
        match soon(operator.next(), "what is in the room").await.unwrap() {
            Event::Presence(batch) => members.extend(batch.changes().map(|(member, _)| member)),
            Event::Snapshot(batch) => values.extend(batch.records().map(|record| record.payload.to_vec())),
            Event::Batch(batch) if batch.kind() == Kind::Event => {
                events.extend(batch.records().map(|record| (record.member, record.payload.to_vec())));
            }
            _ => {}
        }
    }
    assert!(members.contains(&MemberNumber(mine.member)), "{members:?}");
    assert_eq!((values, events), (vec![b"42".to_vec()], vec![(MemberNumber(mine.member), b"hello".to_vec())]));
}

#[tokio::test]
async fn an_operator_publishes_nothing() {
    let server = start().await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "game/1").await;
    let mut operator = operator(&server).await;
    let membership = soon(operator.join("game/1", Mode::BOTH), "a join").await.unwrap();
    assert_eq!(membership.mode, Mode::RECEIVE, "publishing is not granted");
    let refused = soon(operator.join("game/2", Mode::PUBLISH), "an answer").await;
    assert!(matches!(&refused, Err(Error::Refused(refusal)) if refusal.reason == Reason::NOT_ALLOWED), "{refused:?}");
    peer.send(&say::event(1, b"mine")).await;
    peer.event(b"mine").await;
}
