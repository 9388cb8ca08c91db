//! What each verb gives, and nothing more: over every transport, live, from history, and resumed.
//!
//! ```text
//! witness (all verbs) ──event, value──> room ──> client (the verbs of the row)
//!         <──────────event, value, direct, urgent──────────┘
//! ```

use std::collections::BTreeSet;

use serde_json::json;
use tickwire::wire::control::Mode;
use tickwire::wire::{Key, Kind, Reason};

use super::*;

/// How the client gets what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Live,
    History,
    Resumed,
}

/// The kinds whose records came, up to the direct that says so.
async fn kinds(peer: &mut Peer) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    loop {
        let (frame, said) = peer.next_with_records().await;
        assert_ne!(hear::closing(&frame).map(|(_, reason, _)| reason), Some(Reason::NOT_ALLOWED));
        for said in said {
            kinds.insert(match said.kind {
                Kind::Presence | Kind::Members => "presence",
                Kind::Event => "events",
                Kind::Value | Kind::Snapshot => "values",
                Kind::Direct if said.payload == b"end"[..] => return kinds,
                Kind::Direct => "directs",
            });
        }
    }
}

async fn check(server: &TestServer, transport: Transport, path: Path, verbs: &[&str], index: usize) {
    let case = format!("{verbs:?} over {transport:?}, {path:?}");
    let room = format!("matrix/{transport:?}/{path:?}/{index}");
    let (mut witness, _) = come(server, Transport::Tcp, &token("witness", everything())).await;
    witness.send(&join(&room, Mode::BOTH, None)).await;
    let seat = witness.joining().await;
    witness.event_of_mine(b"first").await;
    let granted = token("client", json!({ "matrix/**": verbs }));
    let (mut client, welcome) = come(server, transport, &granted).await;
    assert_eq!(welcome.subject, "client", "{case}");

    let since = Membership { position: 0, ..seat };
    client.send(&join(&room, Mode::BOTH, (path == Path::History).then_some(since))).await;
    let has = |verb: &str| verbs.contains(&verb);
    let receives = has("receive") || has("values") || has("presence");
    let publishes = has("publish") || has("direct");
    if !has("join") || !receives && !publishes {
        assert_eq!(client.refused().await, (2, 0, Reason::NOT_ALLOWED), "{case}");
        return;
    }
    let (mut me, mode) = joined(&mut client).await;
    let both = [(publishes, Mode::PUBLISH.0), (receives, Mode::RECEIVE.0)];
    assert_eq!(mode.0, both.iter().filter(|(has, _)| *has).map(|(_, bit)| bit).sum::<u8>(), "{case}");
    let mut expected = BTreeSet::new();
    let mut expect = |kind, expects: bool| {
        if expects {
            expected.insert(kind);
        }
    };
    if path == Path::Resumed {
        drop(client);
        witness.event_of_mine(b"missed").await;
        client = Peer::preamble(server, transport).await;
        client.send(&hello(Some(&granted), Some(&welcome.resume))).await;
        assert!(welcomed(&mut client).await.resumed, "{case}");
        client.send(&join(&room, Mode::BOTH, Some(me))).await;
        (me, _) = joined(&mut client).await;
    }
    if path == Path::Live {
        witness.event_of_mine(b"live").await;
    }
    witness.send(&say::value(1, Key::member(0), b"value")).await;
    witness.send(&say::direct(1, me.member, b"end")).await;
    let past = path == Path::Live || has("history");
    expect("events", has("receive") && past);
    expect("values", has("values"));
    // Its own coming, or its coming back, is live.
    expect("presence", has("presence"));
    assert_eq!(kinds(&mut client).await, expected, "{case}");

    let says = [
        (say::event(1, b"an event"), Kind::Event, has("publish")),
        (say::value(1, Key::member(1), b"a value"), Kind::Value, has("publish") && has("values")),
        (say::direct(1, seat.member, b"a direct"), Kind::Direct, has("direct")),
        (say::urgent_event(1, b"an urgent event"), Kind::Event, has("publish") && has("urgent")),
    ];
    for (frame, kind, may) in says {
        if may {
            let said = witness.said_from(&mut client, &frame, kind, me.member).await;
            assert_eq!((said.kind, said.member), (kind, me.member), "{case}");
        } else {
            client.send(&frame).await;
            let (request, _, reason) = client.refused().await;
            let expected = if publishes { Reason::NOT_ALLOWED } else { Reason::NOT_PUBLISHING };
            assert_eq!((request, reason), (0, expected), "{case}: {kind:?}");
        }
    }
}

/// JOINED, and the mode that was granted.
async fn joined(peer: &mut Peer) -> (Membership, Mode) {
    let frame = peer.control().await;
    let Command::Joined(answer) = command(&frame) else { panic!("{:?}", command(&frame)) };
    (hear::joined(&frame), answer.mode)
}

impl Peer {
    /// Says an event on handle 1, and waits for it.
    async fn event_of_mine(&mut self, payload: &[u8]) {
        self.send(&say::event(1, payload)).await;
        self.event(payload).await;
    }

    /// What this member is heard to say when `peer` sends `frame`.
    async fn said_from(&mut self, peer: &mut Self, frame: &[u8], kind: Kind, member: u64) -> hear::Said {
        peer.send(frame).await;
        loop {
            let said = self.said_as(kind).await;
            if said.member == member {
                return said;
            }
        }
    }
}

#[tokio::test]
async fn every_verb_gives_what_it_says_on_every_path_of_every_transport() {
    let server = start().await;
    let rows: [&[&str]; 12] = [
        &[],
        &["join"],
        &["join", "receive"],
        &["join", "values"],
        &["join", "presence"],
        &["join", "publish"],
        &["join", "direct"],
        &["join", "publish", "urgent"],
        &["join", "receive", "history"],
        &["join", "publish", "values", "history"],
        &["publish", "receive", "values", "direct", "history", "presence", "urgent"],
        &["join", "publish", "receive", "values", "direct", "history", "presence", "urgent"],
    ];
    for transport in BOTH {
        for path in [Path::Live, Path::History, Path::Resumed] {
            for (index, verbs) in rows.into_iter().enumerate() {
                check(&server, transport, path, verbs, index).await;
            }
        }
    }
    drop(server);
}
